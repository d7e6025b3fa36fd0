// Package server runs a service: its start, its health, its HTTP side and its
// orderly end.
package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-chi/chi/v5"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"
	"google.golang.org/grpc"

	"github.com/tendhq/tend/services/contracts"
	"github.com/tendhq/tend/services/internal/auth"
	"github.com/tendhq/tend/services/internal/client"
	"github.com/tendhq/tend/services/internal/config"
	"github.com/tendhq/tend/services/internal/events"
	"github.com/tendhq/tend/services/internal/httpx"
	"github.com/tendhq/tend/services/internal/logging"
	"github.com/tendhq/tend/services/internal/metrics"
	"github.com/tendhq/tend/services/internal/postgres"
	"github.com/tendhq/tend/services/internal/rpc"
	"github.com/tendhq/tend/services/internal/tracing"
	"github.com/tendhq/tend/services/internal/version"
)

const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 10 * time.Second
	requestTimeout    = 15 * time.Second
	writeTimeout      = 20 * time.Second
	idleTimeout       = 90 * time.Second
	maxHeaderBytes    = 16 << 10
	readyTimeout      = time.Second

	// drainDelay is how long a stopping service still accepts connections, so
	// that clients can see that it is not ready and leave.
	drainDelay = time.Second
	// shutdownTimeout lets every request that was accepted run to its own timeout.
	shutdownTimeout = requestTimeout + 2*time.Second
)

// Service describes a service to run.
type Service struct {
	Name       string
	Port       int   // where PORT is not set
	GRPCPort   int   // where GRPC_PORT is not set, of a service that answers gRPC; else 0
	Migrations fs.FS // with the folder migrations; nil where the service has no database, and so knows no callers
	// Issues reports whether the service issues tokens. Its migrations then make the
	// table signing_keys.
	Issues bool
	// Contract is what the service promises, and publishes at /contract and, as OpenAPI,
	// at /openapi.json. May be nil.
	Contract *contracts.Contract
	// Callers are the services that call this one, each with tokens of its own.
	Callers []string
	// New builds the service. Problems of the environment it leaves in Env.
	New func(*Runtime) (*App, error)
	// Commands are what else the service's program does, by the name of the subcommand.
	Commands map[string]Run
}

// Run does what a subcommand is for. Of the runtime it has the environment, the log, the
// metrics, which nobody reads, and the database.
type Run func(context.Context, *Runtime) error

// Runtime is what a service is built from.
type Runtime struct {
	Env     *config.Env
	Log     *zap.Logger
	Metrics *metrics.Metrics
	DB      *postgres.DB // nil, as Tokens and Outbox are, where the service has no database
	Tokens  *auth.Verifier
	Signer  *auth.Signer // nil unless the service issues tokens
	Outbox  *events.Outbox
	// Traces makes the first span of work that no request has begun, such as handling an event.
	Traces trace.TracerProvider

	bus     events.Bus // nil without one
	clients map[string]*client.Client
	grpc    []*client.GRPC
}

// Client returns the client of a service such as user-service, which is at the URL
// that a variable such as USER_SERVICE_URL holds.
func (rt *Runtime) Client(target string) *client.Client {
	if known, ok := rt.clients[target]; ok {
		return known
	}
	made := client.New(target, rt.Env.URL(variable(target)+"_URL"), rt.issue(), rt.Metrics, rt.Log)
	rt.clients[target] = made
	return made
}

// GRPC returns a gRPC client of a service such as user-service, which is at the address
// that a variable such as USER_SERVICE_GRPC holds.
func (rt *Runtime) GRPC(target string) *client.GRPC {
	host, port := rt.Env.Address(variable(target) + "_GRPC")
	made := client.NewGRPC(target, host, port, rt.issue(), rt.Metrics, rt.Log)
	rt.grpc = append(rt.grpc, made)
	return made
}

// variable returns the begin of the names of a service's variables.
func variable(service string) string { return strings.ToUpper(strings.ReplaceAll(service, "-", "_")) }

// issue makes the tokens of calls, nil where the service has none.
func (rt *Runtime) issue() client.Issue {
	if rt.Signer == nil {
		return nil
	}
	return rt.Signer.IssueService
}

// App is a service that was built.
type App struct {
	// Routes adds the service's routes. They are only called once the
	// migrations have run.
	Routes func(chi.Router)
	// RPC adds the service's gRPC services. Set where the service has a GRPCPort.
	RPC func(grpc.ServiceRegistrar)
	// Handlers are what the service does with each event that its contract consumes.
	Handlers map[string]events.Handler
	// Background runs beside the server, after the migrations, until its context
	// ends. May be nil.
	Background func(context.Context)
	// Close releases what New opened. May be nil.
	Close func()
}

// Server is a service that can run.
type Server struct {
	service  Service
	runtime  Runtime
	app      *App
	handler  http.Handler
	rpc      *rpc.Server // nil unless the service answers gRPC
	deliver  func()      // the spans that wait
	migrated atomic.Bool
	draining atomic.Bool
}

// New builds the service from its environment without waiting for anything it
// depends on. Logs go to logs. Run must follow, as it releases what New opened.
func New(service Service, env *config.Env, logs io.Writer) (*Server, error) {
	log, err := logging.New(logs, env.String("LOG_LEVEL", "info"), service.Name, version.Version)
	if err != nil {
		return nil, fmt.Errorf("LOG_LEVEL: %w", err)
	}
	s := &Server{service: service, runtime: Runtime{Env: env, Log: log, Metrics: metrics.New(service.Name), clients: map[string]*client.Client{}}}
	s.runtime.Traces, s.deliver = tracing.FromEnv(env, service.Name, version.Version, s.runtime.Metrics.Registerer, log)
	if service.Migrations != nil {
		if s.runtime.DB, err = postgres.Open(postgres.ConfigFromEnv(env), s.runtime.Metrics); err != nil {
			s.close()
			return nil, errors.Join(env.Err(), err)
		}
		s.authenticate()
		s.runtime.bus = events.FromEnv(env)
		s.runtime.Outbox, err = events.NewOutbox(service.Contract, s.runtime.bus != nil)
	}
	if err == nil {
		s.app, err = service.New(&s.runtime)
	}
	if err = errors.Join(env.Err(), err, s.checkHandlers()); err != nil {
		s.close()
		return nil, err
	}
	if s.handler, err = s.routes(); err != nil {
		s.close()
		return nil, err
	}
	if s.app.RPC != nil {
		s.rpc = rpc.NewServer(rpc.Config{
			Log: log, Metrics: s.runtime.Metrics, Tokens: s.runtime.Tokens, Traces: s.runtime.Traces, Timeout: requestTimeout, Ready: s.awaitsMigrations,
		}, s.app.RPC)
	}
	return s, nil
}

// authenticate prepares who may call the service, and how it calls others.
func (s *Server) authenticate() {
	rt := &s.runtime
	if s.service.Issues {
		rt.Signer = auth.NewSigner(s.service.Name, rt.DB)
	}
	keys := func(issuer string) auth.FetchKeys {
		if issuer == s.service.Name {
			return rt.Signer.Public
		}
		return rt.Client(issuer).Keys
	}
	callers := map[string]auth.FetchKeys{}
	for _, caller := range s.service.Callers {
		callers[caller] = keys(caller)
	}
	rt.Tokens = auth.NewVerifier(s.service.Name, keys(auth.Users), callers)
}

// checkHandlers returns an error unless the service handles what its contract consumes.
func (s *Server) checkHandlers() error {
	if s.app == nil || s.service.Contract == nil {
		return nil
	}
	handled, consumed := slices.Sorted(maps.Keys(s.app.Handlers)), slices.Sorted(slices.Values(s.service.Contract.Consumes))
	if !slices.Equal(handled, consumed) {
		return fmt.Errorf("%s handles the events %v, and its contract consumes %v", s.service.Name, handled, consumed)
	}
	return nil
}

func (s *Server) close() {
	for _, c := range s.runtime.clients {
		c.Close()
	}
	for _, c := range s.runtime.grpc {
		c.Close()
	}
	if s.app != nil && s.app.Close != nil {
		s.app.Close()
	}
	if s.runtime.bus != nil {
		s.runtime.bus.Close()
	}
	if s.runtime.DB != nil {
		s.runtime.DB.Close()
	}
	s.deliver()
}

func (s *Server) routes() (http.Handler, error) {
	r := chi.NewRouter()
	r.Use(httpx.Trace(s.runtime.Traces), httpx.WithIDs(s.runtime.Log), s.runtime.Metrics.Middleware, httpx.Recover, s.closeWhenDraining)
	r.NotFound(httpx.Handler(httpx.NotFound).ServeHTTP)
	r.MethodNotAllowed(httpx.Handler(httpx.MethodNotAllowed).ServeHTTP)
	r.Method(http.MethodGet, "/health/live", httpx.Handler(s.live))
	r.Method(http.MethodGet, "/health/ready", httpx.Handler(s.ready))
	r.Method(http.MethodGet, "/metrics", s.runtime.Metrics.Handler())
	if err := s.publishContract(r); err != nil {
		return nil, err
	}
	r.Group(func(r chi.Router) {
		r.Use(httpx.AccessLog, httpx.Timeout(requestTimeout), s.afterMigrations)
		if s.runtime.Signer != nil {
			r.Method(http.MethodGet, auth.KeysPath, httpx.Handler(s.runtime.Signer.ServeKeys))
		}
		s.app.Routes(r)
	})
	return r, nil
}

func (s *Server) publishContract(r chi.Router) error {
	if s.service.Contract == nil {
		return nil
	}
	description, err := s.service.Contract.OpenAPI()
	if err != nil {
		return fmt.Errorf("contract of %s: %w", s.service.Name, err)
	}
	r.Method(http.MethodGet, "/contract", httpx.Handler(func(w http.ResponseWriter, r *http.Request) error {
		return httpx.WriteJSON(w, r, http.StatusOK, json.RawMessage(s.service.Contract.Document()))
	}))
	r.Method(http.MethodGet, "/openapi.json", httpx.Handler(func(w http.ResponseWriter, r *http.Request) error {
		return httpx.WriteJSON(w, r, http.StatusOK, description)
	}))
	return nil
}

type health struct {
	Status string `json:"status"`
}

func (s *Server) live(w http.ResponseWriter, r *http.Request) error {
	return httpx.WriteJSON(w, r, http.StatusOK, health{Status: "live"})
}

func (s *Server) ready(w http.ResponseWriter, r *http.Request) error {
	if s.draining.Load() {
		return httpx.NewProblem(http.StatusServiceUnavailable, "shutting down")
	}
	if !s.migrated.Load() {
		return httpx.NewProblem(http.StatusServiceUnavailable, "waiting for the database and its migrations")
	}
	if s.runtime.DB != nil {
		ctx, cancel := context.WithTimeout(r.Context(), readyTimeout)
		defer cancel()
		if err := s.runtime.DB.Ping(ctx); err != nil {
			logging.From(r.Context()).Warn("not ready", zap.Error(err))
			return httpx.NewProblem(http.StatusServiceUnavailable, "the database does not answer")
		}
	}
	return httpx.WriteJSON(w, r, http.StatusOK, health{Status: "ready"})
}

func (s *Server) afterMigrations(next http.Handler) http.Handler {
	return httpx.Handler(func(w http.ResponseWriter, r *http.Request) error {
		if err := s.awaitsMigrations(); err != nil {
			return err
		}
		next.ServeHTTP(w, r)
		return nil
	})
}

// awaitsMigrations returns why the service cannot answer yet, nil where it can.
func (s *Server) awaitsMigrations() error {
	if !s.migrated.Load() {
		return &postgres.UnavailableError{Err: errors.New("migrations have not run yet")}
	}
	return nil
}

// closeWhenDraining retires kept-alive connections with a last answer, so that
// no client sends a request into one that is about to be closed.
func (s *Server) closeWhenDraining(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.draining.Load() {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}

// Run serves on listener, and gRPC on another, nil where the service answers none, until
// ctx ends and what is in flight has finished. It starts serving at once, not ready, and
// becomes ready when the database is there and migrated.
func (s *Server) Run(ctx context.Context, listener, rpcListener net.Listener) error {
	log := s.runtime.Log
	log.Info("started", zap.Stringer("address", listener.Addr()))
	srv := &http.Server{
		Handler:           s.handler,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          zap.NewStdLog(log.Named("http")),
		ConnState:         s.runtime.Metrics.ConnState,
	}
	background, stopBackground := context.WithCancel(context.WithoutCancel(ctx))
	defer stopBackground()
	served := make(chan error, 2)
	var group sync.WaitGroup
	group.Go(func() { s.runBackground(background) })
	group.Go(func() { served <- srv.Serve(listener) })
	if s.rpc != nil {
		group.Go(func() { served <- s.rpc.Serve(rpcListener) })
	}

	var err error
	select {
	case err = <-served:
		err = errors.Join(err, s.shutdown(srv))
	case <-ctx.Done():
		err = s.shutdown(srv)
	}
	stopBackground()
	group.Wait()
	s.close()
	if err != nil {
		return fmt.Errorf("serve: %w", err)
	}
	log.Info("stopped")
	return nil
}

func (s *Server) runBackground(ctx context.Context) {
	if s.runtime.DB != nil {
		if err := s.runtime.DB.MigrateWhenAvailable(ctx, s.service.Migrations, s.runtime.Log); err != nil {
			// Only the end of ctx ends the attempts.
			return
		}
	}
	s.migrated.Store(true)
	if s.rpc != nil {
		s.rpc.SetServing(true)
	}
	s.runtime.Log.Info("ready")
	var group sync.WaitGroup
	if s.runtime.Tokens != nil {
		group.Go(func() { s.runtime.Tokens.Run(ctx) })
	}
	if s.runtime.Signer != nil {
		group.Go(func() { s.runtime.Signer.Run(ctx, s.runtime.Log) })
	}
	if s.app.Background != nil {
		group.Go(func() { s.app.Background(ctx) })
	}
	if rt := s.runtime; rt.bus != nil {
		relay := events.NewRelay(rt.DB, rt.bus, rt.Metrics.Registerer, rt.Log)
		group.Go(func() { relay.Run(ctx) })
		if len(s.app.Handlers) > 0 {
			consumer := events.NewConsumer(s.service.Name, s.app.Handlers, rt.DB, rt.bus, rt.Traces, rt.Metrics.Registerer, rt.Log)
			group.Go(func() { consumer.Run(ctx) })
		}
	}
	group.Wait()
}

func (s *Server) shutdown(srv *http.Server) error {
	s.draining.Store(true)
	if s.rpc != nil {
		s.rpc.SetServing(false)
	}
	s.runtime.Log.Info("stopping", zap.Duration("drain", drainDelay), zap.Duration("timeout", shutdownTimeout))
	time.Sleep(drainDelay)
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
	defer cancel()
	var group sync.WaitGroup
	if s.rpc != nil {
		group.Go(func() { s.rpc.Stop(ctx) })
	}
	err := srv.Shutdown(ctx)
	group.Wait()
	if err != nil {
		return errors.Join(fmt.Errorf("requests cut off: %w", err), srv.Close())
	}
	return nil
}
