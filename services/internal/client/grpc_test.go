package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/tendhq/tend/services/internal/logging"
	"github.com/tendhq/tend/services/internal/metrics"
	userpb "github.com/tendhq/tend/services/proto/user"
)

// fleet is a name with replicas of a gRPC service behind it, in memory.
type fleet struct {
	client *GRPC

	mu       sync.Mutex
	names    []string // what the name server answers
	replicas map[string]*fakeReplica
}

type fakeReplica struct {
	userpb.UnimplementedUserServiceServer
	listener *bufconn.Listener
	server   *grpc.Server
	answer   func(ctx context.Context) error
	calls    atomic.Int64
}

func (r *fakeReplica) GetUser(ctx context.Context, _ *userpb.GetUserRequest) (*userpb.User, error) {
	r.calls.Add(1)
	return &userpb.User{}, r.answer(ctx)
}

func newFleet(t *testing.T) *fleet {
	t.Helper()
	f := &fleet{replicas: map[string]*fakeReplica{}}
	f.client = NewGRPC("user-service", "user-service", "50051", issueToken, metrics.New("test"), zap.NewNop())
	f.client.replicas.lookup = func(context.Context, string) ([]string, error) {
		f.mu.Lock()
		defer f.mu.Unlock()
		if len(f.names) == 0 {
			return nil, &net.DNSError{Name: "user-service", IsNotFound: true}
		}
		return slices.Clone(f.names), nil
	}
	f.client.dial = func(ctx context.Context, address string) (net.Conn, error) {
		f.mu.Lock()
		replica := f.replicas[address]
		f.mu.Unlock()
		if replica == nil {
			return nil, fmt.Errorf("dial %s: %w", address, syscall.ECONNREFUSED)
		}
		return replica.listener.DialContext(ctx)
	}
	t.Cleanup(func() {
		f.client.Close()
		for name := range f.replicas {
			f.stop(name)
		}
	})
	return f
}

func issueToken(_ context.Context, target string) (string, error) { return "for-" + target, nil }

// start adds a replica that answers so.
func (f *fleet) start(name string, answer func(context.Context) error) *fakeReplica {
	r := &fakeReplica{listener: bufconn.Listen(1 << 16), server: grpc.NewServer(), answer: answer}
	userpb.RegisterUserServiceServer(r.server, r)
	go func() { _ = r.server.Serve(r.listener) }() // it ends with stop
	f.mu.Lock()
	defer f.mu.Unlock()
	f.replicas[name+":50051"] = r
	f.names = append(f.names, name)
	return r
}

// forget takes a replica from the name server, and stop ends it as a rolling update does.
func (f *fleet) forget(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.names = slices.DeleteFunc(f.names, func(n string) bool { return n == name })
}

func (f *fleet) stop(address string) {
	f.mu.Lock()
	replica := f.replicas[address]
	f.mu.Unlock()
	replica.server.GracefulStop()
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.replicas, address)
}

func (f *fleet) get(ctx context.Context) error {
	return f.client.Do(ctx, "GetUser", func(ctx context.Context, connection grpc.ClientConnInterface) error {
		_, err := userpb.NewUserServiceClient(connection).GetUser(ctx, &userpb.GetUserRequest{})
		return err
	})
}

func well(context.Context) error { return nil }

func refusing(code codes.Code) func(context.Context) error {
	return func(context.Context) error { return status.Error(code, "because") }
}

func TestCallsFollowTheReplicasOfARollingUpdate(t *testing.T) {
	f := newFleet(t)
	var old []*fakeReplica
	for _, name := range []string{"10.0.0.1", "10.0.0.2", "10.0.0.3"} {
		old = append(old, f.start(name, well))
	}
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for ctx.Err() == nil {
				if err := f.get(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	var fresh []*fakeReplica
	for i := 1; i <= 3; i++ {
		fresh = append(fresh, f.start(fmt.Sprintf("10.0.1.%d", i), well))
		for fresh[i-1].calls.Load() == 0 { // until the client has found it
			time.Sleep(10 * time.Millisecond)
		}
		name := fmt.Sprintf("10.0.0.%d", i)
		f.forget(name)
		f.stop(name + ":50051") // also while the client still knows it
	}
	cancel()
	group.Wait()
	for i, r := range append(old, fresh...) {
		if r.calls.Load() == 0 {
			t.Errorf("replica %d was never asked", i)
		}
	}
	f.client.replicas.mu.Lock()
	defer f.client.replicas.mu.Unlock()
	if n := len(f.client.replicas.known); n > 4 {
		t.Errorf("the client still knows %d replicas", n)
	}
}

func TestAReplicaThatDoesNotAnswerIsLeftToTheOthers(t *testing.T) {
	f := newFleet(t)
	f.start("10.0.0.1", refusing(codes.Unavailable))
	f.start("10.0.0.2", refusing(codes.Internal))
	f.start("10.0.0.3", well)
	f.mu.Lock()
	f.names = append(f.names, "10.0.0.4") // which refuses connections
	f.mu.Unlock()
	for range 20 {
		if err := f.get(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAReadOverGRPCThatIsSlowIsMadeAtAnotherReplica(t *testing.T) {
	f := newFleet(t)
	hangs := func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	}
	f.start("10.0.0.1", hangs)
	f.start("10.0.0.2", well)
	for range 10 {
		began := time.Now()
		err := f.client.Read(t.Context(), "GetUser", func(ctx context.Context, connection grpc.ClientConnInterface) error {
			_, err := userpb.NewUserServiceClient(connection).GetUser(ctx, &userpb.GetUserRequest{})
			return err
		})
		if took := time.Since(began); err != nil || took >= attemptTimeout {
			t.Errorf("a read took %s, %v", took, err)
		}
	}
}

func TestARefusalOverGRPCIsNotRepeated(t *testing.T) {
	for code, want := range map[codes.Code]int{
		codes.NotFound: http.StatusNotFound, codes.InvalidArgument: http.StatusUnprocessableEntity,
		codes.AlreadyExists: http.StatusConflict, codes.PermissionDenied: http.StatusForbidden, codes.Unauthenticated: http.StatusUnauthorized,
	} {
		f := newFleet(t)
		r := f.start("10.0.0.1", refusing(code))
		var refusal *StatusError
		if err := f.get(t.Context()); !errors.As(err, &refusal) || refusal.Status != want || refusal.Detail != "because" {
			t.Errorf("%s: %v, want a StatusError %d", code, err, want)
		}
		if n := r.calls.Load(); n != 1 {
			t.Errorf("%s: %d attempts", code, n)
		}
	}
}

func TestACallOverGRPCCarriesIDsATokenAndADeadline(t *testing.T) {
	f := newFleet(t)
	f.start("10.0.0.1", func(ctx context.Context) error {
		md, _ := metadata.FromIncomingContext(ctx)
		got := fmt.Sprint(md["x-request-id"], md["x-correlation-id"], md["authorization"])
		deadline, ok := ctx.Deadline()
		if got != "[r] [c] [Bearer for-user-service]" || !ok || time.Until(deadline) > attemptTimeout {
			t.Errorf("metadata %s, deadline in %s, %v", got, time.Until(deadline), ok)
		}
		return nil
	})
	if err := f.get(logging.NewContext(t.Context(), zap.NewNop(), logging.IDs{RequestID: "r", CorrelationID: "c"})); err != nil {
		t.Error(err)
	}
}

func TestOfAServiceThatIsAwayTheCallerIsTold(t *testing.T) {
	f := newFleet(t)
	r := f.start("10.0.0.1", refusing(codes.Unavailable))
	f.client.budget.left = 1
	var unavailable *UnavailableError
	if err := f.get(t.Context()); !errors.As(err, &unavailable) || r.calls.Load() != 2 {
		t.Errorf("%v after %d attempts, want an UnavailableError after 2", err, r.calls.Load())
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := f.get(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("a caller who left: %v", err)
	}
}
