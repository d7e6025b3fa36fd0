package logs

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/spec"
)

// recording is an engine whose containers have written what is played back.
type recording struct {
	engine.Engine
	mu         sync.Mutex
	containers []engine.Container
	written    map[string]string // by container ID
	events     chan engine.Event
}

func (e *recording) add(id, service, written string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.containers = append(e.containers, engine.Container{ID: id, Name: "shop-" + id, Labels: map[string]string{spec.LabelService: service}})
	e.written[id] = written
}

func (e *recording) Containers(context.Context, string) ([]engine.Container, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.containers, nil
}

func (e *recording) Container(_ context.Context, id string) (engine.Container, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, c := range e.containers {
		if c.ID == id {
			return c, nil
		}
	}
	return engine.Container{}, &engine.Error{Class: engine.NotFound, Err: fmt.Errorf("no such container")}
}

func (e *recording) Events(context.Context, string) (<-chan engine.Event, func() error, error) {
	return e.events, func() error { return io.ErrUnexpectedEOF }, nil
}

// Logs writes in pieces, as a connection does, and ends as the container's do.
func (e *recording) Logs(ctx context.Context, id string, _ engine.LogOptions, stdout, _ io.Writer) error {
	e.mu.Lock()
	text, ok := e.written[id]
	e.mu.Unlock()
	if !ok {
		return &engine.Error{Class: engine.NotFound, Err: fmt.Errorf("no such container")}
	}
	for len(text) > 0 && ctx.Err() == nil {
		n := min(7, len(text))
		if _, err := io.WriteString(stdout, text[:n]); err != nil {
			return err
		}
		text = text[n:]
	}
	return nil
}

func newRecording() (*recording, *Reader, *output) {
	e := &recording{written: map[string]string{}, events: make(chan engine.Event)}
	out := &output{}
	return e, &Reader{Engine: e, Project: "shop", Workload: "web", Emit: out.emit}, out
}

// output is what was emitted.
type output struct {
	mu   sync.Mutex
	text string
}

func (o *output) emit(l Line) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text += l.Replica + " | " + l.Text + "\n"
	return nil
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text
}

// at is a line with its time, in seconds.
func at(second int, text string) string {
	return time.Unix(int64(second), 0).UTC().Format(time.RFC3339Nano) + " " + text + "\n"
}

func TestLogsOfSeveralReplicasAreInTheOrderOfTime(t *testing.T) {
	e, l, out := newRecording()
	e.add("web-1", "web", at(1, "one")+at(4, "four")+at(6, ""))
	e.add("web-2", "web", at(2, "two")+at(3, "three")+strings.TrimSuffix(at(5, "five"), "\n"))
	e.add("db-1", "db", at(1, "of another"))
	containers, err := l.Containers(t.Context())
	require.NoError(t, err)
	require.NoError(t, l.Read(t.Context(), append(containers, engine.Container{ID: "gone"})))
	assert.Equal(t, "shop-web-1 | one\nshop-web-2 | two\nshop-web-2 | three\nshop-web-1 | four\nshop-web-2 | five\nshop-web-1 | \n", out.String())
}

func TestLogsFollowReplicasThatStartMeanwhile(t *testing.T) {
	e, l, out := newRecording()
	e.add("web-1", "web", at(1, "one"))
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- l.Follow(ctx) }()
	shown := func(text string) {
		t.Helper()
		require.Eventually(t, func() bool { return strings.Contains(out.String(), text) }, time.Minute, time.Millisecond, "%q is not shown", text)
	}
	shown("shop-web-1 | one")
	start := func(id string) {
		c, _ := e.Container(ctx, id)
		e.events <- engine.Event{Action: "start", ContainerID: id, Labels: c.Labels}
	}
	e.add("web-2", "web", at(2, "two"))
	e.add("db-1", "db", at(2, "of another"))
	start("web-2")
	start("db-1")
	shown("shop-web-2 | two")
	e.mu.Lock()
	e.written["web-1"] += at(3, "again")
	e.mu.Unlock()
	start("web-1") // it tells what it wrote before, too
	shown("shop-web-1 | again")
	assert.Equal(t, 1, strings.Count(out.String(), "| one"))
	assert.NotContains(t, out.String(), "of another")
	stop()
	assert.NoError(t, <-ended)
}

func TestAFilterHoldsForWhatIsFollowed(t *testing.T) {
	e, l, out := newRecording()
	l.Workload, l.Options.Filter = "", Filter{Level: Error}
	e.add("web-1", "web", at(1, `{"level":"error","n":1}`)+at(2, `{"level":"info","n":2}`))
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- l.Follow(ctx) }()
	e.add("db-1", "db", at(3, "plain")+at(4, `{"level":"info","n":4}`)+at(5, `{"level":"error","n":5}`))
	e.events <- engine.Event{Action: "start", ContainerID: "db-1", Labels: map[string]string{spec.LabelService: "db"}}
	require.Eventually(t, func() bool { return strings.Contains(out.String(), `"n":5`) }, time.Minute, time.Millisecond)
	assert.Equal(t, "shop-web-1 | {\"level\":\"error\",\"n\":1}\nshop-db-1 | {\"level\":\"error\",\"n\":5}\n", out.String())
	stop()
	assert.NoError(t, <-ended)
}

func TestFollowingLogsFailsWhenTheEngineGoesAway(t *testing.T) {
	e, l, _ := newRecording()
	close(e.events)
	assert.ErrorIs(t, l.Follow(t.Context()), io.ErrUnexpectedEOF)
}
