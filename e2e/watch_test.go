package e2e_test

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// screen is a real terminal, tmux's, that runs a command of tend.
type screen struct {
	p      *project
	socket string
}

func (p *project) screen(width, height int, command string) *screen {
	p.t.Helper()
	s := &screen{p, filepath.Join(p.t.TempDir(), "tmux")}
	line := strings.Join(append(append([]string{tend}, p.flags...), command), " ")
	s.tmux("-f", "/dev/null", "new-session", "-d", "-x", fmt.Sprint(width), "-y", fmt.Sprint(height), "-c", p.dir, line+"; exec sleep 600")
	p.t.Cleanup(func() { s.tmux("kill-server") })
	return s
}

func (s *screen) tmux(args ...string) string {
	s.p.t.Helper()
	out, err := exec.Command("tmux", append([]string{"-u", "-S", s.socket}, args...)...).CombinedOutput()
	require.NoError(s.p.t, err, string(out))
	return string(out)
}

// shows waits until the terminal shows a text, whatever the spaces in it.
func (s *screen) shows(text string) {
	s.p.t.Helper()
	s.p.await(func() error {
		shown := s.tmux("capture-pane", "-p")
		if strings.Contains(strings.Join(strings.Fields(shown), " "), text) {
			return nil
		}
		return fmt.Errorf("%q is not shown:\n%s", text, shown)
	})
}

// What a person sees of a replica that is killed, of an update, and of a controller that is
// away for a while.
func TestWatchShowsWhatHappens(t *testing.T) {
	p := newProject(t, files{"compose.yaml": web, "specs/web.yaml": webSpec})
	controller := p.run()
	p.awaitReady("web", 3)
	p.mustTend("wait", "web")

	s := p.screen(100, 30, "watch")
	s.shows("▸ web ● Converged")
	s.shows("3/3 [R] R R")

	s.tmux("send-keys", "Right", "x")
	s.shows("kill " + p.name + "-web-2? y/n")
	s.tmux("send-keys", "y")
	s.shows("$ tend kill " + p.name + "-web-2 ✔")
	s.shows("Restarted " + p.name + "-web-2")
	s.shows("3/3 R [R] R")

	p.edit("compose.yaml", `VERSION: "1"`, `VERSION: "2"`)
	s.shows("▸ web ◐ Moving")
	s.shows(" r ") // a tile of the old revision
	s.shows("RolloutComplete")
	s.shows("▸ web ● Converged")

	s.tmux("send-keys", "Enter", "5")
	s.shows(p.name + "-web-2 VERSION=2")
	s.tmux("send-keys", "Escape")

	controller.stop()
	s.shows("○ controller away")
	p.run()
	s.shows("● live")
	s.shows("3/3 R [R] R")
}
