package model_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/engine/model"
)

// in runs a test on the bubble's clock, with an engine that has one image.
func in(t *testing.T, b model.Behavior, test func(t *testing.T, e *model.Engine)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		e := model.New()
		defer func() { require.NoError(t, e.Close()) }()
		e.AddImage("image", b)
		test(t, e)
	})
}

func spec(name string) engine.ContainerSpec {
	return engine.ContainerSpec{
		Name: name, Project: "p", Labels: map[string]string{engine.ProjectLabel: "p"},
		Service: types.ServiceConfig{Name: "s", Image: "image", NetworkMode: "none"},
	}
}

func create(t *testing.T, e *model.Engine, s engine.ContainerSpec) string {
	t.Helper()
	id, err := e.Create(t.Context(), s)
	require.NoError(t, err)
	return id
}

func run(t *testing.T, e *model.Engine, name string) string {
	t.Helper()
	id := create(t, e, spec(name))
	require.NoError(t, e.Start(t.Context(), id))
	return id
}

func inspect(t *testing.T, e *model.Engine, id string) engine.Container {
	t.Helper()
	c, err := e.Container(t.Context(), id)
	require.NoError(t, err)
	return c
}

func TestEverythingHappensAtItsInstant(t *testing.T) {
	behavior := model.Behavior{HealthCheck: true, HealthAfter: 3 * time.Second, Exits: true, After: time.Hour, Code: 5}
	in(t, behavior, func(t *testing.T, e *model.Engine) {
		began := time.Now()
		id := run(t, e, "c1")
		time.Sleep(10 * time.Second)
		c := inspect(t, e, id)
		require.Equal(t, engine.Healthy, c.Health)
		require.Equal(t, began.Add(3*time.Second), c.HealthySince)
		time.Sleep(2 * time.Hour)
		c = inspect(t, e, id)
		require.Equal(t, engine.Exited, c.State)
		require.Equal(t, 5, c.ExitCode)
		require.Equal(t, began.Add(time.Hour), c.FinishedAt)
	})
}

func TestHealthIsRememberedForFiveProbes(t *testing.T) {
	in(t, model.Behavior{}, func(t *testing.T, e *model.Engine) {
		interval := types.Duration(time.Second)
		s := spec("c1")
		s.Service.HealthCheck = &types.HealthCheckConfig{Test: []string{"CMD", "true"}, Interval: &interval}
		id := create(t, e, s)
		require.NoError(t, e.Start(t.Context(), id))
		began := time.Now()
		time.Sleep(4500 * time.Millisecond)
		require.Equal(t, began, inspect(t, e, id).HealthySince)
		time.Sleep(5 * time.Second)
		require.Equal(t, began.Add(5*time.Second), inspect(t, e, id).HealthySince)
	})
}

func TestEventsComeWithoutFurtherCalls(t *testing.T) {
	in(t, model.Behavior{Exits: true, After: time.Minute}, func(t *testing.T, e *model.Engine) {
		events, _, err := e.Events(t.Context(), "p")
		require.NoError(t, err)
		began := time.Now()
		run(t, e, "c1")
		for _, action := range []string{"create", "start", "die"} {
			require.Equal(t, action, (<-events).Action)
		}
		require.Equal(t, time.Minute, time.Since(began))
	})
}

func TestSameRequestsGiveSameHistory(t *testing.T) {
	var histories [2]string
	for i := range histories {
		behavior := model.Behavior{HealthCheck: true, HealthAfter: time.Second, Exits: true, After: 5 * time.Second}
		in(t, behavior, func(t *testing.T, e *model.Engine) {
			events, _, err := e.Events(t.Context(), "p")
			require.NoError(t, err)
			for n := range 20 {
				run(t, e, fmt.Sprint("c", n))
			}
			time.Sleep(time.Minute)
			for range 80 {
				event := <-events
				histories[i] += fmt.Sprintln(event.Time.UnixNano(), event.Action, event.ContainerID)
			}
		})
	}
	require.Equal(t, histories[0], histories[1])
}

func TestFailNextWithoutEffect(t *testing.T) {
	in(t, model.Behavior{}, func(t *testing.T, e *model.Engine) {
		e.FailNext(model.OpCreate, engine.Exhausted, model.NoEffect)
		_, err := e.Create(t.Context(), spec("c1"))
		require.Equal(t, engine.Exhausted, engine.ClassOf(err))
		require.ErrorContains(t, err, "create container c1")
		create(t, e, spec("c1"))
	})
}

func TestFailNextWithEffect(t *testing.T) {
	in(t, model.Behavior{}, func(t *testing.T, e *model.Engine) {
		e.FailNext(model.OpCreate, engine.Unknown, model.FullEffect)
		id, err := e.Create(t.Context(), spec("c1"))
		require.Equal(t, engine.Unknown, engine.ClassOf(err))
		require.Empty(t, id)
		containers, err := e.Containers(t.Context(), "p")
		require.NoError(t, err)
		require.Len(t, containers, 1)
	})
}

func TestALateEffectComesAfterItsCallerHasLeft(t *testing.T) {
	in(t, model.Behavior{}, func(t *testing.T, e *model.Engine) {
		e.SetLatency(model.OpCreate, time.Minute)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := e.Create(ctx, spec("c1"))
		require.Equal(t, engine.Unknown, engine.ClassOf(err))
		containers, err := e.Containers(t.Context(), "p")
		require.NoError(t, err)
		require.Empty(t, containers)
		time.Sleep(time.Minute)
		containers, err = e.Containers(t.Context(), "p")
		require.NoError(t, err)
		require.Len(t, containers, 1)
	})
}

func TestCallsAreLoggedByName(t *testing.T) {
	in(t, model.Behavior{}, func(t *testing.T, e *model.Engine) {
		id := run(t, e, "c1")
		inspect(t, e, id)
		require.Equal(t, "[create container c1 start container c1 inspect container c1]", fmt.Sprint(e.Calls()))
		require.Equal(t, "[create container c1 start container c1]", fmt.Sprint(e.Writes()))
		e.ForgetCalls()
		inspect(t, e, id)
		require.Empty(t, e.Writes())
	})
}

func TestAReservedNameIsAConflictThatNobodyCanInspect(t *testing.T) {
	in(t, model.Behavior{}, func(t *testing.T, e *model.Engine) {
		e.ReserveName("c1")
		_, err := e.Create(t.Context(), spec("c1"))
		require.Equal(t, engine.Conflict, engine.ClassOf(err))
		containers, err := e.Containers(t.Context(), "p")
		require.NoError(t, err)
		require.Empty(t, containers)
		e.ReleaseName("c1")
		create(t, e, spec("c1"))
	})
}

func TestANameThatAContainerHasStaysItsOwn(t *testing.T) {
	in(t, model.Behavior{}, func(t *testing.T, e *model.Engine) {
		create(t, e, spec("c1"))
		e.ReserveName("c1")
		e.ReleaseName("c1")
		_, err := e.Create(t.Context(), spec("c1"))
		require.Equal(t, engine.Conflict, engine.ClassOf(err))
	})
}

func publishing(t *testing.T, e *model.Engine, name string) string {
	t.Helper()
	s := spec(name)
	s.Service.NetworkMode = ""
	s.Service.Networks = map[string]*types.ServiceNetworkConfig{"a": nil}
	s.Service.Ports = []types.ServicePortConfig{{Published: "8080-8081", Target: 80, Protocol: "tcp"}}
	return create(t, e, s)
}

func TestHalfStarts(t *testing.T) {
	in(t, model.Behavior{}, func(t *testing.T, e *model.Engine) {
		e.HalfStarts(true)
		require.NoError(t, e.CreateNetwork(t.Context(), engine.NetworkSpec{Name: "a"}))
		for _, name := range []string{"c1", "c2"} {
			require.NoError(t, e.Start(t.Context(), publishing(t, e, name)))
		}
		third := publishing(t, e, "c3")
		require.Equal(t, engine.Exhausted, engine.ClassOf(e.Start(t.Context(), third)))
		require.NoError(t, e.Start(t.Context(), third))
		c := inspect(t, e, third)
		require.Equal(t, engine.Running, c.State)
		require.True(t, c.PortsMissing)
		require.Equal(t, map[string]string{"a": ""}, c.Networks)
	})
}

func TestLosePorts(t *testing.T) {
	in(t, model.Behavior{}, func(t *testing.T, e *model.Engine) {
		require.NoError(t, e.CreateNetwork(t.Context(), engine.NetworkSpec{Name: "a"}))
		id := publishing(t, e, "c1")
		require.NoError(t, e.Start(t.Context(), id))
		require.Equal(t, []string{"0.0.0.0:8080->80/tcp"}, inspect(t, e, id).PublishedPorts)
		e.LosePorts(id)
		require.True(t, inspect(t, e, id).PortsMissing)
		require.Empty(t, inspect(t, e, id).PublishedPorts)
	})
}

func TestLoseAddressesAndLeaveNetwork(t *testing.T) {
	in(t, model.Behavior{}, func(t *testing.T, e *model.Engine) {
		require.NoError(t, e.CreateNetwork(t.Context(), engine.NetworkSpec{Name: "a"}))
		id := publishing(t, e, "c1")
		require.NoError(t, e.Start(t.Context(), id))
		require.NotEmpty(t, inspect(t, e, id).Networks["a"])
		e.LoseAddresses(id)
		require.Equal(t, map[string]string{"a": ""}, inspect(t, e, id).Networks)
		require.NoError(t, e.Stop(t.Context(), id, 0))
		require.NoError(t, e.Start(t.Context(), id))
		require.NotEmpty(t, inspect(t, e, id).Networks["a"], "a start gives an address")
		e.LeaveNetwork(id, "a")
		require.NoError(t, e.Stop(t.Context(), id, 0))
		require.NoError(t, e.Start(t.Context(), id))
		require.Empty(t, inspect(t, e, id).Networks, "and no network that it has left")
	})
}

func TestResetHealthTellsNobody(t *testing.T) {
	in(t, model.Behavior{HealthCheck: true, HealthAfter: time.Second}, func(t *testing.T, e *model.Engine) {
		id := run(t, e, "c1")
		time.Sleep(time.Minute)
		require.Equal(t, engine.Healthy, inspect(t, e, id).Health)
		events, _, failed := e.Events(t.Context(), "p")
		require.NoError(t, failed)
		e.ResetHealth(id)
		require.Equal(t, engine.Starting, inspect(t, e, id).Health)
		require.Empty(t, events)
		time.Sleep(time.Second)
		require.Equal(t, engine.Healthy, inspect(t, e, id).Health)
		require.Equal(t, "health_status", (<-events).Action)
	})
}

func TestASlowSubscriberLosesEvents(t *testing.T) {
	in(t, model.Behavior{}, func(t *testing.T, e *model.Engine) {
		ctx, leave := context.WithCancel(t.Context())
		events, err, failed := e.Events(ctx, "p")
		require.NoError(t, failed)
		for n := range 300 {
			create(t, e, spec(fmt.Sprint("c", n)))
		}
		leave()
		synctest.Wait()
		count := 0
		for range events {
			count++
		}
		require.Equal(t, 256, count)
		require.NoError(t, err())
	})
}

func TestAPausedProcessDoesNothing(t *testing.T) {
	in(t, model.Behavior{Exits: true, After: time.Second, Code: 5}, func(t *testing.T, e *model.Engine) {
		id := run(t, e, "c1")
		e.Pause(id)
		time.Sleep(time.Minute)
		require.Equal(t, engine.Paused, inspect(t, e, id).State)
		e.Unpause(id)
		require.Equal(t, 5, inspect(t, e, id).ExitCode)
	})
}

func TestSetHealthAndSetState(t *testing.T) {
	in(t, model.Behavior{}, func(t *testing.T, e *model.Engine) {
		id := run(t, e, "c1")
		e.SetHealth(id, engine.Unhealthy)
		require.Equal(t, engine.Unhealthy, inspect(t, e, id).Health)
		e.SetHealth(id, engine.Healthy)
		require.Equal(t, time.Now(), inspect(t, e, id).HealthySince)
		e.StopBehind(id, time.Second)
		require.Equal(t, engine.Exited, inspect(t, e, id).State)
		e.SetState(id, engine.Removing)
		require.Equal(t, engine.Conflict, engine.ClassOf(e.Remove(t.Context(), id, true)))
		e.SetState(id, engine.Dead)
		require.NoError(t, e.Remove(t.Context(), id, true))
	})
}

func TestPullMakesAPublishedImageLocal(t *testing.T) {
	in(t, model.Behavior{}, func(t *testing.T, e *model.Engine) {
		e.PublishImage("published", model.Behavior{})
		_, err := e.Image(t.Context(), "published")
		require.Equal(t, engine.NotFound, engine.ClassOf(err))
		require.NoError(t, e.Pull(t.Context(), "published", func(string) {}))
		first, err := e.Image(t.Context(), "published")
		require.NoError(t, err)
		require.NotEqual(t, first.ID, e.AddImage("published", model.Behavior{}))
		e.RemoveImage("published")
		_, err = e.Image(t.Context(), "published")
		require.Equal(t, engine.NotFound, engine.ClassOf(err))
		err = e.Pull(t.Context(), "elsewhere", func(string) {})
		require.Equal(t, engine.NotFound, engine.ClassOf(err))
	})
}
