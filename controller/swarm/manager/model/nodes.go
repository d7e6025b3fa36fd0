package model

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/docker/docker/api/types/swarm"

	"github.com/tendhq/tend/controller/swarm/manager"
)

// node is a node.
type node struct {
	manager.Node
	// up: its engine and containers run. reached: the leader hears of it.
	up, reached bool
}

// works reports whether a node does what the leader tells it.
func (n *node) works() bool { return n != nil && n.up && n.reached }

// Info asks for the Swarm.
func (s *Swarm) Info(ctx context.Context) (info manager.Info, err error) {
	err = s.do(ctx, OpInfo, "model", func() error {
		info = manager.Info{Host: "model", SwarmID: "model"}
		for _, n := range s.nodes {
			if n.Role == swarm.NodeRoleManager {
				info.Managers++
				if n.works() {
					info.Reachable++
				}
			}
		}
		return nil
	})
	return info, err
}

// Nodes lists nodes.
func (s *Swarm) Nodes(ctx context.Context) (nodes []manager.Node, err error) {
	err = s.do(ctx, OpNodes, "", func() error {
		for _, n := range s.nodes {
			view := n.Node
			view.Labels, view.EngineLabels = maps.Clone(n.Labels), maps.Clone(n.EngineLabels)
			nodes = append(nodes, view)
		}
		return nil
	})
	return nodes, err
}

// quorum reports whether the managers have a leader.
func (s *Swarm) quorum() bool {
	managers, working := 0, 0
	for _, n := range s.nodes {
		if n.Role == swarm.NodeRoleManager {
			managers++
			if n.works() {
				working++
			}
		}
	}
	return working*2 > managers
}

// node finds one by its ID; nil where there is none.
func (s *Swarm) node(id string) *node {
	for _, n := range s.nodes {
		if n.ID == id {
			return n
		}
	}
	return nil
}

// AddNode has a node join, with two cores and 4 GB. It returns the node's ID.
func (s *Swarm) AddNode(hostname string, role swarm.NodeRole) (id string) {
	s.agenda.Lock()
	defer s.agenda.Unlock()
	n := &node{up: true, reached: true, Node: manager.Node{
		ID: s.newID(), Hostname: hostname, Addr: fmt.Sprintf("192.168.0.%d", len(s.nodes)+1), Role: role, State: swarm.NodeStateReady,
		Availability: swarm.NodeAvailabilityActive, OS: "linux", Architecture: "x86_64", EngineVersion: "model",
		NanoCPUs: 2e9, Memory: 4 << 30,
	}}
	s.nodes = append(s.nodes, n)
	s.lead()
	s.emit("node", "create", n.ID, hostname)
	s.reconcileNode(n)
	s.agenda.After(step, s.schedule)
	return n.ID
}

// RemoveNode has a node leave for good, with all that it ran.
func (s *Swarm) RemoveNode(hostname string) {
	s.with(hostname, func(n *node) {
		n.up = false
		s.nodes = slices.DeleteFunc(s.nodes, func(other *node) bool { return other == n })
		for _, t := range slices.Clone(s.tasks) {
			if t.NodeID != n.ID {
				continue
			}
			of := s.services[t.ServiceID]
			if of != nil && of.global() {
				s.forgetTask(t)
				continue
			}
			if of != nil && of.job() == nil && t.live() {
				s.restart(of, t)
			}
			s.setState(t, swarm.TaskStateOrphaned, t.Message, t.Err)
		}
	})
}

// lead makes the first manager that works the leader, where none leads, and reports
// whether it did.
func (s *Swarm) lead() (changed bool) {
	led := false
	for _, n := range s.nodes {
		if n.Role != swarm.NodeRoleManager {
			continue
		}
		n.Reachability = swarm.ReachabilityUnreachable
		if n.works() {
			n.Reachability = swarm.ReachabilityReachable
		}
		n.Leader = n.Leader && n.works() && s.quorum()
		led = led || n.Leader
	}
	for _, n := range s.nodes {
		if !led && s.quorum() && n.Role == swarm.NodeRoleManager && n.works() {
			n.Leader, led, changed = true, true, true
		}
	}
	return changed
}

// with changes a node, by its host name, and has the leader see to its tasks.
func (s *Swarm) with(hostname string, change func(*node)) {
	s.agenda.Lock()
	defer s.agenda.Unlock()
	i := slices.IndexFunc(s.nodes, func(n *node) bool { return n.Hostname == hostname })
	if i < 0 {
		panic("no node " + hostname)
	}
	n := s.nodes[i]
	change(n)
	changed := s.lead()
	s.emit("node", "update", n.ID, hostname)
	for _, of := range s.services {
		if changed && of.rollout != nil { // a new leader begins the rest of an update anew
			of.rollout.cancelled = true
			of.rollout = nil
		}
	}
	s.resume()
	s.reconcileNode(n)
	for _, of := range sorted(s.services) {
		switch {
		case !changed:
		case of.job() != nil:
			s.reconcileJob(of)
		case of.global():
			s.reconcile(of)
		}
	}
	for _, n := range s.nodes { // the next leader hears of each anew
		if changed && n.works() {
			s.reconcileNode(n)
		}
	}
}

// LabelNode gives a node a label.
func (s *Swarm) LabelNode(hostname, label, value string) {
	s.with(hostname, func(n *node) {
		n.Labels = maps.Clone(n.Labels)
		if n.Labels == nil {
			n.Labels = map[string]string{}
		}
		n.Labels[label] = value
	})
}

// SetAvailability activates, pauses or drains a node.
func (s *Swarm) SetAvailability(hostname string, to swarm.NodeAvailability) {
	s.with(hostname, func(n *node) { n.Availability = to })
}

// downAfter is how long the leader waits for a node before it takes it for down: three of
// its heartbeats.
const downAfter = 15 * time.Second

// StopNode ends a node, and its containers with it.
func (s *Swarm) StopNode(hostname string) {
	s.with(hostname, func(n *node) {
		n.up = false
		for _, t := range s.tasks {
			if t.NodeID == n.ID && !t.ended() && rank[t.State] >= rank[swarm.TaskStateStarting] {
				t.lost = true
			}
		}
		s.agenda.After(downAfter, func() { s.missed(n) })
	})
}

// StartNode starts a node that was stopped, without its containers.
func (s *Swarm) StartNode(hostname string) { s.with(hostname, func(n *node) { n.up = true }) }

// CutNode cuts a node off from the others: its containers go on.
func (s *Swarm) CutNode(hostname string) {
	s.with(hostname, func(n *node) {
		n.reached = false
		s.agenda.After(downAfter, func() { s.missed(n) })
	})
}

// HealNode undoes CutNode.
func (s *Swarm) HealNode(hostname string) { s.with(hostname, func(n *node) { n.reached = true }) }

// missed is the leader's noticing that it hears nothing of a node.
func (s *Swarm) missed(n *node) {
	if n.works() || n.State == swarm.NodeStateDown || !s.quorum() {
		return
	}
	n.State, n.StateMessage = swarm.NodeStateDown, "heartbeat failure"
	s.emit("node", "update", n.ID, n.Hostname)
	for _, t := range s.tasks {
		if t.NodeID == n.ID {
			s.release(t)
		}
	}
	s.resume()
	s.reconcileNode(n)
}

// resume is what a leader does that looks at all. It does not look at jobs: their tasks are
// given to no other node than the one that was lost or drained.
func (s *Swarm) resume() {
	if !s.quorum() {
		return
	}
	for _, n := range s.nodes {
		if n.works() && n.State != swarm.NodeStateReady {
			n.State, n.StateMessage = swarm.NodeStateReady, ""
			s.emit("node", "update", n.ID, n.Hostname)
			s.reconcileNode(n)
		} else if !n.works() && n.State == swarm.NodeStateReady {
			s.agenda.After(downAfter, func() { s.missed(n) })
		}
	}
	for _, t := range slices.Clone(s.tasks) {
		s.look(t)
	}
	for _, of := range sorted(s.services) {
		if of.job() == nil && !of.global() {
			s.reconcile(of)
		}
	}
	s.agenda.After(step, s.schedule)
}

// look sees to a task whose node, or whose leader, is another than it was.
func (s *Swarm) look(t *task) {
	n, of := s.node(t.NodeID), s.services[t.ServiceID]
	if n.works() {
		switch {
		case t.lost && !t.ended() && rank[t.DesiredState] <= rank[swarm.TaskStateComplete]:
			t.ExitCode = codeKilled
			s.setState(t, swarm.TaskStateFailed, "started", fmt.Sprintf("task: non-zero exit (%d)", codeKilled))
		case rank[t.DesiredState] > rank[swarm.TaskStateComplete]:
			s.shutDown(t)
		default:
			s.prepare(t)
			s.start(t)
		}
	}
	gone := n != nil && !n.takes() && (of == nil || !of.global())
	if of != nil && of.job() == nil && t.live() && (gone || t.ended()) {
		s.restart(of, t)
	}
}
