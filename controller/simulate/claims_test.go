package simulate

import (
	"slices"
	"strings"
	"time"

	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/engine/model"
	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/state"
)

// follow notes which endpoints were withdrawn.
func (v *invariants) follow(snap *state.Snapshot) {
	index := snap.EndpointsIndex()
	if index == v.index {
		return
	}
	v.index = index
	now := map[string]bool{}
	for _, e := range snap.Endpoints("") {
		_, remembered := snap.Revision(e.Workload, e.Revision)
		now[e.ID], v.guessed[e.ID] = true, !remembered
		delete(v.withdrawn, e.ID)
	}
	for id := range v.published {
		if !now[id] {
			v.withdrawn[id] = withdrawal{at: time.Now(), index: index}
		}
	}
	v.published = now
}

// lookedAt returns the containers whose logs the controller is reading. It stores the
// state of such a container only after its logs.
func (v *invariants) lookedAt() map[string]bool {
	all := map[string]bool{}
	for _, c := range v.w.gate.waiting() {
		if c.op == model.OpLogs {
			all[c.object] = true
		}
	}
	return all
}

// claims checks that the controller says nothing that it was not told.
func (v *invariants) claims(snap *state.Snapshot, truth []engine.Container) {
	v.prune(snap)
	are := byWorkload(truth)
	looking := v.lookedAt()
	published := map[string]int{}
	for _, e := range snap.Endpoints("") {
		published[e.Workload]++
		// What is written may say which networks a container of a forgotten revision has lost.
		if !looking[e.ID] && !v.awaitsProbe(e, snap) && !slices.ContainsFunc(v.views[e.ID], func(c view) bool { return c.ready(snap) }) {
			v.w.fail("the endpoint of %s is published, and nobody said that it is ready", e.Replica)
		}
		v.probed(e, snap)
	}
	ready, updated := map[string]int{}, map[string]int{}
	for id, views := range v.views {
		workload := views[0].workload
		written := v.w.of(workload).Workload
		if looking[id] || slices.ContainsFunc(views, func(c view) bool { return c.ready(snap) }) {
			ready[workload]++
		}
		if written != nil && slices.ContainsFunc(views, func(c view) bool { return c.revision == written.Revision && (c.exited || looking[id] || c.ready(snap)) }) {
			updated[workload]++
		}
	}
	known := rowsIn(snap)
	for _, row := range known.all {
		if row.Kind == spec.Ingress {
			continue
		}
		if p, ok := snap.Probe(row.ID); ok && p.WasReady && !(p.Ready && p.Live) && v.failed[row.ID].Before(p.StartedAt) {
			v.w.fail("%s is held for unready, and none of its probes has failed", row.Name)
		}
	}
	for _, name := range v.w.names {
		if v.intended[name] {
			continue
		}
		if _, ok := snap.Intent(name); ok {
			v.w.fail("what was asked of %s outlasts its being taken out of the project", name)
		}
	}
	certain := len(v.lies) == 0 && !v.looking() && len(snap.Foreigners()) == 0
	for _, row := range snap.Statuses() {
		for _, condition := range row.Conditions {
			if strings.Contains(condition.Message, canary) {
				v.w.fail("a secret is in the status of %s: %s", row.Workload, condition.Message)
			}
		}
		v.counts(row, snap, ready[row.Workload], updated[row.Workload])
		if certain {
			v.shown(row, published[row.Workload], snap, known, are)
		}
	}
}

// counts checks that a status counts no more replicas than were seen: ready ones,
// and ready or, as a Job's, exited ones of the revision that is written.
func (v *invariants) counts(row *state.Status, snap *state.Snapshot, ready, updated int) {
	written := v.w.of(row.Workload).Workload
	if written != nil && written.Kind == spec.Ingress && row.Desired == 0 {
		return // somebody else has the port
	}
	if written == nil || written.Kind == spec.Job || row.Ready <= ready && (!row.Converged || updated >= written.Replicas) {
		return
	}
	w, ok := snap.Workload(row.Workload)
	if ok && row.ObservedGeneration != w.Generation {
		return // it is planned when the probes that are written now have been answered
	}
	if row.Ready > ready {
		v.w.fail("%d replicas of %s are said to be ready, and %d were seen", row.Ready, row.Workload, ready)
	}
	if !ok || !row.Converged {
		return
	}
	if _, asked := snap.Intent(row.Workload); !asked && updated < written.Replicas {
		v.w.fail("%s is said to be converged, and %d of its %d replicas were seen", row.Workload, updated, written.Replicas)
	}
}

// hasProbe returns the row of a replica of the written revision that has a readiness probe.
func (v *invariants) hasProbe(e *state.Endpoint, snap *state.Snapshot) (*state.Replica, bool) {
	written := v.w.written[e.Workload]
	if written.Workload == nil || written.Probes.Readiness == nil {
		return nil, false
	}
	row, ok := snap.Replica(e.ID)
	return row, ok && row.Revision == written.Revision
}

// awaitsProbe reports whether a replica was published when its probe was written, and has not
// answered one since.
func (v *invariants) awaitsProbe(e *state.Endpoint, snap *state.Snapshot) bool {
	if _, has := v.hasProbe(e, snap); !has || !v.serving[e.ID] {
		return false
	}
	_, answered := snap.Probe(e.ID)
	return !answered
}

// probed checks that a replica with a readiness probe is published only when the
// probe has passed in this run of the container, or while its first answer is awaited.
func (v *invariants) probed(e *state.Endpoint, snap *state.Snapshot) {
	if row, has := v.hasProbe(e, snap); has && !v.awaitsProbe(e, snap) && v.passed[e.ID].Before(row.StartedAt) {
		v.w.fail("the endpoint of %s is published, and its probe has not passed since it started", e.Replica)
	}
}
