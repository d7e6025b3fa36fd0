//go:build linux

package cli

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/tendhq/tend/api"
	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/state"
)

// screen is a real terminal, tmux's, that runs tend.
type screen struct {
	t      *testing.T
	socket string
}

func (w *world) open(width, height int, environment, command string) *screen {
	w.t.Helper()
	self, err := os.Executable()
	require.NoError(w.t, err)
	s := &screen{w.t, filepath.Join(w.t.TempDir(), "tmux")}
	line := fmt.Sprintf("env %s=tend TERM=tmux-256color COLORTERM=truecolor %s %s --project-directory %s %s; echo ended with $?; exec sleep 600", actAs, environment, self, w.dir, command)
	s.tmux("-f", "/dev/null", "new-session", "-d", "-x", fmt.Sprint(width), "-y", fmt.Sprint(height), line)
	w.t.Cleanup(func() { s.tmux("kill-server") })
	return s
}

func (s *screen) tmux(args ...string) string {
	s.t.Helper()
	out, err := exec.Command("tmux", append([]string{"-u", "-S", s.socket}, args...)...).CombinedOutput() //nolint:gosec // the test's own
	require.NoError(s.t, err, string(out))
	return string(out)
}

// shows waits until the terminal shows a text.
func (s *screen) shows(text string) {
	s.t.Helper()
	shown := ""
	require.Eventually(s.t, func() bool {
		shown = s.tmux("capture-pane", "-p")
		return strings.Contains(strings.Join(strings.Fields(shown), " "), text)
	}, time.Minute, 20*time.Millisecond, "%q is not shown", text)
}

func (s *screen) press(keys ...string) { s.tmux(append([]string{"send-keys"}, keys...)...) }

// watched makes a project with a Deployment of two replicas, one ready and one starting.
func watched(t *testing.T) *world {
	w := newWorld(t, "name: shop\nservices:\n  web:\n    image: web:1\n    deploy: {replicas: 2}\n")
	w.keep("web", func(_ *spec.Workload, s *core.Status) {
		s.ReplicaStatuses = []core.ReplicaStatus{{ID: "a", Phase: core.PhaseReady, Ready: true}, {ID: "b", Phase: core.PhaseStarting}}
		s.Outcome, s.Converged, s.Obstacle, s.Remedy = core.OutcomeMoving, false, "shop-web-2 is starting", "nothing: the controller is at work"
	})
	w.store.Update(func(tx *state.Tx) {
		for i, id := range []string{"a", "b"} {
			tx.PutReplica(&state.Replica{Replica: core.Replica{Workload: "web", Number: i + 1, Name: fmt.Sprintf("shop-web-%d", i+1), ID: id, Revision: "rev2rev2rev2", State: core.Running}})
		}
		tx.AddEvent(core.Event{Type: core.Normal, Workload: "web", Reason: "Created", Message: "shop-web-2: 2 replicas wanted, 1 exist"}, time.Now())
	})
	return w
}

func TestWatchInARealTerminal(t *testing.T) {
	w := watched(t)
	s := w.open(80, 24, "", "watch --record "+filepath.Join(w.dir, "cast"))
	s.shows("▸ web ◐ Moving rev2rev2 2/2 [R] S")
	s.shows("Created shop-web-2: 2 replicas wanted, 1 exist")
	assert.Contains(t, s.tmux("capture-pane", "-p", "-e"), "\x1b[38;", "it is coloured")

	w.keep("web", func(_ *spec.Workload, s *core.Status) {
		s.ReplicaStatuses = []core.ReplicaStatus{{ID: "a", Phase: core.PhaseReady, Ready: true}, {ID: "b", Phase: core.PhaseReady, Ready: true}}
	})
	s.shows("▸ web ● Converged rev2rev2 2/2 [R] R")

	s.press("r")
	s.shows("$ tend rollout restart web ✔")
	s.shows("RolloutRestarted all replicas are to be replaced")
	s.press("+")
	s.shows("$ tend scale web --replicas 3 ✔")
	written, err := os.ReadFile(filepath.Join(w.dir, "specs", "web.yaml"))
	require.NoError(t, err)
	assert.Contains(t, string(written), "replicas: 3")

	s.press("Enter")
	s.shows("1 Status 2 Replicas")
	s.press("Escape")
	s.shows("── events")

	s.tmux("resize-window", "-x", "20", "-y", "5")
	s.shows("tend watch needs 40×10 characters, and this terminal has 20×5")
	s.tmux("resize-window", "-x", "200", "-y", "60")
	s.shows("▸ web Deployment ● Converged")

	s.press("q")
	s.shows("ended with 0")
	cast, err := os.ReadFile(filepath.Join(w.dir, "cast"))
	require.NoError(t, err)
	assert.Contains(t, string(cast), `"version":2`)
	assert.Contains(t, string(cast), "Converged", "what is drawn is recorded")
	assert.Contains(t, string(cast), `"r","200x60"`)
}

func TestWatchWithoutColour(t *testing.T) {
	s := watched(t).open(80, 24, "NO_COLOR=1", "watch")
	s.shows("▸ web ◐ Moving")
	assert.NotRegexp(t, `\x1b\[[0-9;]*[34]8[;:]`, s.tmux("capture-pane", "-p", "-e"))
}

func TestWatchOnADumbTerminalSaysWhatElseThereIs(t *testing.T) {
	s := watched(t).open(80, 24, "TERM=dumb", "watch")
	s.shows("tend watch needs a terminal to show a full screen")
	s.shows("tend get workloads -w")
}

func TestWatchPrintsOneFrameWhereThereIsNoTerminal(t *testing.T) {
	w := watched(t)
	out, err := w.tend("watch", "--once")
	require.NoError(t, err)
	assert.Contains(t, ansi.Strip(out), "web      ◐ Moving")
	assert.Equal(t, ansi.Strip(out), out, "a file gets no colours")
	assert.Equal(t, 24, strings.Count(out, "\n"))
}

func TestWatchWithoutATerminalSaysWhatElseThereIs(t *testing.T) {
	_, err := watched(t).tend("watch")
	require.ErrorContains(t, err, "get workloads -w")
	require.ErrorContains(t, err, "--once")
}

func TestWatchWithoutAControllerSaysHowToStartOne(t *testing.T) {
	w := &world{t: t, dir: t.TempDir()}
	require.NoError(t, os.WriteFile(filepath.Join(w.dir, "compose.yaml"), []byte("services: {web: {image: w}}\n"), 0o644))
	for _, args := range [][]string{{"watch"}, {"watch", "--once"}} {
		_, err := w.tend(args...)
		if len(args) > 1 {
			require.ErrorContains(t, err, "tend run")
		} else {
			require.Error(t, err)
		}
	}
}

func TestWaitingIsDrawnInPlaceOnATerminal(t *testing.T) {
	for _, command := range []string{"wait web", "rollout status web"} {
		w := watched(t)
		s := w.open(60, 12, "", command)
		s.shows("web Moving 2/2 shop-web-2 is starting")
		w.keep("web", func(*spec.Workload, *core.Status) {})
		s.shows("ended with 0")
		shown := s.tmux("capture-pane", "-p")
		assert.Contains(t, shown, "✔ web Converged 2/2")
		assert.NotContains(t, shown, "starting", "it is drawn in place")
	}
}

func TestWatchWithAReadToken(t *testing.T) {
	w := watched(t)
	data := filepath.Join(w.dir, ".tend")
	require.NoError(t, api.MakeTokens(data))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- api.Serve(ctx, w.handler, zap.NewNop(), l) }()
	t.Cleanup(func() { cancel(); assert.NoError(t, <-ended) })

	s := w.open(80, 24, "", "--server http://"+l.Addr().String()+" --token-file "+filepath.Join(data, "tokens", "read")+" watch")
	s.shows("● read-only")
	s.press("r")
	s.shows("✖ this token can only read")
	_, asked := w.store.Snapshot().Intent("web")
	assert.False(t, asked)

	_, err = w.tend("--server", "http://"+l.Addr().String(), "get", "workloads")
	assert.ErrorContains(t, err, "token")
}
