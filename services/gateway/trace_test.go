package main

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	collectortrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// collector takes spans by OTLP over HTTP.
type collector struct {
	url   string
	mu    sync.Mutex
	spans map[string]*otlp.Span // by trace
}

func startCollector(t *testing.T) *collector {
	t.Helper()
	c := &collector{spans: map[string]*otlp.Span{}}
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var request collectortrace.ExportTraceServiceRequest
		if err != nil || r.URL.Path != "/v1/traces" || proto.Unmarshal(body, &request) != nil {
			t.Errorf("the collector got %s %s with %q", r.Method, r.URL, body)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, resource := range request.GetResourceSpans() {
			for _, scope := range resource.GetScopeSpans() {
				for _, s := range scope.GetSpans() {
					c.spans[hex.EncodeToString(s.GetTraceId())] = s
				}
			}
		}
	}))
	t.Cleanup(server.Close)
	c.url = server.URL
	return c
}

// await returns the span of a trace as "NAME STATUS CODE", once it is there.
func (c *collector) await(t *testing.T, traceID string) (span *otlp.Span, text string) {
	t.Helper()
	eventually(t, "the span of "+traceID, func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		span = c.spans[traceID]
		return span != nil
	})
	var status int64
	for _, a := range span.GetAttributes() {
		if a.GetKey() == "http.response.status_code" {
			status = a.GetValue().GetIntValue()
		}
	}
	return span, fmt.Sprintf("%s %d %s", span.GetName(), status, span.GetStatus().GetCode())
}

// traceparents has a service answer with the trace that it is asked in.
func traceparents(w http.ResponseWriter, r *http.Request) {
	switch {
	case strings.HasSuffix(r.URL.Path, "/broken"):
		w.WriteHeader(http.StatusInternalServerError)
	case strings.HasSuffix(r.URL.Path, "/missing"):
		w.WriteHeader(http.StatusNotFound)
	}
	fmt.Fprintf(w, `{"traceparent":%q}`, strings.Join(r.Header.Values("Traceparent"), " "))
}

var traceparent = regexp.MustCompile(`^00-([0-9a-f]{32})-([0-9a-f]{16})-01$`)

func TestEachRequestBeginsATrace(t *testing.T) {
	c := startCollector(t)
	port := startUpstream(t, loopback1, "0", traceparents)
	names := startNameServer(t)
	names.set("user.test", loopback1)
	g := startGateway(t, names, "USER_SERVICE=user.test:"+port, "ORDER_SERVICE=nowhere.test:1", "HOLD=10ms",
		"OTEL_EXPORTER_OTLP_ENDPOINT="+c.url, "OTEL_BSP_SCHEDULE_DELAY=50")
	const theirs = "00-11111111111111111111111111111111-2222222222222222-00"
	for path, want := range map[string]string{
		"/api/users/7a3c":    "GET /api/users 200 STATUS_CODE_UNSET",
		"/api/users/missing": "GET /api/users 404 STATUS_CODE_UNSET",
		"/api/users/broken":  "GET /api/users 500 STATUS_CODE_ERROR",
	} {
		_, body := do(t, http.MethodGet, g.url+path, nil, "Traceparent", theirs)
		var told struct{ Traceparent string }
		if err := json.Unmarshal([]byte(body), &told); err != nil {
			t.Fatalf("%s: %v", body, err)
		}
		ids := traceparent.FindStringSubmatch(told.Traceparent)
		if ids == nil {
			t.Fatalf("the service was asked in the trace %q", told.Traceparent)
		}
		span, got := c.await(t, ids[1])
		if got != want || hex.EncodeToString(span.GetSpanId()) != ids[2] || len(span.GetParentSpanId()) != 0 {
			t.Errorf("%s: span %s with parent %x, want %s", path, got, span.GetParentSpanId(), want)
		}
		if links := span.GetLinks(); len(links) != 1 || hex.EncodeToString(links[0].GetTraceId()) != strings.Repeat("1", 32) {
			t.Errorf("the client's trace is not linked to: %v", links)
		}
		eventually(t, "the access log has the trace", func() bool { return strings.Contains(g.log.String(), `"trace_id":"`+ids[1]+`"`) })
	}

	// What the gateway answers itself is no less of a failure.
	response, body := do(t, http.MethodGet, g.url+"/api/orders", nil)
	var problem struct {
		TraceID string `json:"trace_id"`
	}
	if err := json.Unmarshal([]byte(body), &problem); err != nil || response.StatusCode < 500 || problem.TraceID == "" {
		t.Fatalf("%d %s: %v", response.StatusCode, body, err)
	}
	if _, got := c.await(t, problem.TraceID); got != fmt.Sprintf("GET /api/orders %d STATUS_CODE_ERROR", response.StatusCode) {
		t.Errorf("span %s of an answer %d", got, response.StatusCode)
	}
}

func TestTheDashboardsPartsAreOfItsTrace(t *testing.T) {
	c := startCollector(t)
	g := startGateway(t, startNameServer(t), keys(t), service(t, "USER_SERVICE", traceparents), service(t, "ORDER_SERVICE", traceparents),
		service(t, "PAYMENT_SERVICE", traceparents), service(t, "PRODUCT_SERVICE", traceparents), "OTEL_EXPORTER_OTLP_ENDPOINT="+c.url, "OTEL_BSP_SCHEDULE_DELAY=50")
	g.awaitKeys(t)
	_, body := do(t, http.MethodGet, g.url+"/api/dashboard/ada", nil, "Authorization", "Bearer "+token(t, signingKey, nil))
	var parts struct{ Profile, Orders, Payments, Recommendations struct{ Traceparent string } }
	if err := json.Unmarshal([]byte(body), &parts); err != nil {
		t.Fatal(err)
	}
	ids := traceparent.FindStringSubmatch(parts.Profile.Traceparent)
	if ids == nil || parts.Orders != parts.Profile || parts.Payments != parts.Profile || parts.Recommendations != parts.Profile {
		t.Fatalf("the parts were asked for in %s", body)
	}
	if _, got := c.await(t, ids[1]); got != "GET /api/dashboard 200 STATUS_CODE_UNSET" {
		t.Errorf("span %s", got)
	}
}

func TestWithoutACollectorThereIsNoTrace(t *testing.T) {
	g := startGateway(t, startNameServer(t), service(t, "USER_SERVICE", traceparents))
	if _, body := do(t, http.MethodGet, g.url+"/api/users", nil); body != `{"traceparent":""}` {
		t.Errorf("the service was asked in the trace %s", body)
	}
	if _, body := do(t, http.MethodGet, g.url+"/api/nothing", nil); strings.Contains(body, "trace_id") {
		t.Errorf("a problem names a trace: %s", body)
	}
}

func TestACollectorThatHangsHoldsUpNoRequestAndNoStop(t *testing.T) {
	release := make(chan struct{})
	hanging := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer hanging.Close()
	defer close(release)
	g := startGateway(t, startNameServer(t), service(t, "USER_SERVICE", traceparents), "OTEL_EXPORTER_OTLP_ENDPOINT="+hanging.URL, "OTEL_BSP_SCHEDULE_DELAY=50")
	for range 50 {
		if response, body := do(t, http.MethodGet, g.url+"/api/users", nil); response.StatusCode != http.StatusOK {
			t.Fatalf("%d %s", response.StatusCode, body)
		}
	}
	eventually(t, "dropped spans are counted", func() bool {
		_, body := do(t, http.MethodGet, g.metricsURL, nil)
		return regexp.MustCompile(`(?m)^trace_spans_total\{result="dropped"\} [1-9]`).MatchString(body)
	})
	begin := time.Now()
	if err := g.process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-g.exited
	if took := time.Since(begin); took > 2*deliveryTimeout {
		t.Errorf("the stop took %s", took)
	}
}
