//go:build all

package e2e_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// jaegerTrace is a trace as Jaeger's query API tells it.
type jaegerTrace struct {
	TraceID string
	Spans   []struct {
		SpanID, OperationName, ProcessID string
		Duration                         int64 // in microseconds
		References                       []struct{ RefType, SpanID string }
	}
	Processes map[string]struct{ ServiceName string }
}

// traces returns the traces of orders that Jaeger has kept.
func (o *observed) traces() []jaegerTrace {
	o.t.Helper()
	query := url.Values{"service": {"gateway"}, "operation": {"POST /api/orders"}, "limit": {"1500"}, "lookback": {"1h"}}
	var answer struct{ Data []jaegerTrace }
	o.get(o.jaeger+"/api/traces?"+query.Encode(), &answer)
	return answer.Data
}

// took is how long the request took that began the trace.
func (t jaegerTrace) took() time.Duration {
	for _, s := range t.Spans {
		if len(s.References) == 0 {
			return time.Duration(s.Duration) * time.Microsecond
		}
	}
	return 0
}

// edges returns each span of a trace behind its parent, as "SERVICE NAME → SERVICE NAME",
// once. Of statements the database's name is left out.
func (t jaegerTrace) edges() (all []string) {
	label := map[string]string{"": "nobody"}
	for _, s := range t.Spans {
		name := s.OperationName
		if keyword, _, _ := strings.Cut(name, " "); slices.Contains([]string{"SELECT", "INSERT", "UPDATE"}, keyword) {
			name = keyword
		}
		label[s.SpanID] = t.Processes[s.ProcessID].ServiceName + " " + name
	}
	for _, s := range t.Spans {
		parent := ""
		for _, r := range s.References {
			if r.RefType == "CHILD_OF" {
				parent = r.SpanID
			}
		}
		from, ok := label[parent]
		if !ok {
			from = "somebody unknown"
		}
		if edge := from + " → " + label[s.SpanID]; !slices.Contains(all, edge) {
			all = append(all, edge)
		}
	}
	return all
}

// order makes an order, and returns how long that took.
func (o *observed) order(client *http.Client, token string) time.Duration {
	request, err := http.NewRequest(http.MethodPost, o.gateway+"/api/orders", strings.NewReader(`{"items":[{"productId":"espresso-cup","quantity":1}]}`))
	require.NoError(o.t, err)
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("Content-Type", "application/json")
	began := time.Now()
	if response, err := client.Do(request); err == nil {
		_ = response.Body.Close()
	}
	return time.Since(began)
}

// anOrder is what an order leaves in its trace, from the gateway to the mail.
var anOrder = []string{
	"nobody → gateway POST /api/orders",
	"gateway POST /api/orders → order-service POST /api/orders",
	"order-service POST /api/orders → order-service user.UserService/GetUser",
	"order-service user.UserService/GetUser → user-service user.UserService/GetUser",
	"user-service user.UserService/GetUser → user-service SELECT",
	"order-service POST /api/orders → order-service GET product-service",
	"order-service GET product-service → product-service GET /api/products/{productId}",
	"product-service GET /api/products/{productId} → product-service GET",
	"order-service POST /api/orders → order-service INSERT",
	"order-service POST /api/orders → order-service send order.created",
	"order-service POST /api/orders → order-service PUT product-service",
	"order-service PUT product-service → product-service PUT /api/products/{productId}/inventory",
	"product-service PUT /api/products/{productId}/inventory → product-service UPDATE",
	"order-service POST /api/orders → order-service POST payment-service",
	"order-service POST payment-service → payment-service POST /api/payments",
	"payment-service POST /api/payments → payment-service INSERT",
	"order-service POST /api/orders → order-service UPDATE",
	"order-service POST /api/orders → order-service send order.completed",
	"order-service send order.completed → product-service process order.completed",
	"order-service send order.completed → notification-service process order.completed",
	"notification-service process order.completed → notification-service INSERT",
	"notification-service process order.completed → notification-service send mail",
	"notification-service send mail → notification-service UPDATE",
}

// followsAnOrder makes orders until Jaeger keeps the trace of one, which it does with one of
// ten, and looks for all that it consists of there and in the log.
func (o *observed) followsAnOrder(client *http.Client, token string) {
	var kept jaegerTrace
	o.await(func() error {
		o.order(client, token)
		all := o.traces()
		if len(all) == 0 {
			return errors.New("no trace of an order is kept")
		}
		kept = all[0]
		return nil
	})
	o.await(func() error {
		var answer struct{ Data []jaegerTrace }
		o.get(o.jaeger+"/api/traces/"+kept.TraceID, &answer)
		kept = answer.Data[0]
		for _, edge := range anOrder {
			if !slices.Contains(kept.edges(), edge) {
				return fmt.Errorf("there is no %s among\n%s", edge, strings.Join(kept.edges(), "\n"))
			}
		}
		return nil
	})
	for _, edge := range kept.edges() {
		assert.NotContains(o.t, edge, "somebody unknown", "the parent of a span was not kept")
	}

	line := struct{ CorrelationID string }{}
	_, text, _ := strings.Cut(o.mustTend("logs", "order-service", "--field", "traceId="+kept.TraceID), " | ")
	require.NoError(o.t, json.NewDecoder(strings.NewReader(text)).Decode(&line), text)
	require.NotEmpty(o.t, line.CorrelationID)
	told := map[string]int{}
	for text := range strings.Lines(o.mustTend("logs", "--correlation-id", line.CorrelationID)) {
		replica, object, _ := strings.Cut(text, " | ")
		var l struct {
			TraceID string
			Gateway string `json:"trace_id"`
		}
		require.NoError(o.t, json.Unmarshal([]byte(object), &l), text)
		assert.Equal(o.t, kept.TraceID, l.TraceID+l.Gateway, text)
		service := strings.TrimPrefix(replica, o.name+"-")
		told[service[:strings.LastIndex(service, "-")]]++
	}
	for _, service := range []string{"gateway", "order-service", "user-service", "product-service", "payment-service", "notification-service"} {
		assert.Positive(o.t, told[service], "%s has logged nothing of the order: %v", service, told)
	}
}
