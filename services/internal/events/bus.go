package events

import (
	"context"

	"github.com/tendhq/tend/services/contracts"
	"github.com/tendhq/tend/services/internal/config"
)

// Bus delivers messages to groups of consumers: each to one consumer of each group that
// its contract subscribes, at least once, also if nobody of the group is there when it is
// published.
type Bus interface {
	// Publish returns when the bus has the messages safe, or an error when it may not have
	// some of them. It is not called concurrently.
	Publish(ctx context.Context, messages []Message) error
	// Consume calls handle with the group's messages, one at a time, until ctx ends or the
	// bus is away.
	Consume(ctx context.Context, group string, handle Handle) error
	// Close ends what Publish has opened.
	Close()
}

// Message is an event as the bus carries it.
type Message struct {
	Type string
	Body []byte
}

// Handle does what a message asks for. attempt is 1 at its first delivery.
type Handle func(ctx context.Context, message []byte, attempt int) Verdict

// Verdict is what becomes of a message.
type Verdict int

// The verdicts.
const (
	Done  Verdict = iota // it has had its effect
	Later                // it comes again after retryDelay
	Dead                 // it goes to the group's dead-letter queue, for a person to look at
	Left                 // its consumer stops: it comes again, to another one
)

// FromEnv returns the bus that EVENT_BUS names: redis, rabbitmq, or none, which is nil and
// the default. EVENT_BUS_HOST, EVENT_BUS_PORT, EVENT_BUS_USER (of RabbitMQ) and
// EVENT_BUS_PASSWORD_FILE say where it is.
func FromEnv(env *config.Env) Bus {
	return fromEnv(env, subscriptions())
}

func fromEnv(env *config.Env, groups map[string][]string) Bus {
	switch kind := env.String("EVENT_BUS", "none"); kind {
	case "none":
	case "redis":
		return newRedis(groups, env.Required("EVENT_BUS_HOST"), env.Port("EVENT_BUS_PORT", 6379), env.Secret("EVENT_BUS_PASSWORD_FILE"))
	case "rabbitmq":
		return newRabbitMQ(groups, env.Required("EVENT_BUS_HOST"), env.Port("EVENT_BUS_PORT", 5672),
			env.String("EVENT_BUS_USER", "shop"), env.Secret("EVENT_BUS_PASSWORD_FILE"))
	default:
		env.Fail("EVENT_BUS is %q, want redis, rabbitmq or none", kind)
	}
	return nil
}

// subscriptions are the types of events of each group. Both sides know all of them, so that
// whoever comes first makes the queues, and nothing is published that is kept for nobody.
func subscriptions() map[string][]string {
	groups := map[string][]string{}
	for _, contract := range contracts.All() {
		if len(contract.Consumes) > 0 {
			groups[contract.Service] = contract.Consumes
		}
	}
	return groups
}
