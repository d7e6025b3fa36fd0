package proxy

import (
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"strings"
	"sync"
)

// hopByHop are the headers that concern one connection alone (RFC 9110, 7.6.1).
var hopByHop = [...]string{"Connection", "Keep-Alive", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade"}

// forward passes on a request, and its answer.
func (w *web) forward(rw http.ResponseWriter, r *http.Request) {
	response, e, err := w.send(outgoing(r), func(early *http.Response) { passEarly(rw, early) })
	if err != nil {
		refuse(rw, r, err)
		return
	}
	if response.StatusCode == http.StatusSwitchingProtocols {
		w.switchProtocols(rw, response, e)
		return
	}
	defer w.pool.release(e)
	defer response.Body.Close()
	if err := pass(rw, response); err != nil {
		panic(http.ErrAbortHandler) // so that what is broken off does not look whole
	}
}

// outgoing returns a request as a replica is to get it: as it came, but for what
// concerns the connection to the client, and with whom it came from.
func outgoing(r *http.Request) *http.Request {
	out := *r
	out.Header = maps.Clone(r.Header)
	removeHopByHop(out.Header)
	if protocol := upgradeOf(r.Header); protocol != "" {
		out.Header["Connection"], out.Header["Upgrade"] = []string{"Upgrade"}, []string{protocol}
	}
	if strings.EqualFold(r.Header.Get("Te"), "trailers") {
		out.Header["Te"] = []string{"trailers"}
	}
	if out.Header["User-Agent"] == nil {
		out.Header["User-Agent"] = []string{""} // none, instead of Go's
	}
	out.Close = false
	tellClient(out.Header, r)
	return &out
}

// tellClient tells whom a request came from. What a proxy before this one said stays:
// to the replica it is as near as it was when the port was its own.
func tellClient(header http.Header, r *http.Request) {
	if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		before := header["X-Forwarded-For"]
		header["X-Forwarded-For"] = append(before[:len(before):len(before)], host)
	}
	if header["X-Forwarded-Host"] == nil {
		header["X-Forwarded-Host"] = []string{r.Host}
	}
	if header["X-Forwarded-Proto"] == nil {
		header["X-Forwarded-Proto"] = []string{"http"}
	}
}

func removeHopByHop(header http.Header) {
	for _, option := range connectionOptions(header) {
		header.Del(option)
	}
	for _, name := range hopByHop {
		delete(header, name)
	}
}

func connectionOptions(header http.Header) (options []string) {
	for _, value := range header["Connection"] {
		for option := range strings.SplitSeq(value, ",") {
			options = append(options, strings.TrimSpace(option))
		}
	}
	return options
}

// passEarly passes on an answer before the answer, as 103 Early Hints.
func passEarly(rw http.ResponseWriter, early *http.Response) {
	header := rw.Header()
	before := maps.Clone(header)
	maps.Copy(header, early.Header)
	rw.WriteHeader(early.StatusCode)
	clear(header)
	maps.Copy(header, before)
}

// pass passes on an answer.
func pass(rw http.ResponseWriter, response *http.Response) error {
	removeHopByHop(response.Header)
	header := rw.Header()
	maps.Copy(header, response.Header)
	announced := len(response.Trailer)
	for name := range response.Trailer {
		header["Trailer"] = append(header["Trailer"], name)
	}
	rw.WriteHeader(response.StatusCode)
	if err := passBody(rw, response); err != nil {
		return err
	}
	for name, values := range response.Trailer {
		if len(response.Trailer) != announced { // some were not announced
			name = http.TrailerPrefix + name
		}
		header[name] = values
	}
	return nil
}

// passBody passes on what a replica has sent before it waits for more.
func passBody(rw http.ResponseWriter, response *http.Response) error {
	if response.Body == http.NoBody || response.ContentLength == 0 {
		_, err := response.Body.Read(nil)
		return ignoreEOF(err)
	}
	flush := http.NewResponseController(rw).Flush
	if x, ok := response.Body.(*exchange); !ok || !x.instant() {
		if err := flush(); err != nil {
			return err
		}
	}
	buffer := buffers.Get().(*[32 << 10]byte)
	defer buffers.Put(buffer)
	for {
		n, err := response.Body.Read(buffer[:])
		if n > 0 {
			if _, err := rw.Write(buffer[:n]); err != nil {
				return err
			}
		}
		if err != nil {
			return ignoreEOF(err) // the server flushes at the end
		}
		if err := flush(); err != nil {
			return err
		}
	}
}

func ignoreEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// buffers are lent for the bodies of answers.
var buffers = sync.Pool{New: func() any { return new([32 << 10]byte) }}
