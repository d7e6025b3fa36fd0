package user_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"

	"github.com/tendhq/tend/services/internal/auth"
	"github.com/tendhq/tend/services/internal/testenv"
	"github.com/tendhq/tend/services/internal/user"
	userpb "github.com/tendhq/tend/services/proto/user"
)

// caller calls user-service over gRPC.
type caller struct {
	userpb.UserServiceClient
	connection *grpc.ClientConn
}

func dial(t *testing.T, service *testenv.Service) caller {
	t.Helper()
	connection, err := grpc.NewClient("passthrough:///"+service.GRPC, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	return caller{userpb.NewUserServiceClient(connection), connection}
}

// as returns a context whose calls carry a token, and more metadata.
func as(t *testing.T, subject string, role auth.Role, more ...string) context.Context {
	t.Helper()
	return metadata.AppendToOutgoingContext(t.Context(), append(more, "authorization", "Bearer "+testenv.Token(t, subject, role))...)
}

func (c caller) list(ctx context.Context, page, limit int32) (names []string, err error) {
	stream, err := c.ListUsers(ctx, &userpb.ListUsersRequest{Page: page, Limit: limit})
	if err != nil {
		return nil, err
	}
	for {
		user, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return names, nil
		}
		if err != nil {
			return names, err
		}
		names = append(names, user.GetName())
	}
}

func expect(t *testing.T, what string, err error, want codes.Code) {
	t.Helper()
	if got := status.Code(err); got != want {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}

func create(email, name string) *userpb.CreateUserRequest {
	return &userpb.CreateUserRequest{Email: email, Name: name, Password: "correct horse"}
}

func TestUsersAreMadeReadChangedListedAndDeletedOverGRPC(t *testing.T) {
	service, _, _ := start(t)
	client, ctx := dial(t, service), as(t, "order-service", auth.Service)
	ada, err := client.CreateUser(ctx, create(" Ada@Example.com", "Augusta Ada Lovelace"))
	if err != nil {
		t.Fatal(err)
	}
	if ada.GetEmail() != "ada@example.com" || ada.GetName() != "Augusta Ada Lovelace" || ada.GetRole() != "customer" ||
		time.Since(time.Unix(ada.GetCreatedAt(), 0)).Abs() > time.Minute {
		t.Errorf("made %v", ada)
	}
	var session session
	service.Do(t, login("ada@example.com", "correct horse")).Expect(t, 200, &session)
	if session.UserID != ada.GetId() {
		t.Errorf("logged in as %s, want %s", session.UserID, ada.GetId())
	}
	name, email := "Ada King", "ada.king@example.com"
	if _, err := client.UpdateUser(ctx, &userpb.UpdateUserRequest{Id: ada.GetId(), Name: &name}); err != nil {
		t.Error(err)
	}
	if _, err := client.UpdateUser(ctx, &userpb.UpdateUserRequest{Id: ada.GetId(), Email: &email}); err != nil {
		t.Error(err)
	}
	got, err := client.GetUser(ctx, &userpb.GetUserRequest{Id: ada.GetId()})
	if err != nil || got.GetName() != name || got.GetEmail() != email || got.GetCreatedAt() != ada.GetCreatedAt() {
		t.Errorf("user %v, %v", got, err)
	}
	service.Do(t, login("ada@example.com", "correct horse")).Expect(t, 401, nil)
	service.Do(t, login(email, "correct horse")).Expect(t, 200, nil)

	for _, who := range []string{"Bob Babbage", "Cy Young", "Di Dee"} {
		if _, err := client.CreateUser(ctx, create(strings.Fields(who)[0]+"@example.com", who)); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		page, limit int32
		want        string
	}{{0, 0, "Ada King,Bob Babbage,Cy Young,Di Dee"}, {1, 3, "Ada King,Bob Babbage,Cy Young"}, {2, 3, "Di Dee"}, {3, 3, ""}} {
		if names, err := client.list(ctx, test.page, test.limit); err != nil || strings.Join(names, ",") != test.want {
			t.Errorf("page %d of %d: %v, %v, want %s", test.page, test.limit, names, err, test.want)
		}
	}
	if _, err := client.DeleteUser(ctx, &userpb.DeleteUserRequest{Id: ada.GetId()}); err != nil {
		t.Error(err)
	}
	_, err = client.GetUser(ctx, &userpb.GetUserRequest{Id: ada.GetId()})
	expect(t, "read after it was deleted", err, codes.NotFound)
	service.Do(t, login(email, "correct horse")).Expect(t, 401, nil)
}

func TestWhatAGRPCCallIsRefusedFor(t *testing.T) {
	service, _, _ := start(t)
	client, ctx := dial(t, service), as(t, "order-service", auth.Service)
	ada, err := client.CreateUser(ctx, create("ada@example.com", "Ada Lovelace"))
	if err != nil {
		t.Fatal(err)
	}
	bob, err := client.CreateUser(ctx, create("bob@example.com", "Bob Babbage"))
	if err != nil {
		t.Fatal(err)
	}
	get := func(ctx context.Context, id string) error {
		_, err := client.GetUser(ctx, &userpb.GetUserRequest{Id: id})
		return err
	}
	expect(t, "no token", get(t.Context(), ada.GetId()), codes.Unauthenticated)
	expect(t, "no real token", get(metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer a.b.c"), ada.GetId()), codes.Unauthenticated)
	expect(t, "another service's token", get(as(t, "payment-service", auth.Service), ada.GetId()), codes.Unauthenticated)
	var session session
	service.Do(t, login("ada@example.com", "correct horse")).Expect(t, 200, &session)
	own := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+session.Token)
	expect(t, "a customer, even her own", get(own, ada.GetId()), codes.PermissionDenied)
	expect(t, "no id", get(ctx, "1 OR 1=1"), codes.NotFound)
	expect(t, "an unknown id", get(ctx, "00000000-0000-7000-8000-000000000000"), codes.NotFound)
	for _, id := range []string{"x", "00000000-0000-7000-8000-000000000000"} {
		_, err = client.DeleteUser(ctx, &userpb.DeleteUserRequest{Id: id})
		expect(t, "delete "+id, err, codes.NotFound)
		_, err = client.UpdateUser(ctx, &userpb.UpdateUserRequest{Id: id})
		expect(t, "update "+id, err, codes.NotFound)
	}
	_, err = client.CreateUser(ctx, create("ada@example.com", "Ada Lovelace"))
	expect(t, "an email twice", err, codes.AlreadyExists)
	_, err = client.UpdateUser(ctx, &userpb.UpdateUserRequest{Id: bob.GetId(), Email: &ada.Email})
	expect(t, "another's email", err, codes.AlreadyExists)
	none := ""
	_, err = client.UpdateUser(ctx, &userpb.UpdateUserRequest{Id: bob.GetId(), Name: &none})
	expect(t, "an empty name", err, codes.InvalidArgument)
	_, err = client.CreateUser(ctx, &userpb.CreateUserRequest{Email: "no address", Name: "Ada", Password: "iloveyou"})
	expect(t, "fields that are not valid", err, codes.InvalidArgument)
	var fields []string
	for _, detail := range status.Convert(err).Details() {
		for _, violation := range detail.(*errdetails.BadRequest).GetFieldViolations() {
			fields = append(fields, violation.GetField())
		}
	}
	if got := strings.Join(fields, ","); got != "email,password,firstName" {
		t.Errorf("the fields that are not valid are %s", got)
	}
	for _, page := range [][2]int32{{-1, 1}, {1, 101}, {1, -1}} {
		_, err := client.list(ctx, page[0], page[1])
		expect(t, "a page that is none", err, codes.InvalidArgument)
	}
	_, err = client.CreateUser(ctx, create("eve@example.com", strings.Repeat("x", 70<<10)))
	expect(t, "a message of more than 64 KiB", err, codes.ResourceExhausted)

	past, cancel := context.WithDeadline(ctx, time.Now().Add(time.Millisecond))
	defer cancel()
	_, err = client.CreateUser(past, create("late@example.com", "Late Riser")) // whose hash takes longer
	expect(t, "a deadline that passes", err, codes.DeadlineExceeded)
}

func TestACreationOverGRPCIsRepeatedWithItsKey(t *testing.T) {
	service, _, _ := start(t)
	client := dial(t, service)
	first, err := client.CreateUser(as(t, "order-service", auth.Service, "idempotency-key", "k"), create("ada@example.com", "Ada Lovelace"))
	if err != nil {
		t.Fatal(err)
	}
	again, err := client.CreateUser(as(t, "order-service", auth.Service, "idempotency-key", "k"), create("ada@example.com", "Ada Lovelace"))
	if err != nil || again.GetId() != first.GetId() {
		t.Errorf("again %v, %v, want %v", again, err, first)
	}
	_, err = client.CreateUser(as(t, "order-service", auth.Service, "idempotency-key", "k"), create("ada@example.com", "Ada King"))
	expect(t, "another request with the key", err, codes.InvalidArgument)
	_, err = client.CreateUser(as(t, "order-service", auth.Service, "idempotency-key", "with spaces"), create("eve@example.com", "Eve Adams"))
	expect(t, "no key", err, codes.InvalidArgument)
}

func TestHealthIsKnownOverGRPCAndReflectionIsOff(t *testing.T) {
	pg := testenv.SharedPostgres(t)
	database := "not_yet_" + strings.ToLower(t.Name())[:20]
	service := testenv.StartService(t, user.Service, pg.Env(t, database))
	client := dial(t, service)
	health := func() grpc_health_v1.HealthCheckResponse_ServingStatus {
		answer, err := grpc_health_v1.NewHealthClient(client.connection).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{})
		if err != nil {
			t.Fatal(err)
		}
		return answer.GetStatus()
	}
	if got := health(); got != grpc_health_v1.HealthCheckResponse_NOT_SERVING {
		t.Errorf("without a database the health is %v", got)
	}
	_, err := client.GetUser(as(t, "order-service", auth.Service), &userpb.GetUserRequest{})
	expect(t, "a call without a database", err, codes.Unavailable)
	pg.MakeDatabase(t, database)
	testenv.Await(t, "it serves", func() error {
		if got := health(); got != grpc_health_v1.HealthCheckResponse_SERVING {
			return errors.New(got.String())
		}
		return nil
	})
	stream, err := grpc_reflection_v1.NewServerReflectionClient(client.connection).ServerReflectionInfo(t.Context())
	if err == nil {
		_, err = stream.Recv()
	}
	expect(t, "reflection", err, codes.Unimplemented)
}
