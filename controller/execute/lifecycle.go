package execute

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/engine"
)

// leastGrace is what a process has after its stop signal, however much of the grace the
// pre_stop commands have used; the kubelet's.
const leastGrace = 2 * time.Second

// start starts a container, and runs its post_start commands in it. Where one fails, the
// container is stopped, as it would run without what they do.
func (x *Executor) start(ctx context.Context, id string, a core.Action) error {
	if err := x.engine.Start(ctx, id); err != nil || len(a.Lifecycle) == 0 {
		return err
	}
	commands, cancel := context.WithTimeout(ctx, a.StartTimeout)
	defer cancel()
	err := x.runCommands(commands, id, "post_start", a.Lifecycle)
	if err == nil || ctx.Err() != nil {
		return err
	}
	return errors.Join(err, x.engine.Stop(ctx, id, a.Grace))
}

// stop runs the pre_stop commands of a container, and stops it, within its grace. A command
// that fails does not keep the container from being stopped: warning tells of it.
func (x *Executor) stop(ctx context.Context, a core.Action) (warning string, err error) {
	if len(a.Lifecycle) == 0 {
		return "", x.engine.Stop(ctx, a.ID, a.Grace)
	}
	until := time.Now().Add(a.Grace)
	commands, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	if err := x.runCommands(commands, a.ID, "pre_stop", a.Lifecycle); err != nil {
		warning = err.Error()
	}
	return warning, x.engine.Stop(ctx, a.ID, max(time.Until(until), min(leastGrace, a.Grace)))
}

// runCommands runs the commands of a lifecycle hook in a container, one after the other,
// until one fails. A container that does not run has nothing to run them in, and that is
// no failure of theirs.
func (x *Executor) runCommands(ctx context.Context, id, hook string, commands []types.ServiceHook) error {
	for i, c := range commands {
		var out engine.Tail
		code, err := x.engine.Exec(ctx, id, engine.ExecSpec{
			Command: c.Command, User: c.User, Env: variables(c.Environment), WorkingDir: c.WorkingDir, Privileged: c.Privileged,
			Stdout: &out, Stderr: &out,
		})
		name := fmt.Sprintf("%s command %d", hook, i+1)
		switch class := engine.ClassOf(err); {
		case errors.Is(ctx.Err(), context.DeadlineExceeded):
			return said(name+" has not ended in time", &out)
		case err != nil && (class == engine.NotFound || class == engine.Conflict):
			return nil
		case err != nil:
			return fmt.Errorf("%s: %w", name, err)
		case code != 0:
			return said(fmt.Sprintf("%s exited with code %d", name, code), &out)
		}
	}
	return nil
}

// said returns an error with the end of what a command has printed.
func said(problem string, out *engine.Tail) error {
	if text := strings.TrimSpace(out.String()); text != "" {
		problem += ": " + text
	}
	return errors.New(problem)
}

// variables are the environment of a command as the engine takes it. A variable without a
// value keeps the container's.
func variables(of types.MappingWithEquals) (all []string) {
	for name, value := range of {
		if value != nil {
			all = append(all, name+"="+*value)
		}
	}
	return all
}
