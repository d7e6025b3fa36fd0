package api

import (
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/go-chi/chi/v5"

	"github.com/tendhq/tend/controller"
	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/state"
)

// plan sends the actions and the status that the planner decides for a workload now.
func (s *server) plan(w http.ResponseWriter, r *http.Request) {
	name := chi.URLParam(r, "name")
	if _, ok := s.Store.Snapshot().Workload(name); !ok {
		fail(w, noWorkload(s.Store.Snapshot(), name))
		return
	}
	if err := s.Ready(); err != nil {
		fail(w, problem(http.StatusServiceUnavailable, "nothing is planned now: "+err.Error()))
		return
	}
	p, err := s.Controller.Plan(r.Context(), name)
	if errors.As(err, new(*controller.UnknownWorkloadError)) {
		err = noWorkload(s.Store.Snapshot(), name)
	}
	if err != nil {
		fail(w, err)
		return
	}
	out := Plan{TypeMeta: typeMeta(PlanKind), Metadata: Metadata{Name: name}, Actions: []Action{}, Status: toStatus(p.Status)}
	for _, a := range p.UnderWay {
		out.Actions = append(out.Actions, toAction(a, true))
	}
	for _, a := range p.Next {
		out.Actions = append(out.Actions, toAction(a, false))
	}
	writeJSON(w, out)
}

func toAction(a core.Action, underWay bool) Action {
	return Action{Action: string(a.Kind), Object: a.Object, Number: a.Number, Revision: a.Revision, Cause: a.Cause, UnderWay: underWay}
}

// kill has the engine kill a replica's process.
func (s *server) kill(w http.ResponseWriter, r *http.Request) {
	if err := readBody(w, r, maxBody, &struct{}{}); err != nil {
		fail(w, err)
		return
	}
	name, snap := chi.URLParam(r, "replica"), s.Store.Snapshot()
	for _, row := range snap.Replicas("") {
		if row.Name != name {
			continue
		}
		if _, kept := snap.Workload(row.Workload); !kept {
			fail(w, problem(http.StatusConflict, name+" is of no workload that is kept, and is left alone"))
			return
		}
		did := asked(r, "Killed", name)
		did.Workload = row.Workload
		if err := s.Controller.Kill(r.Context(), did, row.ID); err != nil {
			fail(w, engineProblem(err))
			return
		}
		writeJSON(w, toReplica(snap, row.Replica))
		return
	}
	fail(w, problem(http.StatusNotFound, fmt.Sprintf("there is no replica %q; GET /api/v1/replicas lists those that there are", name)))
}

// diffRevisions answers with how two revisions of a workload differ.
func diffRevisions(snap *state.Snapshot, r *http.Request) (any, error) {
	name := chi.URLParam(r, "name")
	if _, ok := snap.Workload(name); !ok {
		return nil, noWorkload(snap, name)
	}
	from, err := revisionOf(snap, name, r.URL.Query().Get("from"))
	if err != nil {
		return nil, err
	}
	to, err := revisionOf(snap, name, r.URL.Query().Get("to"))
	if err != nil {
		return nil, err
	}
	differences, err := spec.Differences(from.Spec, to.Spec)
	if err != nil {
		return nil, err
	}
	out := RevisionDiff{TypeMeta: typeMeta(RevisionDiffKind), Metadata: Metadata{Name: name}, From: from.Number, To: to.Number, Differences: []Difference{}}
	for _, d := range differences {
		out.Differences = append(out.Differences, Difference(d))
	}
	if len(differences) == 0 && from.Revision != to.Revision {
		out.Differences = append(out.Differences, Difference{Field: "content of secrets or configs, or a dependency's revision", Concealed: true})
	}
	return out, nil
}

// revisionOf returns the revision of a workload with a number.
func revisionOf(snap *state.Snapshot, workload, number string) (*state.Revision, error) {
	for _, row := range snap.Revisions(workload) {
		if fmt.Sprint(row.Number) == number {
			return row, nil
		}
	}
	if number == "" {
		return nil, problem(http.StatusBadRequest, "name two revisions by their numbers: ?from=1&to=2")
	}
	return nil, problem(http.StatusNotFound, fmt.Sprintf("there is no revision %q; GET …/revisions lists those that are remembered", number))
}

// listImages lists the images that the workloads need.
func listImages(snap *state.Snapshot, _ *http.Request) (any, error) {
	users := map[string][]string{}
	for _, row := range snap.Workloads() {
		images := append(row.Spec.Images(), row.Spec.Template.Image) // by its digest, and as it is written
		slices.Sort(images)
		for _, image := range slices.Compact(images) {
			users[image] = append(users[image], row.Name)
		}
	}
	var items []Image
	for _, row := range snap.Resources() {
		if row.Kind != core.ImageResource {
			continue
		}
		i := Image{TypeMeta: typeMeta(ImageKind), Metadata: Metadata{Name: row.Name}, Workloads: users[row.Name],
			Status: ImageStatus{Known: row.Known, Present: row.Present, ImageID: row.ID, Error: row.Attempt.Error}}
		i.Status.Digest, i.Status.Newest, i.Status.RegistryError = row.Digest, row.Newest, row.RegistryError
		i.Status.PullIntervalSeconds, i.Status.AskedAt = row.PullInterval.Seconds(), row.AskedAt.UTC()
		if i.Workloads == nil {
			i.Workloads = []string{}
		}
		items = append(items, i)
	}
	return NewList(items), nil
}

// subscribers lists those who follow the endpoints.
func (s *server) subscribers(w http.ResponseWriter, _ *http.Request) {
	var items []Subscriber
	for _, seen := range s.Controller.Subscribers() {
		items = append(items, Subscriber{
			TypeMeta: typeMeta(SubscriberKind), Metadata: Metadata{Name: seen.Name},
			Peer: seen.Peer, Index: seen.Index, ExpiresAt: seen.Expires.UTC(),
		})
	}
	writeJSON(w, NewList(items))
}
