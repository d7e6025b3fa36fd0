package httpx

import (
	"context"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/go-chi/chi/v5/middleware"
	"github.com/google/uuid"
	"go.uber.org/zap"

	"github.com/tendhq/tend/services/internal/logging"
)

// The headers that carry logging.IDs between services.
const (
	RequestIDHeader     = "X-Request-ID"
	CorrelationIDHeader = "X-Correlation-ID"
)

// WithIDs takes the request's ids from its headers, or makes new ones, gives
// them to the request's logger and returns them to the client.
func WithIDs(log *zap.Logger) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ids := logging.IDs{
				RequestID:     AcceptID(r.Header.Get(RequestIDHeader)),
				CorrelationID: AcceptID(r.Header.Get(CorrelationIDHeader)),
			}
			w.Header().Set(RequestIDHeader, ids.RequestID)
			w.Header().Set(CorrelationIDHeader, ids.CorrelationID)
			next.ServeHTTP(w, r.WithContext(logging.NewContext(r.Context(), log, ids)))
		})
	}
}

// AcceptID returns id if it is safe to log and to pass on, else a new one.
func AcceptID(id string) string {
	if len(id) < 1 || len(id) > 128 {
		return uuid.NewString()
	}
	for _, c := range id {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_', c == '.':
		default:
			return uuid.NewString()
		}
	}
	return id
}

// AccessLog writes one line for each request.
func AccessLog(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		ww := middleware.NewWrapResponseWriter(w, r.ProtoMajor)
		next.ServeHTTP(ww, r)
		logging.From(r.Context()).Info("request",
			zap.String("method", r.Method),
			zap.String("path", r.URL.Path),
			zap.Int("status", ww.Status()),
			zap.Int("bytes", ww.BytesWritten()),
			zap.Duration("duration", time.Since(start)),
			zap.String("remote", r.RemoteAddr))
	})
}

// Recover turns a panic into a 500 problem and an error in the log.
func Recover(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			switch reason := recover(); reason {
			case nil:
			case http.ErrAbortHandler:
				panic(reason)
			default:
				logging.From(r.Context()).Error("panic", zap.Any("reason", reason), zap.ByteString("stack", debug.Stack()))
				writeError(w, r, NewProblem(http.StatusInternalServerError, "the request failed for a reason of ours"))
			}
		}()
		next.ServeHTTP(w, r)
	})
}

// Timeout ends the request's context after d.
func Timeout(d time.Duration) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ctx, cancel := context.WithTimeout(r.Context(), d)
			defer cancel()
			next.ServeHTTP(w, r.WithContext(ctx))
		})
	}
}

// NotFound answers requests that no route matches.
func NotFound(_ http.ResponseWriter, r *http.Request) error {
	return NewProblem(http.StatusNotFound, "there is nothing at "+r.URL.Path)
}

// MethodNotAllowed answers requests whose route lacks their method.
func MethodNotAllowed(_ http.ResponseWriter, r *http.Request) error {
	return NewProblem(http.StatusMethodNotAllowed, r.Method+" is not allowed here")
}
