package ingress_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/ingress"
)

// newClient returns a client with connections of its own.
func newClient(t *testing.T, protocols ...func(*http.Protocols)) *http.Client {
	transport := &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 100}
	if len(protocols) > 0 {
		transport.Protocols = new(http.Protocols)
		for _, set := range protocols {
			set(transport.Protocols)
		}
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: patience}
}

func h2c(p *http.Protocols) { p.SetUnencryptedHTTP2(true) }

// fetch sends a request and returns the answer with its body.
func fetch(t *testing.T, client *http.Client, r *http.Request) (*http.Response, string) {
	t.Helper()
	response, err := client.Do(r)
	require.NoError(t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response, string(text)
}

func newRequest(t *testing.T, method, url, body string) *http.Request {
	t.Helper()
	// A body without GetBody, as that of any client that this one is not.
	r, err := http.NewRequestWithContext(t.Context(), method, url, io.NopCloser(strings.NewReader(body)))
	require.NoError(t, err)
	r.ContentLength = int64(len(body))
	if body == "" {
		r.Body = http.NoBody
	}
	return r
}

func say(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, text)
	}
}

func TestARequestArrivesAsItWasSent(t *testing.T) {
	type seen struct {
		*http.Request
		body string
	}
	requests := make(chan seen, 1)
	r := serveHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		requests <- seen{r, string(body)}
		w.Header().Set("X-Answer", "yes")
		w.WriteHeader(http.StatusTeapot)
		_, _ = io.WriteString(w, "short and stout")
	})
	in := startIngress(t)
	in.http(r.ready())
	sent := newRequest(t, http.MethodPut, in.url()+"/a%2Fb//c?x=1;y=%zz&&z", "content")
	sent.Host = "shop.example"
	sent.Header.Set("Authorization", "kept")
	sent.Header.Set("Connection", "X-Hop")
	sent.Header.Set("X-Hop", "not kept")
	sent.Header.Set("X-Forwarded-For", "192.0.2.1")
	sent.Header.Set("X-Forwarded-Proto", "https")
	response, text := fetch(t, newClient(t), sent)
	assert.Equal(t, http.StatusTeapot, response.StatusCode)
	assert.Equal(t, "yes", response.Header.Get("X-Answer"))
	assert.Equal(t, "short and stout", text)

	got := <-requests
	assert.Equal(t, http.MethodPut, got.Method)
	assert.Equal(t, "/a%2Fb//c?x=1;y=%zz&&z", got.RequestURI)
	assert.Equal(t, "shop.example", got.Host)
	assert.Equal(t, "content", got.body)
	assert.Equal(t, "kept", got.Header.Get("Authorization"))
	assert.Empty(t, got.Header.Get("X-Hop"))
	assert.Equal(t, "192.0.2.1, 127.0.0.1", strings.Join(got.Header["X-Forwarded-For"], ", "))
	assert.Equal(t, "https", got.Header.Get("X-Forwarded-Proto"), "what a proxy before has said")
	assert.Equal(t, "shop.example", got.Header.Get("X-Forwarded-Host"))
	s := in.await("it is counted", func(s ingress.Status) bool { return s.Total.Requests == 1 })
	assert.EqualValues(t, 1, s.Total.Connections)
	assert.Zero(t, s.Total.Failures)
}

// httpLoad sends requests one after the other, and notes each that is not answered. Half
// of them are a POST, which must be sent only once.
func httpLoad(t *testing.T, in *running, client *http.Client) *load {
	url := in.url()
	return startLoad(func(worker, i int) error {
		method, body := http.MethodGet, ""
		if i%2 == 1 {
			method, body = http.MethodPost, "something"
		}
		r := newRequest(t, method, url, body)
		// A request that arrived behind GOAWAY was not carried out, and HTTP/2 has the
		// client send it again.
		r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(body)), nil }
		response, err := client.Do(r)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		if err == nil && (response.StatusCode != http.StatusOK || string(text) != "hello") {
			err = fmt.Errorf("%s: %q", response.Status, text)
		}
		return err
	})
}

func TestNoRequestIsLostWhileReplicasChange(t *testing.T) {
	for name, protocols := range map[string][]func(*http.Protocols){"HTTP1": nil, "HTTP2": {h2c}} {
		t.Run(name, func(t *testing.T) {
			in := startIngress(t)
			start := func() *replica { return serveHTTP(t, say("hello")) }
			r := start()
			in.http(r.ready())
			l := httpLoad(t, in, newClient(t, protocols...))
			for range 10 {
				r = replace(t, in, r, in.http, start)
				l.pass(t, 200)
			}
			n, errs := l.stop()
			assert.Empty(t, errs, "of %d requests", n)
			s := in.await("all are counted", func(s ingress.Status) bool { return s.Total.Requests == n })
			// Go's client connects anew where it is about to get a connection back.
			assert.Less(t, s.Total.Connections, n/10, "the clients kept their connections")
		})
	}
}

func TestNoRequestIsLostInAnUpgrade(t *testing.T) {
	for name, protocols := range map[string][]func(*http.Protocols){"HTTP1": nil, "HTTP2": {h2c}} {
		t.Run(name, func(t *testing.T) {
			in := startIngress(t)
			start := func() *replica { return serveHTTP(t, say("hello")) }
			r := start()
			in.http(r.ready())
			client := newClient(t, protocols...)
			l := httpLoad(t, in, client)
			for i := range 3 {
				l.pass(t, 200)
				in.upgrade(fmt.Sprintf("version-%d", i))
				l.pass(t, 200)
				r = replace(t, in, r, in.http, start)
			}
			n, errs := l.stop()
			assert.Empty(t, errs, "of %d requests", n)
			client.CloseIdleConnections() // it may have had more than it used
			in.await("the ones before have ended", func(s ingress.Status) bool { return s.Proxies == 1 })
		})
	}
}

func TestARequestThatReachedNoReplicaGoesToAnother(t *testing.T) {
	var got atomic.Value
	alive := serveHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got.Store(string(body))
	})
	dead := startReplica(t, echo)
	require.NoError(t, dead.listener.Close())
	in := startIngress(t)
	in.http(dead.ready(), alive.ready())
	client := newClient(t)
	for i := range 10 {
		text := fmt.Sprint("order ", i)
		response, _ := fetch(t, client, newRequest(t, http.MethodPost, in.url(), text))
		require.Equal(t, http.StatusOK, response.StatusCode)
		require.Equal(t, text, got.Load())
	}
}

// A replica that breaks off may have done what it was asked for.
func TestARequestIsSentAgainOnlyWhenThatIsSafe(t *testing.T) {
	breaks := startReplica(t, func(c net.Conn) {
		_, _ = http.ReadRequest(bufio.NewReader(c))
	})
	works := serveHTTP(t, say("hello"))
	for _, c := range []struct {
		method, key string
		status      int
	}{
		{http.MethodGet, "", http.StatusOK},
		{http.MethodPost, "", http.StatusBadGateway},
		{http.MethodPost, "k1", http.StatusOK},
		{http.MethodDelete, "", http.StatusBadGateway},
	} {
		t.Run(c.method+c.key, func(t *testing.T) {
			in := startIngress(t)
			in.http(breaks.ready(), works.ready())
			var statuses []int
			for range 2 { // either comes first
				r := newRequest(t, c.method, in.url(), "")
				if c.method == http.MethodPost {
					r = newRequest(t, c.method, in.url(), "body")
				}
				if c.key != "" {
					r.Header.Set("Idempotency-Key", c.key)
				}
				response, _ := fetch(t, newClient(t), r)
				statuses = append(statuses, response.StatusCode)
			}
			assert.Contains(t, statuses, c.status)
			if c.status == http.StatusOK {
				assert.NotContains(t, statuses, http.StatusBadGateway)
			}
		})
	}
}

func TestRequestsAreHeldWhileNoneIsReady(t *testing.T) {
	r := serveHTTP(t, say("hello"))
	in := startIngress(t)
	in.http()
	answers := make(chan string, 10)
	for range cap(answers) {
		go func() {
			_, text := fetch(t, newClient(t), newRequest(t, http.MethodPost, in.url(), "body"))
			answers <- text
		}()
	}
	in.await("all are held", func(s ingress.Status) bool { return s.Held == cap(answers) })
	in.http(r.ready())
	for range cap(answers) {
		assert.Equal(t, "hello", <-answers)
	}
}

func TestADrainingEndpointKeepsItsRequests(t *testing.T) {
	begun, finish := make(chan struct{}), make(chan struct{})
	old := serveHTTP(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "one ")
		_ = http.NewResponseController(w).Flush()
		close(begun)
		<-finish
		_, _ = io.WriteString(w, "two")
	})
	young := serveHTTP(t, say("young"))
	in := startIngress(t)
	in.http(old.ready())
	client := newClient(t)
	slow := make(chan string, 1)
	go func() {
		_, text := fetch(t, client, newRequest(t, http.MethodGet, in.url(), ""))
		slow <- text
	}()
	<-begun
	s := in.http(old.draining(), young.ready())
	assert.Equal(t, 1, openOf(s, old.id))
	_, text := fetch(t, client, newRequest(t, http.MethodGet, in.url(), ""))
	assert.Equal(t, "young", text)
	close(finish)
	assert.Equal(t, "one two", <-slow)
	in.await("it has none left", func(s ingress.Status) bool { return openOf(s, old.id) == 0 })
}

func TestEventsArriveAsTheyAreSent(t *testing.T) {
	next := make(chan struct{})
	r := serveHTTP(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range 3 {
			_, _ = fmt.Fprintf(w, "data: %d\n\n", i)
			_ = http.NewResponseController(w).Flush()
			<-next
		}
	})
	in := startIngress(t)
	in.http(r.ready())
	response, err := newClient(t).Do(newRequest(t, http.MethodGet, in.url(), ""))
	require.NoError(t, err)
	defer response.Body.Close()
	lines := bufio.NewReader(response.Body)
	for i := range 3 {
		line, err := lines.ReadString('\n')
		require.NoError(t, err)
		assert.Equal(t, fmt.Sprintf("data: %d\n", i), line)
		_, err = lines.ReadString('\n')
		require.NoError(t, err)
		next <- struct{}{}
	}
}

// serveWebSocket agrees to change the protocol, and then echoes.
func serveWebSocket(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Upgrade") != "websocket" || r.Header.Get("Connection") != "Upgrade" {
		w.Header().Set("X-Why", "no upgrade")
		http.Error(w, "upgrade", http.StatusUpgradeRequired)
		return
	}
	c, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer c.Close()
	// What follows the answer at once must not be lost either.
	_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: yes\r\n\r\nwelcome")
	_, _ = io.Copy(c, buffered)
}

func TestAWebSocketIsPassedThrough(t *testing.T) {
	r := serveHTTP(t, serveWebSocket)
	other := serveHTTP(t, say("other"))
	in := startIngress(t)
	in.http(r.ready())
	c := dialTo(t, in.address())
	_, err := io.WriteString(c, "GET /chat HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: k\r\n\r\nearly")
	require.NoError(t, err)
	reader := bufio.NewReader(c)
	response, err := http.ReadResponse(reader, nil)
	require.NoError(t, err)
	assert.Equal(t, http.StatusSwitchingProtocols, response.StatusCode)
	assert.Equal(t, "yes", response.Header.Get("Sec-WebSocket-Accept"))
	assert.Equal(t, "websocket", response.Header.Get("Upgrade"))
	expect := func(text string) {
		t.Helper()
		got := make([]byte, len(text))
		_, err := io.ReadFull(reader, got)
		require.NoError(t, err)
		require.Equal(t, text, string(got))
	}
	expect("welcomeearly")
	_, err = io.WriteString(c, "one")
	require.NoError(t, err)
	expect("one")
	s := in.http(r.draining(), other.ready())
	assert.Equal(t, 1, openOf(s, r.id))
	in.upgrade("version-1")
	_, err = io.WriteString(c, "two")
	require.NoError(t, err)
	expect("two")
	require.NoError(t, c.Close())
	in.await("it has ended", func(s ingress.Status) bool { return openOf(s, r.id) == 0 && s.Proxies == 1 })
}

func TestAnUpgradeThatIsRefused(t *testing.T) {
	r := serveHTTP(t, serveWebSocket)
	in := startIngress(t)
	in.http(r.ready())
	request := newRequest(t, http.MethodGet, in.url(), "")
	request.Header.Set("Connection", "Upgrade")
	request.Header.Set("Upgrade", "something-else")
	client := newClient(t)
	for range 2 { // the client's connection is as good as before
		response, text := fetch(t, client, request.Clone(t.Context()))
		assert.Equal(t, http.StatusUpgradeRequired, response.StatusCode)
		assert.Equal(t, "no upgrade", response.Header.Get("X-Why"))
		assert.Equal(t, "upgrade\n", text)
	}
	in.await("it has ended", func(s ingress.Status) bool { return openOf(s, r.id) == 0 && s.Total.Requests == 2 })
}

// gRPC speaks HTTP/2 in both directions at once and ends with a trailer.
func TestHTTP2IsPassedThrough(t *testing.T) {
	r := serveHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Proto", r.Proto+" "+r.Header.Get("Te"))
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		_, _ = io.Copy(&flushing{w}, r.Body)
		w.Header().Set(http.TrailerPrefix+"Grpc-Status", "0")
	})
	in := startIngress(t)
	in.http(r.ready())
	body, send := io.Pipe()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, in.url(), body)
	require.NoError(t, err)
	request.Header.Set("Te", "trailers")
	response, err := newClient(t, h2c).Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	assert.Equal(t, "HTTP/2.0", response.Proto)
	assert.Equal(t, "HTTP/2.0 trailers", response.Header.Get("X-Proto"))
	for _, text := range []string{"one", "two"} {
		_, err := io.WriteString(send, text)
		require.NoError(t, err)
		got := make([]byte, 3)
		_, err = io.ReadFull(response.Body, got)
		require.NoError(t, err)
		assert.Equal(t, text, string(got))
	}
	require.NoError(t, send.Close())
	_, err = io.ReadAll(response.Body)
	require.NoError(t, err)
	assert.Equal(t, "0", response.Trailer.Get("Grpc-Status"))
}

type flushing struct{ http.ResponseWriter }

func (f *flushing) Write(p []byte) (int, error) {
	n, err := f.ResponseWriter.Write(p)
	_ = http.NewResponseController(f.ResponseWriter).Flush()
	return n, err
}

// An answer that was broken off must not look whole.
func TestABrokenAnswerIsBrokenForTheClient(t *testing.T) {
	r := serveHTTP(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "half")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	in := startIngress(t)
	in.http(r.ready())
	response, err := newClient(t).Do(newRequest(t, http.MethodGet, in.url(), ""))
	require.NoError(t, err)
	defer response.Body.Close()
	_, err = io.ReadAll(response.Body)
	assert.Error(t, err)
}

func TestBigBodies(t *testing.T) {
	big := bytes.Repeat([]byte("0123456789abcdef"), 1<<17)
	r := serveHTTP(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) })
	in := startIngress(t)
	in.http(r.ready())
	for _, client := range []*http.Client{newClient(t), newClient(t, h2c)} {
		_, text := fetch(t, client, newRequest(t, http.MethodPost, in.url(), string(big)))
		assert.True(t, string(big) == text)
	}
}

func TestAClientsConnectionIsKept(t *testing.T) {
	in := startIngress(t)
	first := serveHTTP(t, say("first"))
	in.http(first.ready())
	client := newClient(t)
	var reused []bool
	traced := func() *http.Request {
		r := newRequest(t, http.MethodGet, in.url(), "")
		return r.WithContext(httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
			GotConn: func(info httptrace.GotConnInfo) { reused = append(reused, info.Reused) },
		}))
	}
	_, text := fetch(t, client, traced())
	assert.Equal(t, "first", text)
	second := serveHTTP(t, say("second"))
	in.http(second.ready())
	_, text = fetch(t, client, traced())
	assert.Equal(t, "second", text)
	in.upgrade("version-1")
	assert.Equal(t, []bool{false, true}, reused)
	// The proxy that was replaced says with its last answer that the client is to
	// connect again.
	require.Eventually(t, func() bool {
		_, text = fetch(t, client, traced())
		return text == "second" && !reused[len(reused)-1]
	}, patience, time.Millisecond)
	in.await("it has ended", func(s ingress.Status) bool { return s.Proxies == 1 })
}

func TestTheReplicaHearsThatAClientHasGone(t *testing.T) {
	gone := make(chan struct{})
	begun := make(chan struct{})
	r := serveHTTP(t, func(_ http.ResponseWriter, r *http.Request) {
		close(begun)
		<-r.Context().Done()
		close(gone)
	})
	in := startIngress(t)
	in.http(r.ready())
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-begun
		cancel()
	}()
	_, err := newClient(t).Do(newRequest(t, http.MethodGet, in.url(), "").WithContext(ctx))
	assert.True(t, errors.Is(err, context.Canceled))
	select {
	case <-gone:
	case <-time.After(patience):
		assert.Fail(t, "the replica was not told")
	}
}

func TestEarlyHintsArriveEarly(t *testing.T) {
	next := make(chan struct{})
	r := serveHTTP(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "</style.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		<-next
		w.Header().Del("Link")
		_, _ = io.WriteString(w, "hello")
	})
	in := startIngress(t)
	in.http(r.ready())
	request := newRequest(t, http.MethodGet, in.url(), "")
	request = request.WithContext(httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
		Got1xxResponse: func(status int, header textproto.MIMEHeader) error {
			assert.Equal(t, http.StatusEarlyHints, status)
			assert.Equal(t, "</style.css>; rel=preload", header.Get("Link"))
			close(next)
			return nil
		},
	}))
	response, text := fetch(t, newClient(t), request)
	assert.Equal(t, "hello", text)
	assert.Empty(t, response.Header.Get("Link"))
}

// Servers close connections that have been idle, some after 2 s.
func TestAConnectionThatTheReplicaHasClosedIsNotUsed(t *testing.T) {
	r := startReplica(t, func(c net.Conn) {
		request, err := http.ReadRequest(bufio.NewReader(c))
		if err == nil {
			_, _ = io.Copy(io.Discard, request.Body)
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello") // and closes it
		}
	})
	in := startIngress(t)
	in.http(r.ready())
	client := newClient(t)
	for range 20 {
		response, text := fetch(t, client, newRequest(t, http.MethodPost, in.url(), "once"))
		require.Equal(t, http.StatusOK, response.StatusCode)
		require.Equal(t, "hello", text)
		time.Sleep(5 * time.Millisecond) // the end has arrived
	}
	assert.EqualValues(t, 20, r.accepted.Load())
}

func TestConnectionsToAReplicaAreKept(t *testing.T) {
	r := serveHTTP(t, say("hello"))
	in := startIngress(t)
	in.http(r.ready())
	client := newClient(t)
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost} {
		for range 3 {
			body := ""
			if method == http.MethodPost {
				body = "body"
			}
			fetch(t, client, newRequest(t, method, in.url(), body))
		}
	}
	// One that is still about to be given back is not waited for.
	assert.LessOrEqual(t, r.accepted.Load(), int64(3))
}
