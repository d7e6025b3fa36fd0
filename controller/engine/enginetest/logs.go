package enginetest

import (
	"bytes"
	"context"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/engine"
)

var logCases = []testCase{
	{"logs hold the output", func(f *fixture) {
		id := f.runs("1", Runs)
		var out bytes.Buffer
		require.NoError(f, f.Engine.Logs(f.Context(), id, engine.LogOptions{}, &out, io.Discard))
		require.Equal(f, "one\ntwo\nthree\n", out.String())
		out.Reset()
		require.NoError(f, f.Engine.Logs(f.Context(), id, engine.LogOptions{Tail: 2}, &out, io.Discard))
		require.Equal(f, "two\nthree\n", out.String())
	}},
	{"logs are followed to the container's end", func(f *fixture) {
		id := f.runs("1", Runs)
		var follower sync.WaitGroup
		var out bytes.Buffer
		var err error
		follower.Go(func() {
			err = f.Engine.Logs(f.Context(), id, engine.LogOptions{Follow: true}, &out, io.Discard)
		})
		f.stop(id)
		follower.Wait()
		require.NoError(f, err)
		require.Equal(f, "one\ntwo\nthree\n", out.String())
	}},
	{"logs are followed until the caller leaves", func(f *fixture) {
		id := f.runs("1", Runs)
		ctx, cancel := context.WithTimeout(f.Context(), 200*time.Millisecond)
		defer cancel()
		require.NoError(f, f.Engine.Logs(ctx, id, engine.LogOptions{Follow: true}, io.Discard, io.Discard))
		require.Error(f, ctx.Err())
	}},
	{"logs of an absent container are NotFound", func(f *fixture) {
		f.fails(engine.NotFound, f.Engine.Logs(f.Context(), f.named("none"), engine.LogOptions{}, io.Discard, io.Discard))
	}},
	{"logs of an exited container are followed to what there is", func(f *fixture) {
		id := f.runs("1", Exits)
		f.awaitExit(id)
		var out bytes.Buffer
		require.NoError(f, f.Engine.Logs(f.Context(), id, engine.LogOptions{Follow: true}, &out, io.Discard))
		require.Equal(f, "ready\n", out.String())
	}},
	{"logs of a container that never ran are empty", func(f *fixture) {
		id := f.create("1", f.service(Runs))
		var out bytes.Buffer
		require.NoError(f, f.Engine.Logs(f.Context(), id, engine.LogOptions{}, &out, &out))
		require.Empty(f, out.String())
	}},
	{"logs hold the output of every run", func(f *fixture) {
		id := f.runs("1", SlowStop)
		f.stop(id)
		require.NoError(f, f.Engine.Start(f.Context(), id))
		require.Eventually(f, func() bool {
			var out bytes.Buffer
			err := f.Engine.Logs(f.Context(), id, engine.LogOptions{}, &out, io.Discard)
			return err == nil && out.String() == "ready\nready\n"
		}, patience, 5*time.Millisecond)
	}},
	{"logs can say when each line was written", func(f *fixture) {
		id := f.runs("1", Exits)
		c := f.awaitExit(id)
		var out bytes.Buffer
		require.NoError(f, f.Engine.Logs(f.Context(), id, engine.LogOptions{Timestamps: true}, &out, io.Discard))
		at, text, _ := strings.Cut(out.String(), " ")
		require.Equal(f, "ready\n", text)
		written, err := time.Parse(time.RFC3339Nano, at)
		require.NoError(f, err)
		require.False(f, written.Before(c.Created) || written.After(c.FinishedAt))
		for since, want := range map[time.Time]string{written: "ready\n", written.Add(time.Nanosecond): ""} {
			out.Reset()
			require.NoError(f, f.Engine.Logs(f.Context(), id, engine.LogOptions{Since: since}, &out, io.Discard))
			require.Equal(f, want, out.String())
		}
	}},
}
