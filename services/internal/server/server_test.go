package server_test

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/go-chi/chi/v5"

	"github.com/tendhq/tend/services/internal/server"
	"github.com/tendhq/tend/services/internal/testenv"
	"github.com/tendhq/tend/services/internal/version"
)

func TestMain(m *testing.M) { os.Exit(testenv.Run(m)) }

// slow returns a service whose one route answers when release is closed.
func slow(entered chan<- struct{}, release <-chan struct{}) server.Service {
	return server.Service{
		Name:       "slow-service",
		Port:       3009,
		Migrations: fstest.MapFS{"migrations/00001_t.sql": {Data: []byte("-- +goose Up\nCREATE TABLE t ();")}},
		New: func(*server.Runtime) (*server.App, error) {
			return &server.App{Routes: func(r chi.Router) {
				r.Get("/slow", func(w http.ResponseWriter, _ *http.Request) {
					entered <- struct{}{}
					<-release
					w.WriteHeader(http.StatusNoContent)
				})
			}}, nil
		},
	}
}

func TestAServiceStartsBeforeItsDatabase(t *testing.T) {
	pg := testenv.SharedPostgres(t)
	service := testenv.StartService(t, slow(nil, nil), pg.Env(t, "not_yet"))
	service.Do(t, testenv.Request{Path: "/health/live"}).Expect(t, http.StatusOK, nil)
	service.Do(t, testenv.Request{Path: "/health/ready"}).Expect(t, http.StatusServiceUnavailable, nil)
	got := service.Do(t, testenv.Request{Path: "/slow"})
	got.Expect(t, http.StatusServiceUnavailable, nil)
	if got.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After header")
	}
	pg.MakeDatabase(t, "not_yet")
	service.AwaitReady(t)
}

func TestAServiceWithoutADatabaseNeedsNothing(t *testing.T) {
	plain := slow(nil, nil)
	plain.Migrations = nil
	service := testenv.StartReady(t, plain)
	service.Do(t, testenv.Request{Path: "/nothing"}).Expect(t, http.StatusNotFound, nil)
	service.Do(t, testenv.Request{Path: "/metrics"}).Expect(t, http.StatusOK, nil)
	none := func(string) (string, bool) { return "", false }
	if err := server.Command(t.Context(), plain, []string{"migrate", "up"}, none, &bytes.Buffer{}); !errors.Is(err, server.ErrUsage) {
		t.Errorf("migrate up: %v, want usage", err)
	}
}

func TestAStopFailsReadinessFirstAndFinishesWhatIsInFlight(t *testing.T) {
	pg := testenv.SharedPostgres(t)
	entered, release := make(chan struct{}, 1), make(chan struct{})
	service := testenv.StartReady(t, slow(entered, release), pg.Env(t, pg.NewDatabase(t)))
	answer := make(chan testenv.Response, 1)
	go func() {
		response, err := service.Try(context.Background(), testenv.Request{Path: "/slow"})
		if err != nil {
			t.Errorf("the request in flight got no answer: %v", err)
		}
		answer <- response
	}()
	<-entered
	service.Shutdown()
	testenv.Await(t, "readiness fails while the service still answers", func() error {
		got := service.Do(t, testenv.Request{Path: "/health/ready"})
		if got.Status != http.StatusServiceUnavailable {
			return errors.New("still ready")
		}
		if !got.Closed {
			t.Error("a draining service keeps connections alive")
		}
		return nil
	})
	testenv.Await(t, "the listener closes", func() error {
		if _, err := service.Try(t.Context(), testenv.Request{Path: "/health/live"}); err == nil {
			return errors.New("still listening")
		}
		return nil
	})
	close(release)
	(<-answer).Expect(t, http.StatusNoContent, nil)
}

func TestUnknownPathsAndMethodsAreProblems(t *testing.T) {
	pg := testenv.SharedPostgres(t)
	service := testenv.StartReady(t, slow(nil, nil), pg.Env(t, pg.NewDatabase(t)))
	for _, test := range []struct {
		method, path string
		want         int
	}{
		{http.MethodGet, "/nothing", http.StatusNotFound},
		{http.MethodDelete, "/slow", http.StatusMethodNotAllowed},
	} {
		got := service.Do(t, testenv.Request{Method: test.method, Path: test.path})
		got.Expect(t, test.want, nil)
		if contentType := got.Header.Get("Content-Type"); contentType != "application/problem+json" {
			t.Errorf("%s %s: Content-Type = %q", test.method, test.path, contentType)
		}
	}
	service.Do(t, testenv.Request{Path: "/metrics"}).Expect(t, http.StatusOK, nil)
}

func TestSubcommands(t *testing.T) {
	pg := testenv.SharedPostgres(t)
	database := pg.NewDatabase(t)
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := strconv.Itoa(listener.Addr().(*net.TCPAddr).Port)
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"PORT": port, "USER_SERVICE_URL": "http://127.0.0.1:1"}
	maps.Copy(env, pg.Env(t, database))
	run := func(ctx context.Context, args ...string) (string, error) {
		var out bytes.Buffer
		err := server.Command(ctx, slow(nil, nil), args, func(name string) (string, bool) { value, ok := env[name]; return value, ok }, &out)
		return out.String(), err
	}

	if out, err := run(t.Context(), "version"); err != nil || out != version.Version+"\n" {
		t.Errorf("version = %q, %v", out, err)
	}
	for _, args := range [][]string{{"serve"}, {"migrate"}, {"migrate", "down"}, {"version", "x"}} {
		if _, err := run(t.Context(), args...); !errors.Is(err, server.ErrUsage) {
			t.Errorf("%v: err = %v, want usage", args, err)
		}
	}
	for range 2 {
		if out, err := run(t.Context(), "migrate", "up"); err != nil {
			t.Errorf("migrate up: %v\n%s", err, out)
		}
	}
	var tables int
	pg.QueryRow(t, database, `SELECT count(*) FROM pg_tables WHERE tablename = 't'`, &tables)
	if tables != 1 {
		t.Errorf("%d tables, want 1", tables)
	}

	if _, err := run(t.Context(), "healthcheck"); err == nil {
		t.Error("healthcheck succeeds while nothing serves")
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() {
		_, err := run(ctx)
		served <- err
	}()
	testenv.Await(t, "healthcheck succeeds", func() error {
		_, err := run(t.Context(), "healthcheck")
		return err
	})
	cancel()
	if err := <-served; err != nil {
		t.Error(err)
	}
}

func TestAMissingConfigurationIsNamedAsAWhole(t *testing.T) {
	err := server.Command(t.Context(), slow(nil, nil), nil, func(string) (string, bool) { return "", false }, &bytes.Buffer{})
	if err == nil {
		t.Fatal("started without a configuration")
	}
	for _, name := range []string{"DB_HOST", "DB_NAME", "DB_USER", "DB_PASSWORD_FILE", "USER_SERVICE_URL"} {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("%q does not name %s", err, name)
		}
	}
}
