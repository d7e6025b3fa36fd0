// Package rpc is what the services share on their gRPC side. It is for other services and
// administrators: a call takes the token of one, as over HTTP.
package rpc

import (
	"context"
	"net"
	"runtime/debug"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc/filters"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/tendhq/tend/services/internal/auth"
	"github.com/tendhq/tend/services/internal/httpx"
	"github.com/tendhq/tend/services/internal/logging"
	"github.com/tendhq/tend/services/internal/metrics"
	"github.com/tendhq/tend/services/internal/tracing"
)

// The metadata of a call: the headers of HTTP, in lower case.
const (
	authorizationKey  = "authorization"
	requestIDKey      = "x-request-id"
	correlationIDKey  = "x-correlation-id"
	idempotencyKeyKey = "idempotency-key"
)

const (
	maxMessage = 64 << 10
	maxStreams = 256 // at once, of one connection
	maxHeaders = 16 << 10
	handshake  = 5 * time.Second
	idle       = 90 * time.Second
)

// Config says how a service answers calls.
type Config struct {
	Log     *zap.Logger
	Metrics *metrics.Metrics
	Tokens  *auth.Verifier
	// Traces makes a span of each call.
	Traces trace.TracerProvider
	// Timeout ends a call whose client waits longer.
	Timeout time.Duration
	// Ready returns why the service cannot answer yet, nil where it can.
	Ready func() error
}

// Server answers gRPC calls, also those of the standard health service, which needs no
// token. It has no reflection: services/proto has the protocol.
type Server struct {
	config Config
	grpc   *grpc.Server
	health *health.Server
}

// NewServer returns a server, not serving yet, of what register adds.
func NewServer(config Config, register func(grpc.ServiceRegistrar)) *Server {
	s := &Server{config: config, health: health.NewServer()}
	s.grpc = grpc.NewServer(
		grpc.StatsHandler(otelgrpc.NewServerHandler(otelgrpc.WithTracerProvider(config.Traces), otelgrpc.WithPropagators(tracing.Propagator),
			otelgrpc.WithFilter(filters.Not(filters.HealthCheck())))),
		grpc.UnaryInterceptor(s.unary), grpc.StreamInterceptor(s.stream),
		grpc.MaxRecvMsgSize(maxMessage), grpc.MaxConcurrentStreams(maxStreams), grpc.MaxHeaderListSize(maxHeaders),
		grpc.ConnectionTimeout(handshake), grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionIdle: idle}),
	)
	s.SetServing(false)
	grpc_health_v1.RegisterHealthServer(s.grpc, s.health)
	register(s.grpc)
	return s
}

// SetServing says what the health service answers.
func (s *Server) SetServing(serving bool) {
	state := grpc_health_v1.HealthCheckResponse_NOT_SERVING
	if serving {
		state = grpc_health_v1.HealthCheckResponse_SERVING
	}
	s.health.SetServingStatus("", state)
}

// Serve answers calls until Stop.
func (s *Server) Serve(listener net.Listener) error { return s.grpc.Serve(listener) }

// Stop accepts no more calls and returns when those in flight have ended, or when ctx
// ends, which cuts them off.
func (s *Server) Stop(ctx context.Context) {
	s.health.Shutdown()
	cutOff := context.AfterFunc(ctx, s.grpc.Stop)
	defer cutOff()
	s.grpc.GracefulStop()
}

func (s *Server) unary(ctx context.Context, request any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (answer any, err error) {
	if _, ok := info.Server.(*health.Server); ok {
		return handler(ctx, request)
	}
	err = s.handle(ctx, info.FullMethod, func(ctx context.Context) error {
		answer, err = handler(ctx, request)
		return err
	})
	return answer, err
}

func (s *Server) stream(service any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	if _, ok := service.(*health.Server); ok {
		return handler(service, stream)
	}
	return s.handle(stream.Context(), info.FullMethod, func(ctx context.Context) error {
		return handler(service, streamWithContext{stream, ctx})
	})
}

// streamWithContext is a stream whose handler gets another context.
type streamWithContext struct {
	grpc.ServerStream
	ctx context.Context
}

// Context returns the handler's context.
func (s streamWithContext) Context() context.Context { return s.ctx }

// handle has act answer a call, within its time and only to who may call, and records it.
func (s *Server) handle(ctx context.Context, method string, act func(context.Context) error) error {
	start := time.Now()
	ctx, cancel := context.WithTimeout(ctx, s.config.Timeout)
	defer cancel()
	ctx = logging.NewContext(ctx, s.config.Log, logging.IDs{
		RequestID:     httpx.AcceptID(first(ctx, requestIDKey)),
		CorrelationID: httpx.AcceptID(first(ctx, correlationIDKey)),
	})
	answer := s.answer(ctx, act)
	s.config.Metrics.ObserveRPC(method, answer.Code().String(), time.Since(start))
	logging.From(ctx).Info("call", zap.String("method", method), zap.Stringer("code", answer.Code()), zap.Duration("duration", time.Since(start)))
	return answer.Err()
}

func (s *Server) answer(ctx context.Context, act func(context.Context) error) (answer *status.Status) {
	defer func() {
		if reason := recover(); reason != nil {
			logging.From(ctx).Error("panic", zap.Any("reason", reason), zap.ByteString("stack", debug.Stack()))
			answer = status.New(codes.Internal, "the call failed for a reason of ours")
		}
	}()
	if err := s.config.Ready(); err != nil {
		return statusOf(ctx, err)
	}
	id, err := s.config.Tokens.Authenticate(ctx, first(ctx, authorizationKey))
	if err == nil && !id.Privileged() {
		err = auth.ErrNotPrivileged
	}
	if err == nil {
		err = act(auth.NewContext(ctx, id))
	}
	if err != nil {
		return statusOf(ctx, err)
	}
	return status.New(codes.OK, "")
}

// IdempotencyKey returns the key in the call's metadata, nil where there is none.
func IdempotencyKey(ctx context.Context) (*string, error) {
	return httpx.ParseKey(metadata.ValueFromIncomingContext(ctx, idempotencyKeyKey))
}

// first returns the first value of a key in the metadata of the call that ctx belongs to.
func first(ctx context.Context, key string) string {
	if values := metadata.ValueFromIncomingContext(ctx, key); len(values) > 0 {
		return values[0]
	}
	return ""
}

// Outgoing returns a context whose calls carry the ids and, unless it is "", the
// authorization.
func Outgoing(ctx context.Context, ids logging.IDs, authorization string) context.Context {
	ctx = metadata.AppendToOutgoingContext(ctx, requestIDKey, ids.RequestID, correlationIDKey, ids.CorrelationID)
	if authorization != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, authorizationKey, authorization)
	}
	return ctx
}
