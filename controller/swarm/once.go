package swarm

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	swarmapi "github.com/docker/docker/api/types/swarm"

	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/plan/services"
	"github.com/tendhq/tend/controller/swarm/manager"
)

// removeTimeout bounds the removal of a job that nobody waits for any more.
const removeTimeout = 20 * time.Second

// RunJob runs a job of one task whose project's label is its own name, passes on what it has
// printed, and removes it. The error is why it has failed.
func RunJob(ctx context.Context, m manager.Manager, job swarmapi.ServiceSpec, stdout, stderr io.Writer) (err error) {
	id, err := m.CreateService(ctx, job)
	if engine.ClassOf(err) == engine.Conflict {
		return fmt.Errorf("the Swarm has a service %s already: wait until it has ended, or remove it with docker service rm", job.Name)
	} else if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, removeJob(context.WithoutCancel(ctx), m, job.Name, id)) }()
	var failure error
	err = awaitTasks(ctx, m, job.Name, id, func(tasks []manager.Task) bool {
		for _, t := range tasks {
			if services.Over(t) && t.State != swarmapi.TaskStateComplete {
				failure = errors.New(cmp.Or(t.Err, fmt.Sprintf("its task is %s", t.State)))
			}
		}
		return slices.ContainsFunc(tasks, services.Over)
	})
	if err != nil {
		return err
	}
	const lines = 100
	if err := m.Logs(ctx, id, engine.LogOptions{Tail: lines}, stdout, stderr); err != nil {
		return fmt.Errorf("read its output: %w", err)
	}
	return failure
}

// awaitTasks waits until the tasks of a job are so.
func awaitTasks(ctx context.Context, m manager.Manager, project, id string, so func([]manager.Task) bool) error {
	for {
		tasks, err := m.Tasks(ctx, project)
		if err != nil {
			return err
		}
		if so(slices.DeleteFunc(tasks, func(t manager.Task) bool { return t.ServiceID != id })) {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(moving):
		}
	}
}

// removeJob removes a job. Of one whose task runs Swarm would leave that: it is to run none
// first. The container of what has ended stays on its node, as that of any job does.
func removeJob(ctx context.Context, m manager.Manager, project, id string) error {
	ctx, cancel := context.WithTimeout(ctx, removeTimeout)
	defer cancel()
	all, err := m.Services(ctx, project)
	for _, s := range all {
		if s.ID == id && s.Completed == 0 {
			none, spec := uint64(0), s.Spec
			spec.Mode = swarmapi.ServiceMode{ReplicatedJob: &swarmapi.ReplicatedJob{MaxConcurrent: &none, TotalCompletions: &none}}
			err = m.UpdateService(ctx, id, s.Version, spec)
		}
	}
	if err == nil {
		running := func(t manager.Task) bool { return !services.Over(t) }
		err = awaitTasks(ctx, m, project, id, func(tasks []manager.Task) bool { return !slices.ContainsFunc(tasks, running) })
	}
	return errors.Join(err, m.RemoveService(ctx, id))
}
