package enginetest

import (
	"sync"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/engine"
)

var lineCases = []testCase{
	{"an engine that is away is Unavailable and does nothing", func(f *fixture) {
		f.cut()
		_, err := f.Engine.Create(f.Context(), f.spec("1", f.service(Runs)))
		f.fails(engine.Unavailable, err)
		_, err = f.Engine.Containers(f.Context(), f.Project)
		f.fails(engine.Unavailable, err)
		_, _, err = f.Engine.Events(f.Context(), f.Project)
		f.fails(engine.Unavailable, err)
		f.Line.Mend()
		require.Empty(f, f.list())
		f.create("1", f.service(Runs))
	}},
	{"a stream ends as Unavailable with its engine", func(f *fixture) {
		s := f.subscribe()
		f.cut()
		for range s.events {
		}
		f.fails(engine.Unavailable, s.err())
		f.Line.Mend()
		s = f.subscribe()
		s.expect(f.create("1", f.service(Runs)), "create")
	}},
	{"what was asked of an engine that is lost is Unknown and goes on", func(f *fixture) {
		s := f.subscribe()
		id := f.runs("1", Stubborn)
		var asking sync.WaitGroup
		var err error
		asking.Go(func() { err = f.Engine.Stop(f.Context(), id, time.Second) })
		s.expect(id, "create", "start", "kill")
		f.Line.Cut()
		asking.Wait()
		f.fails(engine.Unknown, err)
		f.Line.Mend()
		require.Equal(f, 137, f.awaitExit(id).ExitCode)
	}},
}

// cut cuts the line, and waits until connections that were idle are known to
// be dead: a request sent over one is Unknown.
func (f *fixture) cut() {
	f.Helper()
	f.Line.Cut()
	require.Eventually(f, func() bool {
		return engine.ClassOf(f.Engine.Ping(f.Context())) == engine.Unavailable
	}, patience, 10*time.Millisecond)
}
