package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// result is how a command ended.
type result struct {
	code        int
	out, errOut string
}

func (r result) String() string {
	return fmt.Sprintf("exit code %d\nstandard output:\n%s\nstandard error:\n%s", r.code, r.out, r.errOut)
}

// command prepares a program to be run in the project's folder.
func (p *project) command(program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(p.t.Context(), program, append(p.flags, args...)...)
	cmd.Dir = p.dir
	cmd.Env = append(os.Environ(), append(p.environment, "DOCKER_HOST="+p.engine.DaemonHost())...)
	// A child that outlives the program, as one of Compose's, must not keep
	// its output open.
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

func (p *project) exec(program string, args ...string) result {
	p.t.Helper()
	var out, errOut bytes.Buffer
	cmd := p.command(program, args...)
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); cmd.ProcessState == nil {
		require.NoError(p.t, err)
	}
	return result{cmd.ProcessState.ExitCode(), out.String(), errOut.String()}
}

// tend runs a command of tend to its end.
func (p *project) tend(args ...string) result {
	p.t.Helper()
	return p.exec(tend, args...)
}

// mustTend runs a command of tend that has to succeed, and returns its output.
func (p *project) mustTend(args ...string) string {
	p.t.Helper()
	r := p.tend(args...)
	require.Zero(p.t, r.code, "tend %s: %s", strings.Join(args, " "), r)
	return r.out
}

// compose runs a command of Docker Compose that has to succeed.
func (p *project) compose(args ...string) string {
	p.t.Helper()
	r := p.exec(compose, args...)
	require.Zero(p.t, r.code, "docker compose %s: %s", strings.Join(args, " "), r)
	return r.out
}

// buffer takes the output of a process while it is read.
type buffer struct {
	mu    sync.Mutex
	bytes []byte
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.bytes = append(b.bytes, p...)
	return len(p), nil
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return string(b.bytes)
}

// process is a command that goes on in the background.
type process struct {
	p              *project
	cmd            *exec.Cmd
	stdout, stderr *buffer
	reading        sync.WaitGroup // of what it puts out, where that is a terminal
	ended          chan struct{}  // closed once the process has ended
	forgotten      int            // how many events were told before forget was called
}

func (c *process) String() string { return strings.Join(c.cmd.Args, " ") }

// start starts a command of tend in the background. It is ended with the test.
func (p *project) start(args ...string) *process {
	p.t.Helper()
	return p.startProgram(tend, args...)
}

// startProgram is start, with another build of tend.
func (p *project) startProgram(program string, args ...string) *process {
	p.t.Helper()
	c := &process{p: p, cmd: p.command(program, args...), stdout: &buffer{}, stderr: &buffer{}, ended: make(chan struct{})}
	c.cmd.Stdout, c.cmd.Stderr = c.stdout, c.stderr
	c.launch()
	return c
}

// startBeforePerson is start on a terminal. What is written to the keyboard is typed.
func (p *project) startBeforePerson(args ...string) (c *process, keyboard io.Writer) {
	p.t.Helper()
	terminal, remote := openTerminal(p.t)
	c = &process{p: p, cmd: p.command(tend, args...), stdout: &buffer{}, stderr: &buffer{}, ended: make(chan struct{})}
	c.cmd.Stdin, c.cmd.Stdout, c.cmd.Stderr = remote, remote, remote
	c.reading.Go(func() { _, _ = io.Copy(c.stdout, terminal) }) // it ends with an error when the last writer is gone
	c.launch()
	require.NoError(p.t, remote.Close())
	return c, terminal
}

// openTerminal opens a pseudo-terminal and its other end.
func openTerminal(t *testing.T) (terminal, remote *os.File) {
	t.Helper()
	terminal, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	require.NoError(t, err)
	t.Cleanup(func() { terminal.Close() })
	require.NoError(t, unix.IoctlSetPointerInt(int(terminal.Fd()), unix.TIOCSPTLCK, 0))
	n, err := unix.IoctlGetInt(int(terminal.Fd()), unix.TIOCGPTN)
	require.NoError(t, err)
	remote, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	require.NoError(t, err)
	return terminal, remote
}

func (c *process) launch() {
	c.p.t.Helper()
	require.NoError(c.p.t, c.cmd.Start())
	go func() {
		_ = c.cmd.Wait()
		c.reading.Wait()
		close(c.ended)
	}()
	c.p.processes = append(c.p.processes, c)
	c.p.t.Cleanup(c.cleanUp)
}

// cleanUp ends the process and waits for its actions under way, which the engine would
// otherwise finish after the project was removed.
func (c *process) cleanUp() {
	_ = c.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-c.ended:
	case <-time.After(patience):
		c.end(syscall.SIGKILL)
		c.p.t.Errorf("%s does not end", c)
	}
}

// run starts the controller in the foreground.
func (p *project) run(args ...string) *process {
	p.t.Helper()
	return p.start(append([]string{"run"}, args...)...)
}

// end sends a signal and waits for the process to end.
func (c *process) end(signal syscall.Signal) {
	_ = c.cmd.Process.Signal(signal)
	<-c.ended
}

// stop ends the process as a service manager does, which must succeed.
func (c *process) stop() {
	c.p.t.Helper()
	c.end(syscall.SIGTERM)
	assert.Zero(c.p.t, c.cmd.ProcessState.ExitCode(), "%s", c.stderr)
}

// event is one that tend has told in its log.
type event struct {
	Level, Msg, Workload, Reason, Message string
	Count                                 int
}

// events are those that the controller has told so far.
func (c *process) events() (all []event) {
	c.p.t.Helper()
	for line := range strings.Lines(c.stderr.String()) {
		var e event
		if !strings.HasSuffix(line, "\n") {
			break // it is being written
		}
		require.NoError(c.p.t, json.Unmarshal([]byte(line), &e), "a line of the log is no JSON: %s", line)
		if e.Msg == "event" {
			all = append(all, e)
		}
	}
	return all
}

// forget has awaitEvent look only at what is told from now on.
func (c *process) forget() { c.forgotten = len(c.events()) }

// awaitEvent waits for an event that holds all the given texts in its message.
func (c *process) awaitEvent(workload, reason string, texts ...string) (found event) {
	c.p.t.Helper()
	c.p.await(func() error {
		select {
		case <-c.ended:
			require.Fail(c.p.t, "tend has ended", "%s", c.stderr)
		default:
		}
	next:
		for _, e := range c.events()[c.forgotten:] {
			if e.Workload != workload || e.Reason != reason {
				continue
			}
			for _, text := range texts {
				if !strings.Contains(e.Message, text) {
					continue next
				}
			}
			found = e
			return nil
		}
		return fmt.Errorf("no event %s of %q that says %q", reason, workload, texts)
	})
	return found
}
