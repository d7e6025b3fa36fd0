package server

import (
	"context"
	"time"

	"go.uber.org/zap"
)

// Every returns what calls f at once and again each interval, until its context ends, and
// logs that it failed.
func Every(interval time.Duration, log *zap.Logger, failure string, f func(context.Context) error) func(context.Context) {
	return func(ctx context.Context) {
		for {
			if err := f(ctx); err != nil && ctx.Err() == nil {
				log.Warn(failure, zap.Error(err))
			}
			select {
			case <-time.After(interval):
			case <-ctx.Done():
				return
			}
		}
	}
}
