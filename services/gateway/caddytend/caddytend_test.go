package caddytend_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// send sends a request to the proxy; key, when not empty, is its Idempotency-Key.
func (p *proxy) send(ctx context.Context, method, path, body, key string) (status int, text string, err error) {
	request, err := http.NewRequestWithContext(ctx, method, p.url+path, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	if key != "" {
		request.Header.Set("Idempotency-Key", key)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	return response.StatusCode, string(answer), err
}

type result struct {
	status int
	text   string
	err    error
}

func (r result) String() string { return fmt.Sprintf("%d %q %v", r.status, r.text, r.err) }

// begin sends a request without waiting for its answer.
func (p *proxy) begin(t *testing.T, method, path, body, key string) <-chan result {
	results := make(chan result, 1)
	go func() {
		status, text, err := p.send(t.Context(), method, path, body, key)
		results <- result{status, text, err}
	}()
	return results
}

// want fails unless the answer is 200 with that text.
func want(t *testing.T, got result, text string) {
	t.Helper()
	if got.err != nil || got.status != http.StatusOK || got.text != text {
		t.Errorf("the answer is %s, want 200 %q", got, text)
	}
}

// answering sends n requests, which must succeed, and returns who answered how often.
func (p *proxy) answering(t *testing.T, n int) map[string]int {
	t.Helper()
	names := map[string]int{}
	for range n {
		status, text, err := p.send(t.Context(), http.MethodPost, "/", "", "")
		if err != nil || status != http.StatusOK {
			t.Fatalf("%d %q %v", status, text, err)
		}
		name, _, _ := strings.Cut(text, " ")
		names[name]++
	}
	return names
}

func TestFollowsTheEndpoints(t *testing.T) {
	t.Parallel()
	tend := startTend(t)
	a, b := startUpstream(t, "a"), startUpstream(t, "b")
	tend.publish(a, b)
	p := startProxy(t, tend.url())
	if names := p.answering(t, 50); len(names) != 2 {
		t.Errorf("of a and b answered: %v", names)
	}
	tend.awaitAcknowledged(t, tend.publish(b))
	if names := p.answering(t, 50); names["b"] != 50 {
		t.Errorf("after a was withdrawn answered: %v", names)
	}
	eventually(t, "the connections to the withdrawn endpoint are closed", func() bool {
		return a.stats(t).Connections == 0
	})
	tend.awaitAcknowledged(t, tend.publish(a, b))
	if names := p.answering(t, 50); len(names) != 2 {
		t.Errorf("after a came back answered: %v", names)
	}
}

func TestAcknowledgesOnlyAfterTheLastRequestHasEnded(t *testing.T) {
	t.Parallel()
	tend := startTend(t)
	a, b, c := startUpstream(t, "a"), startUpstream(t, "b"), startUpstream(t, "c")
	tend.publish(a)
	p := startProxy(t, tend.url())
	slow := p.begin(t, http.MethodPost, "/slow", "", "")
	eventually(t, "the request is with a", func() bool { return a.stats(t).Received == 1 })

	withdrawn := tend.publish(b)
	eventually(t, "b is used", func() bool { return p.answering(t, 1)["b"] == 1 })
	// What comes later is followed all the same.
	newest := tend.publish(c)
	eventually(t, "c is used", func() bool { return p.answering(t, 1)["c"] == 1 })
	queries := tend.queries()
	eventually(t, "more queries", func() bool { return tend.queries() > queries+2 })
	if got := tend.acknowledged(); got >= withdrawn {
		t.Errorf("index %d, which withdrew a, is acknowledged (%d) while a request to a is in flight", withdrawn, got)
	}
	a.release(t)
	want(t, <-slow, "a")
	tend.awaitAcknowledged(t, newest)
}

// A replica that is killed with SIGKILL as soon as its withdrawal is
// acknowledged must cost no request, not even one that may not be repeated.
func TestNoRequestIsLostWhenReplicasEndAtTheAcknowledgement(t *testing.T) {
	t.Parallel()
	tend := startTend(t)
	replicas := []*upstream{startUpstream(t, "r"), startUpstream(t, "r"), startUpstream(t, "r")}
	tend.publish(replicas...)
	p := startProxy(t, tend.url())

	ctx, stop := context.WithCancel(t.Context())
	var clients sync.WaitGroup
	var sent, failed atomic.Int64
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 32}}
	defer client.CloseIdleConnections()
	for range 32 {
		clients.Go(func() {
			for ctx.Err() == nil {
				response, err := client.Post(p.url, "text/plain", strings.NewReader("x"))
				sent.Add(1)
				if err != nil {
					failed.Add(1)
					continue
				}
				text, err := io.ReadAll(response.Body)
				response.Body.Close()
				if err != nil || response.StatusCode != http.StatusOK || string(text) != "r x" {
					failed.Add(1)
				}
			}
		})
	}
	for range 15 {
		old := replicas[0]
		replicas = append(replicas[1:], startUpstream(t, "r"))
		tend.awaitAcknowledged(t, tend.publish(replicas...))
		old.signal(t, syscall.SIGKILL)
	}
	stop()
	clients.Wait()
	t.Logf("%d requests", sent.Load())
	if failed.Load() > 0 || sent.Load() < 1000 {
		t.Errorf("%d of %d requests failed", failed.Load(), sent.Load())
	}
}

func TestHoldsRequestsWhileThereIsNoEndpoint(t *testing.T) {
	t.Parallel()
	tend := startTend(t)
	a := startUpstream(t, "a")
	p := startProxy(t, tend.url())
	tend.awaitAcknowledged(t, tend.publish())
	held := p.begin(t, http.MethodPost, "/", "held", "")
	select {
	case got := <-held:
		t.Fatalf("answered without an endpoint: %s", got)
	case <-time.After(300 * time.Millisecond):
	}
	tend.publish(a)
	want(t, <-held, "a held")
}

func TestGoesOnWithWhatItKnowsWhileTendIsAway(t *testing.T) {
	t.Parallel()
	tend := startTend(t)
	a, b, elsewhere := startUpstream(t, "a"), startUpstream(t, "b"), startUpstream(t, "elsewhere")
	index := tend.publish(a)
	p := startProxy(t, tend.url(), fmt.Sprintf("fallback 127.0.0.1:%d", elsewhere.port))
	tend.awaitAcknowledged(t, index)
	tend.stop()
	eventually(t, "the proxy has noticed", func() bool { return strings.Contains(p.log.String(), "tend does not answer") })
	if names := p.answering(t, 20); names["a"] != 20 {
		t.Errorf("while tend is away answered: %v", names)
	}

	// tend comes back with a count of its own.
	tend.restartIndex(2)
	tend.serve(t, tend.address)
	tend.awaitAcknowledged(t, tend.publish(b))
	if names := p.answering(t, 20); names["b"] != 20 {
		t.Errorf("after tend came back answered: %v", names)
	}
	if got := tend.acknowledged(); got > 3 {
		t.Errorf("index %d of the tend before was acknowledged to the new one", got)
	}

	// It is away for good, and its last endpoints cannot be reached.
	tend.stop()
	b.signal(t, syscall.SIGKILL)
	b.awaitDead(t)
	if names := p.answering(t, 1); names["elsewhere"] != 1 {
		t.Errorf("without tend and its endpoints answered: %v", names)
	}
}

func TestTakesALowerIndexAsNew(t *testing.T) {
	t.Parallel()
	tend := startTend(t)
	a, b := startUpstream(t, "a"), startUpstream(t, "b")
	tend.publish(a)
	p := startProxy(t, tend.url())
	eventually(t, "a is acknowledged", func() bool { return tend.acknowledged() == 11 })
	slow := p.begin(t, http.MethodPost, "/slow", "", "")
	eventually(t, "a request is with a", func() bool { return a.stats(t).Received == 1 })
	tend.restartIndex(2) // without breaking the connection
	index := tend.publish(b)
	eventually(t, "b is used", func() bool { return p.answering(t, 1)["b"] == 1 })
	queries := tend.queries()
	eventually(t, "more queries", func() bool { return tend.queries() > queries+2 })
	if got := tend.acknowledged(); got >= index {
		t.Errorf("index %d is acknowledged (%d) while a request to a is in flight", index, got)
	}
	a.release(t)
	want(t, <-slow, "a")
	tend.awaitAcknowledged(t, index)
	if names := p.answering(t, 20); names["b"] != 20 {
		t.Errorf("answered: %v", names)
	}
}

func TestUsesARotatedToken(t *testing.T) {
	t.Parallel()
	a, b := startUpstream(t, "a"), startUpstream(t, "b")
	tend := startTend(t)
	p := startProxy(t, tend.url())
	tend.awaitAcknowledged(t, tend.publish(a))
	tend.wants("second")
	tend.publish(a) // answers the query that is held
	eventually(t, "the old token is refused", func() bool { return strings.Contains(p.log.String(), "tend answered 401") })
	tend.publish(b)
	want(t, <-p.begin(t, http.MethodPost, "/", "x", ""), "a x")
	if err := os.WriteFile(p.tokenFile, []byte("second\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "b is used", func() bool { return p.answering(t, 1)["b"] == 1 })
}

func TestUsesTheFallbackWithoutTend(t *testing.T) {
	t.Parallel()
	a, b := startUpstream(t, "a"), startUpstream(t, "b")
	fallback := fmt.Sprintf("fallback 127.0.0.1:%d", a.port)
	t.Run("no URL", func(t *testing.T) {
		t.Parallel()
		want(t, <-startProxy(t, "", fallback).begin(t, http.MethodPost, "/", "x", ""), "a x")
	})
	t.Run("away from the start", func(t *testing.T) {
		t.Parallel()
		want(t, <-startProxy(t, "http://127.0.0.1:"+freePort(t), fallback).begin(t, http.MethodPost, "/", "x", ""), "a x")
	})
	t.Run("silent from the start", func(t *testing.T) {
		t.Parallel()
		listener, err := net.Listen("tcp", "127.0.0.1:0") // accepts, and never answers
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
		want(t, <-startProxy(t, "http://"+listener.Addr().String(), fallback).begin(t, http.MethodPost, "/", "x", ""), "a x")
	})
	t.Run("a workload that tend does not name", func(t *testing.T) {
		t.Parallel()
		tend := startTend(t)
		tend.set(nil)
		tend.set(map[string][]map[string]any{})
		p := startProxy(t, tend.url(), fallback)
		want(t, <-p.begin(t, http.MethodPost, "/", "x", ""), "a x")
		tend.awaitAcknowledged(t, tend.publish(b))
		want(t, <-p.begin(t, http.MethodPost, "/", "x", ""), "b x")
	})
}

func TestAReplicaThatHangs(t *testing.T) {
	t.Parallel()
	tend := startTend(t)
	hung, alive := startUpstream(t, "hung"), startUpstream(t, "alive")
	tend.publish(hung)
	p := startProxy(t, tend.url())
	p.answering(t, 1) // a connection to keep alive
	hung.signal(t, syscall.SIGSTOP)
	withKey := p.begin(t, http.MethodPost, "/", "x", "key-1")
	read := p.begin(t, http.MethodGet, "/", "", "")
	withoutKey := p.begin(t, http.MethodPost, "/", "x", "")
	time.Sleep(300 * time.Millisecond) // long enough for all three to be with the one that hangs
	tend.publish(hung, alive)

	want(t, <-withKey, "alive x")
	want(t, <-read, "alive ")
	if got := <-withoutKey; got.status != http.StatusGatewayTimeout {
		t.Errorf("a request that may not be repeated: %s, want 504", got)
	}
	started := time.Now()
	if names := p.answering(t, 50); names["alive"] != 50 || time.Since(started) > 2*time.Second {
		t.Errorf("after it has failed answered within %s: %v", time.Since(started), names)
	}
	hung.signal(t, syscall.SIGCONT)
	eventually(t, "it is used again", func() bool { return p.answering(t, 10)["hung"] > 0 })
}

func TestAReplicaKilledInARequest(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		method, key string
		repeated    bool
	}{
		"GET":                       {http.MethodGet, "", true},
		"POST with Idempotency-Key": {http.MethodPost, "key-1", true},
		"POST without":              {http.MethodPost, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tend := startTend(t)
			mortal, other := startUpstream(t, "mortal"), startUpstream(t, "other")
			tend.publish(mortal)
			p := startProxy(t, tend.url())
			// So that the first attempt goes to the mortal one, and the other has room.
			p.answering(t, 1)
			body := ""
			if test.method == http.MethodPost {
				body = "x"
			}
			got := p.begin(t, test.method, "/die", body, test.key)
			mortal.awaitDead(t)
			tend.publish(mortal, other)
			if test.repeated {
				want(t, <-got, "other "+body)
			} else if r := <-got; r.status != http.StatusBadGateway || other.stats(t).Received != 0 {
				t.Errorf("%s, and the other replica received %d requests; want 502 and none", r, other.stats(t).Received)
			}
			// Whatever its method, a request that reaches no replica goes to another.
			if names := p.answering(t, 20); names["other"] != 20 {
				t.Errorf("afterwards answered: %v", names)
			}
		})
	}
}

func TestAClientThatBreaksOffCountsAgainstNoReplica(t *testing.T) {
	t.Parallel()
	tend := startTend(t)
	a, b := startUpstream(t, "a"), startUpstream(t, "b")
	tend.publish(a, b)
	p := startProxy(t, tend.url())
	for range 10 {
		conn, err := net.Dial("tcp", strings.TrimPrefix(p.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(conn, "POST / HTTP/1.1\r\nHost: x\r\nIdempotency-Key: k\r\nContent-Length: 1000\r\n\r\nnot all of it")
		// Half-closed, so that the answer can still be awaited.
		if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, conn)
		conn.Close()
	}
	if names := p.answering(t, 50); len(names) != 2 {
		t.Errorf("answered: %v, want a and b", names)
	}
	if got := a.stats(t).Received + b.stats(t).Received; got > 60 {
		t.Errorf("%d requests were received, want at most 10 broken ones and 50", got)
	}
}
