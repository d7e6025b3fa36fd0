package services

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/swarm"

	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/controller/swarm/convert"
	"github.com/tendhq/tend/controller/swarm/manager"
)

// node returns the node that the desired workload is pinned to, as that has its volumes;
// empty where it has none. It returns a wait where that node cannot run tasks.
func (s *steps) node() (id string, waits *wait) {
	local := convert.LocalVolumes(s.Project, s.desired)
	if len(local) == 0 || s.desired.Global != nil { // each node has its own
		return "", nil
	}
	holder := convert.PinOf(convert.Constraints(s.desired)) // a person says where the data are
	if s.Service != nil {
		holder = cmp.Or(holder, convert.PinnedTo(s.Service.Spec))
	}
	holder = cmp.Or(holder, s.record.Swarm.Node)
	for _, volume := range local {
		holder = cmp.Or(holder, s.Held[volume])
	}
	if holder == "" {
		chosen := s.choosable()
		if len(chosen) == 0 {
			return "", &wait{message: "waiting for a node that may have its volumes: none is ready, active and as placement.constraints say", remedy: "see docker node ls"}
		}
		holder = slices.MinFunc(chosen, func(a, b manager.Node) int {
			return cmp.Or(cmp.Compare(s.Load[a.ID], s.Load[b.ID]), cmp.Compare(a.Hostname, b.Hostname), cmp.Compare(a.ID, b.ID))
		}).ID
	}
	s.record.Swarm.Node = holder
	n, known := s.nodes[holder]
	volumes := strings.Join(local, ", ")
	switch {
	case !known:
		return "", &wait{message: fmt.Sprintf("waiting for the node %s, which has %s and is no longer in the Swarm: an empty volume on another node would not have the data", holder, volumes),
			remedy: "bring the node back; or bring the data to another one, and write node.id==ID of that one in deploy.placement.constraints"}
	case !n.There():
		return "", &wait{message: fmt.Sprintf("waiting for the node %s, which has %s and is %s", n.Hostname, volumes, n.State), remedy: "bring the node back"}
	}
	return holder, nil
}

// choosable are the nodes that may get new volumes.
func (s *steps) choosable() (all []manager.Node) {
	for _, n := range s.Nodes {
		if n.State == swarm.NodeStateReady && eligible(n, s.desired) {
			all = append(all, n)
		}
	}
	return all
}

// eligible reports whether a node that is there may get tasks of a workload.
func eligible(n manager.Node, w *spec.Workload) bool {
	return n.Availability == swarm.NodeAvailabilityActive && Fits(n, w)
}

// Fits reports whether a node is as the placement.constraints and the platform of a workload
// say.
func Fits(n manager.Node, w *spec.Workload) bool {
	is := func(p swarm.Platform) bool {
		return p.OS == n.OS && architecture(p.Architecture) == architecture(n.Architecture)
	}
	platforms := convert.Platforms(w)
	return (len(platforms) == 0 || slices.ContainsFunc(platforms, is)) &&
		!slices.ContainsFunc(convert.Constraints(w), func(c string) bool { return !satisfies(n, c) })
}

// architecture is an architecture in the words of images, also where the kernel has another.
func architecture(name string) string {
	switch name {
	case "x86_64":
		return "amd64"
	case "aarch64":
		return "arm64"
	default:
		return name
	}
}

// satisfies reports whether a node is as a placement constraint says: a key, == or !=, and a
// value, which Swarm compares without case.
func satisfies(n manager.Node, constraint string) bool {
	key, value, equal := strings.Cut(constraint, "==")
	if !equal {
		var differs bool
		if key, value, differs = strings.Cut(constraint, "!="); !differs {
			return false // Swarm refuses it
		}
	}
	key, value = strings.TrimSpace(key), strings.TrimSpace(value)
	has := map[string]string{
		"node.id": n.ID, "node.hostname": n.Hostname, "node.role": string(n.Role), "node.ip": n.Addr,
		"node.platform.os": n.OS, "node.platform.arch": n.Architecture,
	}[key]
	if label, ok := strings.CutPrefix(key, "node.labels."); ok {
		has = n.Labels[label]
	}
	if label, ok := strings.CutPrefix(key, "engine.labels."); ok {
		has = n.EngineLabels[label]
	}
	return strings.EqualFold(has, value) == equal
}
