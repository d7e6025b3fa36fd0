//go:build linux

package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/engine/docker"
	"github.com/tendhq/tend/controller/migrate"
	"github.com/tendhq/tend/controller/spec"
)

// otherTimeout bounds the look at the other side: one that does not answer is no reason not to
// keep a project.
const otherTimeout = 5 * time.Second

// refuseTwice refuses to keep a project on one side while the other one has it: two would
// write to its volumes.
func (f *flags) refuseTwice(ctx context.Context, p *spec.Project) error {
	ctx, cancel := context.WithTimeout(ctx, otherTimeout)
	defer cancel()
	if f.engine == swarmEngine {
		e, err := docker.New(f.host)
		if err != nil {
			return err
		}
		defer e.Close()
		return f.refuseContainers(ctx, e, p)
	}
	m, err := f.on(migrate.Swarm).swarm(ctx)
	if err != nil {
		return nil // there is no Swarm, or none that answers
	}
	defer m.Close()
	all, err := m.Services(ctx, p.Name)
	for _, s := range all {
		if err == nil && s.Spec.Labels[spec.LabelRevision] != "" && f.options(p).Folders.Foreign(s.Spec.Labels) == "" {
			return fmt.Errorf("the Swarm that this engine manages has the service %s of project %s: tend migrate --to docker moves it here, and --engine swarm keeps it there", s.Spec.Name, p.Name)
		}
	}
	return nil
}

// refuseContainers refuses to keep a project as services while a container of it runs.
func (f *flags) refuseContainers(ctx context.Context, e engine.Engine, p *spec.Project) error {
	containers, err := e.Containers(ctx, p.Name)
	if err != nil {
		return nil // the engine does not answer: nothing can be kept, either
	}
	for _, c := range containers {
		if c.State == engine.Running && p.Workloads[c.Labels[spec.LabelService]] != nil && c.Labels[spec.LabelOneoff] != "True" && f.options(p).Folders.Foreign(c.Labels) == "" {
			return fmt.Errorf("the container %s of project %s runs on this engine: tend migrate --to swarm moves it to the Swarm, and without --engine swarm it is kept here", c.Name, p.Name)
		}
	}
	return nil
}
