package doctor

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/probe"
	"github.com/tendhq/tend/controller/spec"
)

// Answer is what a replica's health endpoint has answered.
type Answer struct {
	Workload, Replica string
	// Path is what was asked for.
	Path string
	// Err is what was wrong with the answer, and Unasked why there is none.
	Err, Unasked error
}

// call is a replica's health endpoint.
type call struct {
	workload  string
	container engine.Container
	probe     spec.Probe
}

// calls are the health endpoints of the running replicas, of workloads with a probe that
// is an httpGet.
func calls(p *spec.Project, containers []engine.Container) (all []call) {
	for _, w := range sorted(p.Workloads) {
		probes := []*spec.Probe{w.Probes.Readiness, w.Probes.Liveness, w.Probes.Startup}
		at := slices.IndexFunc(probes, func(p *spec.Probe) bool { return p != nil && p.HTTPGet != nil })
		if at < 0 {
			continue
		}
		for _, c := range running(containers, w.Name) {
			all = append(all, call{w.Name, c, *probes[at]})
		}
	}
	return all
}

// unasked is the answer of a replica that cannot be asked.
func (c call) unasked(why error) Answer {
	return Answer{Workload: c.workload, Replica: nameOf(c.container), Path: c.probe.HTTPGet.Path, Unasked: why}
}

// make asks a replica once, as the controller does.
func (c call) make(ctx context.Context) Answer {
	a := c.unasked(nil)
	target := probe.Target{ID: c.container.ID}
	for _, network := range slices.Sorted(maps.Keys(c.container.Networks)) {
		if target.Address == "" {
			target.Address = c.container.Networks[network]
		}
	}
	a.Err = probe.Once(ctx, c.probe, target, nil)
	return a
}

// Health tells how the services' own health endpoints answer.
func Health(answers []Answer) (all []Finding) {
	const check = "health"
	for _, a := range answers {
		object := a.Replica + " " + a.Path
		switch {
		case a.Unasked != nil:
			all = append(all, find(NotTried, check, object, cannotBeAsked("the replica", a.Unasked), ""))
		case a.Err != nil:
			all = append(all, find(Failure, check, object, a.Err.Error(), fmt.Sprintf("`tend logs %s`, `tend explain %s`", a.Workload, a.Workload)))
		default:
			all = append(all, find(OK, check, object, "answers", ""))
		}
	}
	return all
}
