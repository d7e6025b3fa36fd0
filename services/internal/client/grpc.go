package client

import (
	"context"
	"net"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/tendhq/tend/services/internal/metrics"
	"github.com/tendhq/tend/services/internal/rpc"
	"github.com/tendhq/tend/services/internal/tracing"
)

// GRPC calls one service over gRPC, by the rules of Client.
type GRPC struct {
	caller
	dial func(ctx context.Context, address string) (net.Conn, error)
}

// NewGRPC returns a client of the service target at host and port, with a connection to
// each of its replicas. Its calls carry no token where issue is nil.
func NewGRPC(target, host, port string, issue Issue, m *metrics.Metrics, log *zap.Logger) *GRPC {
	dialer := &net.Dialer{Timeout: dialTimeout}
	return &GRPC{
		caller: newCaller(target, target+"/grpc", host, port, issue, m, log),
		dial: func(ctx context.Context, address string) (net.Conn, error) {
			return dialer.DialContext(ctx, "tcp", address)
		},
	}
}

// Close closes all connections.
func (c *GRPC) Close() { c.replicas.close() }

// Do makes the call of a method, which must be idempotent: call is an attempt of it over a
// connection. A refusal is a *StatusError with the HTTP status that says the same. No answer
// in time, or only ResourceExhausted and failures of the service, is an *UnavailableError,
// and so is an open circuit breaker.
func (c *GRPC) Do(ctx context.Context, method string, call func(context.Context, grpc.ClientConnInterface) error) error {
	return c.do(ctx, method, false, call)
}

// Read is Do for a method that only reads. Where the first replica is slow, call is also made
// at another one, at the same time: it must not write to what both share.
func (c *GRPC) Read(ctx context.Context, method string, call func(context.Context, grpc.ClientConnInterface) error) error {
	return c.do(ctx, method, true, call)
}

func (c *GRPC) do(ctx context.Context, method string, read bool, call func(context.Context, grpc.ClientConnInterface) error) error {
	ids, authorization, err := c.credentials(ctx)
	if err != nil {
		return err
	}
	_, err = c.call(ctx, method, read, func(ctx context.Context, at *replica) ([]byte, int, error) {
		connection, err := c.replicas.connect(at, c.connection)
		if err != nil {
			return nil, 0, err
		}
		ctx, cancel := context.WithTimeout(rpc.Outgoing(ctx, ids, authorization), attemptTimeout)
		defer cancel()
		err = call(ctx, connection)
		if err != nil && ctx.Err() != nil {
			return nil, 0, ctx.Err() // gRPC tells it in a status of its own
		}
		return c.answer(err)
	})
	return err
}

// answer returns what an attempt that ended with err has come to.
func (c *GRPC) answer(err error) ([]byte, int, error) {
	answer := status.Convert(err)
	switch answer.Code() {
	case codes.OK:
		return nil, rpc.HTTPStatus(codes.OK), nil
	case codes.Canceled, codes.DeadlineExceeded:
		return nil, 0, err
	}
	refusal := &StatusError{Service: c.target, Status: rpc.HTTPStatus(answer.Code()), Detail: answer.Message()}
	return nil, refusal.Status, refusal
}

// connection returns a connection to one replica, which it makes when it is needed, and
// again when it has ended.
func (c *GRPC) connection(address string) (*grpc.ClientConn, error) {
	return grpc.NewClient("passthrough:///"+address,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(c.dial),
		grpc.WithConnectParams(grpc.ConnectParams{
			// A replica that just began is found soon.
			Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second},
			MinConnectTimeout: dialTimeout,
		}),
		grpc.WithIdleTimeout(30*time.Second),
		grpc.WithDisableServiceConfig(),
		grpc.WithStatsHandler(otelgrpc.NewClientHandler(otelgrpc.WithTracerProvider(tracing.OfContext), otelgrpc.WithPropagators(tracing.Propagator))),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxResponse)),
	)
}
