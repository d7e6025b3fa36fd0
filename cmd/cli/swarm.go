//go:build linux

package cli

import (
	"context"
	"errors"

	"github.com/tendhq/tend/controller"
	"github.com/tendhq/tend/controller/app"
	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/controller/swarm"
	"github.com/tendhq/tend/controller/swarm/manager/docker"
	"github.com/tendhq/tend/state"
	"github.com/tendhq/tend/state/durable"

	"go.uber.org/zap"
)

// errBuildOnSwarm is why --build is refused.
var errBuildOnSwarm = errors.New("nothing is built on a Swarm: build the images, push them where each node can pull them, and leave --build out")

// swarmEngine connects to the Swarm that keeps services. One that is away is waited for.
func (f *flags) swarmEngine(_ context.Context, o *app.Options) (closing func() error, err error) {
	m, err := docker.New(f.host)
	if err != nil {
		return nil, err
	}
	o.Manager = m
	return m.Close, nil
}

// checkSwarm returns why nothing can be kept on the Swarm, or nil.
func (f *flags) checkSwarm(ctx context.Context) error {
	m, err := f.swarm(ctx)
	if err != nil {
		return err
	}
	return m.Close()
}

// convergeOnSwarm has the project converge on the Swarm once, as begin says.
func (f *flags) convergeOnSwarm(ctx context.Context, project *spec.Project, r *app.Right, tell *narrator, begin func(*swarm.Controller)) error {
	m, err := f.swarm(ctx)
	if err != nil {
		return err
	}
	defer m.Close()
	ctx, cancel := f.bound(ctx)
	defer cancel()
	ctx, stop := durable.Guard(ctx, r)
	defer stop()
	o := f.options(project)
	o.Manager, o.Log, o.OnEvent, o.OnStatus = m, tell.log, tell.event, tell.planned
	return app.ConvergeOnSwarm(ctx, o, r, begin)
}

// downOnSwarm takes the project away from the Swarm. Volumes stay on their nodes.
func downOnSwarm(ctx context.Context, f *flags, volumes bool) (err error) {
	if volumes {
		return errors.New("the Swarm API does not reach volumes: remove them on their nodes with docker volume rm, and leave -v out")
	}
	project, e, err := f.open(ctx)
	if err != nil {
		return err
	}
	defer e.Close()
	if err := f.checkSwarm(ctx); err != nil {
		return err
	}
	if err := removeController(ctx, e, f, project); err != nil {
		return err
	}
	r, err := f.take(ctx, project)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Release()) }()
	tell := newNarrator(project.Name)
	defer tell.close()
	return f.convergeOnSwarm(ctx, project, r, tell, func(c *swarm.Controller) {
		c.RemoveAll()
		c.SetProject(project)
	})
}

// diffOnSwarm returns how the Swarm differs from what is written.
func diffOnSwarm(ctx context.Context, f *flags, p *spec.Project) ([]controller.Difference, error) {
	m, err := f.swarm(ctx)
	if err != nil {
		return nil, err
	}
	defer m.Close()
	o := f.options(p)
	o.Manager, o.Log, o.OnEvent = m, newLog(zap.ErrorLevel), func(*state.Event) {}
	return app.NewOnSwarm(o, nil).Preview(ctx, p, remembered(ctx, o.DataDir, p.Name))
}
