package enginetest

import (
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/engine"
)

var statsCases = []testCase{
	{"stats of an absent container are NotFound", func(f *fixture) {
		_, err := f.Engine.Stats(f.Context(), f.named("none"))
		f.fails(engine.NotFound, err)
	}},
	{"stats of a container that does not run are a Conflict", func(f *fixture) {
		created := f.create("created", f.service(Runs))
		_, err := f.Engine.Stats(f.Context(), created)
		f.fails(engine.Conflict, err)
		exited := f.runs("exited", Runs)
		f.stop(exited)
		_, err = f.Engine.Stats(f.Context(), exited)
		f.fails(engine.Conflict, err)
	}},
	{"stats count what a container uses", func(f *fixture) {
		id := f.runs("1", Busy)
		before := f.stats(id)
		require.False(f, before.At.IsZero())
		require.GreaterOrEqual(f, before.Memory, Images[Busy].Memory)
		require.Less(f, before.Memory, before.MemoryLimit)
		require.Eventually(f, func() bool { return f.stats(id).CPU-before.CPU > 200*time.Millisecond }, patience, 10*time.Millisecond)
		after := f.stats(id)
		require.True(f, after.At.After(before.At))
		// The engine's clock and the kernel's count are not read at one instant.
		require.Less(f, after.CPU-before.CPU, after.At.Sub(before.At)*3/2+100*time.Millisecond, "one core")
	}},
	{"stats begin anew with each start, and stand still in a pause", func(f *fixture) {
		id := f.runs("1", Busy)
		require.Eventually(f, func() bool { return f.stats(id).CPU > 300*time.Millisecond }, patience, 10*time.Millisecond)
		f.Outsider.Pause(f.T, id)
		paused := f.stats(id).CPU
		time.Sleep(100 * time.Millisecond) // time in which it could go on
		require.InDelta(f, paused, f.stats(id).CPU, float64(20*time.Millisecond))
		f.Outsider.Unpause(f.T, id)
		// A count that went on could only grow, so one start that is looked at in time shows that it began anew.
		require.Eventually(f, func() bool {
			f.stop(id)
			f.start(id)
			return f.stats(id).CPU < paused
		}, patience, time.Millisecond)
	}},
	{"stats tell the limit on the memory", func(f *fixture) {
		s := f.service(Runs)
		s.MemLimit = 64 << 20
		id := f.create("1", s)
		f.start(id)
		require.EqualValues(f, 64<<20, f.stats(id).MemoryLimit)
		unlimited := f.runs("2", Runs)
		require.Greater(f, f.stats(unlimited).MemoryLimit, int64(512<<20), "what the machine has")
	}},
	{"a process that asks for too much memory is ended, and an event tells why", func(f *fixture) {
		s := f.service(Runs)
		s.MemLimit, s.MemSwapLimit = types.UnitBytes(64<<20), types.UnitBytes(64<<20)
		id := f.create("1", s)
		f.start(id)
		events := f.subscribe()
		f.Outsider.Exhaust(f.T, id)
		c := f.awaitExit(id)
		require.True(f, c.OOMKilled)
		require.Equal(f, 137, c.ExitCode)
		events.hear(id, "oom")
	}},
}

func (f *fixture) stats(id string) engine.Stats {
	f.Helper()
	s, err := f.Engine.Stats(f.Context(), id)
	require.NoError(f, err)
	return s
}

// hear reads events until one of a container has come.
func (s *stream) hear(id, action string) {
	s.f.Helper()
	timeout := time.After(patience)
	for {
		select {
		case event, ok := <-s.events:
			require.True(s.f, ok, "the stream ended")
			if event.ContainerID == id && event.Action == action {
				return
			}
		case <-timeout:
			require.FailNow(s.f, "no event came", action)
		}
	}
}
