package search

import (
	"encoding/json"
	"testing"
)

func TestASearchIsReadAsPostgresReadsIt(t *testing.T) {
	match := func(text string) string {
		return `"must":[{"match":{"words":{"operator":"and","query":"` + text + `"}}}]`
	}
	name := func(text string) string { return `"should":[{"match":{"name":{"boost":2,"query":"` + text + `"}}}]` }
	phrase := func(text string) string { return `{"match_phrase":{"words":"` + text + `"}}` }
	all := func(parts string) string { return `{"bool":{` + parts + `}}` }
	of := func(alternatives string) string {
		return `{"bool":{"minimum_should_match":1,"should":[` + alternatives + `]}}`
	}
	for _, test := range []struct{ words, category, want string }{
		{"", "", "null"}, {"  ", "kitchen", "null"}, {"-", "", "null"}, {`""`, "", "null"}, {`-"" or`, "", "null"},
		{"lamp", "", of(all(match("lamp") + "," + name("lamp")))},
		{" steel  knife ", "", of(all(match("steel knife") + "," + name("steel knife")))},
		{"steel -knife", "", of(all(match("steel") + `,"must_not":[` + phrase("knife") + `],` + name("steel")))},
		{"-steel", "", of(all(`"must_not":[` + phrase("steel") + `]`))},
		{`"steel nib`, "", of(all(`"must":[` + phrase("steel nib") + `]`))},
		{`-"steel nib"lamp`, "", of(all(match("lamp") + `,"must_not":[` + phrase("steel nib") + `],` + name("lamp")))},
		{"lamp OR mat or", "", of(all(match("lamp")+","+name("lamp")) + "," + all(match("mat")+","+name("mat")))},
		{`"or" -or`, "", of(all(`"must":[` + phrase("or") + `],"must_not":[` + phrase("or") + `]`))},
		{"lamp", "office", `{"bool":{"filter":[{"term":{"category":"office"}}],"minimum_should_match":1,"should":[` + all(match("lamp")+","+name("lamp")) + `]}}`},
	} {
		got, err := json.Marshal(parse(test.words, test.category))
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != test.want {
			t.Errorf("%q is %s, want %s", test.words, got, test.want)
		}
	}
}
