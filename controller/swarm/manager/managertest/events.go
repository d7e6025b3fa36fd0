package managertest

import (
	"bytes"
	"context"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/docker/docker/api/types/swarm"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/swarm/manager"
)

var eventCases = []testCase{
	{"events of a service", func(f *fixture) {
		s := f.subscribe()
		id := f.create(f.spec("web", Runs, 0))
		f.update(id, func(s *swarm.ServiceSpec) { s.Labels["a"] = "b" })
		require.NoError(f, f.Manager.RemoveService(f.Context(), id))
		s.expect("service", id, f.named("web"), "create", "update", "remove")
	}},
	{"an update's course has events", func(f *fixture) {
		s := f.subscribe()
		id := f.create(f.spec("web", Runs, 1))
		f.awaitRunning(id, 1)
		s.expect("service", id, f.named("web"), "create") // which may come after the task runs
		f.update(id, func(s *swarm.ServiceSpec) { s.TaskTemplate.ForceUpdate++ })
		// It is changed, begins, and is completed.
		s.expect("service", id, f.named("web"), "update", "update", "update")
	}},
	{"events of a secret, a config and a network", func(f *fixture) {
		s := f.subscribe()
		secret := f.secret("a")
		require.NoError(f, f.Manager.RemoveSecret(f.Context(), secret))
		s.expect("secret", secret, f.named("a"), "create", "remove")
		config := f.config("a")
		require.NoError(f, f.Manager.RemoveConfig(f.Context(), config))
		s.expect("config", config, f.named("a"), "create", "remove")
		network := f.network("a")
		s.expect("network", network, f.named("a"), "create", "update") // it has got its addresses
		require.NoError(f, f.Manager.RemoveNetwork(f.Context(), network))
		s.expect("network", network, f.named("a"), "remove")
	}},
	{"a subscription ends with its context, without an error", func(f *fixture) {
		ctx, cancel := context.WithCancel(f.Context())
		events, err, failed := f.Manager.Events(ctx)
		require.NoError(f, failed)
		cancel()
		for range events {
		}
		require.NoError(f, err())
	}},
}

var logCases = []testCase{
	{"logs hold the output of a service and of a task", func(f *fixture) {
		id := f.create(f.spec("web", Runs, 1))
		task := f.awaitRunning(id, 1)[0]
		for _, logs := range []func(engine.LogOptions, io.Writer) error{
			func(o engine.LogOptions, out io.Writer) error {
				return f.Manager.Logs(f.Context(), id, o, out, io.Discard)
			},
			func(o engine.LogOptions, out io.Writer) error {
				return f.Manager.TaskLogs(f.Context(), task.ID, o, out, io.Discard)
			},
		} {
			require.Eventually(f, func() bool {
				var out bytes.Buffer
				return logs(engine.LogOptions{}, &out) == nil && out.String() == "one\ntwo\n"
			}, patience, 20*time.Millisecond)
			var out bytes.Buffer
			require.NoError(f, logs(engine.LogOptions{Tail: 1}, &out))
			require.Equal(f, "two\n", out.String())
		}
	}},
	{"logs of a service are followed into its next tasks, until the caller leaves", func(f *fixture) {
		id := f.create(f.spec("web", Exits, 1))
		ctx, cancel := context.WithCancel(f.Context())
		read, write := io.Pipe()
		var err error
		var follower sync.WaitGroup
		follower.Go(func() {
			err = f.Manager.Logs(ctx, id, engine.LogOptions{Follow: true}, write, io.Discard)
			_ = write.Close()
		})
		seen := make([]byte, len(strings.Repeat("ready\n", 3)))
		_, failed := io.ReadFull(read, seen)
		require.NoError(f, failed)
		require.Equal(f, strings.Repeat("ready\n", 3), string(seen))
		cancel()
		_, _ = io.Copy(io.Discard, read)
		follower.Wait()
		require.NoError(f, err)
	}},
	{"logs of what is gone are NotFound", func(f *fixture) {
		id := f.create(f.spec("web", Runs, 0))
		require.NoError(f, f.Manager.RemoveService(f.Context(), id))
		f.fails(engine.NotFound, f.Manager.Logs(f.Context(), id, engine.LogOptions{}, io.Discard, io.Discard))
		f.fails(engine.NotFound, f.Manager.TaskLogs(f.Context(), id, engine.LogOptions{}, io.Discard, io.Discard))
	}},
}

// stream is an event subscription.
type stream struct {
	f      *fixture
	events <-chan manager.Event
}

func (f *fixture) subscribe() *stream {
	f.Helper()
	ctx, cancel := context.WithCancel(f.Context())
	events, _, failed := f.Manager.Events(ctx)
	require.NoError(f, failed)
	f.Cleanup(func() {
		cancel()
		for range events {
		}
	})
	return &stream{f, events}
}

// expect reads events until those of an object have come, in this order.
func (s *stream) expect(kind, id, name string, actions ...string) {
	s.f.Helper()
	timeout := time.After(patience)
	var seen []string
	for len(seen) < len(actions) {
		select {
		case e, ok := <-s.events:
			require.True(s.f, ok, "the stream ended")
			if e.Type == kind && e.ID == id {
				require.Equal(s.f, name, e.Name)
				require.False(s.f, e.Time.IsZero())
				seen = append(seen, e.Action)
			}
		case <-timeout:
			require.FailNow(s.f, "events did not come", "wanted %v, got %v", actions, seen)
		}
	}
	require.Equal(s.f, actions, seen)
}
