// Package notification is the worker that tells users by mail what happened to their
// accounts and orders.
package notification

import (
	"context"
	"embed"
	"encoding/json"
	"fmt"
	"net/mail"

	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/tendhq/tend/services/contracts"
	"github.com/tendhq/tend/services/internal/events"
	"github.com/tendhq/tend/services/internal/money"
	"github.com/tendhq/tend/services/internal/server"
	"github.com/tendhq/tend/services/internal/tracing"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Service is notification-service.
var Service = server.Service{Name: "notification-service", Port: 3005, Contract: contracts.Of("notification-service"), Migrations: migrations, New: newApp}

func newApp(rt *server.Runtime) (*server.App, error) {
	if !rt.Outbox.On() {
		rt.Env.Fail("EVENT_BUS is none: without events there is nothing to tell")
	}
	return &server.App{
		Routes: func(chi.Router) {},
		Handlers: map[string]events.Handler{
			"user.registered": welcome,
			"user.updated":    changed,
			"order.completed": completed,
			"order.cancelled": cancelled,
		},
		Background: sender{db: rt.DB, relay: relayFromEnv(rt.Env), traces: rt.Traces, log: rt.Log}.run,
	}, nil
}

// registeredEvent is what is read of user.registered.
type registeredEvent struct {
	UserID uuid.UUID `json:"userId"`
	Email  string    `json:"email"`
}

// updatedEvent is what is read of user.updated.
type updatedEvent struct {
	UserID  uuid.UUID `json:"userId"`
	Changes struct {
		Email *string `json:"email,omitempty"`
	} `json:"changes"`
}

// completedEvent is what is read of order.completed.
type completedEvent struct {
	OrderID uuid.UUID    `json:"orderId"`
	UserID  uuid.UUID    `json:"userId"`
	Total   money.Amount `json:"total"`
}

// cancelledEvent is what is read of order.cancelled.
type cancelledEvent struct {
	OrderID uuid.UUID `json:"orderId"`
	UserID  uuid.UUID `json:"userId"`
	Failure string    `json:"failure,omitempty"`
}

func welcome(ctx context.Context, tx pgx.Tx, e events.Event) error {
	var data registeredEvent
	if err := json.Unmarshal(e.Data, &data); err != nil {
		return err
	}
	if err := reach(ctx, tx, e, data.UserID, data.Email); err != nil {
		return err
	}
	return write(ctx, tx, e, data.UserID, "Welcome to the shop", "Your account is ready.")
}

func changed(ctx context.Context, tx pgx.Tx, e events.Event) error {
	var data updatedEvent
	if err := json.Unmarshal(e.Data, &data); err != nil {
		return err
	}
	if data.Changes.Email == nil {
		return nil
	}
	return reach(ctx, tx, e, data.UserID, *data.Changes.Email)
}

// reach notes a user's address, unless one is known that was chosen later.
func reach(ctx context.Context, tx pgx.Tx, e events.Event, userID uuid.UUID, email string) error {
	if _, err := mail.ParseAddress(email); err != nil {
		return fmt.Errorf("user %s: %w", userID, err)
	}
	_, err := tx.Exec(ctx, `INSERT INTO contacts AS c (user_id, email, chosen_at) VALUES ($1, $2, $3)
		ON CONFLICT (user_id) DO UPDATE SET email = $2, chosen_at = $3 WHERE c.chosen_at <= $3`, userID, email, e.Timestamp)
	return err
}

func completed(ctx context.Context, tx pgx.Tx, e events.Event) error {
	var data completedEvent
	if err := json.Unmarshal(e.Data, &data); err != nil {
		return err
	}
	return write(ctx, tx, e, data.UserID, "Your order is confirmed", fmt.Sprintf("Order %s over %s is paid and on its way.", data.OrderID, data.Total))
}

func cancelled(ctx context.Context, tx pgx.Tx, e events.Event) error {
	var data cancelledEvent
	if err := json.Unmarshal(e.Data, &data); err != nil {
		return err
	}
	why := "as you wished, and its money returned"
	switch data.Failure {
	case "out_of_stock":
		why = "as an item is out of stock"
	case "payment_declined":
		why = "as the payment was declined"
	}
	return write(ctx, tx, e, data.UserID, "Your order is cancelled", fmt.Sprintf("Order %s is cancelled, %s.", data.OrderID, why))
}

// write has a mail sent once tx is committed, as a part of the event's trace.
func write(ctx context.Context, tx pgx.Tx, e events.Event, userID uuid.UUID, subject, body string) error {
	_, err := tx.Exec(ctx, `INSERT INTO mails (mail_id, user_id, subject, body, correlation_id, traceparent) VALUES ($1, $2, $3, $4, $5, $6)`,
		e.EventID, userID, subject, body, e.CorrelationID, tracing.Traceparent(ctx))
	return err
}
