package execute

import (
	"context"
	"slices"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/plan"
	"github.com/tendhq/tend/controller/postgres"
	"github.com/tendhq/tend/controller/spec"
)

// prepare makes a running database ready to be stopped and replaced: it checks
// that the next image can take over the data, dumps them where the spec says
// so, and writes out what is in memory. It writes that out before the dump too: a
// server that cannot is found out before each try makes a dump, for which an
// older one would go.
func (x *Executor) prepare(ctx context.Context, a plan.Action, p *spec.Project, w *spec.Workload) error {
	if err := x.check(ctx, a, p, w, x.describeServer); err != nil {
		return err
	}
	if w.Backup.BeforeUpdate {
		if err := postgres.Checkpoint(ctx, x.engine, a.ID); err != nil {
			return err
		}
		if _, err := postgres.Backup(ctx, x.engine, a.ID, postgres.Dir(x.dataDir, w.Name), w.Backup.Keep); err != nil {
			return err
		}
	}
	return postgres.Checkpoint(ctx, x.engine, a.ID)
}

// moves reports whether a database's next container has its data on another
// volume than the one that runs, whose data are then left alone.
func moves(p *spec.Project, w *spec.Workload, running engine.Container) bool {
	for _, mount := range spec.DataMounts(w.Template) {
		for _, v := range p.Volumes {
			if mount.Type == types.VolumeTypeVolume && mount.Source == v.Key {
				return !slices.Contains(running.NamedVolumes(), v.Name)
			}
		}
	}
	return false
}

// check refuses an image that cannot take over the data of a container, which
// describe describes.
func (x *Executor) check(ctx context.Context, a plan.Action, p *spec.Project, w *spec.Workload, describe describe) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout) // a backup may take an hour, this moments
	defer cancel()
	running, err := x.engine.Container(ctx, a.ID)
	if err != nil {
		return err
	}
	next, err := x.engine.Image(ctx, w.Image)
	if err != nil {
		return err
	}
	if next.ID == running.ImageID || moves(p, w, running) {
		return nil
	}
	before, err := describe(ctx, p, running)
	if err != nil {
		return err
	}
	after, err := postgres.DescribeImage(ctx, x.engine, p.Name, running.Name+"-preflight", w.Image)
	if err != nil {
		return err
	}
	return postgres.Check(w.Name, before, after)
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
