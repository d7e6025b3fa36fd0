// Package search finds products in Elasticsearch, and writes what it finds them by.
//
// It holds the words of each product, and not the product: whoever searches gets ids, and
// reads the rest where it is kept. It uses what Elasticsearch documents of its version 8,
// by the requests of its own Go library.
package search

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/elastic/go-elasticsearch/v8/esapi"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/tendhq/tend/services/internal/tracing"
)

const (
	// Window is the number of hits that pages can reach. It is the default of Elasticsearch's
	// index.max_result_window; a larger one costs memory.
	Window = 10_000

	connectTimeout = 500 * time.Millisecond
	// searchTimeout is what a request waits before it is answered from elsewhere.
	searchTimeout = 500 * time.Millisecond
	// writeTimeout is shorter than the database lets a transaction rest.
	writeTimeout = 2 * time.Second
	maxAnswer    = 8 << 20 // bytes
)

// UnavailableError reports that Elasticsearch is away, or does not answer as it should. It
// hides its cause, which the database would take for its own being away.
type UnavailableError struct{ reason string }

func (e *UnavailableError) Error() string { return "Elasticsearch: " + e.reason }

// Client asks one Elasticsearch. Its methods may be called concurrently.
type Client struct {
	url  *url.URL
	http *http.Client
}

// New returns the client of the Elasticsearch at an address, which need not be there yet.
func New(address *url.URL) *Client {
	return &Client{url: address, http: &http.Client{Transport: &http.Transport{
		DialContext:         (&net.Dialer{Timeout: connectTimeout}).DialContext,
		MaxIdleConnsPerHost: 10,
		IdleConnTimeout:     time.Minute,
	}}}
}

// Close ends the connections that are idle.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Perform sends a request of esapi, whose URL is a path. As Elasticsearch's own client, which
// takes minutes to compile, it takes no answer from a server that says it is something else:
// that one may understand the same request in another way.
func (c *Client) Perform(r *http.Request) (*http.Response, error) {
	r.URL.Scheme, r.URL.Host, r.URL.Path = c.url.Scheme, c.url.Host, c.url.Path+r.URL.Path
	response, err := c.http.Do(r)
	if err != nil {
		return nil, err
	}
	if response.StatusCode < 300 && response.Header.Get("X-Elastic-Product") != "Elasticsearch" {
		_ = response.Body.Close() // unread: the connection goes with it
		return nil, fmt.Errorf("%s is not Elasticsearch: its answer has no X-Elastic-Product: Elasticsearch", c.url.Host)
	}
	return response, nil
}

// ask makes a request and decodes its answer into answer, unless that is nil.
func (c *Client) ask(ctx context.Context, name string, timeout time.Duration, request esapi.Request, answer any) (err error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	ctx, span := tracing.Start(ctx, name, trace.SpanKindClient, semconv.DBSystemNameElasticsearch, semconv.DBOperationName(name))
	defer func() { tracing.End(span, err) }()
	response, err := request.Do(ctx, c)
	if err != nil {
		return &UnavailableError{name + ": " + err.Error()}
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return &UnavailableError{name + ": " + err.Error()}
	}
	if response.IsError() {
		return &UnavailableError{fmt.Sprintf("%s: answered %d: %.500s", name, response.StatusCode, body)}
	}
	if answer == nil {
		return nil
	}
	if err := json.Unmarshal(body, answer); err != nil {
		return &UnavailableError{fmt.Sprintf("%s: answered what is no JSON of its kind: %v", name, err)}
	}
	return nil
}

// Hits is what was found: the ids of a page, the best match first, and how many there are.
type Hits struct {
	IDs   []string
	Count int
}

// Search returns the part of the products from offset that have the words of a search, and
// the category unless that is "". Words are as in Postgres' websearch_to_tsquery.
func (c *Client) Search(ctx context.Context, words, category string, offset, limit int) (Hits, error) {
	query := parse(words, category)
	if query == nil {
		return Hits{}, nil
	}
	whole := false
	var answer struct {
		Hits struct {
			Total struct{ Value int }
			Hits  []struct {
				ID string `json:"_id"`
			}
		}
	}
	err := c.ask(ctx, "search", searchTimeout, esapi.SearchRequest{
		Index: []string{alias},
		Body: document(object{
			"query": query, "from": offset, "size": limit, "_source": false, "track_total_hits": true,
			"sort": []object{{"_score": "desc"}, {"productId": "asc"}},
		}),
		// Half an answer is none: Postgres has the whole one.
		AllowPartialSearchResults: &whole,
	}, &answer)
	if err != nil {
		return Hits{}, err
	}
	found := Hits{Count: answer.Hits.Total.Value}
	for _, hit := range answer.Hits.Hits {
		found.IDs = append(found.IDs, hit.ID)
	}
	return found, nil
}

type object map[string]any

// document returns a value that is made of maps, slices and strings as a request's body.
func document(value object) io.Reader {
	encoded, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return strings.NewReader(string(encoded))
}
