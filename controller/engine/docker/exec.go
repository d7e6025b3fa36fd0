package docker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"syscall"
	"time"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/stdcopy"

	"github.com/tendhq/tend/controller/engine"
)

// execPoll is how often a command is inspected that has closed its output and goes on
// running.
const execPoll = 20 * time.Millisecond

// Exec runs a command in a container.
func (e *Engine) Exec(ctx context.Context, id string, spec engine.ExecSpec) (code int, err error) {
	const op = "run command in container"
	var exec string
	var stream types.HijackedResponse
	err = e.Do(ctx, op, id, func(ctx context.Context) error {
		created, err := e.cli.ContainerExecCreate(ctx, id, container.ExecOptions{
			Cmd: spec.Command, User: spec.User, Env: spec.Env, WorkingDir: spec.WorkingDir, Privileged: spec.Privileged,
			AttachStdin: spec.Stdin != nil, AttachStdout: true, AttachStderr: true,
		})
		if err != nil {
			return err
		}
		exec = created.ID
		// This starts it.
		stream, err = e.cli.ContainerExecAttach(ctx, exec, container.ExecAttachOptions{})
		return err
	})
	if err != nil {
		return 0, err
	}
	// From here on the command may have run, so that any failure is Unknown.
	err = transfer(ctx, stream, spec)
	if err == nil {
		code, err = e.execCode(ctx, exec)
	}
	if err != nil {
		return 0, &engine.Error{Op: op, Object: id, Class: engine.Unknown, Err: err}
	}
	return code, nil
}

// transfer moves a command's input and output until it has closed its output.
func transfer(ctx context.Context, stream types.HijackedResponse, spec engine.ExecSpec) error {
	stop := context.AfterFunc(ctx, stream.Close)
	defer stop()
	fed := make(chan error, 1)
	if spec.Stdin == nil {
		fed <- nil
	} else {
		go func() { fed <- feed(stream, spec.Stdin) }()
	}
	_, err := stdcopy.StdCopy(
		cmp.Or[io.Writer](spec.Stdout, io.Discard), cmp.Or[io.Writer](spec.Stderr, io.Discard), stream.Reader)
	if spec.Stdin != nil && errors.Is(err, syscall.ECONNRESET) {
		// The engine closed the connection before it had read all the input, as
		// it does when the command has ended without it.
		err = nil
	}
	// Nobody reads the rest of the input.
	stream.Close()
	if failed := <-fed; failed != nil {
		err = failed
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// feed writes a command's input and closes it. It returns only an error of the reader:
// a command may end without having read all of its input, and its exit code tells
// whether it did its work.
func feed(stream types.HijackedResponse, stdin io.Reader) error {
	watched := &input{Reader: stdin}
	_, _ = io.Copy(stream.Conn, watched)
	if watched.err == nil {
		_ = stream.CloseWrite()
	} else {
		stream.Close()
	}
	return watched.err
}

// input remembers why a reader failed.
type input struct {
	io.Reader
	err error
}

func (i *input) Read(p []byte) (int, error) {
	n, err := i.Reader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		i.err = fmt.Errorf("read the input: %w", err)
	}
	return n, err
}

// execCode waits for the end of a command that has closed its output, and returns its
// exit code.
func (e *Engine) execCode(ctx context.Context, exec string) (int, error) {
	for {
		inspect, err := e.cli.ContainerExecInspect(ctx, exec)
		if err != nil {
			return 0, err
		}
		if !inspect.Running {
			return inspect.ExitCode, nil
		}
		select {
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		case <-time.After(execPoll):
		}
	}
}
