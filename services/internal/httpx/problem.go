// Package httpx holds what the services share on their HTTP side: problem
// documents, strict input, paging, idempotency keys and middleware.
package httpx

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"go.uber.org/zap"

	"github.com/tendhq/tend/services/internal/logging"
)

// Problem is an error as RFC 9457 writes it to clients.
type Problem struct {
	Type   string       `json:"type"`
	Title  string       `json:"title"`
	Status int          `json:"status"`
	Detail string       `json:"detail,omitempty"`
	Errors []FieldError `json:"errors,omitempty"`
	// RequestID finds the request in the logs, and TraceID its trace.
	RequestID string `json:"requestId,omitempty"`
	TraceID   string `json:"traceId,omitempty"`
	// OrderID names the order that a failed creation left behind.
	OrderID string `json:"orderId,omitempty"`
}

// FieldError says what is wrong with one field of a body or one parameter.
type FieldError struct {
	Field  string `json:"field"`
	Detail string `json:"detail"`
}

// NewProblem returns a problem whose type is the status itself.
func NewProblem(status int, detail string) *Problem {
	return &Problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: detail}
}

// Error implements error.
func (p *Problem) Error() string {
	return p.Title + ": " + p.Detail
}

// Fields collects field errors.
type Fields []FieldError

// Check records detail for field unless ok.
func (f *Fields) Check(ok bool, field, detail string) {
	if !ok {
		*f = append(*f, FieldError{Field: field, Detail: detail})
	}
}

// Err returns a 422 problem with all field errors, or nil where there are none.
func (f Fields) Err() error {
	if len(f) == 0 {
		return nil
	}
	p := NewProblem(http.StatusUnprocessableEntity, "some fields are not valid")
	p.Errors = f
	return p
}

// Handler is an http.Handler that may fail: with a *Problem, which the client
// gets; with an error that is temporary, which becomes 503; with anything else,
// which is logged and becomes 500 without details.
type Handler func(w http.ResponseWriter, r *http.Request) error

// ServeHTTP implements http.Handler.
func (h Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := h(w, r); err != nil {
		writeError(w, r, err)
	}
}

func writeError(w http.ResponseWriter, r *http.Request, err error) {
	answer := *ProblemOf(r.Context(), err)
	if answer.Status == clientLeft {
		w.WriteHeader(clientLeft)
		return
	}
	if answer.Status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	answer.RequestID, answer.TraceID = logging.IDsFrom(r.Context()).RequestID, logging.TraceID(r.Context())
	w.Header().Set("Content-Type", "application/problem+json")
	write(w, r, answer.Status, answer)
}

// clientLeft is nginx' status for it, and only seen in logs and metrics.
const clientLeft = 499

// ProblemOf returns what the client is told of the error of a request, as Handler says,
// and logs what it is not told. Where the client has left the status is 499.
func ProblemOf(ctx context.Context, err error) *Problem {
	log := logging.From(ctx)
	var problem *Problem
	var temporary interface{ Temporary() bool }
	switch {
	case errors.As(err, &problem):
		return problem
	case errors.Is(err, context.Canceled) && ctx.Err() != nil:
		return NewProblem(clientLeft, "the client has left")
	case errors.As(err, &temporary) && temporary.Temporary(), errors.Is(err, context.DeadlineExceeded):
		log.Warn("dependency unavailable", zap.Error(err))
		return NewProblem(http.StatusServiceUnavailable, "a part of the shop is not available at the moment; try again")
	}
	log.Error("request failed", zap.Error(err))
	return NewProblem(http.StatusInternalServerError, "the request failed for a reason of ours; the logs tell more under this requestId")
}

// WriteJSON answers with status and body as JSON.
func WriteJSON(w http.ResponseWriter, r *http.Request, status int, body any) error {
	w.Header().Set("Content-Type", "application/json")
	write(w, r, status, body)
	return nil
}

func write(w http.ResponseWriter, r *http.Request, status int, body any) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(body); err != nil {
		logging.From(r.Context()).Info("response not written", zap.Error(err))
	}
}
