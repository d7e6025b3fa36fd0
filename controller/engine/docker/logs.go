package docker

import (
	"context"

	"github.com/docker/docker/api/types/container"
)

// keepsAll is the default log driver of Docker, which never deletes any output.
const keepsAll = "json-file"

// logRotation is how much output is kept instead. The values are the kubelet's defaults for
// containerLogMaxSize and containerLogMaxFiles.
var logRotation = map[string]string{"max-size": "10m", "max-file": "5"}

// rotateLogs limits the log of a container whose service has no logging section, if the
// engine's log driver is keepsAll (ADR 52).
func (e *Engine) rotateLogs(ctx context.Context, name string, r *createRequest) error {
	if r.host.LogConfig.Type != "" || r.host.LogConfig.Config != nil {
		return nil
	}
	driver := e.logDriver.Load()
	if driver == nil {
		err := e.Do(ctx, "ask for the log driver for container", name, func(ctx context.Context) error {
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
