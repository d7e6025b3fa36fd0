package controller

import (
	"context"
	"fmt"
	"time"

	"github.com/tendhq/tend/controller/core"
)

// Register registers a service that runs outside of tend, and returns when that is durable.
// asked is reported where another one was registered before, or none.
func (c *Controller) Register(ctx context.Context, asked core.Event, r core.Registration) error {
	return c.registering(ctx, asked, func() bool { return c.registrations.Register(r) })
}

// Deregister forgets a registration, and returns when that is durable. It reports asked
// unless there was none, which is an UnknownRegistrationError.
func (c *Controller) Deregister(ctx context.Context, asked core.Event, id string) error {
	known := false
	err := c.registering(ctx, asked, func() bool {
		known = c.registrations.Deregister(id)
		return known
	})
	if err == nil && !known {
		err = &UnknownRegistrationError{Kind: "service", ID: id}
	}
	return err
}

// Heard notes what a service says of its check.
func (c *Controller) Heard(check string, status core.CheckStatus, output string) error {
	if !c.registrations.Heard(check, status, output) {
		return &UnknownRegistrationError{Kind: "check with a TTL", ID: check}
	}
	return nil
}

// UnknownRegistrationError reports that nothing is registered under an ID.
type UnknownRegistrationError struct{ Kind, ID string }

func (e *UnknownRegistrationError) Error() string {
	return fmt.Sprintf("no %s is registered as %q", e.Kind, e.ID)
}

// registering has the loop make a change, and commit it.
func (c *Controller) registering(ctx context.Context, asked core.Event, change func() (changed bool)) error {
	done := make(chan error, 1)
	c.do(func(l *loop) {
		if change() {
			l.reconciler.event(asked, time.Now())
		}
		l.keeper.Commit(context.WithoutCancel(ctx), true) // also for who has left
		done <- nil
	})
	return c.await(ctx, done)
}
