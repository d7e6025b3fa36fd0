package ingress_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/ingress"
)

// raw is a client that sends what a test wants it to.
type raw struct {
	t *testing.T
	net.Conn
	reader *bufio.Reader
}

func rawTo(t *testing.T, in *running) *raw {
	t.Helper()
	c := dialTo(t, in.address())
	return &raw{t, c, bufio.NewReader(c)}
}

func (c *raw) send(text string) {
	c.t.Helper()
	_, err := io.WriteString(c, text)
	require.NoError(c.t, err)
}

// receive returns the next answer, with its body.
func (c *raw) receive(method string) (*http.Response, string) {
	c.t.Helper()
	response, err := http.ReadResponse(c.reader, &http.Request{Method: method})
	require.NoError(c.t, err)
	text, err := io.ReadAll(response.Body)
	require.NoError(c.t, err)
	return response, string(text)
}

// ends expects that nothing more comes.
func (c *raw) ends() {
	c.t.Helper()
	text, err := io.ReadAll(c.reader)
	require.NoError(c.t, err)
	require.Empty(c.t, string(text))
}

// sayBack answers with the method, the path and the body of a request.
func sayBack(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	_, _ = fmt.Fprintf(w, "%s %s %s", r.Method, r.URL.Path, body)
}

func TestRequestsFollowEachOtherAtOnce(t *testing.T) {
	r := serveHTTP(t, sayBack)
	in := startIngress(t)
	in.http(r.ready())
	c := rawTo(t, in)
	c.send("GET /1 HTTP/1.1\r\nHost: x\r\n\r\n" +
		"POST /2 HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nfirst" +
		"POST /3 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nsec\r\n3\r\nond\r\n0\r\n\r\n" +
		"\r\nHEAD /4 HTTP/1.1\r\nHost: x\r\n\r\nGET /5 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	for _, expected := range []struct{ method, text string }{
		{"GET", "GET /1 "}, {"POST", "POST /2 first"}, {"POST", "POST /3 second"}, {"HEAD", ""}, {"GET", "GET /5 "},
	} {
		_, text := c.receive(expected.method)
		assert.Equal(t, expected.text, text)
	}
	c.ends()
}

func TestARequestMayArriveInPieces(t *testing.T) {
	r := serveHTTP(t, sayBack)
	in := startIngress(t)
	in.http(r.ready())
	c := rawTo(t, in)
	for _, b := range []byte("POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\none\r\n0\r\n\r\n") {
		c.send(string(b))
		time.Sleep(time.Millisecond)
	}
	_, text := c.receive("POST")
	assert.Equal(t, "POST /a one", text)
}

// What is understood in more than one way is understood in no way.
func TestRequestsThatCanBeMisunderstoodAreRefused(t *testing.T) {
	var got atomic.Int64 // bytes
	replica := startReplica(t, func(c net.Conn) {
		n, _ := io.Copy(io.Discard, c)
		got.Add(n)
	})
	in := startIngress(t)
	in.http(replica.ready())
	smuggled := "GET /admin HTTP/1.1\r\nHost: x\r\n\r\n"
	for name, c := range map[string]struct {
		text   string
		status int
	}{
		"both framings":     {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + smuggled, 400},
		"two lengths":       {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nContent-Length: 33\r\n\r\n" + smuggled, 400},
		"bare LF":           {"GET / HTTP/1.1\nHost: x\n\n", 400},
		"hidden by a space": {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + smuggled, 400},
		"other coding":      {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + smuggled, 501},
		"too long":          {"GET / HTTP/1.1\r\nHost: x\r\nA: " + strings.Repeat("a", 1<<20) + "\r\n\r\n", 431},
		"a tunnel":          {"CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n", 405},
		"another version":   {"GET / HTTP/1.2\r\nHost: x\r\n\r\n", 505},
		"not in chunks":     {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n-1\r\n", 400},
		"expectation":       {"POST / HTTP/1.1\r\nHost: x\r\nExpect: tea\r\nContent-Length: 1\r\n\r\n", 417},
	} {
		t.Run(name, func(t *testing.T) {
			client := rawTo(t, in)
			client.send(c.text)
			response, text := client.receive("GET")
			assert.Equal(t, c.status, response.StatusCode)
			assert.Contains(t, text, "tend ingress: "+http.StatusText(c.status)+": ")
			assert.True(t, response.Close)
			client.ends()
		})
	}
	assert.Zero(t, got.Load())
}

func TestABrokenBodyIsBrokenForTheReplica(t *testing.T) {
	begun, whole := make(chan struct{}, 1), make(chan bool, 1)
	r := serveHTTP(t, func(_ http.ResponseWriter, r *http.Request) {
		begun <- struct{}{}
		_, err := io.ReadAll(r.Body)
		whole <- err == nil
	})
	in := startIngress(t)
	in.http(r.ready())
	for _, c := range []struct{ framing, begin, rest string }{
		{"Content-Length: 10", "half", ""},
		{"Transfer-Encoding: chunked", "4\r\nhalf\r\n", ""},
		{"Transfer-Encoding: chunked", "4\r\nhalf\r\n", "no size\r\n\r\n"},
		{"Transfer-Encoding: chunked", "4\r\nhalf", ",0\r\n\r\n"},
	} {
		client := rawTo(t, in)
		client.send("POST / HTTP/1.1\r\nHost: x\r\n" + c.framing + "\r\n\r\n" + c.begin)
		<-begun
		if c.rest == "" {
			require.NoError(t, client.Close())
		} else {
			client.send(c.rest)
			response, _ := client.receive("POST")
			assert.Equal(t, http.StatusBadRequest, response.StatusCode)
			client.ends()
		}
		assert.False(t, <-whole, "%+v", c)
	}
}

func TestClientsOfHTTP10(t *testing.T) {
	r := serveHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Proto+" "+r.Host)
		if r.URL.Path == "/long" {
			_ = http.NewResponseController(w).Flush()
			_, _ = io.WriteString(w, " and more")
		}
	})
	in := startIngress(t)
	in.http(r.ready())
	said := "HTTP/1.1 " + in.address()
	c := rawTo(t, in)
	for range 2 {
		c.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
		response, text := c.receive("GET")
		assert.Equal(t, said, text)
		assert.Equal(t, "keep-alive", response.Header.Get("Connection"))
	}
	c.send("GET /long HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
	response, text := c.receive("GET")
	assert.Equal(t, said+" and more", text)
	assert.Empty(t, response.TransferEncoding)
	c = rawTo(t, in)
	c.send("GET / HTTP/1.0\r\n\r\n")
	_, text = c.receive("GET")
	assert.Equal(t, said, text)
	c.ends()
}

func TestAClientThatExpects100IsToldByTheReplica(t *testing.T) {
	r := serveHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/no" {
			http.Error(w, "no", http.StatusRequestEntityTooLarge)
			return
		}
		sayBack(w, r)
	})
	in := startIngress(t)
	in.http(r.ready())
	c := rawTo(t, in)
	for range 2 {
		c.send("POST /yes HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
		response, _ := c.receive("POST")
		require.Equal(t, http.StatusContinue, response.StatusCode)
		c.send("body")
		_, text := c.receive("POST")
		assert.Equal(t, "POST /yes body", text)
	}
	c.send("POST /no HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
	response, _ := c.receive("POST")
	assert.Equal(t, http.StatusRequestEntityTooLarge, response.StatusCode)
	c.ends() // what came next could be the body or another request
}

// A client that waits for 100 delivers nothing that would tell of the replica's end.
func TestARequestWhoseBodyIsNotThereGoesToAnotherReplica(t *testing.T) {
	breaks := startReplica(t, func(c net.Conn) { _, _ = http.ReadRequest(bufio.NewReader(c)) })
	works := serveHTTP(t, sayBack)
	for range 2 { // either comes first
		in := startIngress(t)
		in.http(breaks.ready(), works.ready())
		for range 2 {
			c := rawTo(t, in)
			c.send("POST /a HTTP/1.1\r\nHost: x\r\nIdempotency-Key: k\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
			response, _ := c.receive("POST")
			require.Equal(t, http.StatusContinue, response.StatusCode)
			c.send("body")
			_, text := c.receive("POST")
			assert.Equal(t, "POST /a body", text)
		}
	}
}

func TestTrailersArePassedOn(t *testing.T) {
	r := serveHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		_, _ = io.Copy(w, r.Body)
		w.Header().Set("X-Sum", r.Trailer.Get("X-Sum"))
	})
	in := startIngress(t)
	in.http(r.ready())
	c := rawTo(t, in)
	for range 2 {
		c.send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n3\r\none\r\n0\r\nX-Sum: 1\r\nHost: y\r\n\r\n")
		response, text := c.receive("POST")
		assert.Equal(t, "one", text)
		assert.Equal(t, http.Header{"X-Sum": {"1"}}, response.Trailer)
	}
}

func TestAnAnswerMayComeBeforeTheRequestHasEnded(t *testing.T) {
	r := serveHTTP(t, func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusForbidden) })
	in := startIngress(t)
	in.http(r.ready())
	c := rawTo(t, in)
	c.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nbegin")
	response, text := c.receive("POST")
	assert.Equal(t, http.StatusForbidden, response.StatusCode)
	assert.Equal(t, "no\n", text)
	c.ends()
	in.await("it has ended", func(s ingress.Status) bool { return openOf(s, r.id) == 0 })
}

func TestWhatIsUploadedArrivesAsItIsSent(t *testing.T) {
	got := make(chan string)
	r := serveHTTP(t, func(_ http.ResponseWriter, r *http.Request) {
		lines := bufio.NewScanner(r.Body)
		for lines.Scan() {
			got <- lines.Text()
		}
	})
	in := startIngress(t)
	in.http(r.ready())
	c := rawTo(t, in)
	c.send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
	for i := range 3 {
		text := fmt.Sprint("line ", i)
		c.send(fmt.Sprintf("%x\r\n%s\n\r\n", len(text)+1, text))
		assert.Equal(t, text, <-got)
	}
	c.send("0\r\n\r\n")
	c.receive("POST")
}

func TestAnswersThatEndWithTheirHead(t *testing.T) {
	answers := map[string]string{
		"/204": "204 No Content\r\nX-A: b\r\n\r\n",
		"/304": "304 Not Modified\r\nContent-Length: 7\r\n\r\n",
		"/":    "200 OK\r\nContent-Length: 7\r\n\r\n",
	}
	r := startReplica(t, func(c net.Conn) {
		reader := bufio.NewReader(c)
		for {
			request, err := http.ReadRequest(reader)
			if err != nil {
				return
			}
			_, _ = io.WriteString(c, "HTTP/1.1 "+answers[request.URL.Path])
		}
	})
	in := startIngress(t)
	in.http(r.ready())
	c := rawTo(t, in)
	for range 2 {
		for _, expected := range []struct {
			method, path string
			length       int64
		}{{"GET", "/204", 0}, {"GET", "/304", 7}, {"HEAD", "/", 7}} {
			c.send(expected.method + " " + expected.path + " HTTP/1.1\r\nHost: x\r\n\r\n")
			response, text := c.receive(expected.method)
			assert.Empty(t, text)
			if expected.length > 0 {
				assert.Equal(t, fmt.Sprint(expected.length), response.Header.Get("Content-Length"))
			}
		}
	}
	assert.Less(t, r.accepted.Load(), int64(6), "the replica's connections were kept")
}

// An application may write what net/http would understand.
func TestAnswersAsApplicationsWriteThem(t *testing.T) {
	for name, c := range map[string]struct {
		answer string
		status int
		text   string
	}{
		"until the end":     {"HTTP/1.0 200 OK\r\n\r\nhello", 200, "hello"},
		"bare LF":           {"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello", 200, "hello"},
		"folded":            {"HTTP/1.1 200 OK\r\nX-A: b\r\n c\r\nContent-Length: 5\r\n\r\nhello", 200, "hello"},
		"no reason":         {"HTTP/1.1 200\r\nContent-Length: 5\r\n\r\nhello", 200, "hello"},
		"length and chunks": {"HTTP/1.1 200 OK\r\nContent-Length: 50\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", 200, "hello"},
		"two lengths":       {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello", 502, "tend ingress: Bad Gateway\n"},
		"not HTTP":          {"hello\r\n\r\n", 502, "tend ingress: Bad Gateway\n"},
		"uninvited switch":  {"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n", 502, "tend ingress: Bad Gateway\n"},
		"more than it said": {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\n\r\n", 200, "hello"},
	} {
		t.Run(name, func(t *testing.T) {
			r := startReplica(t, func(client net.Conn) {
				_, _ = http.ReadRequest(bufio.NewReader(client))
				_, _ = io.WriteString(client, c.answer)
			})
			in := startIngress(t)
			in.http(r.ready())
			client := rawTo(t, in)
			for range 2 { // the client's connection is as good as before
				client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
				response, text := client.receive("GET")
				assert.Equal(t, c.status, response.StatusCode)
				assert.Equal(t, c.text, text)
			}
		})
	}
}

func TestClientsThatWaitAreServedAgain(t *testing.T) {
	r := serveHTTP(t, sayBack)
	in := startIngress(t)
	in.http(r.ready())
	var clients []*raw
	for range 200 {
		clients = append(clients, rawTo(t, in))
	}
	for i := range 3 {
		for _, c := range clients {
			c.send(fmt.Sprintf("GET /%d HTTP/1.1\r\nHost: x\r\n\r\n", i))
		}
		for _, c := range clients {
			_, text := c.receive("GET")
			assert.Equal(t, fmt.Sprintf("GET /%d ", i), text)
		}
	}
}

func TestTheEndWaitsForRequests(t *testing.T) {
	begun, finish := make(chan struct{}), make(chan struct{})
	r := serveHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			close(begun)
			<-finish
		}
		sayBack(w, r)
	})
	in := startIngress(t)
	in.http(r.ready())
	idle, slow, fresh := rawTo(t, in), rawTo(t, in), rawTo(t, in)
	idle.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	idle.receive("GET")
	slow.send("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
	<-begun
	require.NoError(t, in.cmd.Process.Signal(syscall.SIGTERM))
	idle.ends()
	fresh.ends()
	close(finish)
	response, text := slow.receive("GET")
	assert.Equal(t, "GET /slow ", text)
	assert.True(t, response.Close)
	slow.ends()
}
