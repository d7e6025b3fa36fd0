package model

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"time"

	"github.com/tendhq/tend/controller/engine"
)

// Exec runs a command in a running container, by the Behavior's Exec.
func (e *Engine) Exec(ctx context.Context, id string, spec engine.ExecSpec) (int, error) {
	failed := func(err error) (int, error) {
		return 0, &engine.Error{Op: string(OpExec), Object: id, Class: engine.Unknown, Err: err}
	}
	var input []byte
	if spec.Stdin != nil {
		var err error
		if input, err = io.ReadAll(spec.Stdin); err != nil {
			return failed(err)
		}
	}
	var stdout, stderr bytes.Buffer
	process := spec
	process.Stdin, process.Stdout, process.Stderr = bytes.NewReader(input), &stdout, &stderr

	var code int
	err := e.begin(ctx, OpExec, id, func(finish func(error)) {
		c, err := e.find(id)
		switch {
		case err != nil:
			finish(err)
		case c.State != engine.Running:
			finish(failure(engine.Conflict, "container %s is %s", c.Name, c.State))
		default:
			e.exec(c, process, func(ended int) {
				code = ended
				finish(nil)
			})
		}
	})
	if err != nil {
		return 0, err
	}
	if _, err := stdout.WriteTo(cmp.Or[io.Writer](spec.Stdout, io.Discard)); err != nil {
		return failed(err)
	}
	if _, err := stderr.WriteTo(cmp.Or[io.Writer](spec.Stderr, io.Discard)); err != nil {
		return failed(err)
	}
	return code, nil
}

// exec runs a process beside the container's own, and ends it at the latest with that
// one. It calls end once.
func (e *Engine) exec(c *instance, process engine.ExecSpec, end func(code int)) {
	code, after := codeNoProgram, time.Duration(0)
	if c.behavior.Exec != nil {
		code, after = c.behavior.Exec(process)
	}
	if code == codeNoProgram {
		fmt.Fprintf(process.Stdout, "exec: %q: no such file or directory\n", process.Command)
	}
	ended := false
	once := func(code int) {
		if !ended {
			ended = true
			end(code)
		}
	}
	e.inRun(c, after, func() { once(code) })
	c.onExit = append(c.onExit, func() { once(codeKilled) })
}
