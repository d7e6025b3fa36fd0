package plan

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/spec"
)

// afterHolders returns the spec of an Ingress without a replica, while containers of its
// service publish the host port themselves: the port stays with them until they are
// replaced. One that has the port keeps it.
func (in Input) afterHolders(s *spec.Workload) *spec.Workload {
	has := func(r core.Replica) bool { return IsRunning(r) || r.InFlight == core.CreateReplica }
	if s == nil || len(in.PortHolders) == 0 || slices.ContainsFunc(in.Replicas, has) {
		return s
	}
	none := *s
	none.Replicas = 0
	return &none
}

// portHeld says who has the port of an Ingress that has no container; empty where nobody has.
func (t *target) portHeld() (obstacle, remedy string) {
	if len(t.PortHolders) == 0 || t.desired == nil || t.desired.Replicas > 0 {
		return "", ""
	}
	b := t.desired.Backend
	return fmt.Sprintf("host port %s is published by %s: it is held through updates once that has been replaced, when it closes for a moment",
			b.HostPort, strings.Join(t.PortHolders, ", ")),
		fmt.Sprintf("`tend rollout restart %s` replaces it at a time of your choosing", b.Service)
}
