package plan

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// String is an action in one line.
func (a Action) String() string {
	var b strings.Builder
	b.WriteString(string(a.Kind))
	if a.Kind == CreateReplica {
		fmt.Fprintf(&b, " %s #%d at %s", a.Workload, a.Number, short(a.Revision))
	} else if a.Object != "" {
		b.WriteString(" " + a.Object)
	}
	for _, target := range slices.Sorted(maps.Keys(a.Anonymous)) {
		fmt.Fprintf(&b, " with %.12s at %s", a.Anonymous[target], target)
	}
	return b.String() + ": " + a.Cause
}

// String is a status in one line.
func (s Status) String() string {
	text := fmt.Sprintf("desired %d, replicas %d, updated %d, ready %d, available %d", s.Desired, s.Replicas, s.Updated, s.Ready, s.Available)
	if s.Converged {
		text += ", converged"
	}
	return text
}

// String is the plan as text, as the tests compare it.
func (p Plan) String() string {
	var b strings.Builder
	for _, a := range p.Actions {
		fmt.Fprintln(&b, a)
	}
	for _, e := range p.Events {
		fmt.Fprintf(&b, "event %s %s: %s\n", e.Type, e.Reason, e.Message)
	}
	fmt.Fprintf(&b, "status %s\n", p.Status)
	for _, c := range p.Status.Conditions {
		fmt.Fprintf(&b, "condition %s=%t %s: %s\n", c.Type, c.Status, c.Reason, c.Message)
	}
	if !p.Next.IsZero() {
		fmt.Fprintf(&b, "next %s\n", p.Next.UTC().Format("15:04:05"))
	}
	return b.String()
}
