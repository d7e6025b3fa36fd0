package plan

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/spec"
)

// portHolders names the other containers that have an Ingress's host port, or take it
// when they are started again.
func (in Input) portHolders(s *spec.Workload) (names []string) {
	if s == nil || s.Kind != spec.Ingress {
		return nil
	}
	for _, r := range in.Neighbours {
		if (r.State == core.Exited || IsRunning(r)) && slices.ContainsFunc(r.HostPorts, s.Backend.Overlaps) {
			names = append(names, r.Name)
		}
	}
	slices.Sort(names)
	return names
}

// afterHolders returns the spec of an Ingress without a replica, while another container
// has the host port: the port stays there until that container has gone. An ingress that
// runs keeps its port.
func (in Input) afterHolders(s *spec.Workload) *spec.Workload {
	runs := func(r core.Replica) bool { return IsRunning(r) || r.InFlight == core.CreateReplica }
	if len(in.portHolders(s)) == 0 || slices.ContainsFunc(in.Replicas, runs) {
		return s
	}
	none := *s
	none.Replicas = 0
	return &none
}

// portHeld says who has the port of an Ingress that has no container; empty where nobody
// has.
func (t *target) portHeld() (obstacle, remedy string) {
	holders := t.portHolders(t.desired)
	if len(holders) == 0 || t.desired.Replicas > 0 {
		return "", ""
	}
	b := t.desired.Backend
	return fmt.Sprintf("host port %s is published by %s: it is held through updates once that has been replaced, when it closes for a moment",
			b.HostPort, strings.Join(holders, ", ")),
		fmt.Sprintf("`tend rollout restart %s` replaces it at a time of your choosing", b.Service)
}
