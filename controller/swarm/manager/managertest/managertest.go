// Package managertest is the conformance suite of package manager: the behaviour that a
// Docker Swarm and the model must share. Each case has a project of its own.
package managertest

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/docker/docker/api/types/swarm"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/engine/model"
	"github.com/tendhq/tend/controller/swarm/manager"
)

// Harness is a Swarm of one node under test.
type Harness struct {
	Manager manager.Manager
	// Project is the name of the case's project, and the beginning of all its names.
	Project string
	// Image returns the reference of one of Images; of any other name, one that is missing.
	Image func(name string) string
	// Outside is a manager whose engine is in no Swarm.
	Outside manager.Manager
}

// The images of the suite.
const (
	Runs     = "runs"     // until it is stopped
	Done     = "done"     // ends by itself, well
	Exits    = "exits"    // ends by itself, with another code than 0
	Recovers = "recovers" // becomes healthy
	Sick     = "sick"     // never does
	Broken   = "broken"   // has no program
	Missing  = "missing"  // is on no node
)

// Images are the behaviours of the containers of each image, without that which is missing.
var Images = map[string]model.Behavior{
	Runs:     {Output: []string{"one", "two"}},
	Done:     {Output: []string{"done"}, Exits: true, After: 100 * time.Millisecond},
	Exits:    {Output: []string{"ready"}, Exits: true, After: 100 * time.Millisecond, Code: 3},
	Recovers: {Output: []string{"ready"}, HealthCheck: true, HealthAfter: time.Second},
	Sick:     {Output: []string{"ready"}, HealthCheck: true, Sick: true, StopCode: 4},
	Broken:   {CannotStart: true},
}

// Run runs every case.
func Run(t *testing.T, harness func(*testing.T) Harness) {
	for _, group := range [][]testCase{serviceCases, taskCases, updateCases, globalCases, jobCases, resourceCases, eventCases, logCases, swarmCases} {
		for _, c := range group {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				f := &fixture{T: t, Harness: harness(t)}
				t.Cleanup(f.clean)
				c.run(f)
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
// with a real Swarm can be slow.
const patience = 90 * time.Second

// named is a name of the project's own.
func (f *fixture) named(name string) string { return f.Project + "-" + name }

func (f *fixture) labels() map[string]string {
	return map[string]string{engine.ProjectLabel: f.Project}
}

// clean removes the services of the case, so that they take nothing from the others.
func (f *fixture) clean() {
	ctx := context.Background() // the test's has ended
	services, err := f.Manager.Services(ctx, f.Project)
	require.NoError(f, err)
	for _, s := range services {
		require.NoError(f, f.Manager.RemoveService(ctx, s.ID))
	}
}

// restartDelay is as short as it can be without Swarm's own taking its place.
const restartDelay = 100 * time.Millisecond

// spec is a service that is quick in all that it does.
func (f *fixture) spec(name, image string, replicas uint64) swarm.ServiceSpec {
	grace, delay := 5*time.Second, restartDelay
	return swarm.ServiceSpec{
		Annotations: swarm.Annotations{Name: f.named(name), Labels: f.labels()},
		TaskTemplate: swarm.TaskSpec{
			ContainerSpec: &swarm.ContainerSpec{Image: f.Image(image), StopGracePeriod: &grace},
			RestartPolicy: &swarm.RestartPolicy{Condition: swarm.RestartPolicyConditionAny, Delay: &delay},
		},
		Mode:         swarm.ServiceMode{Replicated: &swarm.ReplicatedService{Replicas: &replicas}},
		EndpointSpec: &swarm.EndpointSpec{Mode: swarm.ResolutionModeDNSRR},
		UpdateConfig: &swarm.UpdateConfig{Parallelism: 1, Monitor: 2 * time.Second, FailureAction: swarm.UpdateFailureActionPause, Order: swarm.UpdateOrderStopFirst},
	}
}

func (f *fixture) create(s swarm.ServiceSpec) (id string) {
	f.Helper()
	id, err := f.Manager.CreateService(f.Context(), s)
	require.NoError(f, err)
	require.NotEmpty(f, id)
	return id
}

// update changes the spec that a service has now.
func (f *fixture) update(id string, change func(*swarm.ServiceSpec)) {
	f.Helper()
	for {
		s := f.service(id)
		change(&s.Spec)
		err := f.Manager.UpdateService(f.Context(), id, s.Version, s.Spec)
		if engine.ClassOf(err) == engine.Conflict {
			continue // Swarm itself has raised the version
		}
		require.NoError(f, err)
		return
	}
}

func (f *fixture) services() []manager.Service {
	f.Helper()
	services, err := f.Manager.Services(f.Context(), f.Project)
	require.NoError(f, err)
	return services
}

func (f *fixture) service(id string) manager.Service {
	f.Helper()
	services := f.services()
	i := slices.IndexFunc(services, func(s manager.Service) bool { return s.ID == id })
	require.GreaterOrEqual(f, i, 0, "the service is not listed")
	return services[i]
}

// tasks are those of one service.
func (f *fixture) tasks(service string) []manager.Task {
	f.Helper()
	tasks, err := f.Manager.Tasks(f.Context(), f.Project)
	require.NoError(f, err)
	return slices.DeleteFunc(tasks, func(t manager.Task) bool { return t.ServiceID != service })
}

// awaitTasks lists a service's tasks until they are as wanted.
func (f *fixture) awaitTasks(service, what string, wanted func([]manager.Task) bool) []manager.Task {
	f.Helper()
	deadline := time.Now().Add(patience)
	for {
		tasks := f.tasks(service)
		if wanted(tasks) {
			return tasks
		}
		if time.Now().After(deadline) {
			require.FailNow(f, "the tasks never were "+what, "%s", said(tasks))
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// awaitRunning waits until so many tasks run, and none is on its way anywhere else.
func (f *fixture) awaitRunning(service string, count int) []manager.Task {
	f.Helper()
	tasks := f.awaitTasks(service, "running", func(tasks []manager.Task) bool {
		return len(running(tasks)) == count && len(wanted(tasks)) == count
	})
	return running(tasks)
}

// awaitUpdate waits until an update is in a state.
func (f *fixture) awaitUpdate(service string, state swarm.UpdateState) manager.Service {
	f.Helper()
	deadline := time.Now().Add(patience)
	for {
		s := f.service(service)
		if s.Update.State == state {
			return s
		}
		if time.Now().After(deadline) {
			require.FailNow(f, "the update never was "+string(state), "%+v\n%s", s.Update, said(f.tasks(service)))
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// running are the tasks that run and are to run.
func running(tasks []manager.Task) []manager.Task {
	return slices.DeleteFunc(wanted(tasks), func(t manager.Task) bool { return t.State != swarm.TaskStateRunning })
}

// wanted are the tasks that are not to end.
func wanted(tasks []manager.Task) (of []manager.Task) {
	for _, t := range tasks {
		if t.DesiredState == swarm.TaskStateReady || t.DesiredState == swarm.TaskStateRunning {
			of = append(of, t)
		}
	}
	return of
}

// in are the tasks in a state.
func in(state swarm.TaskState, tasks []manager.Task) (of []manager.Task) {
	for _, t := range tasks {
		if t.State == state {
			of = append(of, t)
		}
	}
	return of
}

func slots(tasks []manager.Task) []int {
	var all []int
	for _, t := range tasks {
		all = append(all, t.Slot)
	}
	slices.Sort(all)
	return all
}

// said is what tasks are, for a message.
func said(tasks []manager.Task) (text string) {
	for _, t := range tasks {
		text += t.ID + " " + string(t.State) + " of " + string(t.DesiredState) + ": " + t.Message + " " + t.Err + "\n"
	}
	return text
}

func (f *fixture) fails(class engine.Class, err error) {
	f.Helper()
	var failure *engine.Error
	require.ErrorAs(f, err, &failure)
	require.Equal(f, class, failure.Class, "%v", err)
	require.NotEmpty(f, failure.Op)
}
