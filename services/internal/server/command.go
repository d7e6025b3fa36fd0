package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/tendhq/tend/services/internal/config"
	"github.com/tendhq/tend/services/internal/logging"
	"github.com/tendhq/tend/services/internal/metrics"
	"github.com/tendhq/tend/services/internal/postgres"
	"github.com/tendhq/tend/services/internal/version"
)

const healthcheckTimeout = 3 * time.Second

// ErrUsage reports that the command line was not understood.
var ErrUsage = errors.New("usage")

// Main runs the service's command line and exits: 0 done, 1 failed, 2 usage.
func Main(service Service) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	// A second signal ends the process at once.
	context.AfterFunc(ctx, stop)
	err := Command(ctx, service, os.Args[1:], os.LookupEnv, os.Stdout)
	switch {
	case err == nil:
		os.Exit(0)
	case errors.Is(err, ErrUsage):
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	default:
		fmt.Fprintf(os.Stderr, "%s: %v\n", service.Name, err)
		os.Exit(1)
	}
}

// Command runs one of the service's subcommands until it is done or ctx ends.
func Command(ctx context.Context, service Service, args []string, lookup func(string) (string, bool), out io.Writer) error {
	env := config.NewEnv(lookup)
	switch {
	case len(args) == 0:
		return serve(ctx, service, env, out)
	case slices.Equal(args, []string{"healthcheck"}):
		return healthcheck(ctx, service, env)
	case service.Migrations != nil && slices.Equal(args, []string{"migrate", "up"}):
		return run(ctx, service, env, out, func(ctx context.Context, rt *Runtime) error { return rt.DB.Migrate(ctx, service.Migrations, rt.Log) })
	case len(args) == 1 && service.Commands[args[0]] != nil:
		return run(ctx, service, env, out, service.Commands[args[0]])
	case slices.Equal(args, []string{"version"}):
		_, err := fmt.Fprintln(out, version.Version)
		return err
	}
	commands := append([]string{"healthcheck", "migrate up", "version"}, slices.Sorted(maps.Keys(service.Commands))...)
	return fmt.Errorf("%w: %s [%s]; without a subcommand it serves", ErrUsage, service.Name, strings.Join(commands, " | "))
}

func serve(ctx context.Context, service Service, env *config.Env, out io.Writer) error {
	port, rpcPort := env.Port("PORT", service.Port), service.GRPCPort
	if rpcPort != 0 {
		rpcPort = env.Port("GRPC_PORT", rpcPort)
	}
	s, err := New(service, env, out)
	if err != nil {
		return err
	}
	listener, err := listen(port)
	if err != nil {
		return err
	}
	if rpcPort == 0 {
		return s.Run(ctx, listener, nil)
	}
	rpcListener, err := listen(rpcPort)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	return s.Run(ctx, listener, rpcListener)
}

func listen(port int) (net.Listener, error) {
	return net.Listen("tcp", net.JoinHostPort("", strconv.Itoa(port)))
}

// healthcheck is what a container's health check runs: the image has no shell.
func healthcheck(ctx context.Context, service Service, env *config.Env) error {
	port := env.Port("PORT", service.Port)
	if err := env.Err(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, healthcheckTimeout)
	defer cancel()
	url := fmt.Sprintf("http://127.0.0.1:%d/health/ready", port)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	request.Close = true
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("not ready: %s answered %s", url, response.Status)
	}
	return nil
}

// run runs a subcommand that works on the service's database.
func run(ctx context.Context, service Service, env *config.Env, out io.Writer, command Run) error {
	log, err := logging.New(out, env.String("LOG_LEVEL", "info"), service.Name, version.Version)
	if err != nil {
		return fmt.Errorf("LOG_LEVEL: %w", err)
	}
	cfg := postgres.ConfigFromEnv(env)
	if err := env.Err(); err != nil {
		return err
	}
	rt := &Runtime{Env: env, Log: log, Metrics: metrics.New(service.Name)}
	if rt.DB, err = postgres.Open(cfg, rt.Metrics); err != nil {
		return err
	}
	defer rt.DB.Close()
	return command(ctx, rt)
}
