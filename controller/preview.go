package controller

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/plan"
	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/state"
	"github.com/tendhq/tend/state/durable"
)

// Difference is one difference between what runs and what is written.
type Difference struct {
	// Workload is empty for a network, volume or image.
	Workload string
	// Text names the difference, for a person.
	Text string
	// Left is true where tend leaves it as it is.
	Left bool
	// Fields are those in which the containers differ from what is written, where it is
	// remembered what they were made from.
	Fields []spec.Difference
}

// Preview lists the engine and returns how it differs from a project, without changing
// anything. remembered is what an earlier controller kept: of it, the revisions tell what
// the containers were made from. The controller must not be running.
func (c *Controller) Preview(ctx context.Context, p *spec.Project, remembered []durable.Row) ([]Difference, error) {
	revisions := slices.DeleteFunc(slices.Clone(remembered), func(row durable.Row) bool { return row.Table != state.Revisions })
	if err := c.store.Restore(revisions); err != nil {
		return nil, err
	}
	r := c.newReconciler()
	r.setProject(p, time.Now())
	if err := c.observer.Relist(ctx); err != nil {
		return nil, err
	}
	c.presumeReady()
	r.pinAnew(time.Now())
	snap := c.store.Snapshot()
	var all []Difference
	for _, row := range snap.Resources() {
		if !row.Present {
			all = append(all, Difference{Text: row.String() + ": is missing"})
		}
		if text := plan.Diverged(row.Resource); text != "" {
			all = append(all, Difference{Text: text})
		}
	}
	keys := map[string]bool{}
	for _, row := range snap.Workloads() {
		keys[row.Name] = true
	}
	for _, row := range snap.Replicas("") {
		keys[row.Workload] = true
	}
	for _, row := range snap.Foreigners() {
		keys[row.Workload] = true
	}
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		if !r.managed(key) {
			continue
		}
		in := r.input(snap, key, time.Now())
		p := plan.Compute(in)
		if in.Spec == nil && p.Status.Converged {
			all = append(all, Difference{Workload: key, Text: p.Status.Obstacle, Left: true})
			continue
		}
		found, err := differences(in, p)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

// presumeReady writes down that what runs is ready, as nobody has asked it: whether it is
// is no difference from what is written.
func (c *Controller) presumeReady() {
	c.store.Update(func(tx *state.Tx) {
		for _, r := range tx.Replicas("") {
			tx.PutProbe(&state.Probe{ID: r.ID, Workload: r.Workload, Probe: core.Probe{
				StartedAt: r.StartedAt, Started: true, Ready: true, Live: true, WasReady: true, Since: r.StartedAt,
			}})
		}
	})
}

// differences describes how a workload differs from its spec, for a person.
func differences(in plan.Input, p plan.Plan) (all []Difference, err error) {
	add := func(format string, args ...any) {
		all = append(all, Difference{Workload: in.Workload, Text: fmt.Sprintf(format, args...)})
	}
	s := p.Status
	switch {
	case in.Spec == nil:
		add("%d containers run and none is written", len(in.Replicas))
		return all, nil
	case s.Converged:
		if in.Spec.Kind == spec.Ingress && s.Obstacle != "" {
			add("%s; %s", s.Obstacle, s.Remedy)
		}
		return all, nil
	case len(in.Foreigners) > 0:
		for _, f := range in.Foreigners {
			add("%s", plan.ForeignProblem(f))
		}
		return all, nil
	case in.Spec.Kind == spec.Job:
		add("has to run at revision %s", short(in.Spec.Revision))
		return all, nil
	}
	if s.Replicas != s.Desired {
		add("replicas: %d → %d", s.Replicas, s.Desired)
	}
	if old := s.Replicas - s.Updated; old > 0 {
		wanted := short(in.Spec.Revision)
		if slices.ContainsFunc(in.Replicas, func(r core.Replica) bool { return in.ImageID != "" && r.ImageID != "" && r.ImageID != in.ImageID }) {
			wanted += " with the image that " + in.Spec.Image + " is now"
		}
		add("revision: %d of %d replicas are not at %s", old, s.Replicas, wanted)
		if all[len(all)-1].Fields, err = changed(in); err != nil {
			return nil, err
		}
	}
	for _, a := range p.Actions {
		if a.Kind == core.UpdateReplica || a.Kind == core.ConnectReplica {
			add("%s", a.Cause)
		}
	}
	if len(all) == 0 {
		add("%s", s.Obstacle)
	}
	return all, nil
}

// changed are the fields in which the containers of a workload differ from its spec. Where
// it is not remembered what a container was made from, the image alone is known.
func changed(in plan.Input) (fields []spec.Difference, err error) {
	seen := map[string]bool{in.Spec.Revision: true}
	for _, r := range in.Replicas {
		if seen[r.Revision] {
			continue
		}
		seen[r.Revision] = true
		found := []spec.Difference{{Field: "image", From: r.Image, To: in.Spec.Image}}
		if former := in.History[r.Revision]; former != nil {
			if found, err = spec.Differences(former, in.Spec); err != nil {
				return nil, err
			}
		}
		for _, d := range found {
			if d.Concealed || d.From != d.To {
				fields = append(fields, d)
			}
		}
	}
	return fields, nil
}

func short(revision string) string { return revision[:min(8, len(revision))] }
