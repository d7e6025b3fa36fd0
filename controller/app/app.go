// Package app assembles the process that keeps a project: the right to act, the
// controller on its engine and its store, the API, the metrics and the recordings.
package app

import (
	"context"
	"errors"
	"os"
	"sync"

	"go.uber.org/zap"

	"github.com/tendhq/tend/controller"
	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/observe"
	"github.com/tendhq/tend/controller/plan"
	"github.com/tendhq/tend/controller/probe"
	"github.com/tendhq/tend/controller/recorder"
	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/controller/spec/load"
	"github.com/tendhq/tend/controller/spec/watch"
	"github.com/tendhq/tend/controller/swarm/manager"
	"github.com/tendhq/tend/controller/tracing"
	"github.com/tendhq/tend/state"
	"github.com/tendhq/tend/state/durable"
)

// Options are what a project is kept with.
type Options struct {
	// Engine runs the containers. The caller closes it.
	Engine engine.Engine
	// Manager is the Swarm that keeps the project in the place of Engine; nil for none. The
	// caller closes it.
	Manager manager.Manager
	// Volumes are the nodes of the Swarm that have volumes which no service has mounted yet, by
	// the volume's name.
	Volumes map[string]string
	// AskProbe makes one probe of a replica, in place of probe.Once where Engine has no
	// network to ask it over. It may be nil.
	AskProbe func(ctx context.Context, p spec.Probe, t probe.Target) error
	// Project is what was written when Spec was loaded.
	Project *spec.Project
	// Spec tells where the project is written. Run watches it, and the API edits it.
	Spec load.Options
	// Folders say which containers of the project's name are the project's.
	Folders observe.Folders
	// RemoveOrphans has orphans removed: the containers of services that are not
	// written and that tend has not kept.
	RemoveOrphans bool
	// Executable is the file of tend itself, which ingresses run; empty where Spec has no
	// image for them.
	Executable string
	// DataDir holds the lock, the state, recordings, backups, and the socket and the
	// tokens of the API.
	DataDir string
	// DatabaseURL names a Postgres database that keeps the state and the lease. Where
	// it is empty, the data directory keeps them.
	DatabaseURL string
	// API says where the API is served.
	API API
	// Collector is the URL that takes the spans of traces; empty for none.
	Collector string
	// Version is the program's version, which the API names.
	Version string
	// HangUps has everything read again at each signal. It may be nil.
	HangUps <-chan os.Signal
	// Log takes what goes wrong in the process itself.
	Log *zap.Logger
	// OnEvent is called with each event, in order. It must not block.
	OnEvent func(*state.Event)
	// OnStatus is called with the status of each plan, and OnProgress with how far an action
	// is that may take long, while Converge runs. They must not block, and may be nil.
	OnStatus   func(core.Status)
	OnProgress func(a core.Action, text string)
	// Say tells a person what the process itself does.
	Say func(format string, args ...any)
}

// New assembles a controller that acts only while r holds, and keeps its state in
// r's store. Without r, nothing checks whether it may act, and it remembers nothing.
func New(o Options, r *Right) *controller.Controller {
	return controller.New(o.controller(r))
}

func (o Options) controller(r *Right) controller.Options {
	c := controller.Options{
		Engine: o.Engine, AskProbe: o.AskProbe, Project: o.Project.Name, Folders: o.Folders, RemoveOrphans: o.RemoveOrphans,
		DataDir: o.DataDir, Log: o.Log, OnEvent: o.OnEvent, OnProgress: o.OnProgress,
		Executable: o.Executable, IngressImage: o.Spec.IngressImage,
	}
	if o.OnStatus != nil {
		c.Record = func(_ plan.Input, p plan.Plan) { o.OnStatus(p.Status) }
	}
	if r != nil {
		c.Engine, c.Durable = engine.Fence(o.Engine, r.Check), r.store
	}
	return c
}

// Run keeps a project until ctx ends, while this process has the right to act,
// and stands by while another one has.
func Run(ctx context.Context, o Options) error {
	for {
		r, err := standBy(ctx, o)
		switch {
		case ctx.Err() != nil && err != nil:
			return nil
		case err != nil:
			return err
		}
		err = keep(ctx, o, r)
		if released := r.Release(); released != nil {
			o.Log.Warn("the right to act was not given up in order; it ends by itself", zap.Error(released))
		}
		if !errors.Is(err, durable.ErrLost) {
			return err
		}
		o.Say("%v", err)
	}
}

// keep keeps the project until ctx ends or the right to act is lost, which is
// durable.ErrLost. On a hang-up it reads everything again.
func keep(ctx context.Context, o Options, r *Right) error {
	recording := recorder.Start(o.DataDir, o.Log)
	defer recording.Close()
	var ctl keeper
	if o.Manager != nil {
		ctl = NewOnSwarm(o, r)
	} else {
		c := o.controller(r)
		c.Record = recording.Record
		c.Metrics = controller.NewMetrics()
		tracer, deliver, err := tracing.New(o.Collector, o.Version, c.Metrics.Registerer(), o.Log)
		if err != nil {
			return err
		}
		defer deliver()
		c.Tracer = tracer
		ctl = controller.New(c)
	}
	describe(ctl.Metrics().Registerer(), o.Version, recording)
	serve, err := newServer(ctl, o)
	if err != nil {
		return err
	}

	ctx, stop := durable.Guard(ctx, r)
	defer stop()
	acting, cancel := context.WithCancel(ctx)
	defer cancel()
	var parts sync.WaitGroup
	parts.Go(func() { ctl.Run(acting) })
	parts.Go(func() {
		if err := serve(acting); err != nil {
			o.Log.Error("the control API has ended", zap.Error(err))
		}
	})
	p := o.Project
	o.Say("keeping project %s: %d workloads, from %s", p.Name, len(p.Workloads), p.WorkingDir)
	source := watch.NewSource(o.Spec)
	parts.Go(func() {
		onHangUp(acting, o.HangUps, func() {
			o.Say("SIGHUP: reading what is written again, and listing the engine anew")
			source.Reload()
		})
	})
	err = source.Run(acting, func(u watch.Update) {
		if u.Err != nil {
			ctl.RejectProject(u.Err)
		} else {
			ctl.SetProject(u.Project)
		}
		if u.Reloaded {
			ctl.Relist(acting)
		}
	})
	cancel()
	parts.Wait()
	if lost := context.Cause(ctx); errors.Is(lost, durable.ErrLost) {
		return lost
	}
	o.Say("stopped; what runs goes on running")
	return err
}

// onHangUp calls f on each hang-up until ctx ends; those that come while it works
// count as one.
func onHangUp(ctx context.Context, hangUps <-chan os.Signal, f func()) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangUps:
			f()
		}
	}
}

// Converge runs the controller that New makes, has it begin, and ends it when the
// project has converged, when no more waiting can help, or when ctx ends.
func Converge(ctx context.Context, o Options, r *Right, begin func(*controller.Controller)) error {
	ctl := New(o, r)
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	var parts sync.WaitGroup
	parts.Go(func() { ctl.Run(running) })
	begin(ctl)
	err := ctl.Wait(ctx)
	ctl.SettleIngresses(ctx)
	stop()
	parts.Wait()
	return err
}
