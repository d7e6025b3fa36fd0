package e2e_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	osuser "os/user"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/e2e/kit"
)

// screen is a real terminal, tmux's, that runs a command of tend.
type screen struct {
	p      *project
	socket string
}

// screen opens a terminal that runs a command of tend, by way of others where via names any.
func (p *project) screen(width, height int, command string, via ...string) *screen {
	p.t.Helper()
	s := &screen{p, filepath.Join(p.t.TempDir(), "tmux")}
	line := strings.Join(slices.Concat(via, []string{tend}, p.flags, []string{command}), " ")
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

// sshd starts a server on a port of the loopback interface, and returns the command that
// runs another one on a terminal of its own by way of it.
func sshd(t *testing.T) (ssh []string) {
	t.Helper()
	const separation = "/run/sshd" // without it the server of root does not start
	if os.Getuid() == 0 {
		require.NoError(t, os.MkdirAll(separation, 0o755))
	}
	dir := t.TempDir()
	key := func(name string) string {
		path := filepath.Join(dir, name)
		out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path).CombinedOutput()
		require.NoError(t, err, "%s", out)
		return path
	}
	host, login, config := key("host"), key("login"), filepath.Join(dir, "sshd_config")
	address, err := kit.FreeAddress()
	require.NoError(t, err)
	at, port, err := net.SplitHostPort(address)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(config, fmt.Appendf(nil,
		"ListenAddress %s:%s\nHostKey %s\nAuthorizedKeysFile %s.pub\nPermitRootLogin yes\nStrictModes no\nUsePAM no\nPidFile none\n", at, port, host, login), 0o600))
	server := exec.CommandContext(t.Context(), "/usr/sbin/sshd", "-D", "-e", "-f", config)
	log, err := os.Create(filepath.Join(dir, "log"))
	require.NoError(t, err)
	server.Stderr = log
	require.NoError(t, server.Start())
	t.Cleanup(func() {
		_ = server.Wait() // its context has ended
		if text, _ := os.ReadFile(log.Name()); t.Failed() {
			t.Logf("sshd: %s", text)
		}
		_ = log.Close()
	})
	me, err := osuser.Current()
	require.NoError(t, err)
	return []string{"ssh", "-tt", "-F", "none", "-i", login, "-p", port, "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=" + os.DevNull,
		"-o", "ConnectionAttempts=20", "-o", "LogLevel=INFO", me.Username + "@" + at}
}

// Over ssh the screen follows the size of the terminal at the other end, and keys arrive.
func TestWatchWorksOverSSH(t *testing.T) {
	p := newProject(t, files{"compose.yaml": web, "specs/web.yaml": webSpec})
	p.run()
	p.awaitReady("web", 3)
	p.mustTend("wait", "web")

	s := p.screen(120, 40, "watch", append(sshd(t), "env", "-C", p.dir)...)
	s.shows("▸ web ● Converged")
	s.shows("3/3 [R] R R")
	s.tmux("resize-window", "-x", "80", "-y", "24")
	s.shows("▸ web ● Converged")
	for line := range strings.Lines(s.tmux("capture-pane", "-p")) {
		require.LessOrEqual(t, len([]rune(strings.TrimRight(line, " \n"))), 80, line)
	}
	s.tmux("send-keys", "Right", "x")
	s.shows("kill " + p.name + "-web-2? y/n")
	s.tmux("send-keys", "y")
	s.shows("Restarted " + p.name + "-web-2")
	s.tmux("send-keys", "q")
	s.shows("Connection to 127.0.0.1 closed.")
}
