package search

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/elastic/go-elasticsearch/v8/esapi"
)

const (
	// alias is what is searched: the index that is whole.
	alias = "products"
	// building is the alias of the index that is being built, to be searched when it is whole.
	building = "products-building"

	manageTimeout = 10 * time.Second
	// visibleTimeout is how long what was written may take to be found. Elasticsearch has it
	// found once a refresh has returned.
	visibleTimeout = time.Minute
	visiblePause   = 50 * time.Millisecond
)

// Product is a state of a product, or of there being none.
type Product struct {
	ID string
	// Version is greater than that of each earlier state.
	Version                     int64
	Deleted                     bool
	Name, Description, Category string
}

// indexes are the names of the indexes that aliases lead to; "" for none.
type indexes struct{ searched, built string }

func (i indexes) all() []string {
	return slices.DeleteFunc([]string{i.searched, i.built}, func(name string) bool { return name == "" })
}

func (c *Client) indexes(ctx context.Context) (found indexes, err error) {
	var answer map[string]struct{ Aliases map[string]any }
	if err := c.ask(ctx, "aliases", writeTimeout, esapi.IndicesGetAliasRequest{}, &answer); err != nil {
		return indexes{}, err
	}
	for name, index := range answer {
		if _, ok := index.Aliases[alias]; ok {
			found.searched = name
		}
		if _, ok := index.Aliases[building]; ok {
			found.built = name
		}
	}
	return found, nil
}

// Write brings the index, and the one that is being built, to at least the states given. An
// earlier state never replaces a later one: Elasticsearch compares their versions. Where
// there is no index, nothing is written: who builds one reads all products.
func (c *Client) Write(ctx context.Context, products []Product) error {
	found, err := c.indexes(ctx)
	if err != nil {
		return err
	}
	return c.write(ctx, found.all(), products)
}

func (c *Client) write(ctx context.Context, into []string, products []Product) error {
	if len(into) == 0 || len(products) == 0 {
		return nil
	}
	var body bytes.Buffer
	lines := json.NewEncoder(&body) // which writes each value on a line
	for _, index := range into {
		for _, p := range products {
			action := object{"_index": index, "_id": p.ID, "version": p.Version, "version_type": "external"}
			values := []object{{"delete": action}}
			if !p.Deleted {
				values = []object{{"index": action}, {"productId": p.ID, "name": p.Name, "words": p.Name + "\n" + p.Description, "category": p.Category}}
			}
			for _, value := range values {
				if err := lines.Encode(value); err != nil {
					return err
				}
			}
		}
	}
	var answer struct {
		Items []map[string]struct {
			ID     string `json:"_id"`
			Status int
			Error  json.RawMessage
		}
	}
	if err := c.ask(ctx, "bulk", writeTimeout, esapi.BulkRequest{Body: &body}, &answer); err != nil {
		return err
	}
	if wrote, want := len(answer.Items), len(into)*len(products); wrote != want {
		return &UnavailableError{fmt.Sprintf("bulk: of %d products %d were written", want, wrote)}
	}
	for _, item := range answer.Items {
		for action, result := range item {
			newer := result.Status == http.StatusConflict
			gone := action == "delete" && result.Status == http.StatusNotFound
			if result.Status >= 300 && !newer && !gone {
				return &UnavailableError{fmt.Sprintf("bulk: product %s was answered %d: %.500s", result.ID, result.Status, result.Error)}
			}
		}
	}
	return nil
}

// ErrOvertaken reports that somebody else has begun to build an index.
var ErrOvertaken = errors.New("another index is being built")

// mapping has one shard, as a catalogue is small; its scores are then of all products. The
// analyzer stems words and leaves some out, as Postgres' configuration english does.
var mapping = object{
	"settings": object{"number_of_shards": 1, "number_of_replicas": 0},
	"mappings": object{"properties": object{
		"productId": object{"type": "keyword"},
		"category":  object{"type": "keyword", "ignore_above": 256}, // nobody can ask for a longer one
		"name":      object{"type": "text", "analyzer": "english"},
		"words":     object{"type": "text", "analyzer": "english"},
	}},
}

// Begin makes an empty index, which Write writes to from now on, and which is not searched
// yet. It removes an index that was begun and not finished.
func (c *Client) Begin(ctx context.Context) (index string, err error) {
	found, err := c.indexes(ctx)
	if err != nil {
		return "", err
	}
	index = alias + "-" + strings.ReplaceAll(time.Now().UTC().Format("20060102t150405.000000"), ".", "")
	if err := c.ask(ctx, "create index", manageTimeout, esapi.IndicesCreateRequest{Index: index, Body: document(mapping)}, nil); err != nil {
		return "", err
	}
	actions := []object{{"add": object{"index": index, "alias": building}}}
	if found.built != "" {
		actions = append(actions, object{"remove": object{"index": found.built, "alias": building}})
	}
	if err := c.alias(ctx, actions); err != nil {
		return "", err
	}
	return index, c.remove(ctx, found.built)
}

// Fill writes products to an index that Begin has returned, or returns ErrOvertaken.
func (c *Client) Fill(ctx context.Context, index string, products []Product) error {
	found, err := c.indexes(ctx)
	if err != nil {
		return err
	}
	if found.built != index {
		return ErrOvertaken
	}
	return c.write(ctx, []string{index}, products)
}

// AwaitVisible returns when an index finds as many products as want returns, or more.
func (c *Client) AwaitVisible(ctx context.Context, index string, want func(context.Context) (int, error)) error {
	ctx, cancel := context.WithTimeout(ctx, visibleTimeout)
	defer cancel()
	for {
		if err := c.ask(ctx, "refresh", manageTimeout, esapi.IndicesRefreshRequest{Index: []string{index}}, nil); err != nil {
			return err
		}
		var answer struct {
			Hits struct{ Total struct{ Value int } }
		}
		all := document(object{"query": object{"match_all": object{}}, "size": 0, "track_total_hits": true})
		if err := c.ask(ctx, "count", manageTimeout, esapi.SearchRequest{Index: []string{index}, Body: all}, &answer); err != nil {
			return err
		}
		count, err := want(ctx)
		if err != nil || answer.Hits.Total.Value >= count {
			return err
		}
		select {
		case <-time.After(visiblePause):
		case <-ctx.Done():
			return &UnavailableError{fmt.Sprintf("the index %s finds %d of %d products after %v", index, answer.Hits.Total.Value, count, visibleTimeout)}
		}
	}
}

// Finish has an index that Begin has returned searched, in place of the one before, which it
// removes. Elasticsearch exchanges the two at once. It returns ErrOvertaken as Fill does.
func (c *Client) Finish(ctx context.Context, index string) error {
	found, err := c.indexes(ctx)
	if err != nil {
		return err
	}
	if found.built != index {
		return ErrOvertaken
	}
	actions := []object{{"add": object{"index": index, "alias": alias}}, {"remove": object{"index": index, "alias": building}}}
	if found.searched != "" {
		actions = append(actions, object{"remove": object{"index": found.searched, "alias": alias}})
	}
	if err := c.alias(ctx, actions); err != nil {
		return err
	}
	return c.remove(ctx, found.searched)
}

func (c *Client) alias(ctx context.Context, actions []object) error {
	return c.ask(ctx, "change aliases", manageTimeout, esapi.IndicesUpdateAliasesRequest{Body: document(object{"actions": actions})}, nil)
}

func (c *Client) remove(ctx context.Context, index string) error {
	if index == "" {
		return nil
	}
	return c.ask(ctx, "remove index", manageTimeout, esapi.IndicesDeleteRequest{Index: []string{index}}, nil)
}
