package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

func init() {
	caddy.RegisterModule(dashboard{})
	caddy.RegisterModule(healthOf{})
	httpcaddyfile.RegisterHandlerDirective("dashboard", directive(func() handlerModule { return new(dashboard) }))
	httpcaddyfile.RegisterHandlerDirective("health_of", directive(func() handlerModule { return new(healthOf) }))
	httpcaddyfile.RegisterDirectiveOrder("dashboard", httpcaddyfile.Before, "abort")
	httpcaddyfile.RegisterDirectiveOrder("health_of", httpcaddyfile.Before, "abort")
}

const (
	// partTimeout is how long a part of a dashboard is waited for.
	partTimeout = 5 * time.Second
	// healthTimeout is how long a service has to say how it is.
	healthTimeout = 2 * time.Second
	maxPart       = 1 << 20
)

// dashboard answers with what several services know of a user, asked for at once. A part
// that does not come is named; the others are worth having without it.
type dashboard struct {
	// Services is the URL at which the services are reached as the gateway reaches them.
	Services string `json:"services"`
}

// CaddyModule implements caddy.Module.
func (dashboard) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.dashboard", New: func() caddy.Module { return new(dashboard) }}
}

// UnmarshalCaddyfile implements caddyfile.Unmarshaler.
func (d *dashboard) UnmarshalCaddyfile(dispenser *caddyfile.Dispenser) error {
	dispenser.Next() // the directive
	if !dispenser.AllArgs(&d.Services) {
		return dispenser.ArgErr()
	}
	return nil
}

type dashboardAnswer struct {
	UserID          string          `json:"userId"`
	Profile         json.RawMessage `json:"profile,omitempty"`
	Orders          json.RawMessage `json:"orders,omitempty"`
	Payments        json.RawMessage `json:"payments,omitempty"`
	Recommendations json.RawMessage `json:"recommendations,omitempty"`
	// Partial reports whether a part is missing, and Unavailable names those.
	Partial     bool     `json:"partial"`
	Unavailable []string `json:"unavailable"`
}

// ServeHTTP implements caddyhttp.MiddlewareHandler. It comes after identity.
func (d *dashboard) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	userID := strings.TrimPrefix(r.URL.Path, "/api/dashboard/")
	switch caller := r.Header.Get(userIDHeader); {
	case userID == "" || strings.Contains(userID, "/"):
		return next.ServeHTTP(w, r)
	case r.Method != http.MethodGet:
		w.Header().Set("Allow", http.MethodGet)
		return caddyhttp.Error(http.StatusMethodNotAllowed, nil)
	case caller == "" && r.Header.Get("Authorization") != "":
		// A token that identity could not judge.
		w.Header().Set("Retry-After", "1")
		return caddyhttp.Error(http.StatusServiceUnavailable, nil)
	case caller == "":
		w.Header().Set("WWW-Authenticate", `Bearer realm="shop"`)
		return caddyhttp.Error(http.StatusUnauthorized, nil)
	case caller != userID:
		return caddyhttp.Error(http.StatusForbidden, nil)
	}
	answer := dashboardAnswer{UserID: userID, Unavailable: []string{}}
	var mu sync.Mutex
	var group sync.WaitGroup
	for name, part := range map[string]struct {
		path string
		into *json.RawMessage
	}{
		"profile":         {"/api/users/" + userID, &answer.Profile},
		"orders":          {"/api/orders?limit=10", &answer.Orders},
		"payments":        {"/api/payments?limit=10", &answer.Payments},
		"recommendations": {"/api/products/recommendations", &answer.Recommendations},
	} {
		group.Go(func() {
			document, err := d.part(r, part.path)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				answer.Unavailable = append(answer.Unavailable, name)
				return
			}
			*part.into = document
		})
	}
	group.Wait()
	slices.Sort(answer.Unavailable)
	answer.Partial = len(answer.Unavailable) > 0
	return writeJSON(w, http.StatusOK, answer)
}

// part asks a service in the caller's name.
func (d *dashboard) part(r *http.Request, path string) (json.RawMessage, error) {
	ctx, cancel := context.WithTimeout(r.Context(), partTimeout)
	defer cancel()
	headers := http.Header{}
	for _, name := range []string{"Authorization", userIDHeader, userRoleHeader, "X-Correlation-ID", "X-Request-ID", "X-Real-IP", "Traceparent"} {
		headers[http.CanonicalHeaderKey(name)] = r.Header.Values(name)
	}
	status, document, err := get(ctx, d.Services+path, headers)
	if err != nil {
		return nil, err
	}
	if status != http.StatusOK || !json.Valid(document) {
		return nil, fmt.Errorf("%s answered %d", path, status)
	}
	return document, nil
}

func get(ctx context.Context, url string, headers http.Header) (int, []byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, nil, err
	}
	if headers != nil {
		request.Header = headers
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, nil, err
	}
	document, err := io.ReadAll(io.LimitReader(response.Body, maxPart))
	return response.StatusCode, document, errors.Join(err, response.Body.Close())
}

func writeJSON(w http.ResponseWriter, status int, body any) error {
	encoded, err := json.Marshal(body)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, err = w.Write(encoded)
	return err
}

// healthOf answers how each of some services is, and how long it took to say so: 503
// where one of them is not well.
type healthOf struct {
	// Services holds pairs of a service's name and its address.
	Services [][2]string `json:"services"`
}

// CaddyModule implements caddy.Module.
func (healthOf) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.health_of", New: func() caddy.Module { return new(healthOf) }}
}

// UnmarshalCaddyfile implements caddyfile.Unmarshaler.
func (h *healthOf) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the directive
	for d.NextBlock(0) {
		name := d.Val()
		var address string
		if !d.AllArgs(&address) {
			return d.ArgErr()
		}
		h.Services = append(h.Services, [2]string{name, address})
	}
	return nil
}

type serviceHealth struct {
	Name      string  `json:"name"`
	Status    string  `json:"status"`
	LatencyMS float64 `json:"latencyMs"`
}

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (h *healthOf) ServeHTTP(w http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
	ctx, cancel := context.WithTimeout(r.Context(), healthTimeout)
	defer cancel()
	services := make([]serviceHealth, len(h.Services))
	var group sync.WaitGroup
	for i, service := range h.Services {
		group.Go(func() {
			began := time.Now()
			code, _, err := get(ctx, "http://"+service[1]+"/health/ready", nil)
			services[i] = serviceHealth{Name: service[0], Status: "healthy", LatencyMS: float64(time.Since(began).Microseconds()) / 1000}
			if err != nil || code != http.StatusOK {
				services[i].Status = "unhealthy"
			}
		})
	}
	group.Wait()
	status, all := http.StatusOK, "healthy"
	if slices.ContainsFunc(services, func(s serviceHealth) bool { return s.Status != "healthy" }) {
		status, all = http.StatusServiceUnavailable, "unhealthy"
	}
	return writeJSON(w, status, struct {
		Status   string          `json:"status"`
		Services []serviceHealth `json:"services"`
	}{all, services})
}

var (
	_ handlerModule = (*dashboard)(nil)
	_ handlerModule = (*healthOf)(nil)
)
