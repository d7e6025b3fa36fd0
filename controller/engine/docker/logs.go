package docker

import (
	"context"

	"github.com/docker/docker/api/types/container"
)

// keepsAll is the driver that keeps all that a container prints, for ever, and that engines
// have where nobody has chosen one.
const keepsAll = "json-file"

// logRotation is how much of it is kept where nobody has said: as much as the kubelet keeps
// (containerLogMaxSize and containerLogMaxFiles).
var logRotation = map[string]string{"max-size": "10m", "max-file": "5"}

// rotateLogs bounds the log of a container of which Compose says nothing, where the engine's
// driver would keep all of it (ADR 52).
func (e *Engine) rotateLogs(ctx context.Context, name string, r *createRequest) error {
	if r.host.LogConfig.Type != "" || r.host.LogConfig.Config != nil {
		return nil
	}
	driver := e.logDriver.Load()
	if driver == nil {
		err := e.do(ctx, "ask for the log driver for container", name, func(ctx context.Context) error {
			info, err := e.cli.Info(ctx)
			driver = &info.LoggingDriver
			return err
		})
		if err != nil {
			return err
		}
		e.logDriver.Store(driver)
	}
	if *driver == keepsAll {
		r.host.LogConfig = container.LogConfig{Type: keepsAll, Config: logRotation}
	}
	return nil
}
