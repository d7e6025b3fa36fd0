package main

import (
	"context"
	"errors"
	"net"

	"go.uber.org/zap"

	"github.com/tendhq/tend/api"
	"github.com/tendhq/tend/controller"
	"github.com/tendhq/tend/controller/spec"
)

// newServer prepares the control API on the Unix socket, and on tcp where that
// is not nil. The function it returns serves until ctx ends.
func newServer(ctl *controller.Controller, p *spec.Project, dataDir string, log *zap.Logger, tcp net.Listener) (func(context.Context) error, error) {
	token, err := api.Token(dataDir)
	if err != nil {
		return nil, err
	}
	unix, err := api.ListenUnix(dataDir)
	if err != nil {
		return nil, err
	}
	listeners := []net.Listener{unix}
	if tcp != nil {
		listeners = append(listeners, tcp)
	}
	handler := api.New(api.Config{
		Store: ctl.State(), Metrics: ctl.Metrics().Handler(), Log: log, Token: token,
		Project: p.Name, Version: version,
		Ready: func() error {
			if !ctl.Linked() {
				return errors.New("the container engine does not answer")
			}
			return nil
		},
	})
	return func(ctx context.Context) error { return api.Serve(ctx, handler, log, listeners...) }, nil
}
