package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Report is the account of a load.
type Report struct {
	Requests int
	Elapsed  time.Duration
	// Outcomes counts by operation and outcome: a status, or what went wrong.
	Outcomes map[string]map[string]int
	Failures []Failure // by time
	Latency  Latency
	Ledger   Ledger
}

// Failure is a request that did not get the answer it should.
type Failure struct {
	Time      time.Time // when it ended
	Operation string
	Outcome   string
	Took      time.Duration
	RequestID string
	Answer    string // the body, or the error
}

// Latency holds percentiles, from all requests.
type Latency struct{ P50, P99, P999, Max time.Duration }

// Err returns an error where a request failed or a write is not as acknowledged.
func (r Report) Err() error {
	var errs []error
	if len(r.Failures) > 0 {
		errs = append(errs, fmt.Errorf("%d of %d requests failed", len(r.Failures), r.Requests))
	}
	if len(r.Ledger.Wrong) > 0 {
		errs = append(errs, fmt.Errorf("%d writes are not as acknowledged", len(r.Ledger.Wrong)))
	}
	return errors.Join(errs...)
}

// shown is how many failures, and wrong writes, a summary shows.
const shown = 10

// String is a summary for people.
func (r Report) String() string {
	var b strings.Builder
	seconds := r.Elapsed.Seconds()
	fmt.Fprintf(&b, "%d requests in %.1f s (%.0f/s), %d failed\n", r.Requests, seconds, float64(r.Requests)/seconds, len(r.Failures))
	for _, operation := range slices.Sorted(maps.Keys(r.Outcomes)) {
		fmt.Fprintf(&b, "  %-14s", operation)
		outcomes := r.Outcomes[operation]
		for _, outcome := range slices.Sorted(maps.Keys(outcomes)) {
			fmt.Fprintf(&b, " %s: %d", outcome, outcomes[outcome])
		}
		b.WriteByte('\n')
	}
	l := r.Latency
	fmt.Fprintf(&b, "latency p50 %s, p99 %s, p99.9 %s, max %s\n", round(l.P50), round(l.P99), round(l.P999), round(l.Max))
	fmt.Fprintf(&b, "ledger: %d writes acknowledged, %d unknown, %d wrong\n", r.Ledger.Acknowledged, r.Ledger.Unknown, len(r.Ledger.Wrong))
	for _, f := range r.Failures[:min(shown, len(r.Failures))] {
		fmt.Fprintf(&b, "failed: %s %s: %s after %s, request %s: %s\n",
			f.Time.Format(time.TimeOnly), f.Operation, f.Outcome, round(f.Took), f.RequestID, strings.TrimSpace(f.Answer))
	}
	for _, wrong := range r.Ledger.Wrong[:min(shown, len(r.Ledger.Wrong))] {
		fmt.Fprintf(&b, "wrong: %s\n", wrong)
	}
	return b.String()
}

func round(d time.Duration) time.Duration { return d.Round(10 * time.Microsecond) }

// outcomes counts by operation and outcome.
type outcomes map[string]map[string]int

func (o outcomes) count(operation, outcome string) {
	if o[operation] == nil {
		o[operation] = map[string]int{}
	}
	o[operation][outcome]++
}

func newReport(users []*user, elapsed time.Duration) Report {
	r := Report{Elapsed: elapsed, Outcomes: map[string]map[string]int{}}
	var latencies []time.Duration
	for _, u := range users {
		latencies = append(latencies, u.latencies...)
		r.Failures = append(r.Failures, u.failures...)
		for operation, counts := range u.outcomes {
			if r.Outcomes[operation] == nil {
				r.Outcomes[operation] = map[string]int{}
			}
			for outcome, n := range counts {
				r.Outcomes[operation][outcome] += n
			}
		}
	}
	slices.SortFunc(r.Failures, func(a, b Failure) int { return a.Time.Compare(b.Time) })
	slices.Sort(latencies)
	r.Requests = len(latencies)
	r.Latency = Latency{
		P50: percentile(latencies, 0.5), P99: percentile(latencies, 0.99),
		P999: percentile(latencies, 0.999), Max: percentile(latencies, 1),
	}
	return r
}

// percentile is the smallest of sorted that at least the share p does not exceed.
func percentile(sorted []time.Duration, p float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	rank := int(p * float64(len(sorted)))
	if float64(rank) < p*float64(len(sorted)) {
		rank++
	}
	return sorted[max(rank, 1)-1]
}

// describe names the kinds of error that a client sees.
func describe(err error) string {
	var timeout net.Error
	switch {
	case errors.Is(err, errRepeated):
		return "connection broken, repeated"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return "timeout"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, syscall.ECONNRESET):
		return "connection reset"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "connection closed"
	default:
		return "error"
	}
}
