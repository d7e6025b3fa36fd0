// Package probe asks replicas whether they do what they should: over HTTP, TCP
// and the Postgres protocol, and by a command in the container. It finds out;
// what follows is decided by package plan.
package probe

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tendhq/tend/controller/spec"
)

// Target is the replica to ask.
type Target struct {
	// ID is the container's, Address its IP address on a network that tend can
	// reach.
	ID, Address string
}

// Exec runs a command in a container and returns its exit code and output.
type Exec func(ctx context.Context, id string, command []string) (code int, output string, err error)

// Once makes one probe. The error says in words for a person what was wrong.
func Once(ctx context.Context, p spec.Probe, t Target, exec Exec) error {
	ctx, cancel := context.WithTimeoutCause(ctx, p.Timeout, fmt.Errorf("no answer within %s", p.Timeout))
	defer cancel()
	err := once(ctx, p, t, exec)
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return context.Cause(ctx)
	}
	return err
}

func once(ctx context.Context, p spec.Probe, t Target, exec Exec) error {
	if p.Exec == nil && t.Address == "" {
		return errors.New("the container has no address on a network of the project")
	}
	switch {
	case p.HTTPGet != nil:
		return httpGet(ctx, *p.HTTPGet, t)
	case p.TCPSocket != nil:
		return tcpSocket(ctx, *p.TCPSocket, t)
	case p.Postgres != nil:
		return postgres(ctx, *p.Postgres, t)
	default:
		return command(ctx, *p.Exec, t, exec)
	}
}

// client makes a connection of its own for each probe: a kept one would say
// nothing about whether the next is accepted.
var client = &http.Client{
	Transport: &http.Transport{
		DisableKeepAlives: true,
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // as Kubernetes does: what is asked is a health, not an identity
	},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

func httpGet(ctx context.Context, p spec.HTTPGet, t Target) error {
	url := p.Scheme + "://" + address(t, p.Port) + "/" + strings.TrimPrefix(p.Path, "/")
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	request.Header.Set("User-Agent", "tend-probe")
	for name, value := range p.Headers {
		request.Header.Set(name, value)
		if strings.EqualFold(name, "Host") {
			request.Host = value
		}
	}
	response, err := client.Do(request)
	if err != nil {
		return plain(err)
	}
	defer response.Body.Close()
	if response.StatusCode >= http.StatusOK && response.StatusCode < http.StatusBadRequest {
		return nil
	}
	const shown = 200
	body, _ := io.ReadAll(io.LimitReader(response.Body, shown))
	return fmt.Errorf("GET %s: %s: %s", request.URL.Path, response.Status, strings.TrimSpace(string(body)))
}

func tcpSocket(ctx context.Context, p spec.TCPSocket, t Target) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address(t, p.Port))
	if err != nil {
		return plain(err)
	}
	return conn.Close()
}

func postgres(ctx context.Context, p spec.Postgres, t Target) error {
	config, err := pgx.ParseConfig("sslmode=prefer")
	if err != nil {
		return err
	}
	config.Host, config.Port = t.Address, uint16(p.Port) //nolint:gosec // validated to be a port
	config.User, config.Database, config.Password = p.User, p.Database, p.Password
	config.Fallbacks = nil
	config.TLSConfig = nil
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return plain(err)
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = conn.Close(closing)
	}()
	var one int
	return conn.QueryRow(ctx, "SELECT 1").Scan(&one)
}

func command(ctx context.Context, p spec.Exec, t Target, exec Exec) error {
	code, output, err := exec(ctx, t.ID, p.Command)
	if err != nil {
		return err
	}
	if code != 0 {
		return fmt.Errorf("%s exited with code %d: %s", p.Command[0], code, strings.TrimSpace(output))
	}
	return nil
}

func address(t Target, port int) string {
	return net.JoinHostPort(t.Address, strconv.Itoa(port))
}

// plain leaves out of an error what only repeats the address.
func plain(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		return fmt.Errorf("%s %s: %w", op.Op, op.Addr, op.Err)
	}
	return err
}
