package observe

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"go.uber.org/zap"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/engine/docker"
	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/state"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// stormy is a Docker Engine, as an observer sees it, that sends very many events. It
// filters them by the request, as the engine does.
type stormy struct {
	*httptest.Server
	containers []string // names, which are the IDs
	// play sends the events.
	play func(send func(action, id, project string))

	mu       sync.Mutex
	looks    map[string]int
	sent     int // those that were asked for
	exitCode map[string]int
}

func newStormy(t *testing.T, containers int) *stormy {
	t.Helper()
	s := &stormy{looks: map[string]int{}, exitCode: map[string]int{}}
	for i := range containers {
		s.containers = append(s.containers, fmt.Sprintf("web-%03d", i))
	}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *stormy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Api-Version", "1.41")
	w.Header().Set("Content-Type", "application/json")
	answer := func(v any) { _ = json.NewEncoder(w).Encode(v) }
	switch p := r.URL.Path; {
	case p == "/_ping":
	case strings.HasSuffix(p, "/events"):
		s.events(w, r)
	case strings.HasSuffix(p, "/containers/json"):
		all := []map[string]any{}
		for _, id := range s.containers {
			all = append(all, map[string]any{"Id": id})
		}
		answer(all)
	case strings.HasSuffix(path.Dir(path.Dir(p)), "/containers"):
		answer(s.inspect(path.Base(path.Dir(p))))
	default:
		http.Error(w, `{"message": "nobody asks for `+p+`"}`, http.StatusNotFound)
	}
}

func (s *stormy) inspect(id string) map[string]any {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.looks[id]++
	return map[string]any{
		"Id": id, "Name": "/" + id, "Created": "2026-01-02T12:00:00Z",
		"State":           map[string]any{"Status": "exited", "ExitCode": s.exitCode[id], "FinishedAt": "2026-01-02T12:00:01Z"},
		"Config":          map[string]any{"Image": "web", "Labels": labelsOf(id)},
		"HostConfig":      map[string]any{},
		"NetworkSettings": map[string]any{},
	}
}

func labelsOf(id string) map[string]string {
	labels := map[string]string{spec.LabelProject: "p", spec.LabelService: "web", spec.LabelContainerNumber: "1", spec.LabelOneoff: "False"}
	if strings.HasPrefix(id, "run-") {
		labels[spec.LabelOneoff] = "True"
	}
	return labels
}

func (s *stormy) events(w http.ResponseWriter, r *http.Request) {
	var filters map[string]map[string]bool
	if err := json.Unmarshal([]byte(r.URL.Query().Get("filters")), &filters); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	_ = http.NewResponseController(w).Flush()
	if !filters["type"]["container"] {
		<-r.Context().Done() // nothing comes of images, networks and volumes
		return
	}
	var line bytes.Buffer
	s.play(func(action, id, project string) {
		kind, _, _ := strings.Cut(action, ":")
		if !filters["event"][kind] || !filters["label"]["com.docker.compose.project="+project] {
			return
		}
		s.mu.Lock()
		s.sent++
		s.mu.Unlock()
		line.Reset()
		_ = json.NewEncoder(&line).Encode(map[string]any{
			"Type": "container", "Action": action, "timeNano": time.Now().UnixNano(),
			"Actor": map[string]any{"ID": id, "Attributes": labelsOf(id)},
		})
		_, _ = w.Write(line.Bytes())
	})
	_ = http.NewResponseController(w).Flush()
	<-r.Context().Done()
}

func (s *stormy) looked() (all int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range s.looks {
		all += n
	}
	return all
}

// observe runs an observer on a stormy engine until its replicas are as expected.
func (s *stormy) observe(t *testing.T, done func(*state.Snapshot) bool) {
	t.Helper()
	e, err := docker.New("tcp://" + s.Listener.Addr().String())
	require.NoError(t, err)
	defer func() { require.NoError(t, e.Close()) }()
	store := state.New(func([]state.Change) {})
	o := New(e, store, "p", Folders{}, zap.NewNop(), func(context.Context, error) {})
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { o.Run(ctx) })
	defer running.Wait()
	defer cancel()
	for !done(store.Snapshot()) {
		time.Sleep(10 * time.Millisecond)
	}
}

// exitCodeOf is a replica's exit code in the state.
func exitCodeOf(snap *state.Snapshot, id string) int {
	row, ok := snap.Replica(id)
	if !ok || row.State != core.Exited {
		return 0
	}
	return row.ExitCode
}

// A hundred thousand events, read from the wire as fast as they come, cost as many
// looks as time has passed, and little memory; the last of them is not lost.
func TestAStormOfAHundredThousandEventsFromTheWire(t *testing.T) {
	const events, containers = 100_000, 50
	s := newStormy(t, containers)
	s.play = func(send func(action, id, project string)) {
		for i := range events {
			id := s.containers[i%containers]
			switch i % 10 {
			case 0, 1:
				send("exec_create: sh -c 'pg_isready'", id, "p")
			case 2:
				send("exec_die", id, "p")
			case 3:
				send("die", "run-1", "p") // a one-off
			case 4:
				send("start", "foreign", "another")
			case 5:
				send("health_status: healthy", id, "p")
			case 6:
				send("start", id, "p")
			default:
				send("die", id, "p")
			}
		}
		s.mu.Lock()
		s.exitCode[s.containers[0]] = 137
		s.mu.Unlock()
		send("die", s.containers[0], "p")
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	began := time.Now()
	s.observe(t, func(snap *state.Snapshot) bool {
		if exitCodeOf(snap, s.containers[0]) != 137 {
			return false
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		return true
	})
	took := time.Since(began)
	t.Logf("%d events of %d were asked for and came in %s; %d looks", s.sent, events, took, s.looked())
	assert.Equal(t, events*6/10+1, s.sent, "exec events and those of other projects are not asked for")
	listed := containers
	assert.LessOrEqual(t, s.looked(), listed+maxHints+int(took.Seconds()+1)*lookRate)
	assert.Less(t, s.looked(), s.sent/10)
	assert.Less(t, int64(after.HeapAlloc)-int64(before.HeapAlloc), int64(8<<20))
	assert.Zero(t, s.looks["run-1"])
}

// Where more containers wait to be looked at than can be named, one list tells of all.
func TestMoreContainersThanCanBeNamedAreListed(t *testing.T) {
	const containers = 3 * maxHints
	s := newStormy(t, containers)
	s.play = func(send func(action, id, project string)) {
		for { // until everything was listed once
			if s.looked() >= containers {
				break
			}
			time.Sleep(time.Millisecond)
		}
		s.mu.Lock()
		for _, id := range s.containers {
			s.exitCode[id] = 137
		}
		s.mu.Unlock()
		for _, id := range s.containers {
			send("die", id, "p")
		}
	}
	s.observe(t, func(snap *state.Snapshot) bool {
		for _, id := range s.containers {
			if exitCodeOf(snap, id) != 137 {
				return false
			}
		}
		return true
	})
	assert.LessOrEqual(t, s.looked(), 2*containers+2*maxHints, "all by the first list and by another, and some beside it")
}

func TestHintsNameEachOnceAndAllWhereTheyAreTooMany(t *testing.T) {
	h := newHints(newEnds(), nil)
	for range 3 {
		h.add("a", "b")
	}
	assert.Equal(t, taken{ids: map[string]bool{"a": true, "b": true}}, h.take())
	for i := range 10 * maxHints {
		h.add(fmt.Sprint(i))
		require.LessOrEqual(t, len(h.ids), maxHints)
	}
	assert.Equal(t, taken{ids: map[string]bool{}, all: true}, h.take())
	assert.Equal(t, taken{ids: map[string]bool{}}, h.take())
}

// talker is an engine whose containers have written without end.
type talker struct{ engine.Engine }

func (talker) Logs(_ context.Context, _ string, _ engine.LogOptions, stdout, _ io.Writer) error {
	line := bytes.Repeat([]byte("x"), 1<<20)
	for range 256 {
		if _, err := stdout.Write(line); err != nil {
			return err
		}
	}
	_, err := io.WriteString(stdout, "\nthe end\n")
	return err
}

func TestAHookThatTalksWithoutEndCostsNoMemory(t *testing.T) {
	o := New(talker{}, nil, "p", Folders{}, zap.NewNop(), nil)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	c := o.withOutput(t.Context(), engine.Container{State: engine.Exited, ExitCode: 1, Labels: map[string]string{spec.LabelHook: "migrate"}})
	runtime.ReadMemStats(&after)
	assert.Len(t, c.HealthOutput, 4<<10)
	assert.True(t, strings.HasSuffix(c.HealthOutput, "x\nthe end\n"))
	assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(8<<20))
}
