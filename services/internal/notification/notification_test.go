package notification

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/tendhq/tend/services/internal/events"
	"github.com/tendhq/tend/services/internal/mailbox"
	"github.com/tendhq/tend/services/internal/testenv"
)

func TestMain(m *testing.M) {
	testenv.RunProgram(Service)
	os.Exit(testenv.Run(m))
}

func TestTheOthersPromiseWhatIsRead(t *testing.T) {
	testenv.ReadsEvent(t, "user-service", "user.registered", registeredEvent{})
	testenv.ReadsEvent(t, "user-service", "user.updated", struct {
		UserID uuid.UUID `json:"userId"`
	}{})
	testenv.ReadsEvent(t, "order-service", "order.completed", completedEvent{})
	testenv.ReadsEvent(t, "order-service", "order.cancelled", cancelledEvent{})
}

type fixture struct {
	t        *testing.T
	postgres *testenv.Postgres
	database string
	redis    *testenv.Redis
	box      *mailbox.Mailbox
	port     int
	program  *testenv.Program
	stop     func()
}

// start starts the worker as a process, without a mail server yet.
func start(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{t: t, postgres: testenv.SharedPostgres(t), redis: testenv.StartDurableRedis(t), box: mailbox.New(), program: testenv.NewProgram(t, Service)}
	f.database = f.postgres.NewDatabase(t)
	listener := testenv.Listen(t)
	f.port = listener.Addr().(*net.TCPAddr).Port
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	f.program.Start(t, f.postgres.Env(t, f.database), f.redis.BusEnv(t), map[string]string{
		"SMTP_HOST": "127.0.0.1", "SMTP_PORT": strconv.Itoa(f.port), "USER_SERVICE_URL": "http://127.0.0.1:1", "ORDER_SERVICE_URL": "http://127.0.0.1:1",
	})
	return f
}

// receive runs the mail server until the test ends or stop is called.
func (f *fixture) receive() {
	f.t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(f.t.Context(), "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(f.port)))
	if err != nil {
		f.t.Fatal(err)
	}
	server := f.box.Server()
	ended := make(chan struct{})
	go func() { defer close(ended); _ = server.Serve(listener) }()
	f.stop = func() { _ = server.Close(); <-ended }
	f.t.Cleanup(f.stop)
}

func (f *fixture) publish(eventType string, data map[string]any) {
	f.t.Helper()
	f.publishAt(time.Now(), eventType, data)
}

// publishAt publishes an event of something that happened at another time.
func (f *fixture) publishAt(at time.Time, eventType string, data map[string]any) {
	f.t.Helper()
	encoded, err := json.Marshal(data)
	if err != nil {
		f.t.Fatal(err)
	}
	event, err := json.Marshal(events.Event{EventID: uuid.New(), EventType: eventType, AggregateID: "a", Timestamp: at, Data: encoded})
	if err != nil {
		f.t.Fatal(err)
	}
	client := f.redis.Client()
	defer client.Close()
	for range 2 { // each event comes twice
		if err := client.Do(f.t.Context(), "XADD", "domain-events", "*", "event", event).Err(); err != nil {
			f.t.Fatal(err)
		}
	}
}

func (f *fixture) await(want ...string) {
	f.t.Helper()
	slices.Sort(want)
	testenv.AwaitFor(f.t, time.Minute, "the mails come", func() error {
		var got []string
		for _, m := range f.box.Mails() {
			got = append(got, m.To+": "+m.Subject)
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			return fmt.Errorf("mails = %q, want %q", got, want)
		}
		return nil
	})
}

func TestEachEventIsToldInOneMail(t *testing.T) {
	f := start(t)
	f.receive()
	ada, eve, o := uuid.NewString(), uuid.NewString(), uuid.NewString()
	// What is told of a user may come before the user.
	f.publish("order.completed", map[string]any{"orderId": o, "userId": ada, "paymentId": uuid.NewString(), "total": 12.5})
	f.publish("order.cancelled", map[string]any{"orderId": o, "userId": eve, "failure": "out_of_stock"})
	f.publish("user.registered", map[string]any{"userId": ada, "email": "ada@example.com"})
	f.publish("user.registered", map[string]any{"userId": eve, "email": "eve@example.com\r\nBcc: all@example.com"})
	f.await("ada@example.com: Welcome to the shop", "ada@example.com: Your order is confirmed")
	for _, m := range f.box.Mails() {
		if m.Subject == "Your order is confirmed" && !strings.Contains(m.Body, "Order "+o+" over 12.50 is paid") {
			t.Errorf("mail = %+v", m)
		}
	}
	f.publish("order.cancelled", map[string]any{"orderId": o, "userId": ada})
	f.await("ada@example.com: Welcome to the shop", "ada@example.com: Your order is confirmed", "ada@example.com: Your order is cancelled")
	if got := f.box.Delivered(); got != 3 {
		t.Errorf("%d mails were sent, want 3", got)
	}
}

// Mail goes to the address that was chosen last, whatever order the events come in.
func TestMailGoesToTheAddressChosenLast(t *testing.T) {
	f := start(t)
	f.receive()
	user, o, now := uuid.NewString(), uuid.NewString(), time.Now()
	email := func(address string) map[string]any {
		return map[string]any{"userId": user, "changes": map[string]any{"email": address}}
	}
	f.publishAt(now.Add(2*time.Second), "user.updated", email("last@example.com"))
	f.publishAt(now.Add(time.Second), "user.updated", email("second@example.com"))
	f.publishAt(now, "user.registered", map[string]any{"userId": user, "email": "first@example.com"})
	f.publishAt(now.Add(3*time.Second), "user.updated", map[string]any{"userId": user, "changes": map[string]any{"firstName": "Ada"}})
	f.await("last@example.com: Welcome to the shop")
	f.publishAt(now.Add(4*time.Second), "user.updated", email("newest@example.com"))
	f.publish("order.completed", map[string]any{"orderId": o, "userId": user, "paymentId": uuid.NewString(), "total": 1})
	f.await("last@example.com: Welcome to the shop", "newest@example.com: Your order is confirmed")
}

func TestMailWaitsForItsServer(t *testing.T) {
	f := start(t)
	f.publish("user.registered", map[string]any{"userId": uuid.NewString(), "email": "ada@example.com"})
	testenv.Await(t, "an attempt fails", func() error {
		var attempts int
		f.postgres.QueryRow(t, f.database, `SELECT coalesce(max(attempts), 0) FROM mails`, &attempts)
		if attempts == 0 {
			return fmt.Errorf("none yet")
		}
		return nil
	})
	f.receive()
	f.await("ada@example.com: Welcome to the shop")
}

// The worker is killed before it has written a mail down, after, and when the server has
// the mail and the database does not know it yet: then alone the server gets it twice, and
// knows it by its Message-ID.
func TestEachMailComesOnceAcrossCrashes(t *testing.T) {
	for name, gate := range map[string]struct {
		when, table, condition string
		delivered              int
	}{
		"before it is written":       {"BEFORE INSERT", "mails", "true", 1},
		"before the event is noted":  {"BEFORE INSERT", "inbox", "true", 1},
		"before it is noted as sent": {"BEFORE UPDATE", "mails", "NEW.sent_at IS NOT NULL", 2},
	} {
		t.Run(name, func(t *testing.T) {
			f := start(t)
			f.receive()
			closed := f.postgres.CloseGate(t, f.database, gate.when, gate.table, gate.condition)
			f.publish("user.registered", map[string]any{"userId": uuid.NewString(), "email": "ada@example.com"})
			closed.AwaitStopped(t)
			f.program.Kill(t)
			closed.Open(t)
			f.program.Start(t)
			f.await("ada@example.com: Welcome to the shop")
			testenv.Await(t, "the mail is noted as sent", func() error {
				var sent int
				f.postgres.QueryRow(t, f.database, `SELECT count(*) FROM mails WHERE sent_at IS NOT NULL`, &sent)
				if sent != 1 {
					return fmt.Errorf("%d are", sent)
				}
				return nil
			})
			if got := f.box.Delivered(); got != gate.delivered {
				t.Errorf("the server got it %d times, want %d", got, gate.delivered)
			}
		})
	}
}
