package enginetest

import (
	"context"
	"fmt"
	"syscall"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/engine"
)

var eventCases = []testCase{
	{"a subscription sees what is made right after it", func(f *fixture) {
		for i := range 10 {
			s := f.subscribe()
			id := f.create(fmt.Sprint(i), f.service(Runs))
			s.expect(id, "create")
			s.end()
		}
	}},
	{"events of a run that is killed", func(f *fixture) {
		s := f.subscribe()
		id := f.runs("1", Runs)
		f.Outsider.Kill(f.T, id)
		f.awaitExit(id)
		require.NoError(f, f.Engine.Remove(f.Context(), id, true))
		s.expect(id, "create", "start", "kill", "die", "destroy")
	}},
	{"events of a run that ends by itself", func(f *fixture) {
		s := f.subscribe()
		s.expect(f.runs("1", Exits), "create", "start", "die")
	}},
	{"events of a run that is stopped", func(f *fixture) {
		s := f.subscribe()
		id := f.runs("1", Runs)
		f.stop(id)
		s.expect(id, "create", "start", "kill", "die", "stop")
	}},
	{"a kill names its signal", func(f *fixture) {
		heard := listen(f.T, f.Engine, f.Project)
		id := f.runs("1", Stubborn)
		require.NoError(f, f.Engine.Stop(f.Context(), id, 0))
		require.NoError(f, f.Engine.Remove(f.Context(), id, true))
		var signals []syscall.Signal
		for _, e := range heard.ends(f.T, []string{id}) {
			if e.Action == "kill" {
				signals = append(signals, e.Signal)
			} else {
				require.Zero(f, e.Signal, e.Action)
			}
		}
		require.Equal(f, []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL}, signals)
	}},
	{"events of a run that must be killed to stop", func(f *fixture) {
		s := f.subscribe()
		id := f.runs("1", Stubborn)
		require.NoError(f, f.Engine.Stop(f.Context(), id, 0))
		s.expect(id, "create", "start", "kill", "kill", "die", "stop")
	}},
	{"events of a stop whose caller has left", func(f *fixture) {
		s := f.subscribe()
		id := f.runs("1", Stubborn)
		ctx, cancel := context.WithTimeout(f.Context(), 200*time.Millisecond)
		defer cancel()
		f.fails(engine.Unknown, f.Engine.Stop(ctx, id, time.Second))
		s.expect(id, "create", "start", "kill", "kill", "die", "stop")
	}},
	{"events of a start that is refused", func(f *fixture) {
		s := f.subscribe()
		id := f.create("1", f.service(Broken))
		f.fails(engine.Invalid, f.Engine.Start(f.Context(), id))
		require.NoError(f, f.Engine.Remove(f.Context(), id, true))
		s.expect(id, "create", "destroy")
	}},
	{"events of a removal by force", func(f *fixture) {
		s := f.subscribe()
		id := f.runs("1", Runs)
		f.Outsider.Remove(f.T, id)
		s.expect(id, "create", "start", "kill", "die", "destroy")
	}},
	{"events of a pause", func(f *fixture) {
		s := f.subscribe()
		id := f.runs("1", Runs)
		f.Outsider.Pause(f.T, id)
		f.Outsider.Unpause(f.T, id)
		s.expect(id, "create", "start", "pause", "unpause")
	}},
	{"events of health, without those of its checks", func(f *fixture) {
		s := f.subscribe()
		id := f.runs("1", Recovers)
		s.expect(id, "create", "start", "health_status")
		require.Equal(f, engine.Healthy, f.inspect(id).Health)
	}},
	{"events are of one project", func(f *fixture) {
		s := f.subscribe()
		spec := f.spec("theirs", f.service(Runs))
		spec.Labels[engine.ProjectLabel] = f.Project + "x"
		theirs, err := f.Engine.Create(f.Context(), spec)
		require.NoError(f, err)
		require.NoError(f, f.Engine.Remove(f.Context(), theirs, true))
		// expect refuses events of other projects.
		s.expect(f.create("ours", f.service(Runs)), "create")
	}},
	{"a subscription hears of images, networks and volumes, which carry no project's name", func(f *fixture) {
		heard := listen(f.T, f.Engine, f.Project)
		resources := func(action string) (n int) {
			for _, e := range heard.heard() {
				if e.ContainerID == "" && e.Action == action {
					n++
				}
			}
			return n
		}
		hears := func(action string, do func()) {
			f.Helper()
			before := resources(action)
			do()
			require.Eventually(f, func() bool { return resources(action) > before }, patience, 10*time.Millisecond, action)
		}
		name, _ := f.load()
		hears("tag", func() { f.Outsider.Tag(f.T, name, f.named("pruned")+":2") })
		hears("create", func() { f.network("n") })
		networks, err := f.Engine.Networks(f.Context(), f.Project)
		require.NoError(f, err)
		hears("destroy", func() { require.NoError(f, f.Engine.RemoveNetwork(f.Context(), networks[0].ID)) })
		hears("create", func() { f.volume("v") })
		hears("destroy", func() { require.NoError(f, f.Engine.RemoveVolume(f.Context(), f.named("v"))) })
	}},
	{"a late reader gets every event, in order", func(f *fixture) {
		s := f.subscribe()
		var ids []string
		for i := range 40 {
			id := f.create(fmt.Sprint(i), f.service(Runs))
			require.NoError(f, f.Engine.Remove(f.Context(), id, true))
			ids = append(ids, id)
		}
		for _, id := range ids {
			s.expect(id, "create", "destroy")
		}
	}},
	{"a stream ends without an error when its reader leaves", func(f *fixture) {
		s := f.subscribe()
		s.end()
		for range s.events {
		}
		require.NoError(f, s.err())
	}},
	{"every subscriber gets every event", func(f *fixture) {
		first, second := f.subscribe(), f.subscribe()
		id := f.create("1", f.service(Runs))
		first.expect(id, "create")
		second.expect(id, "create")
	}},
}
