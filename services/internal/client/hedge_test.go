package client

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// counted returns the value of a metric's series, "" where it has none.
func (n *network) counted(series string) string {
	recorder := httptest.NewRecorder()
	n.metrics.Handler().ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	for line := range strings.Lines(recorder.Body.String()) {
		if value, ok := strings.CutPrefix(line, series+" "); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func answeringAfter(wait time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-time.After(wait):
			w.WriteHeader(http.StatusOK)
		case <-r.Context().Done():
		}
	})
}

// timed returns how long a call took.
func timed(t *testing.T, n *network, call Call) time.Duration {
	t.Helper()
	start := time.Now()
	if err := n.client.Do(t.Context(), call, nil); err != nil {
		t.Error(err)
	}
	return time.Since(start)
}

// warm has enough reads tell that one takes no time.
func warm(t *testing.T, n *network) {
	t.Helper()
	n.set("10.0.0.1", answering(http.StatusOK))
	n.set("10.0.0.2", answering(http.StatusOK))
	for range learned {
		timed(t, n, get)
	}
}

func TestAReadThatIsSlowIsMadeAtAnotherReplica(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, "10.0.0.1", "10.0.0.2")
		warm(t, n)
		n.set("10.0.0.1", nil)
		for range 20 {
			if took := timed(t, n, get); took > shortestWait {
				t.Errorf("a read took %s, want at most %s", took, shortestWait)
			}
		}
		if got := n.counted(`service_calls_hedged_total{service="test",target_service="payment-service",won="true"}`); got != "1" {
			t.Errorf("%q reads were answered by the second replica, want 1: the one that hangs is not asked again", got)
		}
		if left := n.client.budget.left; left != maxBudget-1+19*budgetPerCall && left != maxBudget {
			t.Errorf("the budget is %g", left)
		}
	})
}

func TestTheFirstAnswerCountsAndTheOtherAttemptEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, "10.0.0.1", "10.0.0.2")
		warm(t, n)
		n.set("10.0.0.1", answeringAfter(100*time.Millisecond))
		n.set("10.0.0.2", answeringAfter(100*time.Millisecond))
		if took := timed(t, n, get); took != 100*time.Millisecond {
			t.Errorf("the read took %s", took)
		}
		if got := n.requestsTo("10.0.0.1") + n.requestsTo("10.0.0.2"); got != learned+2 {
			t.Errorf("%d attempts were made, want one more than calls", got)
		}
		if got := n.counted(`service_calls_hedged_total{service="test",target_service="payment-service",won="false"}`); got != "1" {
			t.Errorf("%q second attempts came too late, want 1", got)
		}
		for _, r := range n.client.replicas.known {
			if r.requests != 0 || !r.failed().IsZero() {
				t.Errorf("%s has %d requests in flight, and failed at %s", r.address, r.requests, r.failed())
			}
		}
	})
}

// A second replica that fails takes nothing from the first one's answer.
func TestASlowAnswerCountsWhereTheOtherReplicaFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, "10.0.0.1", "10.0.0.2")
		n.set("10.0.0.1", answeringAfter(2*time.Second))
		n.set("10.0.0.2", answeringAfter(2*time.Second))
		var group sync.WaitGroup
		group.Go(func() {
			time.Sleep(100 * time.Millisecond)
			busy := "10.0.0.2"
			if n.requestsTo(busy) == 0 {
				busy = "10.0.0.1"
			}
			for _, host := range []string{"10.0.0.1", "10.0.0.2"} {
				if host != busy {
					n.set(host, answering(http.StatusBadGateway))
				}
			}
		})
		if took := timed(t, n, get); took != 2*time.Second {
			t.Errorf("the read took %s, want the 2 s of the first replica", took)
		}
		group.Wait()
	})
}

func TestWhatIsMadeOnceAtATime(t *testing.T) {
	for name, c := range map[string]struct {
		call  Call
		names []string
		left  float64
	}{
		"a write":                      {pay, []string{"10.0.0.1", "10.0.0.2"}, maxBudget},
		"a read with one replica":      {get, []string{"10.0.0.1"}, maxBudget},
		"a read that nothing pays for": {get, []string{"10.0.0.1", "10.0.0.2"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork(t, c.names...)
				n.set("10.0.0.1", answeringAfter(2*time.Second))
				n.set("10.0.0.2", answeringAfter(2*time.Second))
				n.client.budget.left = c.left
				if took := timed(t, n, c.call); took != 2*time.Second {
					t.Errorf("it took %s", took)
				}
				if got := n.requestsTo("10.0.0.1") + n.requestsTo("10.0.0.2"); got != 1 {
					t.Errorf("%d attempts were made", got)
				}
				for _, r := range n.client.replicas.known {
					if r.requests != 0 {
						t.Errorf("%s has %d requests in flight", r.address, r.requests)
					}
				}
			})
		})
	}
}

var pay = Call{Method: http.MethodPost, Path: "/api/payments", IdempotencyKey: "k"}

func TestSlowIsWhatNineteenOfTwentyReadsAreNot(t *testing.T) {
	var w waits
	for i := range learned - 1 {
		w.add(time.Duration(i) * time.Hour)
	}
	if got := w.slow(); got != firstWait {
		t.Errorf("before enough have told it is %s", got)
	}
	for i := range remembered {
		w.add(time.Duration(i+1) * time.Millisecond)
	}
	if got := w.slow(); got != 122*time.Millisecond {
		t.Errorf("of 1 to 128 ms it is %s", got)
	}
	for range remembered {
		w.add(time.Millisecond)
	}
	if got := w.slow(); got != shortestWait {
		t.Errorf("of reads of 1 ms it is %s", got)
	}
}
