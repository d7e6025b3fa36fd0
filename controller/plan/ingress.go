package plan

import (
	"fmt"
	"maps"
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

// followNetworks has an ingress that runs join the networks of its service, and leave those
// in which no container of the service is left. So its port stays open while they change.
func (s *steps) followNetworks() {
	if s.desired.Kind != spec.Ingress {
		return
	}
	for _, r := range s.replicas {
		if r.State != core.Running || !r.current {
			continue
		}
		connect, disconnect := s.moves(r.Replica)
		if missing := s.cannotBeMade(); missing != nil && len(connect) < len(unjoined(r.Replica, s.desired)) {
			s.waitFor(*missing)
		}
		var moves []string
		if len(connect) > 0 {
			moves = append(moves, "joins "+strings.Join(connect, ", "))
		}
		if len(disconnect) > 0 {
			moves = append(moves, "leaves "+strings.Join(disconnect, ", "))
		}
		if len(moves) > 0 {
			s.add(core.ConnectReplica, r.Replica, "%s %s as %s does", r.Name, strings.Join(moves, " and "), s.desired.Backend.Service)
		}
	}
}

// moves returns the networks that an ingress is to join and to leave. It stays in the one
// that it publishes its port on.
func (s *steps) moves(r core.Replica) (connect, disconnect []string) {
	connect = slices.DeleteFunc(unjoined(r, s.desired), func(n string) bool { return s.Networks[n] == "" }) // it is on its way
	needed := func(network string) bool {
		return network == r.Publishing || slices.Contains(s.desired.Networks, network) || slices.ContainsFunc(s.Neighbours, func(n core.Replica) bool {
			_, joined := n.Addresses[network]
			return joined && n.Workload == s.desired.Backend.Service
		})
	}
	for _, n := range slices.Sorted(maps.Keys(r.Addresses)) {
		if !needed(n) {
			disconnect = append(disconnect, n)
		}
	}
	return connect, disconnect
}

// unjoined are the networks of a spec that a container is not in.
func unjoined(r core.Replica, s *spec.Workload) []string {
	return slices.DeleteFunc(slices.Clone(s.Networks), func(n string) bool {
		_, joined := r.Addresses[n]
		return joined
	})
}
