package app

import (
	"context"
	"sync"

	"github.com/tendhq/tend/api"
	"github.com/tendhq/tend/controller"
	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/controller/swarm"
	"github.com/tendhq/tend/state"
)

// keeper keeps a project: on an engine, or on a Swarm.
type keeper interface {
	api.Controller
	Run(ctx context.Context)
	State() *state.Store
	Metrics() *controller.Metrics
	Ready() error
	SetProject(p *spec.Project)
	RejectProject(err error)
	Relist(ctx context.Context)
}

// NewOnSwarm assembles a controller on Options.Manager, as New does on an engine.
func NewOnSwarm(o Options, r *Right) *swarm.Controller {
	c := swarm.Options{
		Manager: o.Manager, Volumes: o.Volumes, Project: o.Project.Name, Folders: o.Folders, Log: o.Log, OnEvent: o.OnEvent, OnStatus: o.OnStatus,
	}
	if r != nil {
		c.Check, c.Durable = r.Check, r.store
	}
	return swarm.New(c)
}

// ConvergeOnSwarm is Converge for a controller that NewOnSwarm makes.
func ConvergeOnSwarm(ctx context.Context, o Options, r *Right, begin func(*swarm.Controller)) error {
	ctl := NewOnSwarm(o, r)
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	var parts sync.WaitGroup
	parts.Go(func() { ctl.Run(running) })
	begin(ctl)
	err := ctl.Wait(ctx)
	stop()
	parts.Wait()
	return err
}
