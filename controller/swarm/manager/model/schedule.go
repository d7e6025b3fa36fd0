package model

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/swarm"

	"github.com/tendhq/tend/controller/engine"
)

// filter is what a node must have for a task (swarmkit's manager/scheduler/filter.go).
type filter struct {
	passes func(*Swarm, *task, *node) bool
	// one and many explain that it did not, of one node and of several.
	one, many string
}

var filters = []filter{
	{func(_ *Swarm, _ *task, n *node) bool {
		return n.State == swarm.NodeStateReady && n.Availability == swarm.NodeAvailabilityActive
	}, "1 node not available for new tasks", "%d nodes not available for new tasks"},
	{(*Swarm).hasResources, "insufficient resources on 1 node", "insufficient resources on %d nodes"},
	{func(s *Swarm, t *task, n *node) bool { return s.fits(t.Spec.Placement, n) },
		"scheduling constraints not satisfied on 1 node", "scheduling constraints not satisfied on %d nodes"},
	{(*Swarm).hasPlatform, "unsupported platform on 1 node", "unsupported platform on %d nodes"},
	{(*Swarm).hasPorts, "host-mode port already in use on 1 node", "host-mode port already in use on %d nodes"},
	{(*Swarm).hasRoom, "max replicas per node limit exceed", "max replicas per node limit exceed"},
}

// schedule gives each task that waits for a node one, where there is one that will do.
func (s *Swarm) schedule() {
	if !s.quorum() {
		return
	}
	for _, t := range s.tasks {
		if t.State != swarm.TaskStatePending || rank[t.DesiredState] > rank[swarm.TaskStateComplete] {
			continue
		}
		message := "scheduler assigned task to node"
		if t.NodeID == "" {
			n, why := s.place(t, s.nodes)
			if n == nil {
				t.Err = "no suitable node (" + why + ")"
				continue
			}
			t.NodeID = n.ID
		} else if n := s.node(t.NodeID); n == nil {
			continue
		} else if n, why := s.place(t, []*node{n}); n == nil {
			t.Err = why
			continue
		} else {
			message = "scheduler confirmed task can run on preassigned node"
		}
		s.setState(t, swarm.TaskStateAssigned, message, "")
		s.agenda.After(step, func() { s.prepare(t) })
	}
}

// place is the one of some nodes with the fewest tasks of the service, and then the fewest of
// all; nil where none will do, with the reasons.
func (s *Swarm) place(t *task, nodes []*node) (best *node, why string) {
	failed := make([]int, len(filters))
	for _, n := range nodes {
		i := slices.IndexFunc(filters, func(f filter) bool { return !f.passes(s, t, n) })
		if i >= 0 {
			failed[i]++
			continue
		}
		if best == nil || s.load(t, n) < s.load(t, best) {
			best = n
		}
	}
	order := []int{0, 1, 2, 3, 4, 5}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(failed[b], failed[a]) })
	var reasons []string
	for _, i := range order {
		switch failed[i] {
		case 0:
		case 1:
			reasons = append(reasons, filters[i].one)
		default:
			reasons = append(reasons, strings.Replace(filters[i].many, "%d", fmt.Sprint(failed[i]), 1))
		}
	}
	return best, strings.Join(reasons, "; ")
}

// on are the tasks that a node has and that are not to end.
func (s *Swarm) on(n *node) (tasks []*task) {
	for _, t := range s.tasks {
		if t.NodeID == n.ID && rank[t.DesiredState] <= rank[swarm.TaskStateComplete] && t.given() && !t.ended() {
			tasks = append(tasks, t)
		}
	}
	return tasks
}

// load orders nodes by their tasks of a task's service, and then by all.
func (s *Swarm) load(t *task, n *node) int {
	const more = 1 << 20
	load := 0
	for _, other := range s.on(n) {
		load++
		if other.ServiceID == t.ServiceID {
			load += more
		}
	}
	return load
}

// hasResources counts what is reserved by tasks that have not ended.
func (s *Swarm) hasResources(t *task, n *node) bool {
	wanted := reserved(t)
	cpus, memory := n.NanoCPUs, n.Memory
	for _, other := range s.tasks {
		if other.NodeID == n.ID && other.given() && !other.ended() {
			cpus -= reserved(other).NanoCPUs
			memory -= reserved(other).MemoryBytes
		}
	}
	return (wanted.NanoCPUs == 0 || wanted.NanoCPUs <= cpus) && (wanted.MemoryBytes == 0 || wanted.MemoryBytes <= memory)
}

func reserved(t *task) swarm.Resources {
	if r := t.Spec.Resources; r != nil && r.Reservations != nil {
		return *r.Reservations
	}
	return swarm.Resources{}
}

func (s *Swarm) hasPlatform(t *task, n *node) bool {
	p := t.Spec.Placement
	return p == nil || len(p.Platforms) == 0 || slices.ContainsFunc(p.Platforms, func(p swarm.Platform) bool {
		return (p.OS == "" || p.OS == n.OS) && (p.Architecture == "" || goArch(p.Architecture) == goArch(n.Architecture))
	})
}

// goArch is an architecture in Go's words.
func goArch(kernel string) string {
	if word, ok := map[string]string{"x86_64": "amd64", "aarch64": "arm64"}[kernel]; ok {
		return word
	}
	return kernel
}

func (s *Swarm) hasPorts(t *task, n *node) bool {
	for _, other := range s.tasks {
		if other.NodeID != n.ID || !other.given() || other.ended() {
			continue
		}
		for _, p := range hostPorts(t) {
			if slices.Contains(hostPorts(other), p) {
				return false
			}
		}
	}
	return true
}

// hostPorts are the ports of its node that a task publishes.
func hostPorts(t *task) (ports []string) {
	if t.endpoint == nil {
		return nil
	}
	for _, p := range t.endpoint.Ports {
		if p.PublishMode == swarm.PortConfigPublishModeHost && p.PublishedPort != 0 {
			ports = append(ports, fmt.Sprint(p.PublishedPort, "/", cmp.Or(p.Protocol, swarm.PortConfigProtocolTCP)))
		}
	}
	return ports
}

// hasRoom keeps to the replicas that a node may have of a service.
func (s *Swarm) hasRoom(t *task, n *node) bool {
	if t.Spec.Placement == nil || t.Spec.Placement.MaxReplicas == 0 {
		return true
	}
	count := uint64(0)
	for _, other := range s.on(n) {
		if other.ServiceID == t.ServiceID {
			count++
		}
	}
	return count < t.Spec.Placement.MaxReplicas
}

// constraint is a condition on a node.
type constraint struct {
	key, value string
	not        bool
}

func parseConstraint(text string) (constraint, error) {
	for _, operator := range []string{"==", "!="} {
		if key, value, found := strings.Cut(text, operator); found {
			return constraint{strings.TrimSpace(key), strings.TrimSpace(value), operator == "!="}, nil
		}
	}
	return constraint{}, failure(engine.Invalid, "constraint expected one operator from ==, !=")
}

// fits reports whether a node is one that a placement allows.
func (s *Swarm) fits(p *swarm.Placement, n *node) bool {
	if n == nil {
		return false
	}
	if p == nil {
		return true
	}
	return !slices.ContainsFunc(p.Constraints, func(text string) bool {
		c, err := parseConstraint(text)
		return err != nil || strings.EqualFold(n.attribute(c.key), c.value) == c.not
	})
}

// attribute is what a constraint speaks of.
func (n *node) attribute(key string) string {
	switch {
	case strings.HasPrefix(key, "node.labels."):
		return n.Labels[strings.TrimPrefix(key, "node.labels.")]
	case strings.HasPrefix(key, "engine.labels."):
		return n.EngineLabels[strings.TrimPrefix(key, "engine.labels.")]
	}
	return map[string]string{
		"node.id": n.ID, "node.hostname": n.Hostname, "node.ip": n.Addr, "node.role": string(n.Role),
		"node.platform.os": n.OS, "node.platform.arch": n.Architecture,
	}[key]
}
