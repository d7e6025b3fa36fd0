// Package probe asks replicas whether they do what they should: over HTTP, TCP and the
// Postgres protocol, and by a command in the container. Package plan decides what
// follows.
package probe

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tendhq/tend/controller/spec"
)

// agent is the name of the probes in the logs of the replicas.
const agent = "tend-probe"

// Target is the replica to ask.
type Target struct {
	// ID is the container's, Address its IP address on a network that tend can
	// reach.
	ID, Address string
}

// Unasked is the error of an Exec that could not be made, by no fault of the container.
// It counts as no result, as with the kubelet.
type Unasked struct{ Err error }

func (u *Unasked) Error() string { return u.Err.Error() }

// Unwrap returns why the command could not be run.
func (u *Unasked) Unwrap() error { return u.Err }

// Exec runs a command in a container and returns its exit code and output.
type Exec func(ctx context.Context, id string, command []string) (code int, output string, err error)

// Once makes one probe. The error is what was wrong, for a person.
func Once(ctx context.Context, p spec.Probe, t Target, exec Exec) error {
	ctx, cancel := context.WithTimeout(ctx, p.Timeout)
	defer cancel()
	err := once(ctx, p, t, exec)
	_, answered := errors.AsType[answer](err)
	_, unasked := errors.AsType[*Unasked](err)
	// The deadline of a connection may pass a moment before that of ctx.
	late := errors.Is(ctx.Err(), context.DeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded)
	if err != nil && late && !answered && !unasked {
		return silence(p, t)
	}
	return err
}

// silence is the error of a probe that is not answered in time.
func silence(p spec.Probe, t Target) error {
	var port int
	switch {
	case p.HTTPGet != nil:
		port = p.HTTPGet.Port
	case p.TCPSocket != nil:
		port = p.TCPSocket.Port
	case p.Postgres != nil:
		port = p.Postgres.Port
	default:
		return fmt.Errorf("no answer within %s", p.Timeout)
	}
	return fmt.Errorf("no answer from %s within %s", address(t, port), p.Timeout)
}

// answer is a replica's answer that is not as it should be. It counts even where the
// time was over before all of it had come.
type answer struct{ text string }

func (a answer) Error() string { return a.text }

// answered makes an answer from what is certain and one line of the replica's own words.
func answered(known, besides string) answer {
	const most = 200 // bytes
	if len(besides) > most {
		besides = besides[:most]
	}
	if words := strings.Fields(strings.ToValidUTF8(besides, "")); len(words) > 0 {
		known += ": " + strings.Join(words, " ")
	}
	return answer{known}
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

// newClient returns a client for one probe, as an open connection would not show whether
// the replica accepts the next. Its owner closes its idle connections, which also ends a
// connection attempt that outlives the probe.
func newClient() *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			DisableKeepAlives: true,
			TLSClientConfig:   &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // as Kubernetes does: what is asked is a health, not an identity
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func httpGet(ctx context.Context, p spec.HTTPGet, t Target) error {
	url := p.Scheme + "://" + address(t, p.Port) + "/" + strings.TrimPrefix(p.Path, "/")
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	request.Header.Set("User-Agent", agent)
	for name, value := range p.Headers {
		request.Header.Set(name, value)
		if strings.EqualFold(name, "Host") {
			request.Host = value
		}
	}
	client := newClient()
	defer client.CloseIdleConnections()
	response, err := client.Do(request)
	if err != nil {
		return plain(err)
	}
	defer response.Body.Close()
	if response.StatusCode >= http.StatusOK && response.StatusCode < http.StatusBadRequest {
		return nil
	}
	const read = 1 << 10                                       // the status is enough
	body, _ := io.ReadAll(io.LimitReader(response.Body, read)) // its status says enough
	return answered(fmt.Sprintf("GET %s%s: %s", request.URL.Host, request.URL.Path, response.Status), string(body))
}

func tcpSocket(ctx context.Context, p spec.TCPSocket, t Target) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address(t, p.Port))
	if err != nil {
		return plain(err)
	}
	return conn.Close()
}

// postgres uses TLS only where the server insists on it.
func postgres(ctx context.Context, p spec.Postgres, t Target) error {
	config, err := pgconn.ParseConfig(fmt.Sprintf("host=%s port=%d sslmode=allow", t.Address, p.Port))
	if err != nil {
		return err
	}
	config.User, config.Database, config.Password = p.User, p.Database, p.Password
	config.RuntimeParams = map[string]string{"application_name": agent}
	conn, err := pgconn.ConnectConfig(ctx, config)
	if err != nil {
		return plain(err)
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = conn.Close(closing)
	}()
	if _, err = conn.Exec(ctx, "SELECT 1").ReadAll(); err != nil {
		return plain(err)
	}
	return nil
}

func command(ctx context.Context, p spec.Exec, t Target, exec Exec) error {
	code, output, err := exec(ctx, t.ID, p.Command)
	if err != nil {
		return err
	}
	if code != 0 {
		return answered(fmt.Sprintf("%s exited with code %d", p.Command[0], code), output)
	}
	return nil
}

func address(t Target, port int) string {
	return net.JoinHostPort(t.Address, strconv.Itoa(port))
}

// plain leaves out the parts of an error that only repeat the question.
func plain(err error) error {
	if refusal, ok := errors.AsType[*pgconn.PgError](err); ok {
		return refusal
	}
	op, ok := errors.AsType[*net.OpError](err)
	switch {
	case !ok:
		return err
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("nothing listens at %s", op.Addr)
	default:
		return fmt.Errorf("%s %s: %w", op.Op, op.Addr, op.Err)
	}
}
