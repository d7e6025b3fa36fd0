package migrate

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	swarmapi "github.com/docker/docker/api/types/swarm"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/tendhq/tend/controller"
	"github.com/tendhq/tend/controller/engine"
	enginemodel "github.com/tendhq/tend/controller/engine/model"
	"github.com/tendhq/tend/controller/observe"
	"github.com/tendhq/tend/controller/plan/services"
	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/controller/spec/load"
	"github.com/tendhq/tend/controller/swarm"
	"github.com/tendhq/tend/controller/swarm/convert"
	"github.com/tendhq/tend/controller/swarm/manager"
	swarmmodel "github.com/tendhq/tend/controller/swarm/manager/model"
	"github.com/tendhq/tend/state"
	"github.com/tendhq/tend/state/durable"
	"github.com/tendhq/tend/state/durable/durabletest"
)

// both is an engine and a Swarm in memory, in virtual time, and a project.
type both struct {
	*testing.T
	engine *enginemodel.Engine
	swarm  *swarmmodel.Swarm
	dir    string
	// kept are the states of the two sides' controllers.
	kept map[Side]durable.Store
	// database makes a Database of db.
	database bool

	mu   sync.Mutex
	said []string
}

const moved = `
services:
  web: {image: "web:1", scale: 2, depends_on: [api, db]}
  api: {image: "web:1", scale: 2}
  db: {image: "web:1", volumes: ["data:/data"]}
  seed: {image: "task:1", restart: "no", depends_on: [db]}
volumes: {data: {}}
`

func withBoth(t *testing.T, run func(*both)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := &both{T: t, engine: enginemodel.New(), swarm: swarmmodel.New(), dir: t.TempDir(), kept: map[Side]durable.Store{Docker: &durabletest.Memory{}, Swarm: &durabletest.Memory{}}}
		b.engine.AddImage("web:1", enginemodel.Behavior{HealthCheck: true, HealthAfter: time.Second})
		b.engine.AddImage("task:1", enginemodel.Behavior{Exits: true, After: time.Second})
		b.swarm.AddImage("web:1", swarmmodel.Behavior{HealthCheck: true, HealthAfter: 2 * time.Second})
		b.swarm.AddImage("task:1", swarmmodel.Behavior{Exits: true, After: time.Second})
		// To the engine the Swarm's networks are its own, too.
		require.NoError(t, b.engine.CreateNetwork(t.Context(), engine.NetworkSpec{Name: "shop-default"}))
		defer func() { assert.NoError(t, b.engine.Close()); assert.NoError(t, b.swarm.Close()) }()
		run(b)
	})
}

// project reads the project for a side.
func (b *both) project(side Side) *spec.Project {
	require.NoError(b, os.WriteFile(filepath.Join(b.dir, "compose.yaml"), []byte(moved), 0o600))
	o := load.Options{ProjectDirectory: b.dir, Name: "shop"}
	if side == Swarm {
		o.Adapt = convert.Adapt
	}
	p, err := load.Project(context.Background(), o)
	require.NoError(b, err)
	if b.database {
		p.Workloads["db"].Kind = spec.Database
	}
	return p
}

func (b *both) tell(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.said = append(b.said, fmt.Sprintf(format, args...))
}

// event is told as a person reads it.
func (b *both) event(side Side) func(*state.Event) {
	return func(e *state.Event) { b.tell("%s: %s: %s %s", side, e.Workload, e.Reason, e.Message) }
}

// containers makes the controller of the engine.
func (b *both) containers(e engine.Engine) *controller.Controller {
	return controller.New(controller.Options{
		Engine: e, Project: "shop", Folders: observe.Folders{Project: b.dir}, DataDir: b.dir, Log: zap.NewNop(), Durable: b.kept[Docker], OnEvent: b.event(Docker),
	})
}

// up has the engine keep the project.
func (b *both) up() {
	b.Helper()
	ctl := b.containers(b.engine)
	ctx, cancel := context.WithCancel(b.Context())
	var running sync.WaitGroup
	running.Go(func() { ctl.Run(ctx) })
	ctl.SetProject(b.project(Docker))
	require.NoError(b, ctl.Wait(ctx))
	cancel()
	running.Wait()
}

// move moves the project, until ctx ends.
func (b *both) move(ctx context.Context, to Side) (stay map[string]string, err error) {
	node, err := b.swarm.Nodes(b.Context())
	require.NoError(b, err)
	return Move(ctx, Options{
		To: to, Docker: b.project(Docker), Swarm: b.project(Swarm), Engine: b.engine, Manager: b.swarm, Node: node[0].ID,
		NewContainers: b.containers,
		Services: swarm.New(swarm.Options{
			Manager: b.swarm, Project: "shop", Folders: observe.Folders{Project: b.dir}, Log: zap.NewNop(), Durable: b.kept[Swarm], OnEvent: b.event(Swarm),
			Volumes: map[string]string{"shop_data": node[0].ID},
		}),
		Folders: observe.Folders{Project: b.dir}, DataDir: b.dir, Say: b.tell,
	})
}

// moveToSwarm moves all of the project, and returns the services that it has then.
func (b *both) moveToSwarm() []manager.Service {
	b.Helper()
	stay, err := b.move(b.Context(), Swarm)
	require.NoError(b, err)
	require.Empty(b, stay)
	all, err := b.swarm.Services(b.Context(), "shop")
	require.NoError(b, err)
	return all
}

// ready counts what is ready of a workload, and running what runs, on both sides.
func (b *both) ready(name string) (ready, running int) {
	containers, err := b.engine.Containers(context.Background(), "shop")
	require.NoError(b, err)
	for _, c := range containers {
		if c.Labels[spec.LabelService] == name && c.State == engine.Running {
			running++
			if c.Health == engine.Healthy {
				ready++
			}
		}
	}
	tasks, err := b.swarm.Tasks(context.Background(), "shop")
	require.NoError(b, err)
	for _, t := range tasks {
		if c := t.Spec.ContainerSpec; c == nil || c.Labels[spec.LabelService] != name || services.Over(t) {
			continue
		}
		switch t.State {
		case swarmapi.TaskStateRunning:
			ready++
			running++
		case swarmapi.TaskStateStarting:
			running++
		}
	}
	return ready, running
}

// watch checks, until ctx ends, what must hold at each moment: never do two write, and of the
// others enough are ready.
func (b *both) watch(ctx context.Context, others ...string) {
	for ctx.Err() == nil {
		if _, running := b.ready("db"); running > 1 {
			b.mu.Lock()
			assert.Fail(b, "two write", strings.Join(b.said, "\n"))
			b.mu.Unlock()
			return
		}
		for _, name := range others {
			if ready, _ := b.ready(name); ready < 2 {
				b.mu.Lock()
				assert.Fail(b, fmt.Sprintf("only %d replicas of %s are ready", ready, name), strings.Join(b.said, "\n"))
				b.mu.Unlock()
				return
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// What the name of an image stands for on the engine moves, and not what the registry has by now.
func TestTheImageThatRunsMoves(t *testing.T) {
	withBoth(t, func(b *both) {
		digest := b.engine.PublishImage("web:1", enginemodel.Behavior{HealthCheck: true, HealthAfter: time.Second})
		require.NoError(b, b.engine.Pull(b.Context(), "web:1", func(string) {}))
		b.swarm.Push("web:1", "sha256:newer")
		b.up()
		all := b.moveToSwarm()
		for _, s := range all {
			if image := s.Spec.TaskTemplate.ContainerSpec.Image; strings.HasPrefix(image, "web:1") {
				assert.Equal(b, "web:1@"+digest, image)
			}
		}
	})
}

// A move that is interrupted again and again, at any moment, ends with all on the new side, also
// where a machine comes and goes meanwhile: two never write, no Job runs again and, where no
// machine is lost, never fewer are ready than before.
func TestAMoveThatIsInterrupted(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			withBoth(t, func(b *both) {
				random := rand.New(rand.NewPCG(seed, 0))
				b.up()
				ctx, stop := context.WithCancel(b.Context())
				var watching sync.WaitGroup
				if seed%2 == 0 {
					watching.Go(func() { b.watch(ctx, "web", "api") })
				} else { // replicas are lost with a machine
					b.swarm.AddNode("other", swarmapi.NodeRoleWorker)
					watching.Go(func() { b.watch(ctx) })
				}
				to := Swarm
				for range 12 {
					switch {
					case seed%2 == 0:
					case random.IntN(2) == 0:
						b.tell("a machine is lost")
						b.swarm.StopNode("other")
					default:
						b.tell("a machine is there")
						b.swarm.StartNode("other")
					}
					if random.IntN(4) == 0 {
						to = to.Other()
					}
					b.tell("to %s", to)
					some, cancel := context.WithTimeout(b.Context(), time.Duration(random.IntN(20_000))*time.Millisecond)
					_, _ = b.move(some, to)
					cancel()
				}
				to = Swarm
				stay, err := b.move(b.Context(), to)
				require.NoError(b, err, strings.Join(b.said, "\n"))
				require.Empty(b, stay, strings.Join(b.said, "\n"))
				if seed%2 > 0 {
					b.swarm.StartNode("other")
					time.Sleep(time.Minute) // it ends what is elsewhere by now
				}
				for name, n := range map[string]int{"web": 2, "api": 2, "db": 1} {
					ready, running := b.ready(name)
					assert.Equal(b, n, ready, name)
					assert.Equal(b, n, running, name)
				}
				stop()
				watching.Wait()
			})
		})
	}
}

func TestAProjectMovesAndComesBack(t *testing.T) {
	withBoth(t, func(b *both) {
		b.up()
		all := b.moveToSwarm()
		require.Len(b, all, 3, "the Job has run again:\n%s", strings.Join(b.said, "\n"))
		containers, err := b.engine.Containers(b.Context(), "shop")
		require.NoError(b, err)
		require.Len(b, containers, 1, "the record of the Job is gone")

		stay, err := b.move(b.Context(), Docker)
		require.NoError(b, err)
		require.Empty(b, stay)
		all, err = b.swarm.Services(b.Context(), "shop")
		require.NoError(b, err)
		require.Empty(b, all)
		for name, n := range map[string]int{"web": 2, "api": 2, "db": 1} {
			ready, _ := b.ready(name)
			assert.Equal(b, n, ready, name)
		}
		after, err := b.engine.Containers(b.Context(), "shop")
		require.NoError(b, err)
		require.Len(b, after, 6)
		for _, c := range after {
			assert.NotContains(b, c.Networks, "shop-default", c.Name)
		}
	})
}

// check returns what is in the way of a move from a node, whose engine is given.
func (b *both) check(to Side, node string, e engine.Engine, change func(*spec.Project)) []string {
	b.Helper()
	o := Options{To: to, Docker: b.project(Docker), Swarm: b.project(Swarm), Engine: e, Manager: b.swarm, Node: node}
	change(o.Swarm)
	problems, err := Check(b.Context(), o)
	require.NoError(b, err)
	return problems
}

func asWritten(*spec.Project) {}

func TestDataThatAreElsewhereAreNotLeftBehind(t *testing.T) {
	withBoth(t, func(b *both) {
		b.up()
		other := enginemodel.New()
		defer func() { assert.NoError(b, other.Close()) }()
		elsewhere := b.swarm.AddNode("other", swarmapi.NodeRoleManager)
		nodes, err := b.swarm.Nodes(b.Context())
		require.NoError(b, err)
		here := nodes[0].ID
		require.NotEqual(b, here, elsewhere)
		missing := "the volume shop_data of db is not on this node, and here it would be empty: run tend migrate on the node that has it, or have tend apply make it where it is new"

		assert.Empty(b, b.check(Swarm, here, b.engine, asWritten))
		assert.Equal(b, []string{missing}, b.check(Swarm, elsewhere, other, asWritten), "from an engine that has nothing of it")
		assert.Equal(b, []string{"nothing of project shop is on this node or on the Swarm: run tend migrate on the node that runs it"},
			b.check(Swarm, elsewhere, other, func(p *spec.Project) { delete(p.Workloads, "db") }))

		_, err = b.move(b.Context(), Swarm)
		require.NoError(b, err)
		assert.Empty(b, b.check(Docker, here, b.engine, asWritten))
		assert.Empty(b, b.check(Swarm, elsewhere, other, asWritten), "what is there already stays there")
		assert.Equal(b, []string{"db has its volumes on another node, and here they would be empty: run tend migrate there, or bring the data here"}, b.check(Docker, elsewhere, other, asWritten))

		// A move was killed when the service had ended, and its container had not begun.
		all, err := b.swarm.Services(b.Context(), "shop")
		require.NoError(b, err)
		for _, s := range all {
			if s.Spec.Labels[spec.LabelService] == "db" {
				require.NoError(b, b.swarm.RemoveService(b.Context(), s.ID))
			}
		}
		for _, to := range []Side{Docker, Swarm} {
			assert.Empty(b, b.check(to, here, b.engine, asWritten))
			assert.Equal(b, []string{missing}, b.check(to, elsewhere, other, asWritten))
		}
	})
}

// What keeps tasks off the node of their data is said before these are away.
func TestDataThatTasksAreKeptOffDoNotMove(t *testing.T) {
	withBoth(t, func(b *both) {
		b.up()
		b.swarm.AddNode("other", swarmapi.NodeRoleManager)
		nodes, err := b.swarm.Nodes(b.Context())
		require.NoError(b, err)
		here := nodes[0]
		constrained := func(workload, constraint string) func(*spec.Project) {
			return func(p *spec.Project) {
				w := p.Workloads[workload]
				w.Template.Deploy = &types.DeployConfig{Placement: types.Placement{Constraints: []string{constraint}}}
			}
		}
		assert.Equal(b, []string{fmt.Sprintf("db has its data on this node, %s, and its platform or placement.constraints keep its tasks off it: change them, or bring the data to another node", here.Hostname)},
			b.check(Swarm, here.ID, b.engine, constrained("db", "node.hostname==other")))
		assert.Empty(b, b.check(Swarm, here.ID, b.engine, constrained("db", "node.hostname=="+here.Hostname)))
		assert.Empty(b, b.check(Swarm, here.ID, b.engine, constrained("web", "node.hostname==other")), "it has no data")

		b.swarm.SetAvailability(here.Hostname, swarmapi.NodeAvailabilityDrain)
		problems := b.check(Swarm, here.ID, b.engine, asWritten)
		require.Len(b, problems, 1)
		assert.Contains(b, problems[0], "takes no tasks")
		assert.Empty(b, b.check(Swarm, here.ID, b.engine, func(p *spec.Project) { delete(p.Workloads, "db") }), "no task has to be here")
	})
}

// A machine that is lost during a move, or before the way back, holds up nobody.
func TestAMoveGoesOnWithoutANodeThatIsLost(t *testing.T) {
	withBoth(t, func(b *both) {
		b.up()
		b.swarm.AddNode("other", swarmapi.NodeRoleWorker)
		losing := time.AfterFunc(time.Second, func() { b.swarm.StopNode("other") })
		defer losing.Stop()
		stay, err := b.move(b.Context(), Swarm)
		require.NoError(b, err)
		require.Empty(b, stay)
		stay, err = b.move(b.Context(), Docker)
		require.NoError(b, err, strings.Join(b.said, "\n"))
		require.Empty(b, stay)
		for name, n := range map[string]int{"web": 2, "api": 2, "db": 1} {
			containers, err := b.engine.Containers(b.Context(), "shop")
			require.NoError(b, err)
			assert.Len(b, slices.DeleteFunc(containers, func(c engine.Container) bool { return c.Labels[spec.LabelService] != name }), n, name)
		}
		all, err := b.swarm.Services(b.Context(), "shop")
		require.NoError(b, err)
		assert.Empty(b, all)
	})
}

func TestAFolderOfThisNodeHasATaskThere(t *testing.T) {
	withBoth(t, func(b *both) {
		b.up()
		b.swarm.AddNode("other", swarmapi.NodeRoleManager)
		nodes, err := b.swarm.Nodes(b.Context())
		require.NoError(b, err)
		problems := b.check(Swarm, nodes[0].ID, b.engine, func(p *spec.Project) {
			p.Workloads["api"].Replicas = 1
			p.Workloads["api"].Template.Volumes = []types.ServiceVolumeConfig{{Type: types.VolumeTypeBind, Source: "/srv", Target: "/srv"}}
		})
		require.Len(b, problems, 1)
		assert.Contains(b, problems[0], "api writes to a folder of this node")
	})
}

// Where the engine has no container of a Job, it runs there again.
func TestAJobRunsAgainOnTheEngine(t *testing.T) {
	withBoth(t, func(b *both) {
		b.up()
		_, err := b.move(b.Context(), Swarm)
		require.NoError(b, err)
		containers, err := b.engine.Containers(b.Context(), "shop")
		require.NoError(b, err)
		require.Len(b, containers, 1)
		before := containers[0].ID
		require.NoError(b, b.engine.Remove(b.Context(), before, true))
		stay, err := b.move(b.Context(), Docker)
		require.NoError(b, err)
		require.Empty(b, stay)
		containers, err = b.engine.Containers(b.Context(), "shop")
		require.NoError(b, err)
		require.Len(b, containers, 6, "it has not run: %s", strings.Join(b.said, "\n"))
	})
}

// A Database that cannot be prepared stays, and the rest moves.
func TestADatabaseThatCannotBePreparedStays(t *testing.T) {
	withBoth(t, func(b *both) {
		b.up()
		b.database = true
		stay, err := b.move(b.Context(), Swarm)
		require.NoError(b, err)
		require.Len(b, stay, 1)
		assert.Contains(b, stay["db"], "it cannot be prepared")
		services, err := b.swarm.Services(b.Context(), "shop")
		require.NoError(b, err)
		assert.Len(b, services, 2)
		ready, running := b.ready("db")
		assert.Equal(b, 1, ready)
		assert.Equal(b, 1, running)
	})
}
