package api

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"go.uber.org/zap"

	"github.com/tendhq/tend/controller"
	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/ingresses"
	"github.com/tendhq/tend/controller/logs"
	"github.com/tendhq/tend/controller/registrations"
	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/ingress"
	"github.com/tendhq/tend/state"
)

func TestMain(m *testing.M) {
	var err error
	if dataDir, err = os.MkdirTemp("", "tend-api-"); err == nil {
		err = MakeTokens(dataDir)
	}
	if err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(dataDir)
		for _, text := range conformity.wrong {
			fmt.Println("not as in openapi.yaml:", text)
			code = 1
		}
		if all := flag.Lookup("test.run").Value.String() == ""; all && code == 0 {
			for _, name := range conformity.missing() {
				fmt.Println("no test has seen it succeed:", name)
				code = 1
			}
		}
		os.Exit(code)
	}))
}

// secret stands wherever a template can hold one.
const secret = "hunter2"

var (
	// dataDir has the tokens of config.
	dataDir string

	noon        = time.Date(2026, 1, 2, 12, 0, 0, 0, time.FixedZone("elsewhere", 3600))
	errNotReady = errors.New("the engine does not answer")
)

// shop fills a store as the loop does.
func shop() *state.Store {
	s := state.New(func([]state.Change) {})
	s.Update(func(tx *state.Tx) {
		value := secret
		tx.PutWorkload(&state.Workload{Name: "web", Generation: 2, Spec: &spec.Workload{
			Name: "web", Kind: spec.Deployment, Replicas: 2,
			Strategy: spec.Strategy{Type: spec.RollingUpdate, MaxSurge: 1},
			MinReady: 500 * time.Millisecond, ProgressDeadline: time.Minute, RevisionHistoryLimit: 10,
			Restart:   spec.Restart{Condition: spec.RestartAny, Delay: 10 * time.Second, MaxDelay: 5 * time.Minute, Window: 10 * time.Minute},
			StopGrace: 10 * time.Second,
			DependsOn: []spec.Dependency{{Name: "seed", Condition: spec.DependencyCompleted, Required: true}},
			Image:     "shop/web:1.1.0", Revision: "rev2", Ports: []int{3001, 9090},
			Template: types.ServiceConfig{
				Name: "web", Image: "shop/web:1.1.0",
				Environment: types.MappingWithEquals{"PASSWORD": &value},
				Command:     types.ShellCommand{"serve", "--password", secret},
				Labels:      types.Labels{"password": secret},
			},
		}})
		tx.PutRollout(core.Rollout{
			Workload: "web", Revision: "rev2", Stable: "rev1",
			Attempts: map[int]core.Attempt{1: {Revision: "rev2", Count: 3}, 2: {Revision: "rev0", Count: 9}},
		})
		tx.PutStatus(core.Status{
			Workload: "web", ObservedGeneration: 2, Desired: 2, Replicas: 2, Updated: 1, Ready: 1, Available: 1, Unavailable: 1,
			CurrentRevision: "rev1", UpdateRevision: "rev2", WantedRevision: "rev2",
			Next: core.Change{At: noon, What: "shop-web-2 is started again"},
			Conditions: []core.Condition{
				{Type: core.Available, Status: true, Reason: "MinimumReplicasAvailable", Message: "1 of 2 replicas available", Since: noon},
				{Type: core.Progressing, Reason: "ProgressDeadlineExceeded", Message: "no progress for 1m0s", Since: noon},
			},
			ReplicaStatuses: []core.ReplicaStatus{{ID: "b1", Health: core.Healthy, Ready: true, Phase: core.PhaseReady, Restarts: 2}, {ID: "a2", Phase: core.PhaseExited, Blocker: "shop-web-2 exited with code 3"}},
		})
		tx.PutWorkload(&state.Workload{Name: "seed", Generation: 1, Spec: &spec.Workload{
			Name: "seed", Kind: spec.Job, Replicas: 1, Strategy: spec.Strategy{Type: spec.Recreate},
			Restart: spec.Restart{Condition: spec.RestartNone}, Image: "shop/seed:1.0.0", Revision: "rev1",
		}})
		tx.PutReplica(&state.Replica{Replica: core.Replica{
			Workload: "web", Number: 2, Name: "shop-web-2", ID: "a2", Revision: "rev1", State: core.Exited, ExitCode: 3,
			StartedAt: noon, Image: "shop/web:1.0.0", HealthOutput: secret,
		}})
		tx.PutReplica(&state.Replica{Replica: core.Replica{
			Workload: "web", Number: 1, Name: "shop-web-1", ID: "b1", Revision: "rev2", State: core.Running, Health: core.Healthy,
			StartedAt: noon, ReadySince: noon, Addresses: map[string]string{"shop_frontend": "172.20.0.5"},
			Ports: []string{"127.0.0.1:8080->80/tcp"}, Image: "shop/web:1.1.0",
		}})
		tx.PutReplica(&state.Replica{Replica: core.Replica{
			Workload: "gone", Number: 1, Name: "shop-gone-1", ID: "c1", State: core.Exited, StartedAt: noon, Image: "shop/gone:1",
		}})
		tx.AddEvent(core.Event{Type: core.Normal, Workload: "web", Reason: "Created", Message: "shop-web-1: 2 replicas are asked for"}, noon)
		tx.AddEvent(core.Event{Type: core.Normal, Reason: "NetworkCreated", Message: "shop_frontend"}, noon)
		for i := range 2 {
			tx.AddEvent(core.Event{Type: core.Warning, Workload: "web", Reason: "BackOff", Message: "shop-web-2 exited with code 3"}, noon.Add(time.Duration(i)*time.Minute))
		}
	})
	return s
}

// published is the shop with every workload looked at, and endpoints of one.
func published() *state.Store {
	s := shop()
	s.Update(func(tx *state.Tx) {
		tx.PutStatus(core.Status{Workload: "seed"})
		tx.PutEndpoints("web", []core.Endpoint{
			{Workload: "web", ID: "b2", Replica: "shop-web-2", Revision: "rev1", Addresses: map[string]string{"backend": "172.20.0.6"}, Ports: []int{3001, 9090}},
			{Workload: "web", ID: "b1", Replica: "shop-web-1", Revision: "rev2", Addresses: map[string]string{"frontend": "fd00::5", "backend": "172.20.0.5"}, Ports: []int{3001}},
		})
		value := secret
		web := &spec.Workload{Revision: "rev2", Image: "shop/web:1.1.0", Template: types.ServiceConfig{Environment: types.MappingWithEquals{"PASSWORD": &value}}}
		tx.PutResource(core.Resource{Kind: core.ImageResource, Name: "shop/web:1.1.0", Known: true, Present: true, ID: "sha256:c0ffee",
			Digest: "sha256:d1", Newest: "sha256:d2", AskedAt: noon, PullInterval: time.Minute})
		tx.PutResource(core.Resource{Kind: core.ImageResource, Name: "shop/old:1", Attempt: core.Attempt{Error: "no such image"}})
		tx.PutResource(core.Resource{Kind: core.NetworkResource, Name: "shop_backend", Known: true, Present: true, ID: "n1"})
		tx.PutRevision(&state.Revision{Workload: "web", Revision: "rev0", Number: 1, Spec: &spec.Workload{Image: "shop/web:0.9.0"}, At: noon})
		tx.PutRevision(&state.Revision{Workload: "web", Revision: "rev1", Number: 2, Spec: &spec.Workload{Image: "shop/web:1.0.0"}, At: noon})
		tx.PutRevision(&state.Revision{Workload: "web", Revision: "rev2", Number: 3, Spec: web, At: noon})
	})
	return s
}

// intents is a controller that keeps what it is asked for.
type intents struct {
	store         *state.Store
	registrations *registrations.Keeper

	acknowledged map[string]uint64
	lost         []string // in order

	mu     sync.Mutex
	peers  []string // of the queries, in order
	killed []string // containers
	// carried is what a subscriber told last, by its name.
	carried map[string]map[string]ingress.Counters
	// written is what replicas wrote, and engine what the engine answers to a kill and to
	// a request for logs.
	written []logs.Line
	engine  error
}

func (c *intents) Register(_ context.Context, asked core.Event, r core.Registration) error {
	if c.registrations.Register(r) {
		c.Asked(asked)
	}
	return nil
}

func (c *intents) Deregister(_ context.Context, asked core.Event, id string) error {
	if !c.registrations.Deregister(id) {
		return &controller.UnknownRegistrationError{Kind: "service", ID: id}
	}
	c.Asked(asked)
	return nil
}

func (c *intents) Heard(check string, status core.CheckStatus, output string) error {
	if !c.registrations.Heard(check, status, output) {
		return &controller.UnknownRegistrationError{Kind: "check with a TTL", ID: check}
	}
	return nil
}

func (c *intents) Subscribers() []controller.Sighting {
	return []controller.Sighting{{Subscriber: controller.Subscriber{Peer: "172.20.0.9", Name: "gateway"}, Index: 7, Expires: noon}}
}

func (c *intents) Carried(who controller.Subscriber, counted map[string]ingress.Counters) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.carried = map[string]map[string]ingress.Counters{who.Name: counted}
}

func (c *intents) Traffic() map[string][]ingresses.Sample {
	at := func(seconds int, requests, failures int64, fast, slow int64) ingresses.Sample {
		s := ingresses.Sample{At: noon.Add(time.Duration(seconds) * time.Second)}
		s.Total.Requests, s.Total.Failures = requests, failures
		s.Total.Latency[2], s.Total.Latency[len(s.Total.Latency)-1] = fast, slow
		return s
	}
	return map[string][]ingresses.Sample{"web:80": {
		at(0, 100, 0, 100, 0), at(5, 200, 5, 198, 2), at(10, 200, 5, 198, 2),
		at(15, 20, 0, 20, 0), // the container was started anew
		at(20, 30, 0, 30, 0),
	}}
}

func (c *intents) Plan(_ context.Context, workload string) (controller.WorkloadPlan, error) {
	status, _ := c.store.Snapshot().Status(workload)
	return controller.WorkloadPlan{
		UnderWay: []core.Action{{Kind: core.StopReplica, Workload: workload, Object: "shop-web-2", ID: "a2", Cause: "it is of another revision"}},
		Next:     []core.Action{{Kind: core.CreateReplica, Workload: workload, Number: 3, Revision: "rev2", Cause: "2 replicas are asked for"}},
		Status:   status.Status,
	}, nil
}

func (c *intents) Kill(_ context.Context, asked core.Event, id string) error {
	if c.engine != nil {
		return c.engine
	}
	c.killed = append(c.killed, id)
	c.Asked(asked)
	return nil
}

func (c *intents) Logs(ctx context.Context, _ string, follow bool, o logs.Options, emit func(logs.Line) error) error {
	if c.engine != nil {
		return c.engine
	}
	lines := c.written
	if len(lines) > o.Tail {
		lines = lines[len(lines)-o.Tail:]
	}
	for _, l := range lines {
		if l.At.Before(o.Since) {
			continue
		}
		if err := emit(l); err != nil {
			return err
		}
	}
	if follow {
		<-ctx.Done()
	}
	return nil
}

func (c *intents) Asked(asked core.Event) {
	c.store.Update(func(tx *state.Tx) { tx.AddEvent(asked, noon) })
}

func (c *intents) Intend(_ context.Context, asked core.Event, change func(*core.Intent, *state.Snapshot) error) error {
	workload, snap := asked.Workload, c.store.Snapshot()
	if _, ok := snap.Workload(workload); !ok {
		return &controller.UnknownWorkloadError{Workload: workload}
	}
	intent := core.Intent{}
	if row, ok := snap.Intent(workload); ok {
		intent = row.Intent
	}
	if err := change(&intent, snap); err != nil {
		return err
	}
	c.store.Update(func(tx *state.Tx) { tx.PutIntent(&state.Intent{Workload: workload, Intent: intent}) })
	c.Asked(asked)
	return nil
}

func (c *intents) Subscribed(who controller.Subscriber, index uint64) (disconnected func(), err error) {
	if who.Name == "one too many" {
		return nil, controller.ErrTooManyNames
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.acknowledged[who.Name] = index
	c.peers = append(c.peers, who.Peer)
	return func() { c.lost = append(c.lost, who.Name) }, nil
}

// onSocket serves requests as though they came over the Unix socket.
func onSocket(h http.Handler) http.Handler {
	h = conformity.handler(h)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), peerKey{}, peer{name: "uid 1000", local: true})))
	})
}

// tokenOf is the content of a token's file.
func tokenOf(t *testing.T, role Role) string {
	t.Helper()
	token, err := readToken(dataDir, role)
	require.NoError(t, err)
	return token
}

func config(s *state.Store) Config {
	return Config{
		Store: s, Controller: &intents{store: s, registrations: registrations.New(s), acknowledged: map[string]uint64{}}, Project: "shop", Version: "test", DataDir: dataDir, Log: zap.NewNop(),
		Ready: func() error { return nil },
		Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain; version=0.0.4")
			_, _ = w.Write([]byte("tend_engine_up 1\n"))
		}),
	}
}
