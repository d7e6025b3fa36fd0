// Package api serves what tend knows over HTTP: workloads, their replicas, endpoints
// and events, read from snapshots of the state. It also takes requests about rollouts.
// Objects have the shape of Kubernetes', errors are RFC 9457 problem documents, and
// changes can be followed as server-sent events. Package client is its client.
package api

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	"go.uber.org/zap"

	"github.com/tendhq/tend/api/page"
	"github.com/tendhq/tend/controller/spec/load"
	"github.com/tendhq/tend/state"
)

//go:embed openapi.yaml
var openAPI []byte

// pageFolder is the path of the page's files.
const pageFolder = "/page/"

// Config is what the API serves from.
type Config struct {
	Store      *state.Store
	Controller Controller
	// Spec says where the project is written, to edit its spec files.
	Spec load.Options
	// Ready returns why the controller cannot do its work, or nil.
	Ready func() error
	// Metrics serves /metrics.
	Metrics http.Handler
	// Requests counts the requests; nil for nobody.
	Requests *Metrics
	// Project is the Compose project's name, Version the program's.
	Project, Version string
	// Swarm is true where a Docker Swarm keeps the project.
	Swarm bool
	Log   *zap.Logger
	// DataDir holds the tokens; see MakeTokens.
	DataDir string
	// AnonymousRead lets everyone read who reaches a listener.
	AnonymousRead bool
}

// server holds the handlers.
type server struct {
	Config
	held  peers
	codes codes
	// encoded are the workloads as they are sent.
	encoded encodings
}

func newServer(c Config) *server {
	return &server{Config: c, held: peers{mostOfPeer: maxHeld, most: maxConnections}}
}

// New makes the handler of the control API. It judges each caller by the connection and
// the token, so it is as safe on one listener as on another.
func New(c Config) http.Handler {
	return c.control()
}

// NewReadOnly makes the handler for the project's own networks. It answers what
// gateways and scrapers ask for, and nothing else, whatever token is sent.
func NewReadOnly(c Config) http.Handler {
	return c.readOnly()
}

func (c Config) control() *chi.Mux {
	s := newServer(c)
	r := s.newRouter()
	s.addPublic(r)
	r.Get("/openapi.yaml", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/yaml")
		_, _ = w.Write(openAPI)
	})
	r.Get("/", page.Index)
	r.Get(pageFolder+"{file}", func(w http.ResponseWriter, r *http.Request) {
		if !page.File(w, r, chi.URLParam(r, "file")) {
			fail(w, problem(http.StatusNotFound, "the page has no such file"))
		}
	})
	s.addRegistering(r)
	r.Route("/api/v1", func(r chi.Router) {
		s.addWorkloads(r)
		r.Get("/replicas", s.serve(listReplicas))
		r.Get("/events", s.events)
		r.Post("/replicas/{replica}/kill", s.kill)
		r.Get("/images", s.serve(listImages))
		r.Get("/subscribers", s.subscribers)
		r.Get("/traffic", s.traffic)
		r.Get("/watch", s.watchAll)
		r.Get("/specs", adminOnly(s.listSpecs))
		r.Get("/specs/{file}", adminOnly(s.getSpec))
		r.Put("/specs/{file}", s.putSpec)
		r.Post("/validate", s.validate)
		r.Get("/session", s.getSession)
		r.Post("/session", s.login)
		r.Delete("/session", s.logout)
		r.Post("/session/link", s.makeLink)
	})
	return r
}

func (c Config) readOnly() *chi.Mux {
	s := newServer(c)
	r := s.newRouter()
	s.addPublic(r)
	return r
}

// newRouter makes a router with the middleware that every request passes through.
func (s *server) newRouter() *chi.Mux {
	r := chi.NewRouter()
	g := guard{dataDir: s.DataDir, cookie: cookieName(s.Project), anonymousRead: s.AnonymousRead, log: s.Log}
	r.Use(s.Requests.middleware, s.headers, g.middleware, crossOrigin, noBody, middleware.GetHead)
	r.NotFound(func(w http.ResponseWriter, r *http.Request) {
		fail(w, problem(http.StatusNotFound, "there is no "+r.URL.Path+" here; /openapi.yaml of the control API lists what there is"))
	})
	r.MethodNotAllowed(func(w http.ResponseWriter, req *http.Request) {
		allow := allowed(r, req.URL.Path)
		w.Header().Set("Allow", allow)
		fail(w, problem(http.StatusMethodNotAllowed, req.Method+" is not possible here, but "+allow))
	})
	return r
}

// allowed lists the methods that a path takes.
func allowed(r *chi.Mux, path string) string {
	var methods []string
	for _, m := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete} {
		if r.Match(chi.NewRouteContext(), m, path) {
			methods = append(methods, m)
			if m == http.MethodGet {
				methods = append(methods, http.MethodHead)
			}
		}
	}
	return strings.Join(methods, ", ")
}

// addPublic adds the paths that gateways and scrapers read.
func (s *server) addPublic(r chi.Router) {
	r.Get("/healthz", s.healthz)
	r.Get("/readyz", s.readyz)
	r.Get("/metrics", s.Metrics.ServeHTTP)
	r.Get(endpointsPath, s.endpoints)
	r.Post(endpointsPath, s.endpoints)
	r.Get("/api/v1/discovery/prometheus", s.serve(s.discoverPrometheus))
	r.Get("/api/v1/discovery/traefik", s.serve(s.discoverTraefik))
	s.addConsul(r)
}

func (s *server) addWorkloads(r chi.Router) {
	r.Get("/workloads", s.serve(s.listWorkloads))
	r.Get("/workloads/{name}", s.serve(getWorkload))
	r.Get("/workloads/{name}/replicas", s.serve(listReplicas))
	r.Get("/workloads/{name}/revisions", s.serve(listRevisions))
	r.Get("/workloads/{name}/events", s.events)
	r.Put("/workloads/{name}/scale", s.scale)
	r.Post("/workloads/{name}/rollout/pause", s.pause(true))
	r.Post("/workloads/{name}/rollout/resume", s.pause(false))
	r.Post("/workloads/{name}/rollout/restart", s.restart)
	r.Post("/workloads/{name}/rollout/undo", s.undo)
	r.Get("/workloads/{name}/revisions/diff", s.serve(diffRevisions))
	r.Get("/workloads/{name}/plan", s.plan)
	r.Get("/workloads/{name}/logs", s.logs)
}

// read makes the answer to a request from a snapshot; a failure is a *Problem.
type read func(*state.Snapshot, *http.Request) (any, error)

// serve answers once, or again after each change when asked for a stream.
func (s *server) serve(read read) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if wantsStream(r) {
			s.stream(w, r, read)
			return
		}
		answer, err := read(s.Store.Snapshot(), r)
		if err != nil {
			fail(w, err)
			return
		}
		writeJSON(w, answer)
	}
}

func (s *server) listWorkloads(snap *state.Snapshot, _ *http.Request) (any, error) {
	return s.encoded.workloads(snap), nil
}

func getWorkload(snap *state.Snapshot, r *http.Request) (any, error) {
	name := chi.URLParam(r, "name")
	row, ok := snap.Workload(name)
	if !ok {
		return nil, noWorkload(snap, name)
	}
	status, _ := snap.Status(name)
	return toWorkload(row, status, snap.Scale(name)), nil
}

// listReplicas lists the containers of all workloads, or of the one in the path. A
// workload that was taken out of the project may still have some.
func listReplicas(snap *state.Snapshot, r *http.Request) (any, error) {
	name := chi.URLParam(r, "name")
	list := replicas(snap, name)
	if _, ok := snap.Workload(name); name != "" && !ok && len(list.Items) == 0 {
		return nil, noWorkload(snap, name)
	}
	return list, nil
}

func (s *server) health(status string) Health {
	return Health{Status: status, Project: s.Project, Version: s.Version}
}

// healthz answers while the process serves.
func (s *server) healthz(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, s.health("ok"))
}

// readyz reports whether the controller can do its work. The reason may quote what is
// written, so it is not for everyone.
func (s *server) readyz(w http.ResponseWriter, r *http.Request) {
	if err := s.Ready(); err != nil {
		p := problem(http.StatusServiceUnavailable, "the controller is not ready")
		if callerFrom(r).role != "" {
			p.Detail += ": " + err.Error()
		}
		fail(w, p)
		return
	}
	writeJSON(w, s.health("ready"))
}

func writeJSON(w http.ResponseWriter, v any) {
	text := encode(v)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(text))) // a long answer would go out in chunks
	_, _ = w.Write(text)                                      // it fails only when the reader has gone
}

// encode makes one line of JSON. As no answer is HTML, "->" stays as it is.
func encode(v any) []byte {
	if text, ok := v.(encoded); ok {
		return text
	}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(fmt.Sprintf("api: %T has no JSON: %v", v, err)) // a programming error
	}
	return out.Bytes()
}
