package controller

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/state"
)

// setProject puts a new desired state in force.
func (r *reconciler) setProject(p *spec.Project, now time.Time) {
	var changes []core.Event
	r.project = p
	r.dependents, r.autoscaled = map[string][]string{}, nil
	for name, w := range p.Workloads {
		for _, d := range w.DependsOn {
			r.dependents[d.Name] = append(r.dependents[d.Name], name)
		}
		if w.Autoscaled() {
			r.autoscaled = append(r.autoscaled, name)
		}
		if w.Kind == spec.Ingress && !slices.Contains(r.ingressesOf[w.Backend.Service], name) {
			r.ingressesOf[w.Backend.Service] = append(r.ingressesOf[w.Backend.Service], name)
		}
	}
	slices.Sort(r.autoscaled)
	r.store.Update(func(tx *state.Tx) {
		changes = PutWorkloads(tx, p, now)
		r.setResources(tx, p)
	})
	for name := range p.Workloads {
		r.metrics.begin(name)
	}
	for _, e := range changes {
		r.event(e, now)
	}
	r.mark(slices.Collect(maps.Keys(r.restored))...)
}

// PutWorkloads writes a new desired state down, with the history of the revisions, and
// returns the events of what has changed.
func PutWorkloads(tx *state.Tx, p *spec.Project, now time.Time) (changes []core.Event) {
	for _, row := range tx.Workloads() {
		if _, ok := p.Workloads[row.Name]; !ok {
			tx.DeleteWorkload(row.Name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.Workloads)) {
		w, found := pinned(tx, p.Workloads[name])
		before, generation := lastWritten(tx, name)
		for _, row := range tx.Revisions(name) {
			if !p.Policy.Allows(row.Spec) { // it was allowed by an earlier policy: nothing goes back to it
				tx.DeleteRevision(name, row.Revision)
			}
		}
		if !w.Autoscaled() {
			tx.DeleteScale(name)
		}
		changed := before == nil || !state.SameSpec(before, w)
		if _, ok := tx.Workload(name); ok && !changed {
			continue
		}
		if changed {
			generation++
		}
		next := &state.Workload{Name: name, Generation: generation, Spec: w}
		tx.PutWorkload(next)
		if found {
			remember(tx, next, now)
		}
		if row, ok := tx.Intent(name); ok && row.Intent != row.After(w.Revision) {
			tx.PutIntent(&state.Intent{Workload: name, Intent: row.After(w.Revision)})
		}
		if changed && before != nil {
			changes = append(changes, specChanged(before, next))
		}
	}
	return changes
}

// pinned returns a workload at the digest that its image's name stands for here; found is
// false while that has not been looked up, and it has never been known.
func pinned(tx *state.Tx, w *spec.Workload) (at *spec.Workload, found bool) {
	if !w.Pinned() {
		return w, true
	}
	digest := ""
	row, needed := tx.Resource(core.ImageResource, w.Image)
	if needed {
		digest = row.Digest
	}
	if last, _ := lastWritten(tx, w.Name); digest == "" && last != nil && last.Template.Image == w.Template.Image {
		_, digest, _ = strings.Cut(last.Image, "@")
	}
	if digest == "" {
		return w, needed && row.Known
	}
	return w.WithDigest(digest), true
}

// pinAnew puts the desired state in force once more where an image's name has come to
// stand for another digest.
func (r *reconciler) pinAnew(now time.Time) {
	snap := r.store.Snapshot()
	for name, w := range r.project.Workloads {
		if !w.Pinned() {
			continue
		}
		image, _ := snap.Resource(core.ImageResource, w.Image)
		row, written := snap.Workload(name)
		if image != nil && written && image.Digest != "" && row.Spec.Revision != w.WithDigest(image.Digest).Revision {
			r.setProject(r.project, now)
			return
		}
	}
}

// lastWritten returns the last spec of a workload, also from before a restart; nil
// where there was none.
func lastWritten(tx *state.Tx, name string) (w *spec.Workload, generation int64) {
	if row, ok := tx.Workload(name); ok {
		return row.Spec, row.Generation
	}
	if history := tx.Revisions(name); len(history) > 0 {
		last := history[len(history)-1]
		return last.Spec, last.Generation
	}
	return nil, 0
}

// remember keeps a revision in the workload's history, and forgets the oldest ones beyond
// the limit, except the one that a rollout may go back to and those that containers were
// made from: their ports and networks are needed as long as they exist.
func remember(tx *state.Tx, row *state.Workload, now time.Time) {
	w := row.Spec
	history := tx.Revisions(w.Name)
	number := 1
	if n := len(history); n > 0 {
		last := history[n-1]
		number = last.Number + 1
		if last.Revision == w.Revision {
			number, now = last.Number, last.At // only its policy has changed
		}
	}
	tx.PutRevision(&state.Revision{Workload: w.Name, Revision: w.Revision, Number: number, Generation: row.Generation, Spec: w, At: now})

	rollout, _ := tx.Rollout(w.Name)
	replicas := tx.Replicas(w.Name)
	history = slices.DeleteFunc(tx.Revisions(w.Name), func(r *state.Revision) bool {
		used := slices.ContainsFunc(replicas, func(c *state.Replica) bool { return c.Revision == r.Revision })
		return used || r.Revision == w.Revision || rollout != nil && r.Revision == rollout.Stable
	})
	for _, r := range history[:max(len(history)-w.RevisionHistoryLimit, 0)] {
		tx.DeleteRevision(w.Name, r.Revision)
	}
}

// setResources writes down which networks, volumes and images are needed.
func (r *reconciler) setResources(tx *state.Tx, p *spec.Project) {
	needed := map[string]core.Resource{}
	add := func(res core.Resource) { needed[res.String()] = res }
	for _, n := range p.Networks {
		add(core.Resource{Kind: core.NetworkResource, Name: n.Name, External: n.External, ConfigHash: n.ConfigHash})
	}
	for _, v := range p.Volumes {
		add(core.Resource{Kind: core.VolumeResource, Name: v.Name, External: v.External, ConfigHash: v.ConfigHash})
	}
	for _, w := range p.Workloads {
		images := w.Images()
		if row, ok := tx.Workload(w.Name); ok {
			images = append(images, row.Spec.Images()...) // the same, or by its digest
		}
		for _, image := range images {
			res := core.Resource{Kind: core.ImageResource, Name: image, NoPull: w.PullPolicy == types.PullPolicyNever && w.Build == nil, Made: w.Kind == spec.Ingress, Built: w.Build != nil && image == w.Image}
			if image == w.Image && w.PullPolicy == types.PullPolicyAlways {
				res.PullAfter = r.started
			}
			if image == w.Image {
				res.PullInterval = w.PullInterval
			}
			if other, ok := needed[res.String()]; ok { // of another service
				res.NoPull, res.Built = res.NoPull && other.NoPull, res.Built || other.Built
				res.PullAfter = later(res.PullAfter, other.PullAfter)
				if res.PullInterval == 0 || other.PullInterval > 0 && other.PullInterval < res.PullInterval {
					res.PullInterval = other.PullInterval
				}
			}
			add(res)
		}
	}
	pull := map[string]bool{} // by the image of a former revision
	for name := range p.Workloads {
		for _, old := range former(&tx.Snapshot, name) {
			for _, image := range old.Images() {
				pull[image] = pull[image] || old.PullPolicy != types.PullPolicyNever && old.Build == nil
			}
		}
	}
	for image := range pull {
		if res := (core.Resource{Kind: core.ImageResource, Name: image, NoPull: !pull[image]}); needed[res.String()] == (core.Resource{}) {
			add(res)
		}
	}
	for _, row := range tx.Resources() {
		if _, ok := needed[row.String()]; !ok {
			tx.DeleteResource(row.Kind, row.Name)
		}
	}
	for _, res := range needed {
		if row, ok := tx.Resource(res.Kind, res.Name); ok {
			next := row.Resource
			next.External, next.NoPull, next.Made, next.Built, next.ConfigHash = res.External, res.NoPull, res.Made, res.Built, res.ConfigHash
			next.PullAfter, next.PullInterval = res.PullAfter, res.PullInterval
			if res = next; res == row.Resource {
				continue
			}
		}
		tx.PutResource(res)
		r.unsure = r.unsure || !res.Known
		r.mark(projectKey)
	}
}

// former are the specs other than the written one that containers of a workload may be made
// from now: of the revision that its rollout leads to, of the one that worked last, and of
// the one that a person wants back. Of theirs only the images are looked after, as they may
// have been pruned. The image of an ingress is made, and that of an earlier release cannot be.
func former(snap *state.Snapshot, workload string) (specs []*spec.Workload) {
	row, ok := snap.Workload(workload)
	if !ok || row.Spec.Kind == spec.Ingress {
		return nil
	}
	var revisions []string
	if rollout, ok := snap.Rollout(workload); ok {
		revisions = append(revisions, rollout.Revision, rollout.Stable)
	}
	if intent, ok := snap.Intent(workload); ok {
		revisions = append(revisions, intent.After(row.Spec.Revision).Undo)
	}
	slices.Sort(revisions)
	for _, revision := range slices.Compact(revisions) {
		if old, ok := snap.Revision(workload, revision); ok && revision != row.Spec.Revision {
			specs = append(specs, old.Spec)
		}
	}
	return specs
}

// needFormer has the images of former revisions looked after that have come to be needed.
func (r *reconciler) needFormer(snap *state.Snapshot, workload string) *state.Snapshot {
	for _, old := range former(snap, workload) {
		for _, image := range old.Images() {
			if _, needed := snap.Resource(core.ImageResource, image); !needed {
				r.store.Update(func(tx *state.Tx) { r.setResources(tx, r.project) })
				return r.store.Snapshot()
			}
		}
	}
	return snap
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
