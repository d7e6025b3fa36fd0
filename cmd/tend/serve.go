package main

import (
	"context"
	"net"

	"go.uber.org/zap"

	"github.com/tendhq/tend/controller"
	"github.com/tendhq/tend/controller/spec"
)

// newServer prepares the control API; the function it returns serves until ctx
// ends.
func newServer(ctl *controller.Controller, p *spec.Project, dataDir string, log *zap.Logger, tcp net.Listener) (func(context.Context) error, error) {
	return func(ctx context.Context) error { <-ctx.Done(); return nil }, nil
}
