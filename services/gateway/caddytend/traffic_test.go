package caddytend_test

import (
	"context"
	"net/http"
	"syscall"
	"testing"
)

func TestTellsWhatItCarried(t *testing.T) {
	t.Parallel()
	tend := startTend(t)
	mortal, other := startUpstream(t, "mortal"), startUpstream(t, "other")
	tend.publish(mortal)
	p := startProxy(t, tend.url())
	p.answering(t, 10)
	eventually(t, "tend is told of ten requests", func() bool { return tend.carried().Requests == 10 })

	// One that is tried twice is one request, and one that no replica answers a failure.
	repeated := p.begin(t, http.MethodGet, "/die", "", "")
	mortal.awaitDead(t)
	tend.publish(other)
	want(t, <-repeated, "other ")
	other.signal(t, syscall.SIGSTOP)
	if got := <-p.begin(t, http.MethodPost, "/", "x", ""); got.status != http.StatusGatewayTimeout {
		t.Errorf("of a replica that hangs: %s", got)
	}
	// One whose client leaves has failed nobody.
	leaving, leave := context.WithCancel(t.Context())
	left := make(chan struct{})
	go func() {
		defer close(left)
		_, _, _ = p.send(leaving, http.MethodPost, "/", "x", "") // fails, as it is to
	}()
	leave()
	<-left
	other.signal(t, syscall.SIGCONT)

	eventually(t, "tend is told of the rest", func() bool { return tend.carried().Requests >= 12 })
	got := tend.carried()
	var waited int64
	for _, n := range got.Latency {
		waited += n
	}
	if got.Failures != 1 || got.ServerErrors != 0 || waited != 11 || len(got.Latency) != 14 {
		t.Errorf("tend was told %+v, want one failure, and 11 waits in 14 buckets", got)
	}
}

func TestTellsOfErrorsOfReplicas(t *testing.T) {
	t.Parallel()
	tend := startTend(t)
	tend.publish(startUpstream(t, "a"))
	p := startProxy(t, tend.url())
	if got := <-p.begin(t, http.MethodGet, "/broken", "", ""); got.status != http.StatusInternalServerError {
		t.Fatal(got)
	}
	eventually(t, "tend is told", func() bool { return tend.carried().ServerErrors == 1 && tend.carried().Requests == 1 })
}

func TestTellsOfRequestsThatNoReplicaTakes(t *testing.T) {
	t.Parallel()
	tend := startTend(t)
	index := tend.publish()
	p := startProxy(t, tend.url())
	tend.awaitAcknowledged(t, index)
	got := <-p.begin(t, http.MethodGet, "/", "", "")
	if got.status != http.StatusServiceUnavailable {
		t.Fatal(got)
	}
	eventually(t, "tend is told", func() bool { return tend.carried().Failures == 1 && tend.carried().Requests == 1 })
}
