package kit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/docker/docker/client"
)

const (
	// startTimeout bounds the start of an engine, which first ends or takes over
	// the containers of its predecessor.
	startTimeout = 3 * time.Minute
	// stopTimeout bounds its end: it stops its containers first.
	stopTimeout = 2 * time.Minute
)

// Engine is a private Docker Engine, to do harm to, and its client. It needs
// namespaces of its own: an engine that starts makes or removes the bridge docker0
// and changes the firewall, which would cut off the machine's engine.
type Engine struct {
	*client.Client

	dir, root string
	cmd       *exec.Cmd
	ended     chan struct{}
	// inherited are files that its processes have open.
	inherited []*os.File
}

// NewEngine prepares an engine that keeps its socket and its log in dir and its
// data in root.
func NewEngine(dir, root string) (*Engine, error) {
	if os.Getuid() != 0 {
		return nil, errors.New("starting an engine takes root")
	}
	cli, err := client.NewClientWithOpts(client.WithHost("unix://"+filepath.Join(dir, "socket")), client.WithAPIVersionNegotiation())
	ended := make(chan struct{})
	close(ended)
	return &Engine{Client: cli, dir: dir, root: root, ended: ended}, err
}

// Start starts the engine in namespaces of its own and waits until it answers.
func (e *Engine) Start(ctx context.Context, flags ...string) error {
	// Each program becomes the next: the process is dockerd's in the end.
	return e.start(ctx, flags, "unshare", "--net", "--mount", "sh", "-c", `ip link set lo up && exec "$@"`, "sh", "dockerd")
}

// StartHere starts the engine in the namespaces of this process, which are not
// those of the machine, and waits until it answers.
func (e *Engine) StartHere(ctx context.Context, flags ...string) error {
	return e.start(ctx, flags, "dockerd")
}

func (e *Engine) start(ctx context.Context, flags []string, command ...string) error {
	command = slices.Concat(command, []string{"--host", e.DaemonHost(), "--data-root", e.root,
		"--exec-root", e.ExecRoot(), "--pidfile", e.pidFile()}, flags)
	log, err := os.OpenFile(e.logFile(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = log, log, e.inherited
	if err := cmd.Start(); err != nil {
		return err
	}
	running, end := context.WithCancelCause(ctx)
	ended := make(chan struct{})
	e.cmd, e.ended = cmd, ended
	go func() {
		defer close(ended)
		_ = cmd.Wait()
		end(errors.New("it has ended; see its log"))
	}()
	starting, cancel := Patience(running, startTimeout)
	defer cancel()
	err = Await(starting, func() error {
		_, err := e.Ping(starting)
		return err
	})
	if err != nil {
		return fmt.Errorf("start an engine: %w", err)
	}
	return nil
}

// Stop ends the engine and all its containers. It may have ended already.
func (e *Engine) Stop() error {
	select {
	case <-e.ended:
		return nil
	default:
	}
	_ = e.cmd.Process.Signal(syscall.SIGTERM) // it may end this very moment
	select {
	case <-e.ended:
		return nil
	case <-time.After(stopTimeout):
		return errors.Join(errors.New("the engine did not stop, and was killed"), e.Kill())
	}
}

// Kill kills the engine, so that it cleans up nothing, its pid files included. It
// may have ended already.
func (e *Engine) Kill() error {
	if err := e.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-e.ended
	// The next engine would wait for the containerd that has died with this one.
	return errors.Join(os.RemoveAll(e.pidFile()), os.RemoveAll(filepath.Join(e.ExecRoot(), "containerd", "containerd.pid")))
}

// Ended is closed while the engine does not run.
func (e *Engine) Ended() <-chan struct{} { return e.ended }

// Inside returns the command that puts a program beside the engine, under its host name and
// into its network namespace, from which alone its containers can be reached.
func (e *Engine) Inside() []string {
	return []string{"nsenter", "--target", strconv.Itoa(e.cmd.Process.Pid), "--net", "--uts"}
}

// ExecRoot returns the folder in which the engine keeps what lasts as long as the machine runs.
func (e *Engine) ExecRoot() string { return filepath.Join(e.dir, "exec") }

func (e *Engine) pidFile() string { return filepath.Join(e.dir, "pid") }

func (e *Engine) logFile() string { return filepath.Join(e.dir, "dockerd.log") }

// Log returns what the engine has put out.
func (e *Engine) Log() string {
	log, err := os.ReadFile(e.logFile())
	if err != nil {
		return err.Error()
	}
	return string(log)
}

// Load brings in images that an engine has saved.
func (e *Engine) Load(ctx context.Context, saved io.Reader) error {
	loaded, err := e.ImageLoad(ctx, saved)
	if err != nil {
		return fmt.Errorf("load images: %w", err)
	}
	defer loaded.Body.Close()
	_, err = io.Copy(io.Discard, loaded.Body)
	return err
}

// Copy brings in images of another engine.
func (e *Engine) Copy(ctx context.Context, from *client.Client, images ...string) error {
	saved, err := from.ImageSave(ctx, images)
	if err != nil {
		return fmt.Errorf("save images: %w", err)
	}
	defer saved.Close()
	return e.Load(ctx, saved)
}
