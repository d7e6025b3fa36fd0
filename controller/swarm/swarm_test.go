package swarm_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	swarmapi "github.com/docker/docker/api/types/swarm"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/logs"
	"github.com/tendhq/tend/controller/observe"
	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/controller/spec/load"
	"github.com/tendhq/tend/controller/swarm"
	"github.com/tendhq/tend/controller/swarm/convert"
	"github.com/tendhq/tend/controller/swarm/manager"
	"github.com/tendhq/tend/controller/swarm/manager/model"
	"github.com/tendhq/tend/state"
	"github.com/tendhq/tend/state/durable"
)

// world is a project that is kept on a Swarm of three managers and a worker, in virtual time.
type world struct {
	*testing.T
	*model.Swarm
	// asked is what the controller asks: the Swarm itself, or what is in between.
	asked manager.Manager
	dir   string
	ctl   *swarm.Controller
	store durable.Store
	stop  func()
	// check is asked before each action; nil for always allowed.
	check func() error
	// planned counts the plans of workloads.
	planned atomic.Int64
	mu      sync.Mutex
	events  []string
}

func inTime(t *testing.T, run func(*world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{T: t, Swarm: model.New(), dir: t.TempDir()}
		w.asked = w.Swarm
		w.AddNode("node2", swarmapi.NodeRoleManager)
		w.AddNode("node3", swarmapi.NodeRoleManager)
		w.AddNode("node4", swarmapi.NodeRoleWorker)
		for i := range 4 {
			w.AddImage(fmt.Sprintf("web:%d", i), model.Behavior{Output: []string{"serves"}})
		}
		w.AddImage("db:1", model.Behavior{HealthCheck: true, HealthAfter: 3 * time.Second})
		w.AddImage("job:1", model.Behavior{Exits: true, After: time.Second})
		w.AddImage("job:2", model.Behavior{Exits: true, After: time.Second})
		w.AddImage("bad:1", model.Behavior{Exits: true, After: time.Second, Code: 3})
		w.AddImage("sick:1", model.Behavior{HealthCheck: true, Sick: true})
		defer func() {
			if w.stop != nil {
				w.stop()
			}
			assert.NoError(t, w.Close())
		}()
		run(w)
	})
}

func (w *world) load(compose string) *spec.Project {
	w.Helper()
	require.NoError(w, os.WriteFile(filepath.Join(w.dir, "compose.yaml"), []byte(compose), 0o600))
	require.NoError(w, os.WriteFile(filepath.Join(w.dir, "token"), []byte("s3cret"), 0o600))
	p, err := load.Project(context.Background(), load.Options{ProjectDirectory: w.dir, Name: "shop", IngressImage: "tend/ingress", Adapt: convert.Adapt})
	require.NoError(w, err)
	return p
}

// start starts a controller with a project.
func (w *world) start(compose string) { w.startUntil(compose, -1) }

// startUntil starts a controller that dies before it carries out an action, after so many;
// never below 0.
func (w *world) startUntil(compose string, actions int) {
	w.Helper()
	p := w.load(compose)
	ctx, cancel := context.WithCancel(context.Background())
	var did atomic.Int64
	check := w.check
	w.ctl = swarm.New(swarm.Options{
		Manager: w.asked, Project: "shop", Folders: observe.Folders{Project: w.dir}, Log: zap.NewNop(), Durable: w.store,
		OnStatus: func(core.Status) { w.planned.Add(1) },
		Check: func() error {
			if actions >= 0 && did.Add(1) > int64(actions) {
				cancel()
				return context.Canceled
			}
			if check != nil {
				return check()
			}
			return nil
		},
		OnEvent: func(e *state.Event) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.events = append(w.events, fmt.Sprintf("%s: %s %s", e.Workload, e.Reason, e.Message))
		},
	})
	var running sync.WaitGroup
	ctl := w.ctl
	running.Go(func() { ctl.Run(ctx) })
	w.stop = func() { cancel(); running.Wait(); w.stop = nil }
	w.ctl.SetProject(p)
}

func (w *world) write(compose string) { w.ctl.SetProject(w.load(compose)) }

func (w *world) told() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Join(w.events, "\n")
}

// converges waits until all has converged.
func (w *world) converges() {
	w.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	require.NoError(w, w.ctl.Wait(ctx), "%s", w.told())
}

func (w *world) status(name string) core.Status {
	w.Helper()
	row, ok := w.ctl.State().Snapshot().Status(name)
	require.True(w, ok, name)
	return row.Status
}

func (w *world) service(name string) manager.Service {
	w.Helper()
	all, err := w.Services(context.Background(), "shop")
	require.NoError(w, err)
	for _, s := range all {
		if s.Spec.Name == "shop_"+name {
			return s
		}
	}
	require.Fail(w, "there is no service "+name)
	return manager.Service{}
}

func (w *world) image(name string) string {
	return w.service(name).Spec.TaskTemplate.ContainerSpec.Image
}

const shop = `
services:
  web: {image: "%s", scale: 3, secrets: [token], depends_on: {db: {condition: service_healthy}, seed: {condition: service_completed_successfully}}}
  db: {image: "db:1", volumes: ["data:/data"]}
  seed: {image: "job:1", restart: "no"}
volumes: {data: {}}
secrets: {token: {file: ./token}}
`

func shopWith(image string) string { return fmt.Sprintf(shop, image) }

func TestAProjectIsKept(t *testing.T) {
	inTime(t, func(w *world) {
		w.start(shopWith("web:1"))
		w.converges()
		assert.EqualValues(t, 3, w.service("web").Running)
		snap := w.ctl.State().Snapshot()
		assert.Len(t, snap.Replicas("web"), 3)
		assert.Equal(t, core.OutcomeComplete, w.status("seed").Outcome)
		for _, r := range snap.Replicas("web") {
			assert.Equal(t, core.Running, r.State)
			assert.NotEmpty(t, r.Addresses)
			assert.Regexp(t, `^shop_web\.[123]\.\w{12}$`, r.Name)
		}
		require.NoError(t, w.ctl.Ready())

		before := len(w.Writes())
		time.Sleep(time.Hour)
		assert.Len(t, w.Writes(), before, "what is as it should be is changed")

		w.write(shopWith("web:2"))
		w.converges()
		assert.Equal(t, "web:2", w.image("web"))
		assert.Contains(t, w.told(), "web: RolloutComplete")

		w.ctl.RemoveAll()
		w.converges()
		all, err := w.Services(context.Background(), "shop")
		require.NoError(t, err)
		assert.Empty(t, all)
		networks, err := w.Networks(context.Background(), "shop")
		require.NoError(t, err)
		assert.Empty(t, networks)
		secrets, err := w.Secrets(context.Background(), "shop")
		require.NoError(t, err)
		assert.Empty(t, secrets)
	})
}

// What has converged is looked at again while a task of it is being ended.
func TestATaskThatHasEndedIsNotShown(t *testing.T) {
	const compose = `services: {web: {image: "web:1", scale: %d, stop_grace_period: 3s}}`
	inTime(t, func(w *world) {
		w.AddImage("web:1", model.Behavior{StopAfter: 2 * time.Second})
		w.start(fmt.Sprintf(compose, 2))
		w.converges()
		w.write(fmt.Sprintf(compose, 1))
		w.converges()
		replicas := w.status("web").ReplicaStatuses
		require.Len(t, replicas, 2)
		leaving := replicas[slices.IndexFunc(replicas, func(r core.ReplicaStatus) bool { return !r.Ready })]
		assert.Equal(t, core.PhaseStopping, leaving.Phase)
		assert.Equal(t, "replica 2 is being stopped on "+leaving.Node, leaving.Blocker)
		assert.Regexp(t, `^node\d$`, leaving.Node)
		time.Sleep(4 * time.Second)
		assert.Len(t, w.ctl.State().Snapshot().Replicas("web"), 1)
	})
}

func TestARevisionThatFailsGoesBack(t *testing.T) {
	for _, image := range []string{"bad:1", "sick:1", "absent:1"} {
		t.Run(image, func(t *testing.T) {
			inTime(t, func(w *world) {
				w.start(shopWith("web:1"))
				w.converges()
				w.write(shopWith(image))
				err := w.ctl.Wait(context.Background())
				require.ErrorContains(t, err, "was rolled back to")
				assert.Equal(t, "web:1", w.image("web"))
				time.Sleep(time.Minute)
				assert.EqualValues(t, 3, w.service("web").Running)
				assert.Equal(t, 3, w.status("web").Available)

				w.write(shopWith("web:3"))
				w.converges()
				assert.Equal(t, "web:3", w.image("web"))
			})
		})
	}
}

func TestWhatSomebodyElseChangesIsRepaired(t *testing.T) {
	inTime(t, func(w *world) {
		w.start(shopWith("web:1"))
		w.converges()
		w.UpdateBehind("shop_web", func(s *swarmapi.ServiceSpec) { s.TaskTemplate.ContainerSpec.Env = []string{"EVIL=1"} })
		time.Sleep(time.Minute)
		w.converges()
		assert.Empty(t, w.service("web").Spec.TaskTemplate.ContainerSpec.Env)
		assert.Contains(t, w.told(), "web: Repaired")

		require.NoError(t, w.RemoveService(context.Background(), w.service("web").ID))
		time.Sleep(time.Minute)
		w.converges()
		assert.EqualValues(t, 3, w.service("web").Running)
	})
}

// Without a quorum nothing is changed; it is said, and goes on by itself.
func TestWithoutAQuorumNothingIsChanged(t *testing.T) {
	inTime(t, func(w *world) {
		w.start(shopWith("web:1"))
		w.converges()
		w.StopNode("node2")
		w.StopNode("node3")
		time.Sleep(time.Minute)
		before := len(w.Writes())
		w.write(shopWith("web:2"))
		time.Sleep(time.Hour)
		assert.Len(t, w.Writes(), before)
		assert.ErrorIs(t, w.ctl.Ready(), manager.ErrNoQuorum)
		assert.Contains(t, w.told(), "EngineUnavailable nothing is changed until the Swarm answers")
		w.StartNode("node2")
		w.StartNode("node3")
		time.Sleep(time.Minute)
		w.converges()
		assert.Contains(t, w.told(), "EngineReachable")
		assert.Equal(t, "web:2", w.image("web"))
	})
}

// Whatever a manager refuses or forgets, all is done in the end.
func TestNothingIsLost(t *testing.T) {
	for _, op := range []model.Op{model.OpCreateService, model.OpUpdateService, model.OpCreateNetwork, model.OpCreateSecret, model.OpServices, model.OpTasks} {
		for _, class := range []engine.Class{engine.Unavailable, engine.Unknown, engine.Conflict} {
			for _, done := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s %s %t", op, class, done), func(t *testing.T) {
					inTime(t, func(w *world) {
						w.FailNext(op, class, done)
						w.start(shopWith("web:1"))
						time.Sleep(2 * time.Minute)
						w.write(shopWith("web:2"))
						time.Sleep(2 * time.Minute)
						w.ForgetLastWrite()
						time.Sleep(2 * time.Minute)
						w.converges()
						assert.Equal(t, "web:2", w.image("web"))
					})
				})
			}
		}
	}
}

// A service with a volume waits for its node, and is not begun on another one.
func TestAVolumesNodeIsWaitedFor(t *testing.T) {
	inTime(t, func(w *world) {
		w.start(shopWith("web:1"))
		w.converges()
		pinned := convert.PinnedTo(w.service("db").Spec)
		nodes, err := w.Nodes(context.Background())
		require.NoError(t, err)
		host := ""
		for _, n := range nodes {
			if n.ID == pinned {
				host = n.Hostname
			}
		}
		w.StopNode(host)
		time.Sleep(10 * time.Minute)
		s := w.status("db")
		assert.Equal(t, core.OutcomeWaiting, s.Outcome)
		assert.Contains(t, s.Obstacle, "waiting for the node "+host+", which has shop_data")
		assert.Equal(t, 3, w.status("web").Ready, "what has no volume moves to other nodes")
		w.StartNode(host)
		time.Sleep(time.Minute)
		w.converges()
		assert.Equal(t, pinned, convert.PinnedTo(w.service("db").Spec))
	})
}

// The task of a node that is lost ends when that comes back.
func TestDownDoesNotWaitForANodeThatIsLost(t *testing.T) {
	inTime(t, func(w *world) {
		w.start(shopWith("web:1"))
		w.converges()
		w.StopNode("node4")
		time.Sleep(time.Minute)
		w.ctl.RemoveAll()
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		defer cancel()
		require.NoError(t, w.ctl.Wait(ctx))
		assert.Empty(t, w.Truth().Services)
	})
}

func TestWhatOthersMadeIsNotTouched(t *testing.T) {
	one := uint64(1)
	foreign := func(name string, labels map[string]string) swarmapi.ServiceSpec {
		return swarmapi.ServiceSpec{
			Annotations:  swarmapi.Annotations{Name: name, Labels: labels},
			TaskTemplate: swarmapi.TaskSpec{ContainerSpec: &swarmapi.ContainerSpec{Image: "web:3"}},
			Mode:         swarmapi.ServiceMode{Replicated: &swarmapi.ReplicatedService{Replicas: &one}},
		}
	}
	for text, spec := range map[string]swarmapi.ServiceSpec{
		"the stack shop was made by docker stack deploy":     foreign("shop_web", map[string]string{manager.StackLabel: "shop"}),
		"was not made by tend":                               foreign("shop_web", map[string]string{spec.LabelProject: "shop"}),
		"has a service shop_web that is not of this project": foreign("shop_web", nil),
	} {
		t.Run(text, func(t *testing.T) {
			inTime(t, func(w *world) {
				id, err := w.CreateService(context.Background(), spec)
				require.NoError(t, err)
				w.start(`services: {web: {image: "web:1"}}`)
				require.ErrorContains(t, w.ctl.Wait(context.Background()), text)
				time.Sleep(time.Minute)
				for _, call := range w.Writes() {
					assert.NotContains(t, call.String(), id)
				}
				require.NoError(t, w.RemoveService(context.Background(), id))
				time.Sleep(2 * time.Minute)
				w.converges()
			})
		})
	}
}

// A restarted tend goes on where the former one was, and does nothing again.
// A secret that somebody else makes is waited for, used, and left alone.
func TestAnExternalSecretIsSomebodyElses(t *testing.T) {
	inTime(t, func(w *world) {
		const compose = `
services: {web: {image: "web:1", secrets: [key], configs: [conf]}}
secrets: {key: {external: true, name: company-key}}
configs: {conf: {external: true}}
`
		w.start(compose)
		time.Sleep(time.Minute)
		assert.Contains(t, w.status("web").Obstacle, "waiting for config conf, secret key")
		assert.Equal(t, "docker config create conf", w.status("web").Remedy)
		_, err := w.CreateSecret(t.Context(), swarmapi.SecretSpec{Annotations: swarmapi.Annotations{Name: "company-key"}, Data: []byte("k")})
		require.NoError(t, err)
		_, err = w.CreateConfig(t.Context(), swarmapi.ConfigSpec{Annotations: swarmapi.Annotations{Name: "conf"}, Data: []byte("c")})
		require.NoError(t, err)
		w.converges()
		assert.Equal(t, "company-key", w.service("web").Spec.TaskTemplate.ContainerSpec.Secrets[0].SecretName)

		w.write(`services: {web: {image: "web:1"}}`)
		w.converges()
		w.ctl.RemoveAll()
		require.Eventually(t, func() bool { all, err := w.Services(t.Context(), "shop"); return err == nil && len(all) == 0 }, time.Minute, time.Second)
		time.Sleep(time.Minute)
		secrets, err := w.Secrets(t.Context(), "shop", "company-key")
		require.NoError(t, err)
		configs, err := w.Configs(t.Context(), "shop", "conf")
		require.NoError(t, err)
		assert.Len(t, secrets, 1)
		assert.Len(t, configs, 1)
	})
}

func TestARestartChangesNothing(t *testing.T) {
	inTime(t, func(w *world) {
		w.store = durable.NewFile(w.dir, "shop")
		w.start(shopWith("web:1"))
		w.converges()
		w.write(shopWith("web:2"))
		w.converges()
		w.stop()
		before := len(w.Writes())
		w.store = durable.NewFile(w.dir, "shop")
		w.start(shopWith("web:2"))
		w.converges()
		assert.Len(t, w.Writes(), before)
		assert.Len(t, w.ctl.State().Snapshot().Revisions("web"), 2, "the history is lost")
		w.write(shopWith("bad:1"))
		require.ErrorContains(t, w.ctl.Wait(context.Background()), "was rolled back to")
		assert.Equal(t, "web:2", w.image("web"))
	})
}

// Wherever tend dies, once or twice, the next one brings about the same.
func TestATendThatDiesAnywhereIsFollowedByAnother(t *testing.T) {
	const most = 9 // what an update with a new secret takes, and the first start
	run := func(t *testing.T, first, second int) {
		inTime(t, func(w *world) {
			for _, until := range []int{first, second, -1} {
				w.store = durable.NewFile(w.dir, "shop")
				w.startUntil(shopWith("web:1"), until)
				time.Sleep(time.Minute)
				w.stop()
			}
			after := strings.ReplaceAll(shopWith("web:2"), "job:1", "job:2")
			for _, until := range []int{second, first} {
				w.store = durable.NewFile(w.dir, "shop")
				w.startUntil(after, until)
				time.Sleep(time.Minute)
				w.stop()
			}
			w.store = durable.NewFile(w.dir, "shop")
			w.start(after)
			w.converges()
			assert.Equal(t, "web:2", w.image("web"))
			all, err := w.Services(context.Background(), "shop")
			require.NoError(t, err)
			assert.Len(t, all, 3)
			secrets, err := w.Secrets(context.Background(), "shop")
			require.NoError(t, err)
			assert.Len(t, secrets, 1)
			assert.Equal(t, core.OutcomeComplete, w.status("seed").Outcome)
		})
	}
	for first := range most {
		t.Run(fmt.Sprint(first), func(t *testing.T) { run(t, first, -1) })
		for _, second := range []int{1, 3} {
			t.Run(fmt.Sprintf("%d and %d", first, second), func(t *testing.T) { run(t, first, second) })
		}
	}
}

func TestPauseUndoAndRestartAreDone(t *testing.T) {
	inTime(t, func(w *world) {
		w.start(shopWith("web:1"))
		w.converges()
		first := w.status("web").CurrentRevision
		yes, no := true, false
		ask := func(change func(*core.Intent)) {
			err := w.ctl.Intend(context.Background(), core.Event{Type: core.Normal, Workload: "web", Reason: "RolloutPaused", Message: "asked"},
				func(i *core.Intent, _ *state.Snapshot) error { change(i); return nil })
			require.NoError(t, err)
		}
		ask(func(i *core.Intent) { i.Paused = &yes })
		w.write(shopWith("web:2"))
		time.Sleep(time.Hour)
		assert.Equal(t, "web:1", w.image("web"))
		assert.Equal(t, core.OutcomePaused, w.status("web").Outcome)
		ask(func(i *core.Intent) { i.Paused = &no })
		w.converges()
		assert.Equal(t, "web:2", w.image("web"))
		ask(func(i *core.Intent) { i.Undo, i.UndoOf = first, w.status("web").WantedRevision })
		w.converges()
		assert.Equal(t, "web:1", w.image("web"))

		before := w.ctl.State().Snapshot().Replicas("web")
		ask(func(i *core.Intent) { i.RestartedAt = time.Now() })
		w.converges()
		for _, r := range before {
			_, there := w.ctl.State().Snapshot().Replica(r.ID)
			assert.False(t, there, "%s was not replaced", r.Name)
		}
	})
}

func TestPreviewTellsWhatWouldBeDone(t *testing.T) {
	inTime(t, func(w *world) {
		w.store = durable.NewFile(w.dir, "shop")
		w.start(shopWith("web:1"))
		w.converges()
		w.stop()
		preview := func(compose string) string {
			file := durable.NewFile(w.dir, "shop")
			rows, err := file.Load(context.Background())
			require.NoError(t, err)
			require.NoError(t, file.Close())
			c := swarm.New(swarm.Options{Manager: w.Swarm, Project: "shop", Folders: observe.Folders{Project: w.dir}, Log: zap.NewNop(), OnEvent: func(*state.Event) {}})
			all, err := c.Preview(context.Background(), w.load(compose), rows)
			require.NoError(t, err)
			return fmt.Sprint(all)
		}
		before := len(w.Writes())
		assert.Equal(t, "[]", preview(shopWith("web:1")))
		assert.Contains(t, preview(shopWith("web:2")), "{image web:1 web:2 false}")
		assert.Contains(t, preview(`services: {web: {image: "web:1"}}`), "remove-service shop_db: it is to be taken away")
		assert.Len(t, w.Writes(), before)
	})
}

func TestLogsAreThoseOfAllTasks(t *testing.T) {
	inTime(t, func(w *world) {
		w.start(shopWith("web:1"))
		w.converges()
		var lines []string
		require.NoError(t, w.ctl.Logs(context.Background(), "web", false, logs.Options{}, func(l logs.Line) error {
			lines = append(lines, l.Text)
			return nil
		}))
		assert.Equal(t, []string{"serves", "serves", "serves"}, lines)
	})
}

// What has converged and has not changed is not planned again, however much of it there is.
func TestOneChangeIsOnePlan(t *testing.T) {
	inTime(t, func(w *world) {
		var compose strings.Builder
		compose.WriteString("services:\n")
		for i := range 100 {
			fmt.Fprintf(&compose, "  web%d: {image: \"web:1\"}\n", i)
		}
		w.start(compose.String())
		w.converges()
		time.Sleep(time.Hour)
		before := w.planned.Load()
		time.Sleep(time.Hour)
		assert.Equal(t, before, w.planned.Load(), "what rests is planned")
		calls := len(w.Calls())
		time.Sleep(time.Minute)
		assert.LessOrEqual(t, len(w.Calls())-calls, 30, "requests in a minute at rest")

		w.write(strings.Replace(compose.String(), `web7: {image: "web:1"}`, `web7: {image: "web:2"}`, 1))
		w.converges()
		assert.Equal(t, "web:2", w.image("web7"))
		assert.Less(t, w.planned.Load()-before, int64(60), "others are planned for a change of one")
	})
}

// A Job that has failed was started all the same, as with docker compose.
func TestAJobThatHasFailedWasStarted(t *testing.T) {
	inTime(t, func(w *world) {
		const seed = `services: {seed: {image: "bad:1", restart: "no"}%s}`
		w.start(fmt.Sprintf(seed, ""))
		time.Sleep(time.Minute)
		seeded := w.status("seed")
		require.NotNil(w, seeded.Condition(core.Failed), w.told())
		w.write(fmt.Sprintf(seed, `, app: {image: "web:1", depends_on: [seed]}`))
		time.Sleep(time.Minute)
		assert.Equal(w, 1, w.status("app").Ready, w.told())
	})
}
