package app

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"
)

// Real time is right here: the requests go over a network.
func TestSpansReachTheCollector(t *testing.T) {
	var mu sync.Mutex
	var services, spans []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		content, err := io.ReadAll(r.Body)
		var request collector.ExportTraceServiceRequest
		if err != nil || r.URL.Path != "/v1/traces" || proto.Unmarshal(content, &request) != nil {
			http.Error(w, "not understood", http.StatusBadRequest)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		for _, of := range request.ResourceSpans {
			for _, a := range of.Resource.Attributes {
				if a.Key == "service.name" {
					services = append(services, a.Value.GetStringValue())
				}
			}
			for _, scope := range of.ScopeSpans {
				for _, s := range scope.Spans {
					spans = append(spans, s.Name)
				}
			}
		}
	}))
	t.Cleanup(server.Close)
	s := newShop(t)
	s.options.Collector = server.URL
	stop := s.run()
	s.converges(2)
	require.NoError(t, stop()) // which delivers what waits
	mu.Lock()
	defer mu.Unlock()
	require.Equal(t, []string{"tend"}, slices.Compact(services))
	for _, name := range []string{"reconcile", "plan", "create", "create_container", "start_container"} {
		require.Contains(t, spans, name)
	}
}

func TestACollectorThatHangsHoldsNothingUp(t *testing.T) {
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	t.Cleanup(server.Close)
	t.Cleanup(func() { close(release) })
	s := newShop(t)
	s.options.Collector = server.URL
	stop := s.run()
	s.converges(2)
	began := time.Now()
	require.NoError(t, stop())
	require.Less(t, time.Since(began), 20*time.Second, "two seconds and what a busy machine adds")
}

func TestWhatIsNoCollectorIsSaid(t *testing.T) {
	for _, url := range []string{"collector:4318", "ftp://collector", "http://", "%"} {
		s := newShop(t)
		s.options.Collector = url
		require.ErrorContains(t, s.run()(), "OTEL_EXPORTER_OTLP_ENDPOINT is not the URL of a collector: write it as http://collector:4318", url)
	}
}
