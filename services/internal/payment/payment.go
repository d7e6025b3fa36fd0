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

//go:embed migrations/*.sql
var migrations embed.FS

// Service is payment-service.
var Service = server.Service{Name: "payment-service", Port: 3004, Contract: contracts.Of("payment-service"), Migrations: migrations, Callers: []string{"order-service"}, New: newApp}

type handlers struct{ store store }

func newApp(rt *server.Runtime) (*server.App, error) {
	reviewTime := time.Duration(rt.Env.Number("REVIEW_SECONDS", 3600)) * time.Second
	h := handlers{store: store{rt.DB, rt.Outbox, rulesFromEnv(rt.Env), reviewTime}}
	expire := server.Every(expireInterval, rt.Log, "expired reviews not ended", h.store.declineExpired)
	return &server.App{Handlers: h.store.handlers(), Background: expire, Routes: func(r chi.Router) {
		r.Route("/api/payments", func(r chi.Router) {
			all, one := r.With(rt.Tokens.Require), r.With(httpx.PathID("paymentId", errNotFound), rt.Tokens.Require)
			all.With(auth.RequireService).Method(http.MethodPost, "/", httpx.Handler(h.pay))
			all.Method(http.MethodGet, "/", httpx.Handler(h.list))
			all.Method(http.MethodGet, "/transactions", httpx.Handler(h.listTransactions))
			all.Method(http.MethodPost, "/methods", httpx.Handler(h.addMethod))
			all.Method(http.MethodGet, "/methods", httpx.Handler(h.listMethods))
			r.With(httpx.PathID("methodId", errNoMethod), rt.Tokens.Require).
				Method(http.MethodDelete, "/methods/{methodId}", httpx.Handler(h.removeMethod))
			one.Method(http.MethodGet, "/{paymentId}", httpx.Handler(h.get))
			one.With(auth.RequirePrivileged).Method(http.MethodPost, "/{paymentId}/refund", httpx.Handler(h.refund))
			one.With(auth.RequirePrivileged).Method(http.MethodPost, "/{paymentId}/review", httpx.Handler(h.review))
		})
	}}, nil
}

// The states of a payment.
const (
	paid     = "paid"
	declined = "declined"
	refunded = "refunded" // all of it
	held     = "review"   // until a person decides
)

type payment struct {
	PaymentID      uuid.UUID    `json:"paymentId"`
	OrderID        uuid.UUID    `json:"orderId"`
	UserID         uuid.UUID    `json:"userId"`
	MethodID       *uuid.UUID   `json:"paymentMethodId,omitempty"`
	Amount         money.Amount `json:"amount"`
	RefundedAmount money.Amount `json:"refundedAmount"`
	Status         string       `json:"status"`
	Reason         *reason      `json:"reason,omitempty"`
	CreatedAt      time.Time    `json:"createdAt"`
	RefundedAt     *time.Time   `json:"refundedAt,omitempty"`
}

type order struct {
	OrderID string       `json:"orderId"`
	UserID  string       `json:"userId"`
	Amount  money.Amount `json:"amount"`
	// MethodID is what the order is paid with; without it, the user's account at the shop.
	MethodID string `json:"paymentMethodId,omitempty"`
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
	switch stored.Status {
	case declined:
		return httpx.NewProblem(http.StatusPaymentRequired, "the payment was declined: "+stored.Reason.detail())
	case held:
		// Not 202: a caller who takes every 2xx for money would ship what nobody has paid.
		return httpx.NewProblem(http.StatusLocked, "the payment waits for a review; ask again with the same key")
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
	var methodID *uuid.UUID
	if body.MethodID != "" {
		id, err := httpx.ParseID(body.MethodID)
		fields.Check(err == nil, "paymentMethodId", "must be the id of a payment method")
		methodID = &id
	}
	if err := fields.Err(); err != nil {
		return payment{}, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return payment{}, err
	}
	return payment{PaymentID: id, OrderID: orderID, UserID: userID, MethodID: methodID, Amount: body.Amount}, nil
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

type refundRequest struct {
	// Amount is nil for all that is left.
	Amount *money.Amount `json:"amount,omitempty"`
}

// refund returns money: a part of a payment, or, without a body, what is left of it. A
// part must have a key, as nothing else tells a repetition from another refund.
func (h handlers) refund(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	key, err := httpx.IdempotencyKey(r)
	if err != nil {
		return err
	}
	var body refundRequest
	if r.ContentLength != 0 {
		if err := httpx.Decode(w, r, &body); err != nil {
			return err
		}
	}
	if body.Amount == nil {
		p, err := h.store.refundRest(r.Context(), id)
		if err != nil {
			return err
		}
		return httpx.WriteJSON(w, r, http.StatusOK, p)
	}
	if key == nil {
		return httpx.NewProblem(http.StatusBadRequest, "a refund of a part takes the header Idempotency-Key")
	}
	if *body.Amount <= 0 {
		return httpx.Fields{{Field: "amount", Detail: "must be more than 0"}}.Err()
	}
	fingerprint, err := httpx.Fingerprint(struct {
		PaymentID uuid.UUID
		Refund    refundRequest
	}{id, body})
	if err != nil {
		return err
	}
	p, replayed, err := h.store.refundPart(r.Context(), id, *body.Amount, origin{caller: auth.From(r.Context()).Subject, key: key, fingerprint: fingerprint})
	if err != nil {
		return err
	}
	if replayed != nil {
		if err := httpx.CheckReplay(w, replayed, fingerprint); err != nil {
			return err
		}
	}
	return httpx.WriteJSON(w, r, http.StatusOK, p)
}

type decision struct {
	Decision string `json:"decision"`
}

// review ends a review. The order goes on when order-service asks the next time.
func (h handlers) review(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	var body decision
	if err := httpx.Decode(w, r, &body); err != nil {
		return err
	}
	status, known := map[string]string{"approve": paid, "decline": declined}[body.Decision]
	if !known {
		return httpx.Fields{{Field: "decision", Detail: "must be approve or decline"}}.Err()
	}
	p, err := h.store.review(r.Context(), id, status)
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
	userID, page, err := listed(r)
	if err != nil {
		return err
	}
	payments, count, err := h.store.byUser(r.Context(), userID, page)
	if err != nil {
		return err
	}
	return httpx.WriteJSON(w, r, http.StatusOK, paymentList{
		Payments: payments, TotalCount: count, Page: page.Number, TotalPages: page.Total(count),
	})
}

// listed returns whose payments a list is of, and which page of it.
func listed(r *http.Request) (uuid.UUID, httpx.Page, error) {
	page, err := httpx.ParsePage(r.URL.Query())
	if err != nil {
		return uuid.Nil, httpx.Page{}, err
	}
	caller := auth.From(r.Context())
	owner := caller.Subject
	if r.URL.Query().Has("userId") {
		owner = r.URL.Query().Get("userId")
	}
	userID, err := httpx.ParseID(owner)
	if err != nil {
		return uuid.Nil, httpx.Page{}, httpx.Fields{{Field: "userId", Detail: "must be the id of a user"}}.Err()
	}
	if owner != caller.Subject && !caller.Privileged() {
		return uuid.Nil, httpx.Page{}, httpx.NewProblem(http.StatusForbidden, "you can only list your own payments")
	}
	return userID, page, nil
}

type transaction struct {
	TransactionID int64        `json:"transactionId"`
	PaymentID     uuid.UUID    `json:"paymentId"`
	Kind          string       `json:"kind"`
	Amount        money.Amount `json:"amount"`
	CreatedAt     time.Time    `json:"createdAt"`
}

type transactionList struct {
	Transactions []transaction `json:"transactions"`
	TotalCount   int           `json:"totalCount"`
	Page         int           `json:"page"`
	TotalPages   int           `json:"totalPages"`
}

func (h handlers) listTransactions(w http.ResponseWriter, r *http.Request) error {
	userID, page, err := listed(r)
	if err != nil {
		return err
	}
	transactions, count, err := h.store.transactions(r.Context(), userID, page)
	if err != nil {
		return err
	}
	return httpx.WriteJSON(w, r, http.StatusOK, transactionList{
		Transactions: transactions, TotalCount: count, Page: page.Number, TotalPages: page.Total(count),
	})
}
