package e2e_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"github.com/tendhq/tend/services/internal/events"
	"github.com/tendhq/tend/services/internal/order"
	"github.com/tendhq/tend/services/internal/payment"
	"github.com/tendhq/tend/services/internal/product"
	"github.com/tendhq/tend/services/internal/server"
	"github.com/tendhq/tend/services/internal/testenv"
	"github.com/tendhq/tend/services/internal/user"
)

// sagaShop is the shop with each service as a process, which can be killed.
type sagaShop struct {
	*shop
	kind      string
	programs  map[string]*testenv.Program
	databases map[string]string
}

// sagas runs a test for both kinds of sagas: the same happens, and the same must hold.
func sagas(t *testing.T, test func(*testing.T, *sagaShop), variables ...map[string]string) {
	for _, kind := range []string{"orchestrated", "choreographed"} {
		t.Run(kind, func(t *testing.T) {
			bus := testenv.StartDurableRedis(t)
			env := bus.BusEnv(t)
			for _, more := range variables {
				maps.Copy(env, more)
			}
			test(t, startSagaShop(t, kind, bus, env))
		})
	}
}

const (
	cups, desks = 1000, 100 // at the beginning
)

func startSagaShop(t *testing.T, kind string, cache *testenv.Redis, bus map[string]string) *sagaShop {
	t.Helper()
	pg := testenv.SharedPostgres(t)
	s := &sagaShop{kind: kind, shop: &shop{postgres: pg, redis: cache, bus: bus}, programs: map[string]*testenv.Program{}, databases: map[string]string{}}
	all := []server.Service{user.Service, product.Service, payment.Service, order.Service}
	urls := map[string]string{"SAGA": kind}
	for _, service := range all {
		s.programs[service.Name] = testenv.NewProgram(t, service)
		s.databases[service.Name] = pg.NewDatabase(t)
	}
	urls["USER_SERVICE_URL"] = s.programs["user-service"].URL
	urls["USER_SERVICE_GRPC"] = s.programs["user-service"].GRPC
	urls["PRODUCT_SERVICE_URL"] = s.programs["product-service"].URL
	urls["PAYMENT_SERVICE_URL"] = s.programs["payment-service"].URL
	urls["ORDER_SERVICE_URL"] = s.programs["order-service"].URL
	var group sync.WaitGroup
	for _, service := range all {
		env := []map[string]string{urls, bus, cache.Env(t), pg.Env(t, s.databases[service.Name]), {"FRAUD_PAYMENTS_PER_MINUTE": "100000"}}
		group.Go(func() { s.programs[service.Name].Start(t, env...) })
	}
	group.Wait()
	s.users, s.orders = &s.programs["user-service"].Service, &s.programs["order-service"].Service
	s.userDB, s.orderDB, s.paymentDB = s.databases["user-service"], s.databases["order-service"], s.databases["payment-service"]
	pg.Exec(t, s.databases["product-service"], `UPDATE products SET inventory = CASE product_id WHEN 'espresso-cup' THEN 1000 WHEN 'standing-desk' THEN 100 ELSE inventory END`)
	return s
}

// wish is an order that somebody wants, and what becomes of it in the end.
type wish struct {
	key, items string
	cancel     bool
	want       string // the status
}

// wishes returns an order of each kind.
func wishes(prefix string) []wish {
	return []wish{
		{prefix + "kept", twoCups + "," + oneDesk, false, "confirmed"},
		{prefix + "cancelled", twoCups, true, "cancelled"},
		{prefix + "declined", twoCups + `,{"productId":"standing-desk","quantity":16}`, false, "failed"},
		{prefix + "too-much", twoCups + `,{"productId":"climbing-rope","quantity":900}`, false, "failed"},
	}
}

const oneDesk = `{"productId":"standing-desk","quantity":1}`

// fulfil asks for an order until it is what it is to be, as a client does who repeats
// whatever got no answer.
func (s *sagaShop) fulfil(t *testing.T, c customer, w wish) {
	deadline := time.Now().Add(90 * time.Second)
	last := ""
	for time.Now().Before(deadline) {
		response, err := s.orders.Try(t.Context(), testenv.Request{Method: http.MethodPost, Path: "/api/orders", Token: c.Token, Key: w.key, Body: `{"items":[` + w.items + `]}`})
		var known struct{ OrderID string } // also in a problem document
		if err == nil && json.Unmarshal(response.Body, &known) == nil && known.OrderID != "" {
			o := orderView{OrderID: known.OrderID}
			_ = json.Unmarshal(response.Body, &o)
			if w.cancel && o.Status == "confirmed" {
				response, err = s.orders.Try(t.Context(), testenv.Request{Method: http.MethodPost, Path: "/api/orders/" + o.OrderID + "/cancel", Token: c.Token})
			} else {
				response, err = s.orders.Try(t.Context(), testenv.Request{Path: "/api/orders/" + o.OrderID, Token: c.Token})
			}
			if err == nil && json.Unmarshal(response.Body, &o) == nil && o.Status == w.want {
				return
			}
		}
		last = fmt.Sprintf("%s, %v", response.Body, err)
		time.Sleep(50 * time.Millisecond)
	}
	t.Errorf("%s is not %s: %s", w.key, w.want, last)
}

// during runs what happens while the wishes are fulfilled, and then looks whether stock and
// money add up.
func (s *sagaShop) during(t *testing.T, c customer, all []wish, happens func()) {
	t.Helper()
	var group sync.WaitGroup
	for _, w := range all {
		group.Go(func() { s.fulfil(t, c, w) })
	}
	defer group.Wait() // also where what happens ends the test
	happens()
	// Orders that were left are taken up when their lease is over: nobody has to wait for it.
	s.postgres.Exec(t, s.orderDB, `UPDATE orders SET claimed_until = now() WHERE claimed_until < 'infinity'`)
	group.Wait()
	s.addsUp(t)
}

// addsUp fails the test unless, when all is settled, the databases agree with each other:
// what is missing of each product is what confirmed orders hold, and what was paid and not
// refunded is what they cost.
func (s *sagaShop) addsUp(t *testing.T) {
	t.Helper()
	testenv.AwaitFor(t, time.Minute, "stock and money add up", func() error {
		var unsettled, waiting, sold, soldDesks, total, payments int64
		s.postgres.QueryRow(t, s.orderDB, `SELECT count(*) FROM orders WHERE status IN ('pending', 'cancelling')`, &unsettled)
		for _, database := range s.databases {
			var n int64
			s.postgres.QueryRow(t, database, `SELECT count(*) FROM outbox`, &n)
			waiting += n
		}
		if unsettled > 0 || waiting > 0 {
			return fmt.Errorf("%d orders are not settled, %d events wait", unsettled, waiting)
		}
		s.postgres.QueryRow(t, s.orderDB, `SELECT coalesce(sum(quantity) FILTER (WHERE product_id = 'espresso-cup'), 0)::bigint,
			coalesce(sum(quantity) FILTER (WHERE product_id = 'standing-desk'), 0)::bigint, coalesce(sum(quantity * price), 0)::bigint
			FROM order_items JOIN orders USING (order_id) WHERE status = 'confirmed'`, &sold, &soldDesks, &total)
		var leftCups, leftDesks, leftRope, taken, confirmed int64
		s.postgres.QueryRow(t, s.databases["product-service"], `SELECT max(inventory) FILTER (WHERE product_id = 'espresso-cup'),
			max(inventory) FILTER (WHERE product_id = 'standing-desk'), max(inventory) FILTER (WHERE product_id = 'climbing-rope') FROM products`, &leftCups, &leftDesks, &leftRope)
		s.postgres.QueryRow(t, s.paymentDB, `SELECT coalesce(sum(amount - refunded_amount), 0)::bigint, count(*) FILTER (WHERE status = 'paid')
			FROM payments WHERE status IN ('paid', 'refunded')`, &taken, &payments)
		s.postgres.QueryRow(t, s.orderDB, `SELECT count(*) FROM orders WHERE status = 'confirmed'`, &confirmed)
		if leftCups+sold != cups || leftDesks+soldDesks != desks || leftRope != 25 || taken != total || payments != confirmed {
			return fmt.Errorf("cups: %d left and %d sold; desks: %d left and %d sold; ropes: %d left; %d paid for orders of %d; %d payments for %d orders",
				leftCups, sold, leftDesks, soldDesks, leftRope, taken, total, payments, confirmed)
		}
		return nil
	})
}

// step is where a service is killed: at the first statement of a kind in its database.
type step struct{ service, when, table, condition string }

func (s step) String() string { return s.service + " " + s.when + " " + s.table + " " + s.condition }

const (
	always        = "true"
	beforeCommit  = "BEFORE INSERT"       // of an event, in the transaction of its change
	beforePublish = "BEFORE DELETE"       // of an event, after that transaction
	afterPublish  = "ON COMMIT OF DELETE" // of an event that the bus has
)

func status(is string) string { return "NEW.status = '" + is + "'" }

// steps returns the steps of a saga; a test kills the service at each of them.
func steps(kind string) []step {
	all := []step{
		{"order-service", "BEFORE INSERT", "orders", always},
		{"order-service", "BEFORE UPDATE", "orders", status("confirmed")},
		{"order-service", "AFTER UPDATE", "orders", status("cancelling")},
		{"order-service", "AFTER UPDATE", "orders", status("cancelled")},
		{"order-service", "AFTER UPDATE", "orders", status("failed")},
		{"product-service", "AFTER UPDATE", "products", "NEW.inventory < OLD.inventory"},
		{"product-service", "AFTER UPDATE", "products", "NEW.inventory > OLD.inventory"},
		{"payment-service", "BEFORE INSERT", "payments", status("paid")},
		{"payment-service", "BEFORE INSERT", "payments", status("declined")},
		{"payment-service", "AFTER UPDATE", "payments", status("refunded")},
	}
	for _, service := range []string{"order-service", "product-service", "payment-service"} {
		for _, when := range []string{beforePublish, afterPublish} {
			all = append(all, step{service, when, "outbox", always})
		}
	}
	if kind == "choreographed" {
		for _, published := range []struct{ service, event string }{
			{"order-service", "payment.requested"}, {"order-service", "inventory.release_requested"}, {"order-service", "payment.refund_requested"},
			{"product-service", "inventory.reserved"}, {"product-service", "inventory.rejected"}, {"product-service", "inventory.released"},
			{"payment-service", "payment.processed"}, {"payment-service", "payment.failed"}, {"payment-service", "payment.refunded"},
		} {
			all = append(all, step{published.service, beforeCommit, "outbox", "NEW.event_type = '" + published.event + "'"},
				step{published.service, beforePublish, "outbox", "OLD.event_type = '" + published.event + "'"})
		}
	}
	return all
}

func TestStockAndMoneyAddUpAfterACrashAtEachStep(t *testing.T) {
	sagas(t, func(t *testing.T, s *sagaShop) {
		ada := s.register(t, "ada@example.com")
		for i, step := range steps(s.kind) {
			gate := s.postgres.CloseGate(t, s.databases[step.service], step.when, step.table, step.condition)
			s.during(t, ada, wishes(fmt.Sprintf("%d-", i)), func() {
				gate.AwaitStopped(t)
				s.programs[step.service].Kill(t)
				gate.Open(t)
				s.programs[step.service].Start(t)
			})
			if t.Failed() {
				t.Fatalf("after a crash at %s", step)
			}
		}
	})
}

func TestStockAndMoneyAddUpWhileServicesCrash(t *testing.T) {
	sagas(t, func(t *testing.T, s *sagaShop) {
		ada := s.register(t, "ada@example.com")
		var all []wish
		for i := range 5 {
			all = append(all, wishes(fmt.Sprintf("%d-", i))...)
		}
		s.during(t, ada, all, func() {
			for range 8 {
				for _, name := range []string{"order-service", "product-service", "payment-service"} {
					if rand.IntN(2) == 0 {
						s.programs[name].Kill(t)
						s.programs[name].Start(t)
					}
				}
			}
		})
	})
}

// A service is away, and orders wait for it. The client's attempts do not.
func TestStockAndMoneyAddUpAfterAServiceWasAway(t *testing.T) {
	sagas(t, func(t *testing.T, s *sagaShop) {
		ada := s.register(t, "ada@example.com")
		for _, name := range []string{"product-service", "payment-service"} {
			s.during(t, ada, wishes(name), func() {
				s.programs[name].Kill(t)
				time.Sleep(12 * time.Second) // longer than any request lasts
				s.programs[name].Start(t)
			})
		}
	})
}

// Events that come in any order, twice, under another id, or are none, change nothing.
func TestStockAndMoneyAddUpWhateverTheBusDelivers(t *testing.T) {
	sagas(t, func(t *testing.T, s *sagaShop) {
		ada := s.register(t, "ada@example.com")
		client := s.redis.Client()
		defer client.Close()
		add := func(event string) {
			if err := client.Do(t.Context(), "XADD", "domain-events", "*", "event", event).Err(); err != nil {
				t.Fatal(err)
			}
		}
		// What payment-service is asked for while it is away comes the wrong way round.
		s.during(t, ada, wishes("reordered-"), func() {
			s.programs["payment-service"].Kill(t)
			if s.kind == "choreographed" {
				var requests []redis.XMessage
				testenv.Await(t, "three payments are asked for", func() error {
					requests = nil
					for _, m := range client.XRange(t.Context(), "domain-events", "-", "+").Val() {
						if strings.Contains(m.Values["event"].(string), `"payment.requested"`) {
							requests = append(requests, m)
						}
					}
					if len(requests) != 3 {
						return fmt.Errorf("%d", len(requests))
					}
					return nil
				})
				for _, m := range slices.Backward(requests) {
					client.XDel(t.Context(), "domain-events", m.ID)
					add(m.Values["event"].(string))
				}
			}
			s.programs["payment-service"].Start(t)
		})
		published := client.XRange(t.Context(), "domain-events", "-", "+").Val()
		s.during(t, ada, wishes("repeated-"), func() {
			for _, m := range slices.Backward(published) {
				original := m.Values["event"].(string)
				add(original)
				var again events.Event
				if err := json.Unmarshal([]byte(original), &again); err != nil {
					t.Fatal(err)
				}
				again.EventID = uuid.New()
				forged, err := json.Marshal(again)
				if err != nil {
					t.Fatal(err)
				}
				add(string(forged))
			}
		})
		poison := map[string]string{}
		for _, eventType := range []string{"order.created", "payment.requested", "inventory.reserved"} {
			poison[eventType] = fmt.Sprintf(`{"eventId":%q,"eventType":%q,"data":{"orderId":7}}`, uuid.New(), eventType)
		}
		s.during(t, ada, wishes("poisoned-"), func() {
			for _, event := range poison {
				add(event)
			}
			add(`{"eventId"`)
		})
		testenv.AwaitFor(t, time.Minute, "the poison is given up", func() error {
			dead := map[string]int{}
			for _, service := range []string{"order-service", "product-service", "payment-service"} {
				for _, m := range client.XRange(t.Context(), "domain-events.dead."+service, "-", "+").Val() {
					dead[m.Values["event"].(string)]++
				}
			}
			want := map[string]int{`{"eventId"`: 3}
			for _, event := range poison {
				want[event] = 1
			}
			if !maps.Equal(dead, want) {
				return fmt.Errorf("dead letters = %v", dead)
			}
			return nil
		})
		s.addsUp(t)
	})
}

// The items of orders that nobody pays for come back, and so does money that comes too late:
// also after a crash at each step of that.
func TestStockAndMoneyAddUpAfterReservationsExpired(t *testing.T) {
	bus := testenv.StartDurableRedis(t)
	env := bus.BusEnv(t)
	env["RESERVATION_SECONDS"] = "1"
	s := startSagaShop(t, "choreographed", bus, env)
	ada := s.register(t, "ada@example.com")
	for i, step := range []step{
		{"product-service", "AFTER UPDATE", "reservations", "NEW.expires_at IS NULL AND OLD.expires_at IS NOT NULL"},
		{"product-service", beforePublish, "outbox", "OLD.event_type = 'inventory.expired'"},
		{"order-service", beforeCommit, "outbox", "NEW.event_type = 'payment.refund_requested'"},
		{"order-service", beforePublish, "outbox", "OLD.event_type = 'payment.refund_requested'"},
	} {
		gate := s.postgres.CloseGate(t, s.databases[step.service], step.when, step.table, step.condition)
		// Which is asked to be paid, and paid when its items are nobody's any more.
		late := wish{fmt.Sprintf("%d-late", i), twoCups + "," + oneDesk, false, "failed"}
		s.during(t, ada, []wish{late}, func() {
			s.programs["payment-service"].Kill(t)
			gate.AwaitStopped(t)
			s.programs[step.service].Kill(t)
			gate.Open(t)
			s.programs[step.service].Start(t)
			s.awaitOrders(t, `status = 'cancelling' AND failure = 'reservation_expired'`, 1)
			s.programs["payment-service"].Start(t)
		})
		if t.Failed() {
			t.Fatalf("after a crash at %s", step)
		}
	}
	s.awaitPayments(t, "refunded", 4)
	// One that waits for a review is declined, and stays so.
	s.during(t, ada, []wish{{"held", eightDesks, false, "failed"}}, func() { s.awaitPayments(t, "review", 1) })
	s.awaitPayments(t, "declined", 1)
}

// The items of an order whose payment nobody reviews come back, also after a crash at each
// step of that.
func TestStockAndMoneyAddUpAfterReviewsExpired(t *testing.T) {
	sagas(t, func(t *testing.T, s *sagaShop) {
		ada := s.register(t, "ada@example.com")
		for i, step := range []step{
			{"payment-service", "AFTER UPDATE", "payments", status("declined")},
			{"payment-service", beforeCommit, "outbox", "NEW.event_type = 'payment.failed'"},
			{"payment-service", beforePublish, "outbox", "OLD.event_type = 'payment.failed'"},
		} {
			gate := s.postgres.CloseGate(t, s.databases[step.service], step.when, step.table, step.condition)
			s.during(t, ada, []wish{{fmt.Sprintf("%d-held", i), eightDesks, false, "failed"}}, func() {
				gate.AwaitStopped(t)
				s.programs[step.service].Kill(t)
				gate.Open(t)
				s.programs[step.service].Start(t)
			})
			if t.Failed() {
				t.Fatalf("after a crash at %s", step)
			}
		}
		s.awaitPayments(t, "declined", 3)
	}, map[string]string{"REVIEW_SECONDS": "1"})
}

// A payment that is asked for after it was asked back is not made.
func TestAPaymentThatWasAskedBackIsNotMade(t *testing.T) {
	bus := testenv.StartDurableRedis(t)
	s := startSagaShop(t, "choreographed", bus, bus.BusEnv(t))
	client := bus.Client()
	defer client.Close()
	request := fmt.Sprintf(`{"orderId":%q,"userId":%q,"amount":25}`, uuid.New(), uuid.New())
	for _, eventType := range []string{"payment.refund_requested", "payment.requested", "payment.refund_requested"} {
		event := fmt.Sprintf(`{"eventId":%q,"eventType":%q,"data":%s}`, uuid.New(), eventType, request)
		if err := client.Do(t.Context(), "XADD", "domain-events", "*", "event", event).Err(); err != nil {
			t.Fatal(err)
		}
	}
	testenv.Await(t, "all three are handled", func() error {
		var handled int
		s.postgres.QueryRow(t, s.paymentDB, `SELECT count(*) FROM inbox`, &handled)
		if handled != 3 {
			return fmt.Errorf("%d", handled)
		}
		return nil
	})
	s.awaitPayments(t, "declined", 1)
	s.awaitPayments(t, "paid", 0)
	s.addsUp(t)
}

// awaitOrders returns when as many orders are as condition says.
func (s *sagaShop) awaitOrders(t *testing.T, condition string, want int) {
	t.Helper()
	s.awaitRows(t, s.orderDB, "orders", condition, want)
}

func (s *sagaShop) awaitPayments(t *testing.T, status string, want int) {
	t.Helper()
	s.awaitRows(t, s.paymentDB, "payments", "status = '"+status+"'", want)
}

func (s *sagaShop) awaitRows(t *testing.T, database, table, condition string, want int) {
	t.Helper()
	testenv.Await(t, fmt.Sprintf("%d %s where %s", want, table, condition), func() error {
		var n int
		s.postgres.QueryRow(t, database, `SELECT count(*) FROM `+table+` WHERE `+condition, &n)
		if n != want {
			return fmt.Errorf("%d", n)
		}
		return nil
	})
}

func TestACancellationOfWhatIsNotConfirmedIsRefused(t *testing.T) {
	bus := testenv.StartDurableRedis(t)
	s := startSagaShop(t, "choreographed", bus, bus.BusEnv(t))
	ada := s.register(t, "ada@example.com")
	var held orderView
	s.create(t, ada, "k", eightDesks).Expect(t, http.StatusAccepted, &held)
	cancel := testenv.Request{Method: http.MethodPost, Path: "/api/orders/" + held.OrderID + "/cancel", Token: ada.Token}
	s.orders.Do(t, cancel).Expect(t, http.StatusConflict, nil)
	if held.Status != "pending" {
		t.Errorf("order = %+v", held)
	}
}

// The one saga that needs a bus does not start without.
func TestASagaByEventsTakesABus(t *testing.T) {
	pg := testenv.SharedPostgres(t)
	err := testenv.Refused(t, order.Service, pg.Env(t, pg.NewDatabase(t)), map[string]string{"SAGA": "choreographed",
		"USER_SERVICE_GRPC": "127.0.0.1:1", "PRODUCT_SERVICE_URL": "http://127.0.0.1:1", "PAYMENT_SERVICE_URL": "http://127.0.0.1:1"})
	if err == nil || errors.Is(err, server.ErrUsage) {
		t.Errorf("error = %v", err)
	}
}

// The same on RabbitMQ.
func TestStockAndMoneyAddUpOnRabbitMQ(t *testing.T) {
	rabbit := testenv.StartRabbitMQ(t)
	s := startSagaShop(t, "choreographed", testenv.StartRedis(t), rabbit.BusEnv(t))
	ada := s.register(t, "ada@example.com")
	var all []wish
	for i := range 5 {
		all = append(all, wishes(fmt.Sprintf("%d-", i))...)
	}
	s.during(t, ada, all, func() {
		s.programs["payment-service"].Kill(t)
		s.programs["product-service"].Kill(t)
		s.programs["product-service"].Start(t)
		s.programs["payment-service"].Start(t)
		rabbit.Kill(t)
		rabbit.Start(t)
	})
}
