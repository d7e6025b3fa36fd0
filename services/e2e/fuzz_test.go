package e2e_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	grpcstatus "google.golang.org/grpc/status"

	"github.com/tendhq/tend/services/contracts"
	"github.com/tendhq/tend/services/internal/auth"
	"github.com/tendhq/tend/services/internal/events"
	"github.com/tendhq/tend/services/internal/metrics"
	"github.com/tendhq/tend/services/internal/notification"
	"github.com/tendhq/tend/services/internal/order"
	"github.com/tendhq/tend/services/internal/payment"
	"github.com/tendhq/tend/services/internal/postgres"
	"github.com/tendhq/tend/services/internal/product"
	"github.com/tendhq/tend/services/internal/server"
	"github.com/tendhq/tend/services/internal/testenv"
	userpb "github.com/tendhq/tend/services/proto/user"
)

// outlasting is what services run under that serve one input after the other: what their
// harness says against them is said of the input under way.
type outlasting struct {
	testing.TB
	mu    sync.Mutex
	wrong []string
}

func (o *outlasting) Helper()                  {}
func (o *outlasting) Logf(string, ...any)      {}
func (o *outlasting) Context() context.Context { return context.Background() }
func (o *outlasting) Failed() bool             { return false }

func (o *outlasting) Error(args ...any) { o.Errorf("%s", fmt.Sprint(args...)) }

func (o *outlasting) Errorf(format string, args ...any) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.wrong = append(o.wrong, fmt.Sprintf(format, args...))
}

// tell fails t if the services have reported mistakes since the last call.
func (o *outlasting) tell(t *testing.T) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, wrong := range o.wrong {
		// An id may have any form, also one that makes another path of it.
		if !strings.HasSuffix(wrong, "is answered 404: no matching operation was found") {
			t.Error(wrong)
		}
	}
	o.wrong = nil
}

var parameters = regexp.MustCompile(`\{[A-Za-z]+\}`)

// FuzzRequests sends requests of all kinds to each endpoint of each contract, as a customer, an
// administrator, order-service and nobody. None is answered with a failure of the service's,
// and each as its contract says: a refusal is a problem document.
func FuzzRequests(f *testing.F) {
	harness := &outlasting{TB: f}
	s := startShop(harness, "")
	ada, admin := s.register(harness, "ada@example.com"), s.admin(harness)
	var o orderView
	s.create(harness, ada, "first", twoCups).Expect(f, http.StatusCreated, &o)
	orders, err := postgres.Open(postgres.Config{Host: s.postgres.Dir, Port: 5432, Name: s.orderDB, User: "postgres", Password: testenv.Password}, metrics.New("test"))
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(orders.Close)
	signer := auth.NewSigner("order-service", orders)
	known := map[string]string{"{userId}": ada.UserID, "{productId}": "espresso-cup", "{orderId}": o.OrderID, "{paymentId}": o.PaymentID}

	nobody := uuid.NewString()
	type endpoint struct {
		service              *testenv.Service
		target, method, path string
		reads, streams       bool
	}
	var endpoints []endpoint
	for service, running := range map[string]*testenv.Service{"user-service": s.users, "product-service": s.products, "order-service": s.orders, "payment-service": s.ledger} {
		for name, e := range contracts.Of(service).Endpoints {
			method, path, _ := strings.Cut(name, " ")
			endpoints = append(endpoints, endpoint{running, service, method, path, e.Request != nil, e.Stream != nil})
		}
	}
	slices.SortFunc(endpoints, func(a, b endpoint) int { return strings.Compare(a.path+a.method, b.path+b.method) })
	bodies := []string{
		``, `{}`, `[]`, `{"email":"eve@example.com","password":"correct horse","firstName":"E","lastName":"V"}`, `{"email":"ada@example.com","password":"correct horse"}`,
		`{"firstName":"\u0000"}`, address, card(2030), `{"items":[{"productId":"espresso-cup","quantity":1}]}`, `{"items":[{"productId":"\ud800","quantity":9223372036854775807}]}`,
		`{"quantity":1,"operation":"add"}`, `{"quantity":9223372036854775807,"operation":"add"}`, `{"amount":1e300}`, `{"amount":0.01}`, `{"decision":"approve"}`,
		fmt.Sprintf(`{"orderId":%q,"userId":%q,"amount":92233720368547758.07}`, uuid.New(), ada.UserID), "{\"a\":\"\xff\"}",
	}
	for i := range endpoints {
		for j, body := range bodies {
			f.Add(uint16(i), uint8(j), []string{"", "\x00", "%2e%2e/", "ﷺ"}[j%4], []string{"", "page=2&limit=7", "limit=-1&from=2026-01-01&to=x", "search=%00&userId=x;y"}[j%4], "k", body)
		}
	}
	f.Fuzz(func(t *testing.T, which uint16, who uint8, id, query, key, body string) {
		e := endpoints[int(which)%len(endpoints)]
		path := parameters.ReplaceAllStringFunc(e.path, func(name string) string {
			if id == "" {
				return cmp.Or(known[name], nobody)
			}
			return url.PathEscape(id)
		})
		if !e.reads {
			body = ""
		}
		r := testenv.Request{Method: e.method, Path: path + "?" + query, Key: key, Body: body, Header: http.Header{"Content-Type": {"application/json"}}}
		switch who % 4 {
		case 0:
			r.Token = ada.Token
		case 1:
			r.Token = admin
		case 2:
			var err error
			if r.Token, err = signer.IssueService(t.Context(), e.target); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		if e.streams {
			ctx, cancel = context.WithTimeout(t.Context(), 100*time.Millisecond) // it has no end
		}
		defer cancel()
		got, err := e.service.Try(ctx, r)
		harness.tell(t)
		if err != nil && !e.streams {
			t.Skip(err) // no client can send it
		}
		if got.Status >= http.StatusInternalServerError {
			t.Errorf("%s %s as %d with the key %q and %q gets %d: %s", r.Method, r.Path, who%4, key, body, got.Status, got.Body)
		}
	})
}

// FuzzCalls makes calls of all kinds over gRPC.
func FuzzCalls(f *testing.F) {
	harness := &outlasting{TB: f}
	s := startShop(harness, "")
	ada, admin := s.register(harness, "ada@example.com"), s.admin(harness)
	connection, err := grpc.NewClient("passthrough:///"+s.users.GRPC, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = connection.Close() })
	users := userpb.NewUserServiceClient(connection)
	calls := []func(ctx context.Context, id, name, email, password string, page, limit int32) error{
		func(ctx context.Context, id, _, _, _ string, _, _ int32) error {
			_, err := users.GetUser(ctx, &userpb.GetUserRequest{Id: id})
			return err
		},
		func(ctx context.Context, _, name, email, password string, _, _ int32) error {
			_, err := users.CreateUser(ctx, &userpb.CreateUserRequest{Name: name, Email: email, Password: password})
			return err
		},
		func(ctx context.Context, id, name, email, _ string, _, _ int32) error {
			_, err := users.UpdateUser(ctx, &userpb.UpdateUserRequest{Id: id, Name: &name, Email: &email})
			return err
		},
		func(ctx context.Context, id, _, _, _ string, _, _ int32) error {
			_, err := users.DeleteUser(ctx, &userpb.DeleteUserRequest{Id: id + "x"})
			return err
		},
		func(ctx context.Context, _, _, _, _ string, page, limit int32) error {
			stream, err := users.ListUsers(ctx, &userpb.ListUsersRequest{Page: page, Limit: limit})
			for err == nil {
				_, err = stream.Recv()
			}
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		},
	}
	for i := range calls {
		f.Add(uint8(i), ada.UserID, "Ada King", "king@example.com", "correct horse", "k", int32(1), int32(20))
		f.Add(uint8(i), "", "", "", "", "", int32(-1), int32(1<<30))
		f.Add(uint8(i), "\x00", "\x00 \x00", "a\x00@example.com", strings.Repeat("x", 300), "k k", int32(1<<30), int32(-1))
	}
	f.Fuzz(func(t *testing.T, which uint8, id, name, email, password, key string, page, limit int32) {
		ctx, cancel := context.WithTimeout(metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+admin, "idempotency-key", key), 20*time.Second)
		defer cancel()
		err := calls[int(which)%len(calls)](ctx, id, name, email, password, page, limit)
		harness.tell(t)
		switch code := grpcstatus.Code(err); code {
		case codes.Internal, codes.Unknown, codes.Unavailable, codes.DataLoss, codes.DeadlineExceeded:
			if strings.Contains(err.Error(), "grpc: error while marshaling") || strings.Contains(err.Error(), "header key") {
				t.Skip(err) // no client can send it
			}
			t.Errorf("call %d gets %v", which, err)
		}
	})
}

// hand is a bus that hands over the messages that it is given, one at a time.
type hand struct {
	messages chan []byte
	verdicts chan events.Verdict
}

func (h hand) Publish(context.Context, []events.Message) error { return nil }
func (h hand) Close()                                          {}

func (h hand) Consume(ctx context.Context, _ string, handle events.Handle) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case message := <-h.messages:
			h.verdicts <- handle(ctx, message, 1000) // the last delivery
		}
	}
}

// FuzzEvents gives events of all kinds to each consumer. Each is handled or a dead letter, soon:
// none holds up those behind it, and the stock stays what it can be.
func FuzzEvents(f *testing.F) {
	pg := testenv.SharedPostgres(f)
	harness := &outlasting{TB: f}
	type consumed struct {
		eventType string
		hand      hand
	}
	var all []consumed
	var products string
	more := map[string]string{
		"USER_SERVICE_GRPC": "127.0.0.1:1", "PRODUCT_SERVICE_URL": "http://127.0.0.1:1", "PAYMENT_SERVICE_URL": "http://127.0.0.1:1", "SMTP_HOST": "127.0.0.1", "SMTP_PORT": "1",
	}
	redis := testenv.StartRedis(f)
	for _, service := range []server.Service{product.Service, payment.Service, order.Service, notification.Service} {
		h := hand{make(chan []byte), make(chan events.Verdict)}
		build := service.New
		service.New = func(rt *server.Runtime) (*server.App, error) {
			app, err := build(rt)
			if err != nil {
				return nil, err
			}
			consumer := events.NewConsumer(service.Name, app.Handlers, rt.DB, h, rt.Traces, metrics.New("fuzz").Registerer, zap.NewNop())
			ctx, cancel := context.WithCancel(context.Background())
			ended := make(chan struct{})
			go func() { defer close(ended); consumer.Run(ctx) }()
			f.Cleanup(func() { cancel(); <-ended })
			return app, nil
		}
		database := pg.NewDatabase(f)
		if service.Name == product.Service.Name {
			products = database
		}
		testenv.StartReady(harness, service, pg.Env(f, database), redis.Env(f), redis.BusEnv(f), more)
		for _, eventType := range service.Contract.Consumes {
			all = append(all, consumed{eventType, h})
		}
	}
	id := uuid.NewString()
	for i := range all {
		for _, data := range []string{
			`{}`, `null`, `[]`, `{"orderId":7}`, `{"orderId":"` + id + `"}`, `{"userId":"` + id + `","email":"ada@example.com"}`, `{"userId":"` + id + `","email":"a\u0000@b"}`,
			`{"orderId":"` + id + `","userId":"` + id + `","items":[{"productId":"espresso-cup","quantity":1}],"total":1,"saga":"choreographed"}`,
			`{"orderId":"` + id + `","userId":"` + id + `","items":[{"productId":"espresso-cup","quantity":-1},{"productId":"\u0000","quantity":9223372036854775807}],"total":1e18,"saga":"choreographed"}`,
			`{"orderId":"` + id + `","userId":"` + id + `","amount":12.5,"paymentMethodId":"` + id + `"}`, `{"orderId":"` + id + `","paymentId":"` + id + `","userId":"` + id + `","amount":-1,"refundedAmount":1}`,
		} {
			f.Add(uint8(i), "c", data)
		}
	}
	f.Fuzz(func(t *testing.T, which uint8, correlation, data string) {
		c := all[int(which)%len(all)]
		message := fmt.Sprintf(`{"eventId":%q,"eventType":%q,"aggregateId":"a","correlationId":%q,"data":%s}`, uuid.New(), c.eventType, correlation, data)
		c.hand.messages <- []byte(message)
		select {
		case verdict := <-c.hand.verdicts:
			if verdict != events.Done && verdict != events.Dead {
				t.Errorf("%s: verdict %d", message, verdict)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("%s has no verdict", message)
		}
		harness.tell(t)
		var negative int
		pg.QueryRow(t, products, `SELECT count(*) FROM products WHERE inventory < 0`, &negative)
		if negative > 0 {
			t.Errorf("after %s there is less than nothing of %d products", message, negative)
		}
	})
}
