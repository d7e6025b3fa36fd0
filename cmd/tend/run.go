package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/tendhq/tend/controller"
	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/engine/docker"
	"github.com/tendhq/tend/controller/recorder"
	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/state/durable"
)

// defaultListen is where the control API listens besides the Unix socket.
const defaultListen = "127.0.0.1:7070"

func newRun(f *flags) *cobra.Command {
	var listen, endpointsListen string
	c := &cobra.Command{
		Use:   "run",
		Short: "Run the controller in the foreground, telling what it does and why",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return run(c.Context(), f, listen, c.Flags().Changed("listen"), endpointsListen)
		},
	}
	f.owns(c.Flags())
	c.Flags().StringVar(&listen, "listen", defaultListen, "address of the control API, or empty for the Unix socket only; off loopback it asks for the token in the data directory")
	c.Flags().StringVar(&endpointsListen, "endpoints-listen", "", "address at which gateways and scrapers may read endpoints and metrics without a token, as :7071 (default: none)")
	return c
}

// run keeps the project until ctx ends, while this process has the right to act,
// and stands by while another one has.
func run(ctx context.Context, f *flags, listen string, explicit bool, endpointsListen string) error {
	tell := newServiceNarrator()
	defer func() { _ = tell.log.Sync() }()
	hangUps := make(chan os.Signal, 1) // one that comes while this stands by has to wait
	signal.Notify(hangUps, syscall.SIGHUP)
	defer signal.Stop(hangUps)
	project, err := f.load(ctx)
	if err != nil {
		return fmt.Errorf("cannot start:\n%w", err)
	}
	for {
		r, err := f.standBy(ctx, project, tell)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		err = keep(ctx, f, r, project, tell, hangUps, listen, explicit, endpointsListen)
		if released := r.Release(); released != nil {
			tell.log.Warn("the right to act was not given up in order; it ends by itself", zap.Error(released))
		}
		if !errors.Is(err, durable.ErrLost) {
			return err
		}
		tell.say("%v", err)
	}
}

// keep keeps the project until ctx ends or the right to act is lost, which is
// durable.ErrLost. On a hang-up it reads everything again.
func keep(ctx context.Context, f *flags, r *right, project *spec.Project, tell *narrator, hangUps <-chan os.Signal, listen string, explicit bool, endpointsListen string) error {
	e, err := docker.New(f.host)
	if err != nil {
		return err
	}
	defer e.Close()

	recording := recorder.Start(f.data(project), tell.log)
	defer recording.Close()
	o := f.options(project)
	o.Engine, o.Durable = engine.Fence(e, r.Check), r.store
	o.Log, o.OnEvent, o.Record = tell.log, tell.event, recording.Record
	ctl := controller.New(o)
	listener, err := listenTCP(listen)
	switch {
	case errors.Is(err, syscall.EADDRINUSE) && !explicit:
		tell.say("%s is taken: the control API is on the Unix socket only", listen)
	case err != nil:
		return fmt.Errorf("listen for the control API: %w", err)
	}
	public, err := listenTCP(endpointsListen)
	if err != nil {
		return fmt.Errorf("listen for those who read endpoints: %w", err)
	}
	serve, err := newServer(ctl, f, project, tell.log, listener, public)
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
			tell.log.Error("the control API has ended", zap.Error(err))
		}
	})
	tell.say("keeping project %s: %d workloads, from %s", project.Name, len(project.Workloads), project.WorkingDir)
	source := spec.NewSource(f.spec)
	parts.Go(func() {
		onHangUp(acting, hangUps, func() {
			tell.say("SIGHUP: reading what is written again, and listing the engine anew")
			source.Reload()
		})
	})
	err = source.Run(acting, func(u spec.Update) {
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
	tell.say("stopped; what runs goes on running")
	return err
}

// listenTCP opens a TCP listener; nil for an empty address.
func listenTCP(address string) (net.Listener, error) {
	if address == "" {
		return nil, nil
	}
	return net.Listen("tcp", address)
}
