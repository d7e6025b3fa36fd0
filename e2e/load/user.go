package load

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	weakrand "math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"time"
)

// user sends requests one after the other and remembers what it wrote.
type user struct {
	account

	client   *client
	config   Config
	products []string

	outcomes  outcomes
	latencies []time.Duration
	failures  []Failure

	orders     []*order
	lostOrders int // sent, and whether they were received is unknown
	registered []newcomer
}

// newcomer is somebody whom the shop has acknowledged as registered.
type newcomer struct {
	account
	email string
}

// order is an order that the shop has acknowledged.
type order struct {
	id        string
	paymentID string // once it was paid
	confirmed bool   // and not cancelled, for all that is known
	cancelled bool   // which the shop has acknowledged
}

// registrations is the share of the writes of shopping that register somebody.
const registrations = 0.1

// act sends one request, which was due at that time.
func (u *user) act(ctx context.Context, due time.Time) {
	if weakrand.Float64() >= u.config.Writes {
		u.read(ctx, due)
		return
	}
	if u.config.Shopping && weakrand.Float64() < registrations {
		u.register(ctx, due)
		return
	}
	// An order is cancelled by the next write but one, so that the stock lasts.
	if n := len(u.orders); n > 0 && u.orders[n-1].confirmed {
		u.cancel(ctx, due, u.orders[n-1])
		return
	}
	u.order(ctx, due)
}

func (u *user) read(ctx context.Context, due time.Time) {
	r := request{method: http.MethodGet}
	operation := "GET products"
	kinds := 5
	if u.config.Shopping {
		kinds++
	}
	switch weakrand.IntN(kinds) {
	case 0:
		r.path = "/api/products?limit=10"
	case 1:
		r.path = "/api/products/" + u.products[weakrand.IntN(len(u.products))]
	case 2:
		operation, r.path, r.token = "GET orders", "/api/orders?limit=5", u.Token
	case 3:
		operation, r.path, r.token = "GET payments", "/api/payments?limit=5", u.Token
	case 4:
		operation, r.path, r.token = "GET user", "/api/users/"+u.UserID, u.Token
	case 5:
		word, _, _ := strings.Cut(u.products[weakrand.IntN(len(u.products))], "-")
		operation, r.path = "GET search", "/api/products?limit=10&search="+word
	}
	u.send(ctx, due, operation, r, http.StatusOK)
}

func (u *user) order(ctx context.Context, due time.Time) {
	type item struct {
		ProductID string `json:"productId"`
		Quantity  int    `json:"quantity"`
	}
	got, ok := u.send(ctx, due, "POST orders", request{
		method: http.MethodPost, path: "/api/orders", token: u.Token, key: rand.Text(),
		body: map[string][]item{"items": {{u.products[weakrand.IntN(len(u.products))], 1}}},
	}, http.StatusCreated, http.StatusAccepted)
	var placed struct{ OrderID, Status, PaymentID string }
	if !ok || json.Unmarshal(got.body, &placed) != nil {
		u.lostOrders++
		return
	}
	u.orders = append(u.orders, &order{id: placed.OrderID, paymentID: placed.PaymentID, confirmed: placed.Status == "confirmed"})
}

// cancel sends a key although the shop needs none: cancelling twice is
// cancelling once, which a proxy learns from the key.
func (u *user) cancel(ctx context.Context, due time.Time, o *order) {
	o.confirmed = false
	got, ok := u.send(ctx, due, "POST cancel", request{
		method: http.MethodPost, path: "/api/orders/" + o.id + "/cancel", token: u.Token, key: rand.Text(),
	}, http.StatusOK, http.StatusAccepted)
	o.cancelled = ok && got.status == http.StatusOK
}

func (u *user) register(ctx context.Context, due time.Time) {
	r, email := registration()
	got, ok := u.send(ctx, due, "POST register", r, http.StatusCreated)
	n := newcomer{email: email}
	if ok && json.Unmarshal(got.body, &n.account) == nil {
		u.registered = append(u.registered, n)
	}
}

// send sends a request and counts what came of it. It is false unless the
// status is one of those wanted.
func (u *user) send(ctx context.Context, due time.Time, operation string, r request, wanted ...int) (response, bool) {
	r.fresh = weakrand.Float64() < u.config.Fresh
	got, err := u.client.do(ctx, r)
	took := time.Since(due)
	u.latencies = append(u.latencies, took)
	good := err == nil && slices.Contains(wanted, got.status)
	u.config.Ended(took, !good)
	outcome := fmt.Sprint(got.status)
	if err != nil {
		outcome = describe(err)
	}
	u.outcomes.count(operation, outcome)
	if good {
		return got, true
	}
	failure := Failure{Time: time.Now(), Operation: operation, Outcome: outcome, Took: took, RequestID: got.id, Answer: string(got.body)}
	if err != nil {
		failure.Answer = err.Error()
	}
	u.failures = append(u.failures, failure)
	return got, false
}
