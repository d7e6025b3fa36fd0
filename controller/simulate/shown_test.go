package simulate

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"

	"github.com/tendhq/tend/api"
	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/state"
)

// ends are the reasons of the events that tell of an action's end.
var ends = []string{
	"Created", "CreateFailed", "Restarted", "StartFailed", "Stopped", "StopFailed", "Removed", "RemoveFailed",
	"Updated", "UpdateFailed", "Prepared", "PrepareFailed", "Checked", "CheckFailed", "HookStarted", "HookNotStarted",
}

// shown checks that a workload's status agrees with its containers, where the controller
// knows them as they are, has planned with them, and has nothing under way; published is how
// many endpoints it has.
func (v *invariants) shown(row *state.Status, published int, snap *state.Snapshot, known rowsOf, are map[string][]*engine.Container) {
	written := v.w.of(row.Workload)
	if written.Workload == nil || written.Kind == spec.Job || v.underWay[row.Workload] > 0 {
		return
	}
	if of, ok := snap.Workload(row.Workload); !ok || row.ObservedGeneration != of.Generation {
		return
	}
	rollout, ok := snap.Rollout(row.Workload)
	if !ok || len(rollout.Drains) > 0 || !known.agree(are[row.Workload], row.Workload) {
		return
	}
	c, ok := v.count(row, written, snap, known.replicas[row.Workload], are[row.Workload])
	if !ok {
		return
	}
	said := func(what string, said, least, most int) {
		if said < least || said > most {
			v.w.fail("of %s %d replicas are said to be %s, and there are %d to %d", row.Workload, said, what, least, most)
		}
	}
	said("there", row.Replicas, c.alive, c.alive+c.ended)
	said("updated", row.Updated, c.updated, c.updated+c.endedUpdated)
	said("ready", row.Ready, c.ready, c.ready)
	said("available", row.Available, 0, c.ready+c.done)
	least := written.Replicas
	if written.Kind == spec.Ingress && (portHeld(written.Workload, are) || !knowsHolders(known, are, written.Backend.Service)) {
		least = 0
	}
	said("wanted", row.Desired, least, written.Replicas)
	said("unavailable", row.Unavailable, max(0, row.Desired-row.Available), max(0, row.Desired-row.Available))
	if rollout.Complete && written.MinReady == 0 {
		said("available", row.Available, c.ready, c.ready+c.done)
	}
	if row.UpdateRevision != written.Revision && v.givenUp[row.Workload] != written.Revision {
		if _, asked := snap.Intent(row.Workload); !asked {
			v.w.fail("%s is said to be kept at revision %s, and %s is written", row.Workload, row.UpdateRevision, written.Revision)
		}
	}
	if c.ready < c.alive && v.unseen(row, snap) {
		for _, r := range ask[api.List[api.Replica]](v.w, "/api/v1/workloads/"+row.Workload+"/replicas").Items {
			if is := held(snap, r.Status.ContainerID); r.Spec.Number > 0 && r.Status.Ready != is {
				v.w.fail("the API shows %s ready %t, and it is %t", r.Metadata.Name, r.Status.Ready, is)
			}
		}
	}
	if written.Kind != spec.Ingress && published != c.serving {
		v.w.fail("of %s %d endpoints are published, and %d replicas that have ports are ready", row.Workload, published, c.serving)
	}
}

// unseen reports whether what the API tells of a workload's replicas may be something
// else than when it was asked last.
func (v *invariants) unseen(row *state.Status, snap *state.Snapshot) bool {
	workload, _ := snap.Workload(row.Workload)
	rows := []any{row, workload}
	for _, r := range snap.Revisions(row.Workload) {
		rows = append(rows, r)
	}
	for _, r := range snap.Replicas(row.Workload) {
		probe, _ := snap.Probe(r.ID)
		rows = append(rows, r, probe)
	}
	same := slices.Equal(rows, v.asTold[row.Workload])
	v.asTold[row.Workload] = rows
	return !same
}

// hasPorts reports whether the revision of a container has ports: where nobody remembers it,
// the one that is said to be kept, or what is written.
func hasPorts(snap *state.Snapshot, written *spec.Workload, c engine.Container) bool {
	if made := c.Labels[spec.LabelRevision]; made != "" {
		if of, ok := snap.Revision(written.Name, made); ok {
			return len(of.Spec.Ports) > 0
		}
	} else {
		for _, of := range snap.Revisions(written.Name) {
			if of.Spec.ConfigHash == c.Labels[spec.LabelConfigHash] {
				return len(of.Spec.Ports) > 0
			}
		}
	}
	if row, ok := snap.Status(written.Name); ok {
		if kept, ok := snap.Revision(written.Name, row.UpdateRevision); ok {
			return len(kept.Spec.Ports) > 0
		}
	}
	return len(written.Ports) > 0
}

// counted are the containers of a workload: those that are alive, that are ready, that are
// ready and have ports, that have ended or not begun, and of both those of the revision that
// is said to be kept.
type counted struct{ alive, updated, ready, serving, ended, endedUpdated, done int }

// count counts containers; ok is false where two of them carry one number, somebody
// else is about to start one, or a probe has not been asked yet: that is waited for.
func (v *invariants) count(row *state.Status, written variant, snap *state.Snapshot, known []*state.Replica, are []*engine.Container) (n counted, ok bool) {
	var numbers []string
	newest := written.Revision == row.UpdateRevision && written.Kind != spec.Ingress
	image, _ := snap.Resource(core.ImageResource, written.Image)
	intent, asked := snap.Intent(row.Workload)
	for _, c := range are {
		number := c.Labels[spec.LabelContainerNumber]
		switch {
		case v.replicaOf(c) == "":
			continue
		case slices.Contains(numbers, number) || c.State == engine.Removing || c.State == engine.Created:
			return n, false
		}
		numbers = append(numbers, number)
		ready := false
		if i := slices.IndexFunc(known, func(r *state.Replica) bool { return r.ID == c.ID }); i >= 0 {
			var unasked bool
			if ready, unasked = judged(snap, known[i].Replica); unasked {
				return n, false
			}
		}
		from := c.Labels[spec.LabelImage]
		updated := revision(*c) == row.UpdateRevision && !(newest && image != nil && image.ID != "" && from != "" && from != image.ID) &&
			!(asked && c.Created.Before(intent.RestartedAt))
		switch {
		case alive(*c):
			n.alive++
			if updated {
				n.updated++
			}
			if ready {
				n.ready++
				if hasPorts(snap, written.Workload, *c) {
					n.serving++
				}
			}
		case c.State == engine.Exited:
			n.ended++
			if updated {
				n.endedUpdated++
			}
			if v.done(*c, written) || v.unheard[c.ID] && c.ExitCode == 0 {
				n.done++
			}
		}
	}
	return n, true
}

// ask gets an answer of the API, as it is served.
func ask[T any](w *world, path string) (answer T) {
	recorder := httptest.NewRecorder()
	w.api.ServeHTTP(recorder, httptest.NewRequestWithContext(w.life, http.MethodGet, "http://tend"+path, nil))
	if recorder.Code != http.StatusOK {
		w.fail("GET %s: %d %s", path, recorder.Code, recorder.Body)
	}
	must(json.Unmarshal(recorder.Body.Bytes(), &answer))
	return answer
}

// shownAtRest checks that the API tells of the containers as they are, once all is as
// it is written, and at rest.
func (w *world) shownAtRest() {
	snap := w.ctl.State().Snapshot()
	replicas, ready := map[string]string{}, map[string]int{}
	for _, c := range w.checks.truth() {
		workload, number := labelled(c.Labels), c.Labels[spec.LabelContainerNumber]
		if replicaOf(c) == "" && workload != sideService {
			continue
		}
		is := held(snap, c.ID)
		if is {
			ready[workload]++
		}
		replicas[c.ID] = fmt.Sprint(workload, " ", number, " ", c.Name, " ", c.State, " ready ", is)
	}
	shown := slices.DeleteFunc(ask[api.List[api.Replica]](w, "/api/v1/replicas").Items, func(r api.Replica) bool { return r.Spec.Number == 0 })
	for _, r := range shown {
		text := fmt.Sprint(r.Spec.Workload, " ", r.Spec.Number, " ", r.Metadata.Name, " ", r.Status.State, " ready ", r.Status.Ready)
		if is := replicas[r.Status.ContainerID]; is != text {
			w.fail("the API shows %q, and there is %q", text, is)
		}
	}
	if len(shown) != len(replicas) {
		w.fail("the API shows %d replicas, and there are %d", len(shown), len(replicas))
	}
	for _, s := range ask[api.List[api.Workload]](w, "/api/v1/workloads").Items {
		name := s.Metadata.Name
		if written := w.of(name); written.Kind != spec.Job && (s.Status.ReadyReplicas != ready[name] || s.Spec.Replicas != written.Replicas || s.Spec.Revision != written.Revision) {
			w.fail("the API shows %d of %d replicas of %s ready at %s, and there are %d of %d at %s", s.Status.ReadyReplicas, s.Spec.Replicas, name, s.Spec.Revision, ready[name], written.Replicas, written.Revision)
		}
	}
	if len(w.written) == 0 {
		return // then it is not known what is published
	}
	for name, endpoints := range ask[api.Endpoints](w, "/api/v1/endpoints").Workloads {
		if len(w.of(name).Ports) > 0 && len(endpoints) != ready[name] {
			w.fail("the API shows %d endpoints of %s, and %d replicas are ready", len(endpoints), name, ready[name])
		}
	}
}
