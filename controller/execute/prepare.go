package execute

import (
	"context"

	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/plan"
	"github.com/tendhq/tend/controller/postgres"
	"github.com/tendhq/tend/controller/spec"
)

// prepare makes a running database ready to be stopped and replaced: it checks
// that the next image can take over the data where the action says so, dumps them
// where it does, and writes out what is in memory. It writes that out before the dump too: a
// server that cannot is found out before each try makes a dump, for which an
// older one would go.
func (x *Executor) prepare(ctx context.Context, a plan.Action, p *spec.Project) error {
	if err := x.check(ctx, a, p, x.describeServer); err != nil {
		return err
	}
	if a.Backup {
		if err := postgres.Checkpoint(ctx, x.engine, a.ID); err != nil {
			return err
		}
		if _, err := postgres.Backup(ctx, x.engine, a.ID, postgres.Dir(x.dataDir, a.Workload), a.Spec.Backup.Keep); err != nil {
			return err
		}
	}
	return postgres.Checkpoint(ctx, x.engine, a.ID)
}

// check refuses an image that cannot take over the data of a container, which
// describe describes.
func (x *Executor) check(ctx context.Context, a plan.Action, p *spec.Project, describe describe) error {
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

// describe tells what server a container has.
type describe func(ctx context.Context, p *spec.Project, running engine.Container) (postgres.Server, error)

// describeServer asks the server that runs.
func (x *Executor) describeServer(ctx context.Context, _ *spec.Project, running engine.Container) (postgres.Server, error) {
	return postgres.Describe(ctx, x.engine, running.ID)
}

// describeImage looks into the image of a container that does not serve.
func (x *Executor) describeImage(ctx context.Context, p *spec.Project, running engine.Container) (postgres.Server, error) {
	return postgres.DescribeImage(ctx, x.engine, p.Name, running.Name+"-preflight", running.ImageID)
}
