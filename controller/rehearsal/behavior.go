package rehearsal

import (
	"fmt"
	"strings"
	"time"
)

// Kind is a way in which the containers of an image behave.
type Kind string

// The kinds of behaviour, as people write them.
const (
	// Ready is a container that runs and becomes ready.
	Ready Kind = ""
	// NeverReady is one that runs, and whose probes and health check never pass.
	NeverReady Kind = "never-ready"
	// Crash is one that ends with code 1, a second after each start.
	Crash Kind = "crash"
	// Done is one that ends with code 0, five seconds after its start.
	Done Kind = "done"
	// Missing is an image that can neither be pulled nor built.
	Missing Kind = "missing"
)

// Behavior is how the containers of an image behave.
type Behavior struct {
	Kind Kind
	// ReadyAfter is how long after its start a container becomes ready.
	ReadyAfter time.Duration
}

// DefaultBehavior is the behaviour of an image that has none of its own.
var DefaultBehavior = Behavior{ReadyAfter: 3 * time.Second}

// ParseBehavior reads a behaviour: a kind, or the time until a container is ready, as 30s.
func ParseBehavior(text string) (Behavior, error) {
	switch k := Kind(text); k {
	case NeverReady, Crash, Done, Missing:
		return Behavior{Kind: k}, nil
	}
	after, err := time.ParseDuration(text)
	if err != nil || after < 0 {
		return Behavior{}, fmt.Errorf("%q is no behaviour of an image: write the time until a container is ready, as 30s, or %s",
			text, strings.Join([]string{string(NeverReady), string(Crash), string(Done), string(Missing)}, ", "))
	}
	return Behavior{ReadyAfter: after}, nil
}
