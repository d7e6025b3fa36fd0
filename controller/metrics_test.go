package controller

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/engine/model"
)

// slow is an answer that nobody takes until it is released.
type slow struct {
	*httptest.ResponseRecorder
	begin   func()
	release <-chan struct{}
}

func (s *slow) Write(p []byte) (int, error) {
	s.begin()
	<-s.release
	return s.ResponseRecorder.Write(p)
}

// Each scrape holds all metrics, which are many with many workloads; whoever does
// not take them must not add up.
func TestScrapesAtATimeAreFew(t *testing.T) {
	h := NewMetrics().Handler()
	scrape := func(w http.ResponseWriter) { h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil)) }
	begun, release, ended := make(chan struct{}), make(chan struct{}), make(chan struct{})
	for range 4 {
		go func() {
			scrape(&slow{httptest.NewRecorder(), sync.OnceFunc(func() { begun <- struct{}{} }), release})
			ended <- struct{}{}
		}()
		<-begun
	}
	fifth := httptest.NewRecorder()
	scrape(fifth)
	assert.Equal(t, http.StatusServiceUnavailable, fifth.Code)
	close(release)
	for range 4 {
		<-ended
	}
	again := httptest.NewRecorder()
	scrape(again)
	assert.Equal(t, http.StatusOK, again.Code)
}

// What containers use is scraped by workload and replica, from the second scrape on, and a
// process that the kernel has ended is counted.
func TestWhatContainersUseIsScraped(t *testing.T) {
	inWorld(t, func(w *world) {
		w.engine.AddImage("busy:1", model.Behavior{Cores: 0.5, Memory: 3 << 20})
		w.write("web: {image: busy:1, scale: 2, mem_limit: 64m}")
		w.converge()
		assert.NotContains(t, w.scrape(), "tend_container_cpu_seconds_total{")
		began := w.container("p-web-2").StartedAt
		w.pass(time.Second)
		read := w.scrape()
		assert.Contains(t, read, `tend_container_memory_bytes{replica="2",workload="web"} 3.145728e+06`)
		assert.Contains(t, read, `tend_container_memory_limit_bytes{replica="1",workload="web"} 6.7108864e+07`)
		w.pass(15*time.Second - time.Millisecond)
		first := counted(t, w.scrape(), `tend_container_cpu_seconds_total{replica="2",workload="web"}`)
		w.pass(15 * time.Second)
		second := counted(t, w.scrape(), `tend_container_cpu_seconds_total{replica="2",workload="web"}`)
		assert.InDelta(t, 7.5, second-first, 0.01, "half a core for 15 s")
		assert.InDelta(t, time.Since(began).Seconds()/2, second, 8)

		w.engine.Exhaust(w.container("p-web-2").ID)
		w.converge()
		assert.Contains(t, w.scrape(), `tend_container_oom_kills_total{replica="2",workload="web"} 1`)
	})
}

// Prometheus sees an increase from the value before it, and from no value none: the first
// failure of a process would fire no alert.
func TestWhatAlertsCountBeginsAtZero(t *testing.T) {
	inWorld(t, func(w *world) {
		w.engine.AddImage("web:1", model.Behavior{})
		w.write("web: {image: web:1}")
		w.converge()
		for _, metric := range []string{
			`tend_rollout_duration_seconds_count{result="failed",workload="web"}`,
			`tend_restarts_total{workload="web"}`,
			`tend_drain_duration_seconds_count{result="timed_out"}`,
			`tend_events_total{reason="PrepareFailed",type="Warning"}`,
			`tend_events_total{reason="PullFailed",type="Warning"}`,
		} {
			assert.Zero(t, counted(t, w.scrape(), metric), metric)
		}
	})
}

// The engine itself restarts the containers of a service that has a restart policy.
func TestRestartsByTheEngineAreCounted(t *testing.T) {
	inWorld(t, func(w *world) {
		w.write("web: {image: 'crashes:1', restart: always}")
		w.pass(10 * time.Second)
		n := counted(t, w.scrape(), `tend_restarts_total{workload="web"}`)
		assert.Equal(t, float64(w.container("p-web-1").RestartCount), n)
		assert.Greater(t, n, 2.0)
	})
}

// scrape returns the metrics as Prometheus gets them.
func (w *world) scrape() string {
	answer := httptest.NewRecorder()
	w.ctl.Metrics().Handler().ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	return answer.Body.String()
}

// counted is the value of a metric among those that were scraped.
func counted(t *testing.T, scraped, metric string) (value float64) {
	t.Helper()
	_, rest, found := strings.Cut(scraped, metric+" ")
	require.True(t, found, metric)
	_, err := fmt.Sscan(rest, &value)
	require.NoError(t, err)
	return value
}
