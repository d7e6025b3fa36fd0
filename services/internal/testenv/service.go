package testenv

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"sync"
	"testing"

	"github.com/tendhq/tend/services/internal/config"
	"github.com/tendhq/tend/services/internal/server"
)

// Service is one that runs in the test's process.
type Service struct {
	URL    string
	GRPC   string // HOST:PORT, "" where the service answers no gRPC
	client *http.Client
	cancel context.CancelFunc
	ended  chan error
	check  *contractCheck
}

// StartService runs a service until the test ends or Shutdown is called. It need not be
// ready yet. What it is asked and answers is held to its contract. Unless told otherwise it takes the tokens that Token returns.
func StartService(t testing.TB, service server.Service, envs ...map[string]string) *Service {
	t.Helper()
	return StartServiceAt(t, Listen(t), service, envs...)
}

// Listen returns a listener on a free port, for a service whose URL others must know
// before it starts.
func Listen(t testing.TB) net.Listener {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return listener
}

// StartServiceAt is StartService with a listener.
func StartServiceAt(t testing.TB, listener net.Listener, service server.Service, envs ...map[string]string) *Service {
	t.Helper()
	service, check := holdToContract(t, service)
	s, err := newServer(t, service, envs)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	running := &Service{
		URL:    "http://" + listener.Addr().String(),
		client: &http.Client{Transport: &http.Transport{}},
		cancel: cancel,
		ended:  make(chan error, 1),
		check:  check,
	}
	var rpcListener net.Listener
	if service.GRPCPort != 0 {
		rpcListener = Listen(t)
		running.GRPC = rpcListener.Addr().String()
	}
	go func() { running.ended <- s.Run(ctx, listener, rpcListener) }()
	t.Cleanup(func() {
		running.cancel()
		if err := <-running.ended; err != nil {
			t.Errorf("%s: %v", service.Name, err)
		}
		running.client.CloseIdleConnections()
	})
	return running
}

// StartReady is StartService that returns when the service is ready.
func StartReady(t testing.TB, service server.Service, envs ...map[string]string) *Service {
	t.Helper()
	running := StartService(t, service, envs...)
	running.AwaitReady(t)
	return running
}

// Refused returns why a service does not start, nil where it does.
func Refused(t testing.TB, service server.Service, envs ...map[string]string) error {
	t.Helper()
	_, err := newServer(t, service, envs)
	return err
}

func newServer(t testing.TB, service server.Service, envs []map[string]string) (*server.Server, error) {
	t.Helper()
	issuer := issuerURL(t)
	env := map[string]string{"USER_SERVICE_URL": issuer, "ORDER_SERVICE_URL": issuer, "LOG_LEVEL": "info"}
	for _, more := range envs {
		maps.Copy(env, more)
	}
	lookup := func(name string) (string, bool) { value, ok := env[name]; return value, ok }
	return server.New(service, config.NewEnv(lookup), testWriter{t})
}

// Shutdown begins what SIGTERM begins.
func (s *Service) Shutdown() { s.cancel() }

// AwaitReady returns when the service says that it is ready.
func (s *Service) AwaitReady(t testing.TB) {
	t.Helper()
	Await(t, s.URL+" becomes ready", func() error {
		if got := s.Do(t, Request{Path: "/health/ready"}); got.Status != http.StatusOK {
			return fmt.Errorf("answered %d: %s", got.Status, got.Body)
		}
		return nil
	})
}

// Request is a request to a service.
type Request struct {
	Method string // GET where empty
	Path   string
	Token  string
	Key    string // Idempotency-Key
	Header http.Header
	Body   string // JSON
}

// Response is its answer.
type Response struct {
	Status int
	Header http.Header
	Body   []byte
	Closed bool // the server closes the connection after it
}

// Do sends a request.
func (s *Service) Do(t testing.TB, r Request) Response {
	t.Helper()
	response, err := s.Try(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return response
}

// AtOnce sends requests at the same time, and counts the answers by status.
func (s *Service) AtOnce(t testing.TB, requests []Request) map[int]int {
	t.Helper()
	statuses := make(chan int, len(requests))
	var group sync.WaitGroup
	for _, r := range requests {
		group.Go(func() {
			response, err := s.Try(t.Context(), r)
			if err != nil {
				t.Error(err)
			}
			statuses <- response.Status
		})
	}
	group.Wait()
	close(statuses)
	count := map[int]int{}
	for status := range statuses {
		count[status]++
	}
	return count
}

// Try sends a request that may get no answer.
func (s *Service) Try(ctx context.Context, r Request) (Response, error) {
	if r.Method == "" {
		r.Method = http.MethodGet
	}
	request, err := http.NewRequestWithContext(ctx, r.Method, s.URL+r.Path, bytes.NewReader([]byte(r.Body)))
	if err != nil {
		return Response{}, err
	}
	if r.Body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	if r.Token != "" {
		request.Header.Set("Authorization", "Bearer "+r.Token)
	}
	if r.Key != "" {
		request.Header.Set("Idempotency-Key", r.Key)
	}
	maps.Copy(request.Header, r.Header)
	response, err := s.client.Do(request)
	if err != nil {
		return Response{}, err
	}
	body, err := io.ReadAll(response.Body)
	return Response{Status: response.StatusCode, Header: response.Header, Body: body, Closed: response.Close}, errors.Join(err, response.Body.Close())
}

// Expect fails the test unless the answer has the status, and decodes its body
// into target, unless that is nil.
func (r Response) Expect(t testing.TB, status int, target any) {
	t.Helper()
	if r.Status != status {
		t.Fatalf("answered %d, want %d: %s", r.Status, status, r.Body)
	}
	if target == nil {
		return
	}
	if err := json.Unmarshal(r.Body, target); err != nil {
		t.Fatalf("body %s: %v", r.Body, err)
	}
}

// testWriter sends a service's log to the test's.
type testWriter struct{ t testing.TB }

func (w testWriter) Write(line []byte) (int, error) {
	w.t.Logf("%s", bytes.TrimSpace(line))
	return len(line), nil
}
