package events_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	amqp "github.com/rabbitmq/amqp091-go"
	"go.opentelemetry.io/otel/trace/noop"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"github.com/tendhq/tend/services/contracts"
	"github.com/tendhq/tend/services/internal/config"
	"github.com/tendhq/tend/services/internal/events"
	"github.com/tendhq/tend/services/internal/logging"
	"github.com/tendhq/tend/services/internal/metrics"
	"github.com/tendhq/tend/services/internal/postgres"
	"github.com/tendhq/tend/services/internal/testenv"
)

func TestMain(m *testing.M) { os.Exit(testenv.Run(m)) }

var migrations = fstest.MapFS{"migrations/00001_events.sql": {Data: []byte(`-- +goose Up
CREATE TABLE outbox (sequence bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, event_type text NOT NULL, event json NOT NULL);
CREATE TABLE inbox (event_id uuid PRIMARY KEY, received_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE things (n integer PRIMARY KEY);
CREATE TABLE effects (n integer NOT NULL); -- not unique: what happens twice is seen twice
`)}}

var contract = &contracts.Contract{Service: "thing-service", Events: map[string]any{
	"thing.made":   map[string]any{"n": "number"},
	"thing.broken": map[string]any{"n": "number"},
}}

// groups of consumers; the second one knows one type alone.
var groups = map[string][]string{"all": {"thing.made", "thing.broken"}, "some": {"thing.made"}}

type thing struct {
	N int `json:"n"`
}

// server is a bus's server.
type server interface {
	Kill(testing.TB)
	Start(testing.TB)
	BusEnv(testing.TB) map[string]string
}

// onEachBus runs a test on Redis and on RabbitMQ.
func onEachBus(t *testing.T, test func(*testing.T, *env)) {
	t.Run("redis", func(t *testing.T) {
		redis := testenv.StartDurableRedis(t)
		test(t, newEnv(t, redis, func(group string) (dead []string) {
			client := redis.Client()
			defer client.Close()
			for _, m := range client.XRange(t.Context(), events.DeadStream(group), "-", "+").Val() {
				dead = append(dead, m.Values["event"].(string))
			}
			return dead
		}))
	})
	t.Run("rabbitmq", func(t *testing.T) {
		rabbit := testenv.StartRabbitMQ(t)
		e := newEnv(t, rabbit, func(group string) (dead []string) {
			connection, err := amqp.Dial(rabbit.URL())
			if err != nil {
				t.Fatal(err)
			}
			defer connection.Close()
			channel, err := connection.Channel()
			if err != nil {
				t.Fatal(err)
			}
			for {
				m, ok, err := channel.Get(events.DeadQueue(group), false)
				if err != nil {
					t.Fatal(err)
				}
				if !ok {
					return dead
				}
				dead = append(dead, string(m.Body))
			}
		})
		e.settle = func() {
			for group := range groups {
				rabbit.AwaitQueues(t, group, events.RetryQueue(group), events.DeadQueue(group))
			}
		}
		test(t, e)
	})
}

type env struct {
	t        *testing.T
	log      *zap.Logger // of relays and consumers
	server   server
	busEnv   map[string]string
	settle   func() // returns once a kill leaves the server's queues as they are
	dead     func(group string) []string
	postgres *testenv.Postgres
	source   string            // the publisher's database
	sinks    map[string]string // the groups' databases
}

func newEnv(t *testing.T, s server, dead func(string) []string) *env {
	pg := testenv.SharedPostgres(t)
	e := &env{t: t, log: zaptest.NewLogger(t, zaptest.Level(zap.WarnLevel)), server: s, busEnv: s.BusEnv(t), dead: dead, postgres: pg, source: pg.NewDatabase(t), sinks: map[string]string{}, settle: func() {}}
	for group := range groups {
		e.sinks[group] = pg.NewDatabase(t)
	}
	for _, database := range slices.Concat([]string{e.source}, slices.Collect(maps.Values(e.sinks))) {
		if err := e.open(database).Migrate(t.Context(), migrations, zap.NewNop()); err != nil {
			t.Fatal(err)
		}
	}
	return e
}

func (e *env) open(database string) *postgres.DB {
	db, err := postgres.Open(postgres.Config{Host: e.postgres.Dir, Port: 5432, Name: database, User: "postgres", Password: testenv.Password}, metrics.New("test"))
	if err != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(db.Close)
	return db
}

func (e *env) bus() events.Bus {
	environment := config.NewEnv(func(name string) (string, bool) { value, ok := e.busEnv[name]; return value, ok })
	bus := events.FromEnvWith(environment, groups)
	if err := environment.Err(); err != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(bus.Close)
	return bus
}

// run runs something as a process does, until the test ends or stop is called.
func (e *env) run(run func(context.Context)) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); run(ctx) }()
	stop = func() { cancel(); <-ended }
	e.t.Cleanup(stop)
	return stop
}

func (e *env) relay() (stop func()) {
	return e.run(events.NewRelay(e.open(e.source), e.bus(), metrics.New("test").Registerer, e.log).Run)
}

// effect records the event's thing in a sink.
func effect(ctx context.Context, tx pgx.Tx, e events.Event) error {
	var made thing
	if err := json.Unmarshal(e.Data, &made); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `INSERT INTO effects VALUES ($1)`, made.N)
	return err
}

func (e *env) consumer(group string, handler events.Handler) (stop func()) {
	handlers := map[string]events.Handler{}
	for _, eventType := range groups[group] {
		handlers[eventType] = handler
	}
	return e.run(events.NewConsumer(group, handlers, e.open(e.sinks[group]), e.bus(), noop.NewTracerProvider(), metrics.New("test").Registerer, e.log).Run)
}

// effects returns what the events had done, sorted.
func (e *env) effects(group string) (list string) {
	e.postgres.QueryRow(e.t, e.sinks[group], `SELECT coalesce(string_agg(n::text, ' ' ORDER BY n), '') FROM effects`, &list)
	return list
}

func (e *env) await(group, want string) {
	e.t.Helper()
	testenv.AwaitFor(e.t, 90*time.Second, "the events have had their effect on "+group, func() error {
		if got := e.effects(group); got != want {
			return fmt.Errorf("effects = %s, want %s", got, want)
		}
		return nil
	})
}

// Things are made and some are not, relays and consumers come and go, handlers fail, and
// the bus is killed twice: each thing that was made has each effect once.
func TestNothingIsLostAndNothingIsDoubled(t *testing.T) {
	onEachBus(t, func(t *testing.T, e *env) {
		outbox, err := events.NewOutbox(contract, true)
		if err != nil {
			t.Fatal(err)
		}
		db := e.open(e.source)
		var made []string
		mayFail := errors.New("made to fail")
		make100 := func(from int) {
			for n := from; n < from+100; n++ {
				err := db.Write(t.Context(), func(ctx context.Context, tx pgx.Tx) error {
					if _, err := tx.Exec(ctx, `INSERT INTO things VALUES ($1)`, n); err != nil {
						return err
					}
					if err := outbox.Add(ctx, tx, "thing.made", fmt.Sprint(n), thing{n}); err != nil {
						return err
					}
					if n%5 == 0 {
						return mayFail
					}
					return nil
				})
				switch {
				case err == nil:
					made = append(made, fmt.Sprint(n))
				case !errors.Is(err, mayFail):
					t.Fatal(err)
				}
			}
		}
		// The first attempt at each seventh thing fails after its effect.
		var failed sync.Map
		flaky := func(ctx context.Context, tx pgx.Tx, event events.Event) error {
			if err := effect(ctx, tx, event); err != nil {
				return err
			}
			var made thing
			if err := json.Unmarshal(event.Data, &made); err != nil {
				return err
			}
			if _, again := failed.LoadOrStore(event.EventID, true); made.N%7 == 0 && !again {
				return mayFail
			}
			return nil
		}
		// A consumer that hangs with what it took, until it is stopped.
		hangs := make(chan struct{}, 1000)
		hanging := func(ctx context.Context, _ pgx.Tx, _ events.Event) error {
			hangs <- struct{}{}
			<-ctx.Done()
			return ctx.Err()
		}

		make100(1000) // nobody is there yet
		stopFirst := e.relay()
		e.relay()
		stopHanging := e.consumer("all", hanging)
		e.consumer("all", flaky)
		e.consumer("all", flaky)
		<-hangs
		make100(2000)
		e.settle()
		e.server.Kill(t)
		make100(3000)
		e.server.Start(t)
		stopHanging()
		make100(4000)
		// RabbitMQ 3.10 that is killed again while it recovers can lose a queue's log, and the
		// queue takes nothing for good.
		e.await("all", strings.Join(made, " "))
		stopFirst()
		e.server.Kill(t)
		e.server.Start(t)
		make100(5000)
		e.consumer("some", effect) // which nobody was of until now
		want := strings.Join(made, " ")
		e.await("all", want)
		e.await("some", want)
		var waiting int
		e.postgres.QueryRow(t, e.source, `SELECT count(*) FROM outbox`, &waiting)
		if waiting != 0 {
			t.Errorf("%d events are left in the outbox", waiting)
		}
	})
}

// slowBus takes a few messages in the time of one call.
type slowBus struct {
	events.Bus
	most int
}

func (b slowBus) Publish(ctx context.Context, messages []events.Message) error {
	if len(messages) > b.most {
		return context.DeadlineExceeded
	}
	return b.Bus.Publish(ctx, messages)
}

func TestABusThatIsSlowIsGivenLessAtOnce(t *testing.T) {
	e := newEnv(t, testenv.StartDurableRedis(t), nil)
	outbox, err := events.NewOutbox(contract, true)
	if err != nil {
		t.Fatal(err)
	}
	var made []string
	err = e.open(e.source).Write(t.Context(), func(ctx context.Context, tx pgx.Tx) error {
		for n := 1000; n < 1100; n++ {
			made = append(made, fmt.Sprint(n))
			if err := outbox.Add(ctx, tx, "thing.made", fmt.Sprint(n), thing{n}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	e.run(events.NewRelay(e.open(e.source), slowBus{e.bus(), 7}, metrics.New("test").Registerer, zap.NewNop()).Run)
	e.consumer("all", effect)
	e.await("all", strings.Join(made, " "))
}

func message(t *testing.T, eventType string, n int) events.Message {
	t.Helper()
	body, err := json.Marshal(events.Event{EventID: uuid.New(), EventType: eventType, AggregateID: "a", Timestamp: time.Now(), Data: fmt.Appendf(nil, `{"n":%d}`, n)})
	if err != nil {
		t.Fatal(err)
	}
	return events.Message{Type: eventType, Body: body}
}

func publish(t *testing.T, bus events.Bus, messages ...events.Message) {
	t.Helper()
	if err := bus.Publish(t.Context(), messages); err != nil {
		t.Fatal(err)
	}
}

func TestWhatIsPublishedTwiceHasItsEffectOnce(t *testing.T) {
	onEachBus(t, func(t *testing.T, e *env) {
		bus, twice := e.bus(), message(t, "thing.made", 1)
		publish(t, bus, twice, twice)
		e.consumer("all", effect)
		e.consumer("all", effect)
		publish(t, bus, twice, message(t, "thing.made", 2))
		e.await("all", "1 2")
		publish(t, bus, twice, message(t, "thing.made", 3), twice, message(t, "thing.made", 4))
		e.await("all", "1 2 3 4")
	})
}

func TestAPoisonousMessageGoesToTheDeadLetterQueue(t *testing.T) {
	onEachBus(t, func(t *testing.T, e *env) {
		bus, poison := e.bus(), message(t, "thing.broken", 13)
		garbage := events.Message{Type: "thing.made", Body: []byte(`{"eventId":"`)}
		huge := events.Message{Type: "thing.made", Body: []byte(`{"data":"` + strings.Repeat("x", 64<<10) + `"}`)}
		publish(t, bus, message(t, "thing.made", 1), garbage, poison, huge, message(t, "thing.unknown", 5), message(t, "thing.made", 2))
		var attempts atomic.Int32
		e.consumer("all", func(ctx context.Context, tx pgx.Tx, event events.Event) error {
			if err := effect(ctx, tx, event); err != nil || event.EventType != "thing.broken" {
				return err
			}
			attempts.Add(1)
			return errors.New("it never works")
		})
		e.await("all", "1 2") // the good ones do not wait for the bad ones
		testenv.AwaitFor(t, time.Minute, "the poison is given up", func() error {
			dead, want := e.dead("all"), []string{string(garbage.Body), string(poison.Body), string(huge.Body)}
			slices.Sort(dead)
			slices.Sort(want)
			if !slices.Equal(dead, want) {
				return fmt.Errorf("%d dead letters", len(dead))
			}
			return nil
		})
		if got := attempts.Load(); got != 5 {
			t.Errorf("%d attempts, want 5", got)
		}
		if dead := e.dead("some"); len(dead) > 0 {
			t.Errorf("dead letters of the other group = %v", dead)
		}
		publish(t, bus, message(t, "thing.made", 3))
		e.await("all", "1 2 3")
	})
}

// Whatever is away is away for all events: none is given up for it.
func TestAnEventWaitsForWhatIsAway(t *testing.T) {
	e := newEnv(t, testenv.StartDurableRedis(t), nil)
	attempts := 0
	consumer := events.NewConsumer("all", map[string]events.Handler{"thing.made": func(ctx context.Context, tx pgx.Tx, event events.Event) error {
		if attempts++; attempts < 3 {
			return &away{}
		}
		return effect(ctx, tx, event)
	}}, e.open(e.sinks["all"]), nil, noop.NewTracerProvider(), metrics.New("test").Registerer, zap.NewNop())
	if verdict := consumer.Handle(t.Context(), message(t, "thing.made", 1).Body, 1000); verdict != events.Done || e.effects("all") != "1" {
		t.Errorf("verdict = %v after %d attempts, effects = %q", verdict, attempts, e.effects("all"))
	}
}

type away struct{}

func (*away) Error() string   { return "away" }
func (*away) Temporary() bool { return true }

func TestTheOutboxTakesWhatTheContractPromisesAlone(t *testing.T) {
	e := newEnv(t, testenv.StartDurableRedis(t), nil)
	db := e.open(e.source)
	add := func(on bool, eventType string, data any) error {
		outbox, err := events.NewOutbox(contract, on)
		if err != nil {
			t.Fatal(err)
		}
		ctx := logging.NewContext(t.Context(), zap.NewNop(), logging.IDs{CorrelationID: "c"})
		return db.Write(ctx, func(ctx context.Context, tx pgx.Tx) error { return outbox.Add(ctx, tx, eventType, "a", data) })
	}
	for name, data := range map[string]any{"another type": map[string]any{"n": "1"}, "a field too many": map[string]any{"n": 1, "m": 2}, "a field missing": map[string]any{}} {
		if err := add(true, "thing.made", data); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	if err := add(true, "thing.lost", thing{1}); err == nil {
		t.Error("an event that the contract does not list is accepted")
	}
	if err := add(false, "thing.made", thing{1}); err != nil {
		t.Error(err)
	}
	if err := add(true, "thing.made", thing{2}); err != nil {
		t.Error(err)
	}
	var written string
	e.postgres.QueryRow(t, e.source, `SELECT string_agg(event::text, ' ') FROM outbox`, &written)
	var event events.Event
	if err := json.Unmarshal([]byte(written), &event); err != nil {
		t.Fatalf("%s: %v", written, err)
	}
	if event.EventID == uuid.Nil || event.EventType != "thing.made" || event.AggregateID != "a" || event.CorrelationID != "c" ||
		time.Since(event.Timestamp) > time.Minute || string(event.Data) != `{"n":2}` {
		t.Errorf("event = %+v", event)
	}
}

// A stream is as long as what somebody has yet to handle, and no shorter.
func TestTheStreamIsTrimmedToWhatIsNotHandledYet(t *testing.T) {
	redis := testenv.StartDurableRedis(t)
	e := newEnv(t, redis, nil)
	bus, client := e.bus(), redis.Client()
	defer client.Close()
	// Redis gives back whole nodes of 100 entries.
	var batch []events.Message
	var all []string
	for n := 100; n < 500; n++ {
		batch = append(batch, message(t, "thing.made", n))
		all = append(all, fmt.Sprint(n))
	}
	publish(t, bus, batch...)
	length := func() int64 {
		t.Helper()
		if err := events.Trim(t.Context(), bus); err != nil {
			t.Fatal(err)
		}
		return client.XLen(t.Context(), "domain-events").Val()
	}
	e.consumer("all", effect)
	e.await("all", strings.Join(all, " "))
	if got := length(); got != 400 {
		t.Errorf("the stream has %d events while a group is missing, want 400", got)
	}
	started := make(chan struct{}, 1)
	proceed := make(chan struct{})
	e.consumer("some", func(ctx context.Context, tx pgx.Tx, event events.Event) error {
		select {
		case started <- struct{}{}:
		default:
		}
		<-proceed
		return effect(ctx, tx, event)
	})
	<-started
	if got := length(); got != 400 {
		t.Errorf("the stream has %d events while a group has handled none, want 400", got)
	}
	close(proceed)
	e.await("some", strings.Join(all, " "))
	testenv.Await(t, "the stream is trimmed", func() error {
		if got := length(); got > 100 {
			return fmt.Errorf("%d events are left", got)
		}
		return nil
	})
}

// The stream fills while a service is away, and no event is dropped from it: when Redis
// has no more room, events wait in the outboxes until that service is back.
func TestWhatFindsNoRoomOnTheStreamWaitsInTheOutbox(t *testing.T) {
	redis := testenv.StartDurableRedis(t)
	e := newEnv(t, redis, nil)
	client := redis.Client()
	defer client.Close()
	e.consumer("all", effect)
	stop := e.consumer("some", effect)
	outbox, err := events.NewOutbox(contract, true)
	if err != nil {
		t.Fatal(err)
	}
	db := e.open(e.source)
	var all []string
	makeTo := func(end int) {
		t.Helper()
		err := db.Write(t.Context(), func(ctx context.Context, tx pgx.Tx) error {
			for n := len(all); n < end; n++ {
				all = append(all, fmt.Sprint(n))
				if err := outbox.Add(ctx, tx, "thing.made", "a", thing{n}); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	e.relay()
	makeTo(1)
	e.await("some", "0")
	stop()
	used, err := client.Info(t.Context(), "memory").Result()
	if err != nil {
		t.Fatal(err)
	}
	var bytes int64
	for line := range strings.Lines(used) {
		_, _ = fmt.Sscanf(line, "used_memory:%d", &bytes)
	}
	if err := client.ConfigSet(t.Context(), "maxmemory", fmt.Sprint(bytes+128<<10)).Err(); err != nil {
		t.Fatal(err)
	}

	makeTo(1500)
	testenv.AwaitFor(t, time.Minute, "there is no more room", func() error {
		err := client.Set(t.Context(), "room", "", 0).Err()
		if err == nil || !strings.HasPrefix(err.Error(), "OOM") {
			return fmt.Errorf("there is: %w", err)
		}
		return nil
	})
	var waiting int
	e.postgres.QueryRow(t, e.source, `SELECT count(*) FROM outbox`, &waiting)
	if waiting == 0 {
		t.Error("no event waits in the outbox")
	}
	e.consumer("some", effect)
	slices.Sort(all)
	for _, group := range []string{"all", "some"} {
		testenv.AwaitFor(t, 5*time.Minute, "all have had their effect on "+group, func() error {
			got := strings.Fields(e.effects(group))
			slices.Sort(got)
			if !slices.Equal(got, all) {
				return fmt.Errorf("%d of %d have", len(got), len(all))
			}
			return nil
		})
	}
}

// The inbox forgets what the bus cannot deliver again, and nothing else.
func TestTheInboxForgetsWhatIsOld(t *testing.T) {
	e := newEnv(t, testenv.StartDurableRedis(t), nil)
	inbox := e.sinks["all"]
	e.postgres.Exec(t, inbox, `INSERT INTO inbox SELECT gen_random_uuid(), now() - interval '31 days' FROM generate_series(1, 2500)`)
	e.postgres.Exec(t, inbox, `INSERT INTO inbox SELECT gen_random_uuid(), now() - interval '29 days' FROM generate_series(1, 10)`)
	consumer := events.NewConsumer("all", nil, e.open(inbox), e.bus(), noop.NewTracerProvider(), metrics.New("test").Registerer, zap.NewNop())
	if err := consumer.Forget(t.Context()); err != nil {
		t.Fatal(err)
	}
	var left int
	e.postgres.QueryRow(t, inbox, `SELECT count(*) FROM inbox`, &left)
	if left != 10 {
		t.Errorf("%d events are remembered, want the 10 of the last 30 days", left)
	}
}
