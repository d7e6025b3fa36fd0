package main

import (
	"context"
	"net"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/tendhq/tend/api"
	"github.com/tendhq/tend/controller"
	"github.com/tendhq/tend/controller/spec"
)

// newServer prepares the control API on the Unix socket, and on control where
// that is not nil; and the read-only one on public, likewise. The function it
// returns serves until ctx ends.
func newServer(ctl *controller.Controller, f *flags, p *spec.Project, log *zap.Logger, control, public net.Listener) (func(context.Context) error, error) {
	dataDir := f.data(p)
	token, err := api.Token(dataDir)
	if err != nil {
		return nil, err
	}
	unix, err := api.ListenUnix(dataDir)
	if err != nil {
		return nil, err
	}
	listeners := []net.Listener{unix}
	if control != nil {
		listeners = append(listeners, control)
	}
	config := api.Config{
		Store: ctl.State(), Controller: ctl, Spec: f.spec,
		Metrics: ctl.Metrics().Handler(), Log: log, Token: token,
		Project: p.Name, Version: version,
		Ready: ctl.Ready,
	}
	return func(ctx context.Context) error {
		serving, ctx := errgroup.WithContext(ctx)
		serving.Go(func() error { return api.Serve(ctx, api.New(config), log, listeners...) })
		if public != nil {
			serving.Go(func() error { return api.Serve(ctx, api.NewReadOnly(config), log, public) })
		}
		return serving.Wait()
	}, nil
}
