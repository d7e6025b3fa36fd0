package watch

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const metrics = `# HELP tend_ingress_requests_total Requests, where the port speaks HTTP.
# TYPE tend_ingress_requests_total counter
tend_ingress_requests_total{ingress="web:80"} 1000
tend_ingress_requests_total{ingress="web:443"} 10
tend_ingress_requests_total{ingress="db:5432"} 0
tend_ingress_connections_total{ingress="db:5432"} 7
tend_ingress_failures_total{ingress="web:80"} 2
tend_ingress_server_errors_total{ingress="web:80"} 3
tend_ingress_wait_seconds_bucket{ingress="web:80",le="0.001"} 900
tend_ingress_wait_seconds_bucket{ingress="web:80",le="0.01"} 990
tend_ingress_wait_seconds_bucket{ingress="web:80",le="+Inf"} 1000
tend_ingress_wait_seconds_sum{ingress="web:80"} NaN
tend_gateway_requests_total{workload="api"} 50
tend_gateway_failures_total{workload="api"} 4
tend_gateway_server_errors_total{workload="api"} 1
tend_gateway_wait_seconds_bucket{workload="api",le="0.001"} 50
tend_gateway_wait_seconds_bucket{workload="api",le="+Inf"} 50
tend_gateway_requests_total{workload="web"} 90
tend_workload_replicas{state="ready",workload="web"} 3
go_goroutines 12
`

func TestCountersAreThoseOfAnIngressAndOfItsService(t *testing.T) {
	all, err := parse(strings.NewReader(metrics))
	require.NoError(t, err)
	assert.Len(t, all, 6)
	assert.InEpsilon(t, 1000, all["web:80"].requests, 0.01)
	assert.InEpsilon(t, 1100, all["web"].requests, 0.001, "a gateway carried some, too")
	assert.InEpsilon(t, 50, all["api"].requests, 0.001)
	assert.InEpsilon(t, 5, all["api"].failures, 0.001)
	assert.InEpsilon(t, 50, all["api"].waits[0.001], 0.001)
	assert.InEpsilon(t, 5, all["web"].failures, 0.01)
	assert.InEpsilon(t, 7, all["db"].requests, 0.01, "a port that speaks no HTTP has connections")
}

func TestTheMetricsThatAreAskedForAreAllThatIsRead(t *testing.T) {
	all, err := parse(strings.NewReader(metrics))
	require.NoError(t, err)
	var asked strings.Builder
	for line := range strings.Lines(metrics) {
		name, _, _ := strings.Cut(line, "{")
		if slices.Contains(families, strings.TrimSuffix(name, "_bucket")) {
			asked.WriteString(line)
		}
	}
	read, err := parse(strings.NewReader(asked.String()))
	require.NoError(t, err)
	assert.Equal(t, all, read)
}

func TestRatesAreThoseOfTheTimeBetween(t *testing.T) {
	first, err := parse(strings.NewReader(metrics))
	require.NoError(t, err)
	then, err := parse(strings.NewReader(strings.NewReplacer(
		`"web:80"} 1000`, `"web:80"} 1200`, `"web:80"} 2`, `"web:80"} 6`,
		`le="0.001"} 900`, `le="0.001"} 1000`, `le="0.01"} 990`, `le="0.01"} 1190`, `le="+Inf"} 1000`, `le="+Inf"} 1200`,
		`"web:443"} 10`, `"web:443"} 4`,
	).Replace(metrics)))
	require.NoError(t, err)
	rates := ratesOf(first, then, 2*time.Second)
	assert.InEpsilon(t, 100, rates["web:80"].requests, 0.01)
	assert.InEpsilon(t, 2, rates["web:80"].failures, 0.01)
	assert.Equal(t, 9820*time.Microsecond, rates["web:80"].p99, "98 of the second hundred are 98 hundredths of the way from 1 to 10 ms")
	assert.Zero(t, rates["web:443"], "its container is another one")
	assert.Zero(t, ratesOf(nil, then, time.Second)["web"], "one reading tells no rate")
}

func TestWaitsBeyondTheLastBoundAreAtThatBound(t *testing.T) {
	after := map[float64]float64{1: 0}
	after[math.Inf(1)] = 10
	assert.Equal(t, time.Second, quantile(0.99, nil, after))
	assert.Zero(t, quantile(0.99, after, after), "nobody waited")
}
