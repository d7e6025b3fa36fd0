// Package order is the service that takes orders and sees them through.
package order

import (
	"embed"
	"fmt"
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"

	"github.com/tendhq/tend/services/contracts"
	"github.com/tendhq/tend/services/internal/auth"
	"github.com/tendhq/tend/services/internal/httpx"
	"github.com/tendhq/tend/services/internal/money"
	"github.com/tendhq/tend/services/internal/server"
)

const (
	maxItems    = 50
	maxQuantity = 1000
)

//go:embed migrations/*.sql
var migrations embed.FS

// Service is order-service.
var Service = server.Service{Name: "order-service", Port: 3003, Contract: contracts.Of("order-service"), Migrations: migrations, Issues: true, New: newApp}

func newApp(rt *server.Runtime) (*server.App, error) {
	peers := newPeers(rt)
	h := handlers{store: store{rt.DB, rt.Outbox}, peers: peers, kind: sagaFromEnv(rt.Env, rt.Outbox.On())}
	h.saga = saga{store: h.store, peers: peers}
	return &server.App{
		Routes: func(r chi.Router) {
			r.Route("/api/orders", func(r chi.Router) {
				all, one := r.With(rt.Tokens.Require), r.With(httpx.PathID("orderId", errNotFound), rt.Tokens.Require)
				all.Method(http.MethodPost, "/", httpx.Handler(h.create))
				all.Method(http.MethodGet, "/", httpx.Handler(h.list))
				all.With(auth.RequirePrivileged).Method(http.MethodGet, "/report", httpx.Handler(h.report))
				one.Method(http.MethodGet, "/{orderId}", httpx.Handler(h.get))
				one.Method(http.MethodGet, "/{orderId}/history", httpx.Handler(h.history))
				one.Method(http.MethodGet, "/{orderId}/events", httpx.Handler(h.events))
				one.Method(http.MethodPost, "/{orderId}/cancel", httpx.Handler(h.cancel))
			})
		},
		Handlers:   h.store.handlers(),
		Background: resolver{saga: h.saga, traces: rt.Traces, log: rt.Log}.run,
	}, nil
}

// status is where an order stands:
//
//	pending ──► confirmed ──► cancelling ──► cancelled
//	   └──────────────────────────► cancelling ──► failed
type status string

const (
	pending    status = "pending"
	confirmed  status = "confirmed"
	cancelling status = "cancelling"
	cancelled  status = "cancelled"
	failed     status = "failed"
)

// failure is why an order failed.
type failure string

const (
	outOfStock         failure = "out_of_stock"
	paymentDeclined    failure = "payment_declined"
	reservationExpired failure = "reservation_expired"
)

// problem is what the client who created the order is told.
func (f failure) problem(id uuid.UUID) *httpx.Problem {
	p := httpx.NewProblem(http.StatusConflict, "an item is out of stock")
	switch f {
	case paymentDeclined:
		p = httpx.NewProblem(http.StatusPaymentRequired, "the payment was declined")
	case reservationExpired:
		p = httpx.NewProblem(http.StatusConflict, "the order was not paid for while its items were reserved; order again")
	}
	p.OrderID = id.String()
	return p
}

type order struct {
	OrderID   uuid.UUID    `json:"orderId"`
	UserID    uuid.UUID    `json:"userId"`
	Status    status       `json:"status"`
	Failure   *failure     `json:"failure,omitempty"`
	Items     []item       `json:"items"`
	Total     money.Amount `json:"total"`
	PaymentID *uuid.UUID   `json:"paymentId,omitempty"`
	MethodID  *uuid.UUID   `json:"paymentMethodId,omitempty"`
	CreatedAt time.Time    `json:"createdAt"`

	reservedItems int
	saga          sagaKind
}

type item struct {
	ProductID string       `json:"productId"`
	Name      string       `json:"name"`
	Quantity  int64        `json:"quantity"`
	Price     money.Amount `json:"price"`
}

type newOrder struct {
	Items    []newItem `json:"items"`
	MethodID string    `json:"paymentMethodId,omitempty"`
}

type newItem struct {
	ProductID string `json:"productId"`
	Quantity  int64  `json:"quantity"`
}

func (o newOrder) fieldErrors() httpx.Fields {
	var fields httpx.Fields
	if o.MethodID != "" {
		_, err := httpx.ParseID(o.MethodID)
		fields.Check(err == nil, "paymentMethodId", "must be the id of a payment method")
	}
	fields.Check(len(o.Items) >= 1 && len(o.Items) <= maxItems, "items", fmt.Sprintf("must be 1 to %d items", maxItems))
	// A list that is too long is not looked at.
	if len(fields) > 0 {
		return fields
	}
	seen := map[string]bool{}
	for i, item := range o.Items {
		field := fmt.Sprintf("items[%d]", i)
		fields.Check(httpx.ProductID(item.ProductID) && !seen[item.ProductID], field+".productId", "must be the id of a product, each once")
		fields.Check(item.Quantity >= 1 && item.Quantity <= maxQuantity, field+".quantity", fmt.Sprintf("must be 1 to %d", maxQuantity))
		seen[item.ProductID] = true
	}
	return fields
}

type orderList struct {
	Orders     []order `json:"orders"`
	TotalCount int     `json:"totalCount"`
	Page       int     `json:"page"`
	TotalPages int     `json:"totalPages"`
}

func owner(r *http.Request) (uuid.UUID, error) {
	id, err := httpx.ParseID(auth.From(r.Context()).Subject)
	if err != nil {
		return uuid.Nil, httpx.NewProblem(http.StatusForbidden, "only customers have orders")
	}
	return id, nil
}

func pathID(r *http.Request) (uuid.UUID, error) { return httpx.ParseID(chi.URLParam(r, "orderId")) }

var errNotFound = httpx.NewProblem(http.StatusNotFound, "you have no order with this id")
