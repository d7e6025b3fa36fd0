package events

import (
	"context"

	"github.com/tendhq/tend/services/internal/config"
)

// FromEnvWith is FromEnv with groups of the test's.
func FromEnvWith(env *config.Env, groups map[string][]string) Bus { return fromEnv(env, groups) }

// Handle gives a message to the consumer, as a bus does.
func (c *Consumer) Handle(ctx context.Context, message []byte, attempt int) Verdict {
	return c.handle(ctx, message, attempt)
}

// Forget removes old events from the inbox.
func (c *Consumer) Forget(ctx context.Context) error { return c.forget(ctx) }

// Trim removes from a bus of Redis what is acknowledged.
func Trim(ctx context.Context, bus Bus) error { return bus.(*redisBus).trim(ctx) }

// DeadStream and DeadQueue name where what a group has given up is, and RetryQueue where what
// it will get again is.
var (
	DeadStream = deadStream
	DeadQueue  = deadQueue
	RetryQueue = retryQueue
)
