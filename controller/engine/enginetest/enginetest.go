// Package enginetest is the conformance suite of package engine: the behaviour that a
// Docker Engine and the model must share. Each case runs in a project of its own.
package enginetest

import (
	"bytes"
	"context"
	"io"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/engine/enginetest/process"
	"github.com/tendhq/tend/controller/engine/model"
)

// Harness is an engine under test, and the surroundings that a case needs.
type Harness struct {
	Engine engine.Engine
	// Project is the name of the case's project, and the beginning of all its
	// names. Whoever makes the harness removes what is left of it.
	Project string
	// Image returns the reference of one of Images.
	Image func(name string) string
	// Outsider acts on the engine without tend.
	Outsider Outsider
	Line     Line
}

// T is a test as an Outsider sees it: a *testing.T, or one of rapid's.
type T interface {
	require.TestingT
	Helper()
	Context() context.Context
	Cleanup(func())
}

// Outsider acts on the engine without tend.
type Outsider interface {
	// Kill has the engine send SIGKILL to a container's process.
	Kill(t T, id string)
	// Exit has a container's process end by itself.
	Exit(t T, id string, code int)
	// Exhaust has a container's process use more memory than it may.
	Exhaust(t T, id string)
	// SetHealth has a running container's health check pass, or fail, from now on.
	SetHealth(t T, id string, h engine.Health)
	Pause(t T, id string)
	Unpause(t T, id string)
	Rename(t T, id, name string)
	// Remove removes a container by force.
	Remove(t T, id string)
	// Join and Leave have a container join a network, and leave it.
	Join(t T, id, network string)
	Leave(t T, id, network string)
	// CreateRestarting makes a container of the project that the engine itself
	// would restart always.
	CreateRestarting(t T, project, name, image string) (id string)
	// Tag gives an image a further reference until the test ends.
	Tag(t T, image, ref string)
	// File reads a file in a container that was never started.
	File(t T, id, path string) string
	// FreePort is a TCP port that nothing listens on at 127.0.0.1.
	FreePort(t T) int
	// HoldPort listens on a TCP port at 127.0.0.1 until the test ends.
	HoldPort(t T, port int)
}

// named is a name of the project's own.
func (h Harness) named(name string) string { return h.Project + "-" + name }

func (h Harness) labels() map[string]string {
	return map[string]string{engine.ProjectLabel: h.Project, "com.docker.compose.oneoff": "False"}
}

// Line is the connection to the engine under test.
type Line interface {
	Cut()
	Mend()
}

// The images of the suite.
const (
	Runs     = "runs"     // until it is stopped
	Exits    = "exits"    // by itself
	Stubborn = "stubborn" // does not heed SIGTERM
	SlowStop = "slow"     // takes its time to end
	Recovers = "recovers" // becomes healthy
	Sick     = "sick"     // never does
	Broken   = "broken"   // has no program
	Busy     = "busy"     // uses a core, and memory
)

// Images are the behaviours of the containers of each image.
var Images = map[string]model.Behavior{
	Runs:     {Output: []string{"one", "two", "three"}, Exec: process.Run},
	Exits:    {Output: ready, Exec: process.Run, Exits: true, After: 100 * time.Millisecond, Code: 3},
	Stubborn: {Output: ready, Exec: process.Run, IgnoresStop: true},
	SlowStop: {Output: ready, Exec: process.Run, StopAfter: 300 * time.Millisecond, StopCode: 4},
	Recovers: {Output: ready, Exec: process.Run, HealthCheck: true, HealthAfter: time.Second},
	Sick:     {Output: ready, Exec: process.Run, HealthCheck: true, Sick: true},
	Broken:   {CannotStart: true},
	Busy:     {Output: ready, Exec: process.Run, Cores: 1, Memory: 32 << 20},
}

// healthCheck is a health check for the images that bring none: their containers pass
// it from the start, until somebody changes that.
func healthCheck() *types.HealthCheckConfig {
	interval, period, retries := types.Duration(200*time.Millisecond), types.Duration(patience), uint64(1)
	return &types.HealthCheckConfig{
		Test:     []string{"CMD", process.Program, "health"},
		Interval: &interval, StartPeriod: &period, Retries: &retries,
	}
}

// ready is what a process writes when it can take signals.
var ready = []string{"ready"}

// Run runs every case on an engine of its own.
func Run(t *testing.T, harness func(*testing.T) Harness) {
	for _, group := range [][]testCase{
		lifecycleCases, restartCases, statsCases, logCases, execCases, createCases, joinCases, networkCases, publishCases,
		healthCases, eventCases, resourceCases, imageCases, lineCases,
	} {
		for _, c := range group {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				c.run(&fixture{T: t, Harness: harness(t)})
			})
		}
	}
}

type testCase struct {
	name string
	run  func(*fixture)
}

// fixture is a running case. Its methods fail the test.
type fixture struct {
	*testing.T
	Harness
}

// patience is how long a case waits for something that must happen, as a loaded machine
// with a real engine can be slow.
const patience = 30 * time.Second

// service is a Compose service without a network: it starts fastest.
func (f *fixture) service(image string) types.ServiceConfig {
	return types.ServiceConfig{Name: "s", Image: f.Image(image), NetworkMode: "none"}
}

// spec is the spec of a service's container, with all that the case's other helpers
// make.
func (f *fixture) spec(name string, s types.ServiceConfig) engine.ContainerSpec {
	return engine.ContainerSpec{
		Name:     f.named(name),
		Project:  f.Project,
		Service:  s,
		Labels:   f.labels(),
		Networks: map[string]string{"a": f.named("a"), "b": f.named("b")},
		Volumes:  map[string]string{"v": f.named("v")},
	}
}

func (f *fixture) create(name string, s types.ServiceConfig) (id string) {
	f.Helper()
	id, err := f.Engine.Create(f.Context(), f.spec(name, s))
	require.NoError(f, err)
	require.NotEmpty(f, id)
	return id
}

// start starts a container, and waits for the output of its process, which as process 1
// would not see a signal before.
func (f *fixture) start(id string) {
	f.Helper()
	require.NoError(f, f.Engine.Start(f.Context(), id))
	require.Eventually(f, func() bool {
		var out bytes.Buffer
		err := f.Engine.Logs(f.Context(), id, engine.LogOptions{}, &out, io.Discard)
		return err == nil && out.Len() > 0
	}, patience, 5*time.Millisecond)
}

// runs creates and starts a container.
func (f *fixture) runs(name, image string) (id string) {
	f.Helper()
	id = f.create(name, f.service(image))
	f.start(id)
	return id
}

func (f *fixture) stop(id string) {
	f.Helper()
	require.NoError(f, f.Engine.Stop(f.Context(), id, 10*time.Second))
}

func (f *fixture) inspect(id string) engine.Container {
	f.Helper()
	c, err := f.Engine.Container(f.Context(), id)
	require.NoError(f, err)
	return c
}

// list is the names of the project's containers.
func (f *fixture) list() []string {
	f.Helper()
	containers, err := f.Engine.Containers(f.Context(), f.Project)
	require.NoError(f, err)
	names := []string{}
	for _, c := range containers {
		names = append(names, c.Name)
	}
	return names
}

// await inspects a container until it is as wanted.
func (f *fixture) await(id, what string, wanted func(engine.Container) bool) engine.Container {
	f.Helper()
	deadline := time.Now().Add(patience)
	for {
		c := f.inspect(id)
		if wanted(c) {
			return c
		}
		if time.Now().After(deadline) {
			require.FailNow(f, "container never was "+what, "%+v", c)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func (f *fixture) awaitExit(id string) engine.Container {
	f.Helper()
	return f.await(id, "exited", func(c engine.Container) bool { return c.State == engine.Exited })
}

func (f *fixture) fails(class engine.Class, err error) {
	f.Helper()
	var failure *engine.Error
	require.ErrorAs(f, err, &failure)
	require.Equal(f, class, failure.Class, "%v", err)
	require.NotEmpty(f, failure.Op)
}

func (f *fixture) network(key string, configure ...func(*types.NetworkConfig)) {
	f.Helper()
	n := engine.NetworkSpec{Name: f.named(key), Labels: f.labels()}
	for _, c := range configure {
		c(&n.Config)
	}
	require.NoError(f, f.Engine.CreateNetwork(f.Context(), n))
}

func (f *fixture) volume(key string) {
	f.Helper()
	require.NoError(f, f.Engine.CreateVolume(f.Context(), engine.VolumeSpec{Name: f.named(key), Labels: f.labels()}))
}

// stream is an event subscription.
type stream struct {
	f      *fixture
	events <-chan engine.Event
	err    func() error
	end    context.CancelFunc
}

func (f *fixture) subscribe() *stream {
	f.Helper()
	ctx, cancel := context.WithCancel(f.Context())
	events, err, failed := f.Engine.Events(ctx, f.Project)
	require.NoError(f, failed)
	s := &stream{f: f, events: events, err: err, end: cancel}
	f.Cleanup(func() {
		cancel()
		for range events {
		}
	})
	return s
}

// expect reads events until those of a container with the wanted actions have
// come in this order, with nothing else of that container between.
func (s *stream) expect(id string, wanted ...string) {
	s.f.Helper()
	timeout := time.After(patience)
	var seen []engine.Event
	for len(seen) < len(wanted) {
		select {
		case event, ok := <-s.events:
			if !ok {
				require.FailNow(s.f, "the stream ended", "%v; seen %v", s.err(), actions(seen, id))
			}
			require.False(s.f, event.Time.IsZero())
			if event.ContainerID == "" {
				continue
			}
			require.Equal(s.f, s.f.Project, event.Labels[engine.ProjectLabel])
			if event.ContainerID == id {
				seen = append(seen, event)
			}
		case <-timeout:
			require.FailNow(s.f, "events did not come", "wanted %v, got %v", wanted, actions(seen, id))
		}
	}
	require.Equal(s.f, wanted, actions(inOrder(seen), id))
}
