// Package payment is the service that takes and returns money. It keeps the
// ledger of the shop's own accounts: there is no card network behind it.
package payment

import (
	"embed"
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

// limit is the largest single payment; a larger one is declined.
const limit money.Amount = 10_000_00

//go:embed migrations/*.sql
var migrations embed.FS

// Service is payment-service.
var Service = server.Service{Name: "payment-service", Port: 3004, Contract: contracts.Of("payment-service"), Migrations: migrations, Callers: []string{"order-service"}, New: newApp}

type handlers struct{ store store }

func newApp(rt *server.Runtime) (*server.App, error) {
	h := handlers{store: store{rt.DB}}
	return &server.App{Routes: func(r chi.Router) {
		r.Route("/api/payments", func(r chi.Router) {
			all, one := r.With(rt.Tokens.Require), r.With(httpx.PathID("paymentId", errNotFound), rt.Tokens.Require)
			all.With(auth.RequireService).Method(http.MethodPost, "/", httpx.Handler(h.pay))
			all.Method(http.MethodGet, "/", httpx.Handler(h.list))
			one.Method(http.MethodGet, "/{paymentId}", httpx.Handler(h.get))
			one.With(auth.RequirePrivileged).Method(http.MethodPost, "/{paymentId}/refund", httpx.Handler(h.refund))
		})
	}}, nil
}

// The states of a payment.
const (
	paid     = "paid"
	declined = "declined"
	refunded = "refunded"
)

type payment struct {
	PaymentID  uuid.UUID    `json:"paymentId"`
	OrderID    uuid.UUID    `json:"orderId"`
	UserID     uuid.UUID    `json:"userId"`
	Amount     money.Amount `json:"amount"`
	Status     string       `json:"status"`
	CreatedAt  time.Time    `json:"createdAt"`
	RefundedAt *time.Time   `json:"refundedAt,omitempty"`
}

type order struct {
	OrderID string       `json:"orderId"`
	UserID  string       `json:"userId"`
	Amount  money.Amount `json:"amount"`
}

// pay takes the money for an order. Its only caller is order-service, which has the
// order, so that a payment has the order's amount and no client's word counts.
func (h handlers) pay(w http.ResponseWriter, r *http.Request) error {
	key, err := httpx.IdempotencyKey(r)
	if err != nil {
		return err
	}
	var body order
	if err := httpx.Decode(w, r, &body); err != nil {
		return err
	}
	p, err := newPayment(body)
	if err != nil {
		return err
	}
	fingerprint, err := httpx.Fingerprint(body)
	if err != nil {
		return err
	}
	stored, replayed, err := h.store.insert(r.Context(), p, origin{caller: auth.From(r.Context()).Subject, key: key, fingerprint: fingerprint})
	if err != nil {
		return err
	}
	if replayed != nil {
		if err := httpx.CheckReplay(w, replayed, fingerprint); err != nil {
			return err
		}
	}
	if stored.Status == declined {
		return httpx.NewProblem(http.StatusPaymentRequired, "the payment was declined: at most "+limit.String()+" can be paid at once")
	}
	w.Header().Set("Location", "/api/payments/"+stored.PaymentID.String())
	return httpx.WriteJSON(w, r, http.StatusCreated, stored)
}

func newPayment(body order) (payment, error) {
	var fields httpx.Fields
	orderID, err := httpx.ParseID(body.OrderID)
	fields.Check(err == nil, "orderId", "must be the id of an order")
	userID, err := httpx.ParseID(body.UserID)
	fields.Check(err == nil, "userId", "must be the id of a user")
	fields.Check(body.Amount > 0, "amount", "must be more than 0")
	if err := fields.Err(); err != nil {
		return payment{}, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return payment{}, err
	}
	status := paid
	if body.Amount > limit {
		status = declined
	}
	return payment{PaymentID: id, OrderID: orderID, UserID: userID, Amount: body.Amount, Status: status}, nil
}

func (h handlers) get(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	p, err := h.store.byID(r.Context(), id, auth.From(r.Context()))
	if err != nil {
		return err
	}
	return httpx.WriteJSON(w, r, http.StatusOK, p)
}

func (h handlers) refund(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	p, err := h.store.refund(r.Context(), id)
	if err != nil {
		return err
	}
	return httpx.WriteJSON(w, r, http.StatusOK, p)
}

func pathID(r *http.Request) (uuid.UUID, error) { return httpx.ParseID(chi.URLParam(r, "paymentId")) }

type paymentList struct {
	Payments   []payment `json:"payments"`
	TotalCount int       `json:"totalCount"`
	Page       int       `json:"page"`
	TotalPages int       `json:"totalPages"`
}

func (h handlers) list(w http.ResponseWriter, r *http.Request) error {
	page, err := httpx.ParsePage(r.URL.Query())
	if err != nil {
		return err
	}
	caller := auth.From(r.Context())
	owner := caller.Subject
	if r.URL.Query().Has("userId") {
		owner = r.URL.Query().Get("userId")
	}
	userID, err := httpx.ParseID(owner)
	if err != nil {
		return httpx.Fields{{Field: "userId", Detail: "must be the id of a user"}}.Err()
	}
	if owner != caller.Subject && !caller.Privileged() {
		return httpx.NewProblem(http.StatusForbidden, "you can only list your own payments")
	}
	payments, count, err := h.store.byUser(r.Context(), userID, page)
	if err != nil {
		return err
	}
	return httpx.WriteJSON(w, r, http.StatusOK, paymentList{
		Payments: payments, TotalCount: count, Page: page.Number, TotalPages: page.Total(count),
	})
}
