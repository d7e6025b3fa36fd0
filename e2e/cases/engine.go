package cases

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/pkg/stdcopy"

	"github.com/tendhq/tend/e2e/kit"
)

// replicas lists a service's containers, without hooks.
func (s *Shop) replicas(ctx context.Context, service string) ([]container.InspectResponse, error) {
	all, err := kit.Containers(ctx, s.engine, kit.ProjectLabel+"="+s.project, kit.ServiceLabel+"="+service, kit.OneoffLabel+"=False")
	slices.SortFunc(all, func(a, b container.InspectResponse) int { return strings.Compare(a.Name, b.Name) })
	return all, err
}

// pick returns one of a service's running replicas, another one each round.
func (s *Shop) pick(ctx context.Context, service string, round int) (container.InspectResponse, error) {
	all, err := s.replicas(ctx, service)
	if err != nil {
		return container.InspectResponse{}, err
	}
	all = slices.DeleteFunc(all, func(r container.InspectResponse) bool { return !r.State.Running || r.State.Paused })
	if len(all) == 0 {
		return container.InspectResponse{}, fmt.Errorf("%s has no running replica", service)
	}
	return all[round%len(all)], nil
}

// awaitRepaired waits until a container was started anew, or is gone, as it was
// replaced by another one.
func (s *Shop) awaitRepaired(ctx context.Context, was container.InspectResponse) error {
	return kit.Await(ctx, func() error {
		now, err := s.engine.ContainerInspect(ctx, was.ID)
		if errdefs.IsNotFound(err) {
			return nil
		}
		if err == nil && (!now.State.Running || now.State.Paused || now.State.StartedAt == was.State.StartedAt) {
			err = fmt.Errorf("%s does not run again", was.Name)
		}
		return err
	})
}

// unpause lets a replica go on, unless tend has done so already in order to stop it.
func (s *Shop) unpause(ctx context.Context, r container.InspectResponse) error {
	err := s.engine.ContainerUnpause(ctx, r.ID)
	if err == nil {
		return nil
	}
	now, inspectErr := s.engine.ContainerInspect(ctx, r.ID)
	if errdefs.IsNotFound(inspectErr) || inspectErr == nil && !now.State.Paused {
		return nil
	}
	return errors.Join(err, inspectErr)
}

// awaitCreated waits until a service has a container that it had not before.
func (s *Shop) awaitCreated(ctx context.Context, service string, before []container.InspectResponse) error {
	return kit.Await(ctx, func() error {
		now, err := s.replicas(ctx, service)
		if err != nil {
			return err
		}
		for _, r := range now {
			if !slices.ContainsFunc(before, func(b container.InspectResponse) bool { return b.ID == r.ID }) {
				return nil
			}
		}
		return fmt.Errorf("%s has no new replica", service)
	})
}

// awaitOnly waits until a service has as many replicas as before, all running
// and all of the image of those before.
func (s *Shop) awaitOnly(ctx context.Context, service string, before []container.InspectResponse) error {
	return kit.Await(ctx, func() error {
		now, err := s.replicas(ctx, service)
		if err != nil {
			return err
		}
		other := func(r container.InspectResponse) bool { return !r.State.Running || r.Image != before[0].Image }
		if len(now) != len(before) || slices.ContainsFunc(now, other) {
			return fmt.Errorf("%s has other replicas than its old ones", service)
		}
		return nil
	})
}

// Partition cuts a replica off from an address, as a broken network would, until
// heal is called. Neither the replica nor the engine is told.
func Partition(ctx context.Context, r container.InspectResponse, address string) (heal func(context.Context) error, err error) {
	route := func(ctx context.Context, verb string) error {
		cmd := exec.CommandContext(ctx, "nsenter", fmt.Sprintf("--net=/proc/%d/ns/net", r.State.Pid),
			"ip", "route", verb, "blackhole", address+"/32")
		if output, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w\n%s", cmd, err, output)
		}
		return nil
	}
	return func(ctx context.Context) error { return route(ctx, "del") }, route(ctx, "add")
}

// killController kills tend's process from outside, so that the engine starts
// it again by its restart policy, and waits until it runs.
func (s *Shop) killController(ctx context.Context) error {
	all, err := s.replicas(ctx, "tend")
	if err != nil {
		return err
	}
	if len(all) != 1 || !all[0].State.Running {
		return errors.New("tend does not run")
	}
	if err := syscall.Kill(all[0].State.Pid, syscall.SIGKILL); err != nil {
		return fmt.Errorf("kill tend: %w", err)
	}
	return s.awaitRepaired(ctx, all[0])
}

// awaitChanges waits until the engine has told of n changes of the shop's
// containers since an instant, tend's own not counted, or until killPatience is over.
func (s *Shop) awaitChanges(ctx context.Context, since time.Time, n int) error {
	ctx, cancel := context.WithTimeout(ctx, killPatience)
	defer cancel()
	args := filters.NewArgs(filters.Arg("type", string(events.ContainerEventType)), filters.Arg("label", kit.ProjectLabel+"="+s.project))
	for _, action := range []events.Action{events.ActionCreate, events.ActionStart, events.ActionDie, events.ActionDestroy, events.ActionPause} {
		args.Add("event", string(action))
	}
	messages, broken := s.engine.Events(ctx, events.ListOptions{Since: since.Format(time.RFC3339Nano), Filters: args})
	for n > 0 {
		select {
		case m := <-messages:
			if m.Actor.Attributes[kit.ServiceLabel] != "tend" {
				n--
			}
		case err := <-broken:
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("follow the engine's events: %w", err)
		}
	}
	return nil
}

// awaitTold waits until the log holds an event of a service with a reason since an
// instant, which it does a moment after the controller has written it, and returns
// its message.
func (s *Shop) awaitTold(ctx context.Context, service, reason string, since time.Time) (message string, err error) {
	err = kit.Await(ctx, func() error {
		messages, err := s.told(ctx, service, reason, since)
		if err == nil && len(messages) == 0 {
			err = fmt.Errorf("%s: no event tells of %s", service, reason)
		}
		if err == nil {
			message = messages[0]
		}
		return err
	})
	return message, err
}

// told returns the messages of a service's events with a reason, since an instant.
// They come from the log, which outlives the controller's process.
func (s *Shop) told(ctx context.Context, service, reason string, since time.Time) (messages []string, err error) {
	all, err := s.replicas(ctx, "tend")
	if err != nil || len(all) != 1 {
		return nil, errors.Join(err, fmt.Errorf("tend has %d containers", len(all)))
	}
	logs, err := s.engine.ContainerLogs(ctx, all[0].ID, container.LogsOptions{
		ShowStdout: true, ShowStderr: true, Since: since.Format(time.RFC3339Nano),
	})
	if err != nil {
		return nil, err
	}
	defer logs.Close()
	read, write := io.Pipe()
	go func() {
		_, err := stdcopy.StdCopy(write, write, logs)
		_ = write.CloseWithError(err)
	}()
	defer read.Close()
	lines := bufio.NewScanner(read)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e struct{ Msg, Workload, Reason, Message string }
		if json.Unmarshal(lines.Bytes(), &e) == nil && e.Msg == "event" && e.Workload == service && e.Reason == reason {
			messages = append(messages, e.Message)
		}
	}
	return messages, lines.Err()
}
