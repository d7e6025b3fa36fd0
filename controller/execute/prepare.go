package execute

import (
	"context"

	"github.com/docker/go-units"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/postgres"
	"github.com/tendhq/tend/controller/spec"
)

// prepare makes a running database ready to be stopped and replaced: it checks that the
// next image can take over the data and dumps them, each where the action says so, and
// writes out what is in memory. It does that before the dump as well: otherwise a server
// that cannot would make a dump at each try, and each dump takes the place of an older one.
func (x *Executor) prepare(ctx context.Context, a core.Action, p *spec.Project) error {
	if err := x.check(ctx, a, p, x.describeServer); err != nil {
		return err
	}
	if a.Backup {
		if err := postgres.Checkpoint(ctx, x.engine, a.ID); err != nil {
			return err
		}
		if _, err := postgres.Backup(ctx, x.engine, a.ID, x.dataDir, a.Workload, a.Spec.Backup.Keep, func(bytes int64) { x.tell(a, "dumped "+units.HumanSize(float64(bytes))) }); err != nil {
			return err
		}
	}
	return postgres.Checkpoint(ctx, x.engine, a.ID)
}

// check refuses an image that cannot take over the data of a container, where the action
// asks for the check. describe describes the container's server.
func (x *Executor) check(ctx context.Context, a core.Action, p *spec.Project, describe describe) error {
	if !a.Check {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout) // a backup may take an hour, this moments
	defer cancel()
	running, err := x.engine.Container(ctx, a.ID)
	if err != nil {
		return err
	}
	before, err := describe(ctx, p, running)
	if err != nil {
		return err
	}
	after, err := postgres.DescribeImage(ctx, x.engine, p.Name, running.Name+"-preflight", a.Spec.Image)
	if err != nil {
		return err
	}
	return postgres.Check(a.Workload, before, after)
}

// describe returns a description of a container's server.
type describe func(ctx context.Context, p *spec.Project, running engine.Container) (postgres.Server, error)

// describeServer asks the running server.
func (x *Executor) describeServer(ctx context.Context, _ *spec.Project, running engine.Container) (postgres.Server, error) {
	return postgres.Describe(ctx, x.engine, running.ID)
}

// describeImage looks into the image of a container that does not serve.
func (x *Executor) describeImage(ctx context.Context, p *spec.Project, running engine.Container) (postgres.Server, error) {
	return postgres.DescribeImage(ctx, x.engine, p.Name, running.Name+"-preflight", running.ImageID)
}
