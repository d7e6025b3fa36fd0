package testenv

import (
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	collectortrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// Span is one that a collector got.
type Span struct {
	Service, Name           string
	TraceID, SpanID, Parent string // in hex; no parent is ""
	Kind                    otlp.Span_SpanKind
	Attributes              map[string]string // those that are text
	Failed                  bool
}

// Collector takes spans by OTLP over HTTP.
type Collector struct {
	server *httptest.Server
	mu     sync.Mutex
	spans  []Span
}

// StartCollector runs a collector until the test ends.
func StartCollector(t testing.TB) *Collector {
	t.Helper()
	c := &Collector{}
	c.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var request collectortrace.ExportTraceServiceRequest
		if err != nil || r.URL.Path != "/v1/traces" || proto.Unmarshal(body, &request) != nil {
			t.Errorf("the collector got %s %s with %q", r.Method, r.URL, body)
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		c.take(&request)
	}))
	t.Cleanup(c.server.Close)
	return c
}

// Env returns the variables that have a service send its spans here, and soon.
func (c *Collector) Env() map[string]string {
	return map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": c.server.URL, "OTEL_BSP_SCHEDULE_DELAY": "100"}
}

// Spans returns the spans of a trace.
func (c *Collector) Spans(traceID string) (spans []Span) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.spans {
		if s.TraceID == traceID {
			spans = append(spans, s)
		}
	}
	return spans
}

func (c *Collector) take(request *collectortrace.ExportTraceServiceRequest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, resource := range request.GetResourceSpans() {
		service := ""
		for _, a := range resource.GetResource().GetAttributes() {
			if a.GetKey() == "service.name" {
				service = a.GetValue().GetStringValue()
			}
		}
		for _, scope := range resource.GetScopeSpans() {
			for _, s := range scope.GetSpans() {
				span := Span{
					Service: service, Name: s.GetName(), Kind: s.GetKind(), Attributes: map[string]string{},
					TraceID: hex.EncodeToString(s.GetTraceId()), SpanID: hex.EncodeToString(s.GetSpanId()), Parent: hex.EncodeToString(s.GetParentSpanId()),
					Failed: s.GetStatus().GetCode() == otlp.Status_STATUS_CODE_ERROR,
				}
				for _, a := range s.GetAttributes() {
					span.Attributes[a.GetKey()] = a.GetValue().GetStringValue()
				}
				c.spans = append(c.spans, span)
			}
		}
	}
}
