package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tendhq/tend/services/internal/mailbox"
	"github.com/tendhq/tend/services/internal/notification"
	"github.com/tendhq/tend/services/internal/order"
	"github.com/tendhq/tend/services/internal/payment"
	"github.com/tendhq/tend/services/internal/product"
	"github.com/tendhq/tend/services/internal/server"
	"github.com/tendhq/tend/services/internal/testenv"
	"github.com/tendhq/tend/services/internal/user"
)

// What the gateway passes on with a request.
const (
	traceID       = "0af7651916cd43dd8448eb211c80319c"
	gatewaySpan   = "b7ad6b7169203331"
	correlationID = "an-order-that-is-followed"
)

// An order is one trace, through all services, their databases, the bus and the mail, and is
// found in each line of the logs by its correlation id and its trace.
func TestAnOrderIsOneTrace(t *testing.T) {
	t.Run("orchestrated, on Redis", func(t *testing.T) {
		redis := testenv.StartDurableRedis(t)
		followOrder(t, "orchestrated", redis, redis.BusEnv(t), []string{
			"gateway → order-service POST /api/orders",
			"order-service POST /api/orders → order-service user.UserService/GetUser",
			"order-service user.UserService/GetUser → user-service user.UserService/GetUser",
			"user-service user.UserService/GetUser → user-service SELECT",
			"order-service POST /api/orders → order-service GET product-service",
			"order-service GET product-service → product-service GET /api/products/{productId}",
			"product-service GET /api/products/{productId} → product-service GET",
			"product-service GET /api/products/{productId} → product-service SELECT",
			"order-service POST /api/orders → order-service INSERT",
			"order-service POST /api/orders → order-service send order.created",
			"order-service POST /api/orders → order-service PUT product-service",
			"order-service PUT product-service → product-service PUT /api/products/{productId}/inventory",
			"product-service PUT /api/products/{productId}/inventory → product-service UPDATE",
			"order-service POST /api/orders → order-service POST payment-service",
			"order-service POST payment-service → payment-service POST /api/payments",
			"payment-service POST /api/payments → payment-service INSERT",
			"order-service POST /api/orders → order-service UPDATE",
			"order-service POST /api/orders → order-service send order.completed",
			"order-service send order.completed → product-service process order.completed",
			"order-service send order.completed → notification-service process order.completed",
			"notification-service process order.completed → notification-service INSERT",
			"notification-service process order.completed → notification-service send mail",
			"notification-service send mail → notification-service UPDATE",
		})
	})
	t.Run("choreographed, on RabbitMQ", func(t *testing.T) {
		rabbit := testenv.StartRabbitMQ(t)
		followOrder(t, "choreographed", testenv.StartRedis(t), rabbit.BusEnv(t), []string{
			"gateway → order-service POST /api/orders",
			"order-service POST /api/orders → order-service send order.created",
			"order-service send order.created → product-service process order.created",
			"product-service process order.created → product-service UPDATE",
			"product-service process order.created → product-service send inventory.reserved",
			"product-service send inventory.reserved → order-service process inventory.reserved",
			"order-service process inventory.reserved → order-service send payment.requested",
			"order-service send payment.requested → payment-service process payment.requested",
			"payment-service process payment.requested → payment-service INSERT",
			"payment-service process payment.requested → payment-service send payment.processed",
			"payment-service send payment.processed → order-service process payment.processed",
			"order-service process payment.processed → order-service send order.completed",
			"order-service send order.completed → notification-service process order.completed",
			"notification-service process order.completed → notification-service send mail",
		})
	})
}

func followOrder(t *testing.T, saga string, cache *testenv.Redis, bus map[string]string, want []string) {
	t.Helper()
	collector, box := testenv.StartCollector(t), mailbox.New()
	programs := startTraced(t, cache, collector.Env(), bus, map[string]string{"SAGA": saga}, receiveMail(t, box))
	orders := programs["order-service"]
	s := &shop{users: &programs["user-service"].Service}
	ada := s.register(t, "ada@example.com")
	awaitMail(t, box, "Welcome to the shop")

	before := map[string]int{}
	for name, p := range programs {
		before[name] = len(p.Log(t))
	}
	ask := func(body string) testenv.Response {
		return orders.Do(t, testenv.Request{Method: http.MethodPost, Path: "/api/orders", Token: ada.Token, Body: body,
			Header: http.Header{"Traceparent": {"00-" + traceID + "-" + gatewaySpan + "-01"}, "X-Correlation-Id": {correlationID}}})
	}
	var problem struct{ TraceID string }
	ask(`{"items":[]}`).Expect(t, http.StatusUnprocessableEntity, &problem)
	if problem.TraceID != traceID {
		t.Errorf("a refusal names the trace %q", problem.TraceID)
	}
	ask(`{"items":[`+twoCups+`]}`).Expect(t, http.StatusCreated, nil)
	awaitMail(t, box, "Your order is confirmed")

	testenv.Await(t, "the spans of the order come", func() error {
		got := edges(collector.Spans(traceID))
		for _, edge := range want {
			if !slices.Contains(got, edge) {
				return fmt.Errorf("there is no %s among\n%s", edge, strings.Join(got, "\n"))
			}
		}
		return nil
	})
	for _, edge := range edges(collector.Spans(traceID)) {
		if strings.HasPrefix(edge, "? ") {
			t.Errorf("a span has a parent that did not come: %s", edge)
		}
		if strings.Contains(edge, "espresso-cup") || strings.Contains(edge, ada.UserID) {
			t.Errorf("the name of a span has an id: %s", edge)
		}
	}
	for name, p := range programs {
		if n := checkLines(t, name, p.Log(t)[before[name]:]); n == 0 {
			t.Errorf("%s has logged nothing of the order", name)
		}
	}
}

// startTraced starts all services, each as a process.
func startTraced(t *testing.T, cache *testenv.Redis, envs ...map[string]string) map[string]*testenv.Program {
	t.Helper()
	pg := testenv.SharedPostgres(t)
	programs, urls := map[string]*testenv.Program{}, map[string]string{}
	services := []server.Service{user.Service, product.Service, payment.Service, order.Service, notification.Service}
	for _, service := range services {
		p := testenv.NewProgram(t, service)
		programs[service.Name] = p
		variable := strings.ToUpper(strings.ReplaceAll(service.Name, "-", "_"))
		urls[variable+"_URL"], urls[variable+"_GRPC"] = p.URL, p.GRPC
	}
	var group sync.WaitGroup
	for _, service := range services {
		env := append([]map[string]string{urls, cache.Env(t), pg.Env(t, pg.NewDatabase(t))}, envs...)
		group.Go(func() { programs[service.Name].Start(t, env...) })
	}
	group.Wait()
	return programs
}

// receiveMail runs a mail server until the test ends, and returns the variables that say
// where it is.
func receiveMail(t *testing.T, box *mailbox.Mailbox) map[string]string {
	t.Helper()
	listener, receiver, ended := testenv.Listen(t), box.Server(), make(chan struct{})
	go func() { defer close(ended); _ = receiver.Serve(listener) }()
	t.Cleanup(func() { _ = receiver.Close(); <-ended })
	return map[string]string{"SMTP_HOST": "127.0.0.1", "SMTP_PORT": strconv.Itoa(listener.Addr().(*net.TCPAddr).Port)}
}

func awaitMail(t *testing.T, box *mailbox.Mailbox, subject string) {
	t.Helper()
	testenv.AwaitFor(t, time.Minute, "the mail comes: "+subject, func() error {
		if !slices.ContainsFunc(box.Mails(), func(m mailbox.Mail) bool { return m.Subject == subject }) {
			return fmt.Errorf("mails: %v", box.Mails())
		}
		return nil
	})
}

// edges returns each span behind its parent, as "SERVICE NAME → SERVICE NAME", once. Of
// statements the database's name is left out, which each test run has another of.
func edges(spans []testenv.Span) []string {
	label := func(s testenv.Span) string {
		name := s.Name
		if s.Attributes["db.system.name"] == "postgresql" {
			name, _, _ = strings.Cut(name, " ")
		}
		return s.Service + " " + name
	}
	known := map[string]string{gatewaySpan: "gateway"}
	for _, s := range spans {
		known[s.SpanID] = label(s)
	}
	found := map[string]bool{}
	for _, s := range spans {
		parent, ok := known[s.Parent]
		if !ok {
			parent = "?"
		}
		found[parent+" → "+label(s)] = true
	}
	return slices.Sorted(maps.Keys(found))
}

// checkLines fails the test unless each line that tells of a request is the order's, and
// returns how many there are. Services ask each other for keys in nobody's name.
func checkLines(t *testing.T, name string, log []byte) (lines int) {
	t.Helper()
	for line := range bytes.Lines(log) {
		var l struct{ RequestID, CorrelationID, TraceID, Path string }
		if err := json.Unmarshal(line, &l); err != nil {
			t.Fatalf("%s has logged %q: %v", name, line, err)
		}
		if l.RequestID == "" || strings.HasPrefix(l.Path, "/.well-known/") {
			continue
		}
		lines++
		if l.CorrelationID != correlationID || l.TraceID != traceID {
			t.Errorf("%s has logged without the order's ids: %s", name, line)
		}
	}
	return lines
}
