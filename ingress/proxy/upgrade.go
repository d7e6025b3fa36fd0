package proxy

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// hopByHop are the headers that concern one connection alone (RFC 9110, 7.6.1).
var hopByHop = []string{"Connection", "Keep-Alive", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade"}

// upgradeOf returns the protocol that a message changes to, as websocket.
func upgradeOf(header http.Header) string {
	for _, option := range connectionOptions(header) {
		if strings.EqualFold(option, "upgrade") {
			return header.Get("Upgrade")
		}
	}
	return ""
}

func connectionOptions(header http.Header) (options []string) {
	for _, value := range header["Connection"] {
		for option := range strings.SplitSeq(value, ",") {
			options = append(options, strings.TrimSpace(option))
		}
	}
	return options
}

// upgrade passes on a request to change the protocol. Once a replica has agreed, its
// connection and the client's are a pair like any other.
func (w *web) upgrade(rw http.ResponseWriter, r *http.Request) {
	began := time.Now()
	e, replica, response, err := w.ask(r, began)
	if err != nil {
		w.refuse(rw, r, err)
		return
	}
	e.answered(response.Response, time.Since(began))
	if response.StatusCode != http.StatusSwitchingProtocols {
		pass(rw, response.Response)
		_ = replica.Close()
		w.pool.release(e)
		return
	}
	w.open.add() // before the server no longer counts it
	end := func() {
		w.pool.release(e)
		w.open.done()
	}
	client, early, err := http.NewResponseController(rw).Hijack()
	if err != nil {
		_ = replica.Close()
		end()
		return
	}
	response.Body = nil
	err = response.Write(client)
	if err == nil {
		err = passBuffered(client, response.rest)
	}
	if err == nil {
		err = passBuffered(replica, early.Reader)
	}
	if err != nil {
		_, _ = client.Close(), replica.Close()
		end()
		return
	}
	fd, err := detach(replica)
	if err != nil {
		_ = client.Close()
		end()
		return
	}
	w.relay.join(client.(*net.TCPConn), fd, &e.counters, end)
}

// lone is an answer on a connection of its own, with what was read behind it.
type lone struct {
	*http.Response
	rest *bufio.Reader
}

// ask sends a request on a connection of its own, and to another replica as long as
// that is safe. The request to e is open.
func (w *web) ask(r *http.Request, began time.Time) (*endpoint, *net.TCPConn, lone, error) {
	for sent := 1; ; sent++ {
		e, replica, err := connect(r.Context(), w.pool, localAddress(r).Port(), began, dialConn)
		if err != nil {
			w.pool.rest.requests.Add(1)
			w.pool.rest.failures.Add(1)
			return nil, nil, lone{}, err
		}
		response, err := exchange(replica, r)
		if err == nil {
			return e, replica, response, nil
		}
		_ = replica.Close()
		if r.Context().Err() != nil {
			w.pool.release(e)
			return nil, nil, lone{}, err
		}
		w.pool.failed(e)
		if !repeatable(r) || sent == maxSent {
			e.requests.Add(1)
			e.counters.failures.Add(1)
			return nil, nil, lone{}, err
		}
	}
}

// exchange sends a request to change the protocol and waits for the answer.
func exchange(replica *net.TCPConn, r *http.Request) (lone, error) {
	stop := context.AfterFunc(r.Context(), func() { _ = replica.Close() })
	defer stop()
	out := r.Clone(r.Context())
	for _, name := range append(connectionOptions(r.Header), hopByHop...) {
		out.Header.Del(name)
	}
	out.Header.Set("Connection", "Upgrade")
	out.Header.Set("Upgrade", upgradeOf(r.Header))
	if out.Header["User-Agent"] == nil {
		out.Header["User-Agent"] = []string{""} // none, instead of Go's
	}
	forward(out.Header, r)
	if err := out.Write(replica); err != nil {
		return lone{}, err
	}
	rest := bufio.NewReader(replica)
	for {
		response, err := http.ReadResponse(rest, r)
		if err != nil {
			return lone{}, err
		}
		if response.StatusCode >= 200 || response.StatusCode == http.StatusSwitchingProtocols {
			return lone{Response: response, rest: rest}, nil
		}
	}
}

// pass passes on an ordinary answer.
func pass(rw http.ResponseWriter, response *http.Response) {
	for name, values := range response.Header {
		rw.Header()[name] = values
	}
	for _, name := range append(connectionOptions(response.Header), hopByHop...) {
		rw.Header().Del(name)
	}
	rw.WriteHeader(response.StatusCode)
	flushing := &flusher{ResponseWriter: rw, flush: http.NewResponseController(rw).Flush}
	if _, err := io.Copy(flushing, response.Body); err != nil {
		panic(http.ErrAbortHandler) // so that it does not look whole
	}
}

// flusher sends on at once what is written.
type flusher struct {
	http.ResponseWriter
	flush func() error
}

func (f *flusher) Write(p []byte) (int, error) {
	n, err := f.ResponseWriter.Write(p)
	if err == nil {
		err = f.flush()
	}
	return n, err
}

// passBuffered passes on what was read too far.
func passBuffered(to io.Writer, from *bufio.Reader) error {
	_, err := io.CopyN(to, from, int64(from.Buffered()))
	return err
}
