package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// untilSignalled returns a context that ends with the first SIGINT or SIGTERM, so
// that a command can end in order. A second one ends the program at once.
func untilSignalled(ctx context.Context) context.Context {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	return ctx
}

// onHangUp calls f on each SIGHUP until ctx ends; those that come while it works count
// as one.
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
