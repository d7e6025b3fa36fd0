package load

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync/atomic"
)

// errRepeated reports that net/http sent a request again on its own, as it does
// when a kept connection broke: for a client without that help it had failed.
var errRepeated = errors.New("the connection broke and net/http sent the request again")

// client speaks to the shop, over connections that are kept and ones that are not.
type client struct {
	url         string
	kept, fresh *http.Client
}

func newClient(config Config) *client {
	kept := &http.Transport{MaxIdleConnsPerHost: config.Concurrency}
	return &client{
		url:   config.URL,
		kept:  &http.Client{Transport: kept, Timeout: config.Timeout},
		fresh: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: config.Timeout},
	}
}

func (c *client) close() {
	c.kept.CloseIdleConnections()
	c.fresh.CloseIdleConnections()
}

// request is one request to the shop.
type request struct {
	method, path string
	token, key   string // none where empty
	body         any
	fresh        bool
}

// response is what came back.
type response struct {
	status int
	id     string // X-Request-ID
	body   []byte
}

// do sends a request once. With an error, whether the shop received it is unknown.
func (c *client) do(ctx context.Context, r request) (response, error) {
	var body io.Reader
	if r.body != nil {
		encoded, err := json.Marshal(r.body)
		if err != nil {
			return response{}, err
		}
		body = bytes.NewReader(encoded)
	}
	var connections atomic.Int32
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connections.Add(1) }})
	sent, err := http.NewRequestWithContext(ctx, r.method, c.url+r.path, body)
	if err != nil {
		return response{}, err
	}
	if r.body != nil {
		sent.Header.Set("Content-Type", "application/json")
	}
	if r.token != "" {
		sent.Header.Set("Authorization", "Bearer "+r.token)
	}
	if r.key != "" {
		sent.Header.Set("Idempotency-Key", r.key)
	}
	via := c.kept
	if r.fresh {
		via = c.fresh
	}
	got, err := via.Do(sent)
	if err != nil {
		return response{}, err
	}
	defer got.Body.Close()
	content, err := io.ReadAll(got.Body)
	if err != nil {
		return response{}, err
	}
	if connections.Load() > 1 {
		return response{}, errRepeated
	}
	return response{status: got.StatusCode, id: got.Header.Get("X-Request-ID"), body: content}, nil
}

// get sends a request that must succeed, and decodes its answer.
func (c *client) get(ctx context.Context, r request, want int, target any) error {
	got, err := c.do(ctx, r)
	if err != nil {
		return err
	}
	if got.status != want {
		return fmt.Errorf("%s %s: %d %s", r.method, r.path, got.status, got.body)
	}
	if err := json.Unmarshal(got.body, target); err != nil {
		return fmt.Errorf("%s %s: %w", r.method, r.path, err)
	}
	return nil
}

// account is what the shop says of a user who was registered.
type account struct{ UserID, Token string }

// registration returns a request that registers somebody new, and the email.
func registration() (r request, email string) {
	email = "user-" + strings.ToLower(rand.Text()) + "@example.com"
	return request{method: http.MethodPost, path: "/api/users/register", key: rand.Text(), body: map[string]string{
		"email": email, "password": "correct horse", "firstName": "Load", "lastName": "Generator",
	}}, email
}

// register registers somebody new.
func (c *client) register(ctx context.Context) (n newcomer, err error) {
	r, email := registration()
	if err := c.get(ctx, r, http.StatusCreated, &n.account); err != nil {
		return n, fmt.Errorf("register %s: %w", email, err)
	}
	n.email = email
	return n, nil
}

// recognizes returns an error unless a newcomer's profile is there as it was registered.
func (c *client) recognizes(ctx context.Context, n newcomer) error {
	var profile struct{ Email string }
	if err := c.get(ctx, request{method: http.MethodGet, path: "/api/users/" + n.UserID, token: n.Token}, http.StatusOK, &profile); err != nil {
		return err
	}
	if profile.Email != n.email {
		return fmt.Errorf("the profile of %s has the email %q", n.email, profile.Email)
	}
	return nil
}

// products lists the ids of products that can be bought again and again: an order takes
// one piece and its cancellation gives it back, so that the stock needs only to be
// larger than the orders in flight.
func (c *client) products(ctx context.Context) (ids []string, err error) {
	var list struct {
		Products []struct {
			ProductID string
			Inventory int
		}
	}
	if err := c.get(ctx, request{method: http.MethodGet, path: "/api/products?limit=100"}, http.StatusOK, &list); err != nil {
		return nil, err
	}
	for _, p := range list.Products {
		if p.Inventory >= minStock {
			ids = append(ids, p.ProductID)
		}
	}
	if ids == nil {
		return nil, fmt.Errorf("no product has %d pieces left", minStock)
	}
	return ids, nil
}

const minStock = 100

// all lists everything under path, whose pages hold their items under field.
func all[T any](ctx context.Context, c *client, token, path, field string) (items []T, err error) {
	for page := 1; ; page++ {
		var got map[string]json.RawMessage
		r := request{method: http.MethodGet, path: fmt.Sprintf("%s?limit=100&page=%d", path, page), token: token}
		if err := c.get(ctx, r, http.StatusOK, &got); err != nil {
			return nil, err
		}
		var more []T
		var pages int
		if err := errors.Join(json.Unmarshal(got[field], &more), json.Unmarshal(got["totalPages"], &pages)); err != nil {
			return nil, fmt.Errorf("list of %s: %w", field, err)
		}
		if items = append(items, more...); page >= pages {
			return items, nil
		}
	}
}
