package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// witness stands between tend and the engine and tells the judge what tend
// asks for: the engine's events do not say who was it.
type witness struct {
	socket string
	judge  *judge
	proxy  *httputil.ReverseProxy
	server *http.Server
}

func newWitness(dir string, dial func(context.Context) (net.Conn, error), j *judge) *witness {
	w := &witness{socket: filepath.Join(dir, "witness.sock"), judge: j}
	w.proxy = &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host = "http", "engine"
			r.Out.Host = r.In.Host
		},
		Transport: &http.Transport{
			DialContext:        func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) },
			DisableCompression: true,
		},
		FlushInterval: -1, // events are to come when they happen
		// Who asks an engine that has gone gets no answer, rather than one of ours.
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
		ErrorLog:     log.New(io.Discard, "", 0),
	}
	return w
}

// open lets tend reach the engine.
func (w *witness) open() error {
	listener, err := net.Listen("unix", w.socket)
	if err != nil {
		return err
	}
	w.server = &http.Server{Handler: w, ErrorLog: log.New(io.Discard, "", 0)} //nolint:gosec // its only client is tend, whose event stream has no end
	go func() { _ = w.server.Serve(listener) }()
	return nil
}

// close breaks all connections; tend's next one is refused, as without an engine.
func (w *witness) close() {
	_ = w.server.Close()
	_ = os.Remove(w.socket)
}

func (w *witness) ServeHTTP(out http.ResponseWriter, in *http.Request) {
	r, err := read(in)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if r == nil {
		w.proxy.ServeHTTP(out, in)
		return
	}
	w.judge.asked(r)
	answer := &statusWriter{ResponseWriter: out}
	w.proxy.ServeHTTP(answer, in)
	w.judge.answered(r, answer.status)
}

// statusWriter remembers the status of an answer.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (s *statusWriter) WriteHeader(status int) {
	s.status = status
	s.ResponseWriter.WriteHeader(status)
}

func (s *statusWriter) Unwrap() http.ResponseWriter { return s.ResponseWriter }

// request is one that changes something.
type request struct {
	// kind is containers, networks, volumes or images; verb what is to be done:
	// the engine's own word, or delete.
	kind, verb string
	// object is the ID or name in the path, or the name of the object to create.
	object string
	query  url.Values
}

var paths = regexp.MustCompile(`^(?:/v[0-9.]+)?/(containers|networks|volumes|images|system|build)(?:/(.*))?$`)

// read parses a request of tend's. It returns nil for a read, and for a command in a
// container.
func read(in *http.Request) (*request, error) {
	parts := paths.FindStringSubmatch(in.URL.Path)
	if parts == nil || in.Method == http.MethodGet || in.Method == http.MethodHead {
		return nil, nil
	}
	r := &request{kind: parts[1], object: parts[2], query: in.URL.Query()}
	if in.Method == http.MethodDelete {
		r.verb = "delete"
		return r, nil
	}
	slash := strings.LastIndex(parts[2], "/")
	r.object, r.verb = parts[2][:max(slash, 0)], parts[2][slash+1:]
	switch {
	case r.verb == "exec" || r.verb == "wait" || r.verb == "attach":
		return nil, nil
	case r.verb != "create":
	case r.kind == "containers":
		r.object = r.query.Get("name")
	case r.kind == "images":
		r.object = r.query.Get("fromImage")
	default:
		var body struct{ Name string }
		content, err := io.ReadAll(io.LimitReader(in.Body, 1<<20))
		if err := errors.Join(err, json.Unmarshal(content, &body)); err != nil {
			return nil, err
		}
		in.Body, r.object = io.NopCloser(bytes.NewReader(content)), body.Name
	}
	return r, nil
}
