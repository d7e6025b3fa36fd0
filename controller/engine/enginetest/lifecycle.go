package enginetest

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/engine"
)

var lifecycleCases = []testCase{
	{"the engine answers", func(f *fixture) {
		require.NoError(f, f.Engine.Ping(f.Context()))
	}},
	{"inspect of an absent container is NotFound", func(f *fixture) {
		_, err := f.Engine.Container(f.Context(), f.named("none"))
		f.fails(engine.NotFound, err)
	}},
	{"list of an unknown project is empty", func(f *fixture) {
		require.Empty(f, f.list())
	}},
	{"list holds stopped containers, as inspect shows them", func(f *fixture) {
		created := f.create("created", f.service(Runs))
		exited := f.runs("exited", Exits)
		running := f.runs("running", Runs)
		f.awaitExit(exited)
		containers, err := f.Engine.Containers(f.Context(), f.Project)
		require.NoError(f, err)
		require.Equal(f, []engine.Container{f.inspect(created), f.inspect(exited), f.inspect(running)}, containers)
	}},
	{"list leaves out other projects", func(f *fixture) {
		spec := f.spec("theirs", f.service(Runs))
		spec.Labels[engine.ProjectLabel] = f.Project + "x"
		id, err := f.Engine.Create(f.Context(), spec)
		require.NoError(f, err)
		defer func() { require.NoError(f, f.Engine.Remove(f.Context(), id, true)) }()
		f.create("ours", f.service(Runs))
		require.Equal(f, []string{f.named("ours")}, f.list())
	}},
	{"list is complete while containers vanish", func(f *fixture) {
		f.create("stays-1", f.service(Runs))
		f.create("stays-2", f.service(Runs))
		var vanishing []string
		for i := range 12 {
			vanishing = append(vanishing, f.create(fmt.Sprintf("vanishes-%d", i), f.service(Runs)))
		}
		var outsider sync.WaitGroup
		outsider.Go(func() {
			for _, id := range vanishing {
				f.Outsider.Remove(f.T, id)
			}
		})
		for len(f.list()) > 2 {
		}
		outsider.Wait()
		require.Equal(f, []string{f.named("stays-1"), f.named("stays-2")}, f.list())
	}},

	{"start runs a container", func(f *fixture) {
		c := f.inspect(f.runs("1", Runs))
		require.Equal(f, engine.Running, c.State)
		require.False(f, c.StartedAt.Before(c.Created))
		require.Zero(f, c.FinishedAt)
		require.Zero(f, c.ExitCode)
		require.Empty(f, c.Error)
	}},
	{"start of a running container leaves it", func(f *fixture) {
		id := f.runs("1", Runs)
		before := f.inspect(id)
		f.start(id)
		require.Equal(f, before, f.inspect(id))
	}},
	{"start of an absent container is NotFound", func(f *fixture) {
		f.fails(engine.NotFound, f.Engine.Start(f.Context(), f.named("none")))
	}},
	{"start of an exited container runs it again", func(f *fixture) {
		id := f.runs("1", SlowStop)
		first := f.inspect(id)
		f.stop(id)
		require.Equal(f, 4, f.inspect(id).ExitCode)
		f.start(id)
		second := f.inspect(id)
		require.Equal(f, engine.Running, second.State)
		require.Zero(f, second.ExitCode)
		require.True(f, second.StartedAt.After(first.StartedAt))
		require.False(f, second.StartedAt.Before(second.FinishedAt))
	}},
	{"start of a paused container is a Conflict", func(f *fixture) {
		id := f.runs("1", Runs)
		f.Outsider.Pause(f.T, id)
		f.fails(engine.Conflict, f.Engine.Start(f.Context(), id))
		require.Equal(f, engine.Paused, f.inspect(id).State)
	}},
	{"a start that fails leaves the exit code of the run before", func(f *fixture) {
		f.network("a")
		id := f.create("1", f.networked(Exits, "a"))
		f.start(id)
		f.awaitExit(id)
		require.NoError(f, f.Engine.RemoveNetwork(f.Context(), f.named("a")))
		f.fails(engine.NotFound, f.Engine.Start(f.Context(), id))
		c := f.inspect(id)
		require.Equal(f, engine.Exited, c.State)
		require.Equal(f, 3, c.ExitCode)
		require.NotEmpty(f, c.Error)
	}},
	{"start without a program is Invalid and says why", func(f *fixture) {
		id := f.create("1", f.service(Broken))
		f.fails(engine.Invalid, f.Engine.Start(f.Context(), id))
		c := f.inspect(id)
		require.Equal(f, engine.Created, c.State)
		require.Equal(f, 127, c.ExitCode)
		require.NotEmpty(f, c.Error)
		require.Zero(f, c.StartedAt)
	}},

	{"a process that ends by itself leaves its code", func(f *fixture) {
		c := f.awaitExit(f.runs("1", Exits))
		require.Equal(f, 3, c.ExitCode)
		require.True(f, c.FinishedAt.After(c.StartedAt))
	}},
	{"a killed process leaves 137", func(f *fixture) {
		id := f.runs("1", Runs)
		f.Outsider.Kill(f.T, id)
		c := f.awaitExit(id)
		require.Equal(f, 137, c.ExitCode)
		require.False(f, c.OOMKilled)
	}},

	{"a process can be killed, and takes no time over it", func(f *fixture) {
		id := f.runs("1", Stubborn)
		require.NoError(f, f.Engine.KillProcess(f.Context(), id))
		require.Equal(f, 137, f.awaitExit(id).ExitCode)
	}},
	{"what does not run is not killed", func(f *fixture) {
		id := f.create("1", f.service(Runs))
		f.fails(engine.Conflict, f.Engine.KillProcess(f.Context(), id))
		f.fails(engine.NotFound, f.Engine.KillProcess(f.Context(), f.named("none")))
	}},

	{"stop returns when the container has exited", func(f *fixture) {
		id := f.runs("1", SlowStop)
		f.stop(id)
		c := f.inspect(id)
		require.Equal(f, engine.Exited, c.State)
		require.Equal(f, 4, c.ExitCode)
	}},
	{"stop kills when the grace is over", func(f *fixture) {
		id := f.runs("1", Stubborn)
		before := time.Now()
		require.NoError(f, f.Engine.Stop(f.Context(), id, time.Second))
		require.GreaterOrEqual(f, time.Since(before), time.Second)
		require.Equal(f, 137, f.inspect(id).ExitCode)
	}},
	{"stop without grace kills", func(f *fixture) {
		id := f.runs("1", Stubborn)
		require.NoError(f, f.Engine.Stop(f.Context(), id, 0))
		require.Equal(f, 137, f.inspect(id).ExitCode)
	}},
	{"stop never shortens a grace to whole seconds", func(f *fixture) {
		id := f.runs("1", SlowStop)
		require.NoError(f, f.Engine.Stop(f.Context(), id, 500*time.Millisecond))
		require.Equal(f, 4, f.inspect(id).ExitCode)
	}},
	{"stop of what does not run is no error", func(f *fixture) {
		exited := f.runs("exited", Exits)
		f.awaitExit(exited)
		created := f.create("created", f.service(Runs))
		for _, id := range []string{exited, created, f.named("none")} {
			require.NoError(f, f.Engine.Stop(f.Context(), id, 0))
		}
		require.Equal(f, 3, f.inspect(exited).ExitCode)
		require.Equal(f, engine.Created, f.inspect(created).State)
	}},
	{"stop ends a paused container", func(f *fixture) {
		id := f.runs("1", SlowStop)
		f.Outsider.Pause(f.T, id)
		f.stop(id)
		require.Equal(f, engine.Exited, f.inspect(id).State)
	}},
	{"stop kills a paused container when the grace is over", func(f *fixture) {
		id := f.runs("1", Stubborn)
		f.Outsider.Pause(f.T, id)
		require.NoError(f, f.Engine.Stop(f.Context(), id, time.Second))
		require.Equal(f, 137, f.inspect(id).ExitCode)
	}},
	{"stop goes on when its caller has left", func(f *fixture) {
		id := f.runs("1", Stubborn)
		ctx, cancel := context.WithTimeout(f.Context(), 200*time.Millisecond)
		defer cancel()
		f.fails(engine.Unknown, f.Engine.Stop(ctx, id, time.Second))
		require.Equal(f, engine.Running, f.inspect(id).State)
		require.Equal(f, 137, f.awaitExit(id).ExitCode)
	}},
	{"two stops at once both wait for the end", func(f *fixture) {
		id := f.runs("1", SlowStop)
		var second sync.WaitGroup
		var err error
		second.Go(func() { err = f.Engine.Stop(f.Context(), id, 10*time.Second) })
		f.stop(id)
		second.Wait()
		require.NoError(f, err)
		require.Equal(f, 4, f.inspect(id).ExitCode)
	}},

	{"remove of a running container is a Conflict", func(f *fixture) {
		id := f.runs("1", Runs)
		f.fails(engine.Conflict, f.Engine.Remove(f.Context(), id, true))
		require.Equal(f, engine.Running, f.inspect(id).State)
	}},
	{"remove of a paused container is a Conflict", func(f *fixture) {
		id := f.runs("1", Runs)
		f.Outsider.Pause(f.T, id)
		f.fails(engine.Conflict, f.Engine.Remove(f.Context(), id, true))
		require.Equal(f, engine.Paused, f.inspect(id).State)
	}},
	{"remove takes exited and created containers", func(f *fixture) {
		exited := f.runs("exited", Exits)
		f.awaitExit(exited)
		created := f.create("created", f.service(Runs))
		for _, id := range []string{exited, created} {
			require.NoError(f, f.Engine.Remove(f.Context(), id, true))
			_, err := f.Engine.Container(f.Context(), id)
			f.fails(engine.NotFound, err)
		}
		require.Empty(f, f.list())
	}},
	{"remove of an absent container is no error", func(f *fixture) {
		require.NoError(f, f.Engine.Remove(f.Context(), f.named("none"), true))
	}},
	{"of two removes at once none fails but with Conflict", func(f *fixture) {
		id := f.create("1", f.service(Runs))
		var second sync.WaitGroup
		var errs [2]error
		second.Go(func() { errs[0] = f.Engine.Remove(f.Context(), id, true) })
		errs[1] = f.Engine.Remove(f.Context(), id, true)
		second.Wait()
		for _, err := range errs {
			if err != nil {
				f.fails(engine.Conflict, err)
			}
		}
		require.Empty(f, f.list())
	}},
}
