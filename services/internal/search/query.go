package search

import "strings"

// parse returns the query for words and a category, nil where nothing can match. It reads
// what Postgres' websearch_to_tsquery reads: all words, phrases in quotes, or between two
// alternatives, and - before what must not be there.
func parse(words, category string) object {
	var alternatives []object
	var one conjunction
	for rest := words; ; {
		t, after, ok := next(rest)
		if !ok || !t.phrase && !t.not && strings.EqualFold(t.text, "or") {
			alternatives = append(alternatives, one.query()...)
			one = conjunction{}
		} else {
			one.add(t)
		}
		if !ok {
			break
		}
		rest = after
	}
	if len(alternatives) == 0 {
		return nil
	}
	query := object{"should": alternatives, "minimum_should_match": 1}
	if category != "" {
		query["filter"] = []object{{"term": object{"category": category}}}
	}
	return object{"bool": query}
}

type term struct {
	text        string
	phrase, not bool
}

// next cuts the first term off s.
func next(s string) (t term, rest string, ok bool) {
	s = strings.TrimLeft(s, " ")
	if s == "" {
		return term{}, "", false
	}
	s, t.not = strings.CutPrefix(s, "-")
	if quoted, found := strings.CutPrefix(s, `"`); found {
		t.phrase = true
		t.text, rest, _ = strings.Cut(quoted, `"`)
		return t, rest, true
	}
	end := strings.IndexAny(s, ` "`)
	if end < 0 {
		end = len(s)
	}
	t.text = s[:end]
	return t, s[end:], true
}

// conjunction is what must all be true of a product.
type conjunction struct {
	words     []string
	must, not []object
}

func (c *conjunction) add(t term) {
	phrase := object{"match_phrase": object{"words": t.text}}
	switch {
	case t.text == "":
	case t.not:
		c.not = append(c.not, phrase)
	case t.phrase:
		c.must = append(c.must, phrase)
	default:
		c.words = append(c.words, t.text)
	}
}

// query returns the conjunction as one query, or none where it says nothing. Its words are
// one text, so that those that are in no index, as "the", are left out of it.
func (c *conjunction) query() []object {
	query := object{}
	if text := strings.Join(c.words, " "); text != "" {
		c.must = append(c.must, object{"match": object{"words": object{"query": text, "operator": "and"}}})
		query["should"] = []object{{"match": object{"name": object{"query": text, "boost": 2}}}}
	}
	if len(c.must)+len(c.not) == 0 {
		return nil
	}
	if len(c.must) > 0 {
		query["must"] = c.must
	}
	if len(c.not) > 0 {
		query["must_not"] = c.not
	}
	return []object{{"bool": query}}
}
