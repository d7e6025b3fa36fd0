package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/tendhq/tend/controller"
	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/ingresses"
	"github.com/tendhq/tend/controller/logs"
	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/controller/spec/edit"
	"github.com/tendhq/tend/ingress"
	"github.com/tendhq/tend/state"
)

// Controller carries out the requests.
type Controller interface {
	// Asked reports a change that somebody asked for and that is made already.
	Asked(asked core.Event)
	// Intend changes what people ask of the workload that asked names, and reports
	// asked where that changes something; it is a *controller.UnknownWorkloadError
	// where there is none.
	Intend(ctx context.Context, asked core.Event, change func(*core.Intent, *state.Snapshot) error) error
	// Subscribed notes that a subscriber has the endpoints of an index in force.
	// disconnected is to be called when the connection breaks before the answer. The
	// error is controller.ErrTooManyNames.
	Subscribed(who controller.Subscriber, index uint64) (disconnected func(), err error)
	// Subscribers lists those who follow the endpoints.
	Subscribers() []controller.Sighting
	// Carried notes what a subscriber says that it has carried since its start, by
	// workload.
	Carried(who controller.Subscriber, counted map[string]ingress.Counters)
	// Traffic returns what was counted in the last fifteen minutes: by each ingress, under
	// its name, and by the subscribers for a workload, under the name of that.
	Traffic() map[string][]ingresses.Sample
	// Plan plans a workload and carries nothing out; it is a
	// *controller.UnknownWorkloadError where there is none.
	Plan(ctx context.Context, workload string) (controller.WorkloadPlan, error)
	// Kill has the engine kill the process of a container, and reports asked.
	Kill(ctx context.Context, asked core.Event, id string) error
	// Register registers a service that runs outside of tend, and reports asked where that
	// is new.
	Register(ctx context.Context, asked core.Event, r core.Registration) error
	// Deregister forgets a registration, and reports asked; it is a
	// *controller.UnknownRegistrationError where there is none.
	Deregister(ctx context.Context, asked core.Event, id string) error
	// Heard notes what a service says of its check; it is a
	// *controller.UnknownRegistrationError where there is none with a TTL.
	Heard(check string, status core.CheckStatus, output string) error
	// Logs emits what the containers of a workload have written, and with follow what
	// they write from then on, until ctx ends.
	Logs(ctx context.Context, workload string, follow bool, o logs.Options, emit func(logs.Line) error) error
}

// asked is the event of a change that a request asks of the workload in its path.
func asked(r *http.Request, reason, message string) core.Event {
	return core.Event{Type: core.Normal, Workload: chi.URLParam(r, "name"), Reason: reason, Message: message, Actor: callerFrom(r).name}
}

// intend changes what people ask of a workload's rollout, and answers with the
// workload. Asking again for the same changes nothing.
func (s *server) intend(w http.ResponseWriter, r *http.Request, did core.Event, change func(*core.Intent, *state.Snapshot, *spec.Workload) error) {
	name := did.Workload
	err := s.Controller.Intend(r.Context(), did, func(i *core.Intent, snap *state.Snapshot) error {
		row, ok := snap.Workload(name)
		if !ok {
			return noWorkload(snap, name)
		}
		if row.Spec.Kind == spec.Job {
			return problem(http.StatusConflict, "a Job has no rollout")
		}
		return change(i, snap, row.Spec)
	})
	if unknown := new(controller.UnknownWorkloadError); errors.As(err, &unknown) {
		err = noWorkload(s.Store.Snapshot(), name)
	}
	if err != nil {
		fail(w, err)
		return
	}
	s.serve(getWorkload)(w, r)
}

// pause has a rollout stay where it is, or go on. It overrides the spec only where that
// says otherwise.
func (s *server) pause(paused bool) http.HandlerFunc {
	reason, message := "RolloutResumed", "the rollout goes on"
	if paused {
		reason, message = "RolloutPaused", "the rollout is held where it is"
	}
	return func(w http.ResponseWriter, r *http.Request) {
		if err := readBody(w, r, maxBody, &struct{}{}); err != nil {
			fail(w, err)
			return
		}
		s.intend(w, r, asked(r, reason, message), func(i *core.Intent, _ *state.Snapshot, written *spec.Workload) error {
			i.Paused = nil
			if written.Paused != paused {
				i.Paused = &paused
			}
			return nil
		})
	}
}

// restart has every replica replaced.
func (s *server) restart(w http.ResponseWriter, r *http.Request) {
	if err := readBody(w, r, maxBody, &struct{}{}); err != nil {
		fail(w, err)
		return
	}
	did := asked(r, "RolloutRestarted", "all replicas are to be replaced")
	s.intend(w, r, did, func(i *core.Intent, _ *state.Snapshot, written *spec.Workload) error {
		if i.Pauses(written) {
			return errPaused
		}
		i.RestartedAt = time.Now()
		return nil
	})
}

// undo goes back to a revision of the history.
func (s *server) undo(w http.ResponseWriter, r *http.Request) {
	var to Undo
	if err := readBody(w, r, maxBody, &to); err != nil {
		fail(w, err)
		return
	}
	if to.ToRevision < 0 {
		fail(w, problem(http.StatusBadRequest, "toRevision is the number of a revision, from 1"))
		return
	}
	message := "back to the revision before"
	if to.ToRevision > 0 {
		message = fmt.Sprintf("back to revision %d of the history", to.ToRevision)
	}
	s.intend(w, r, asked(r, "RolloutUndone", message), func(i *core.Intent, snap *state.Snapshot, written *spec.Workload) error {
		if i.Pauses(written) {
			return errPaused
		}
		revision, err := undoTo(snap.Revisions(written.Name), to.from(snap, *i, written), to.ToRevision)
		if err != nil {
			return err
		}
		i.Undo, i.UndoOf = revision, written.Revision
		if revision == written.Revision {
			i.Undo, i.UndoOf = "", ""
		}
		return nil
	})
}

var errPaused = problem(http.StatusConflict, "the rollout is paused: resume it first")

// inForce is the revision that a workload runs at, or is moving to; empty where it has
// not been planned yet.
func inForce(snap *state.Snapshot, workload string) string {
	row, ok := snap.Status(workload)
	if !ok {
		return ""
	}
	return row.UpdateRevision
}

// from is the revision to undo: the one that was asked for last, or else the one in
// force, unless another has been written since.
func (Undo) from(snap *state.Snapshot, i core.Intent, written *spec.Workload) string {
	if undo := i.After(written.Revision).Undo; undo != "" {
		return undo
	}
	row, known := snap.Workload(written.Name)
	status, planned := snap.Status(written.Name)
	if known && planned && status.ObservedGeneration == row.Generation {
		return status.UpdateRevision
	}
	return written.Revision
}

// undoTo returns the revision with a number, or for 0 the last one before the one in
// force. history is oldest first.
func undoTo(history []*state.Revision, inForce string, number int) (string, error) {
	previous := ""
	for _, row := range history {
		switch {
		case number != 0 && row.Number == number:
			return row.Revision, nil
		case number == 0 && row.Revision == inForce:
			if previous != "" {
				return previous, nil
			}
			return "", problem(http.StatusConflict, "there is no revision before the one in force")
		}
		previous = row.Revision
	}
	if number != 0 {
		return "", problem(http.StatusNotFound, fmt.Sprintf("there is no revision %d; GET …/revisions lists those that are remembered", number))
	}
	return "", problem(http.StatusConflict, "the revision in force is not in the history yet: ask again")
}

// listRevisions lists a workload's revisions, oldest first.
func listRevisions(snap *state.Snapshot, r *http.Request) (any, error) {
	name := chi.URLParam(r, "name")
	if _, ok := snap.Workload(name); !ok {
		return nil, noWorkload(snap, name)
	}
	return revisions(snap, name, inForce(snap, name)), nil
}

// scale writes the number of replicas into the workload's spec file. The watch of
// that file puts it in force.
func (s *server) scale(w http.ResponseWriter, r *http.Request) {
	name := chi.URLParam(r, "name")
	if _, ok := s.Store.Snapshot().Workload(name); !ok {
		fail(w, noWorkload(s.Store.Snapshot(), name))
		return
	}
	var to Scale
	if err := readBody(w, r, maxBody, &to); err != nil {
		fail(w, err)
		return
	}
	if to.Replicas == nil {
		fail(w, problem(http.StatusBadRequest, `send the number of replicas: {"replicas": 4}`))
		return
	}
	if _, err := edit.Scale(r.Context(), s.Spec, name, *to.Replicas, s.ifMatch(r)); err != nil {
		fail(w, specProblem(err))
		return
	}
	s.Controller.Asked(asked(r, "Scaled", fmt.Sprintf("%d replicas are written", *to.Replicas)))
	writeJSON(w, to)
}

// ifMatch returns the check that a request's If-Match asks for, or nil where any spec will
// do. A generation matches while it is in force and nothing else is written: what is
// written has a generation only when the watch has seen it.
func (s *server) ifMatch(r *http.Request) func(written *spec.Workload) error {
	asked := r.Header.Get("If-Match")
	if asked == "" || asked == "*" {
		return nil
	}
	return func(written *spec.Workload) error {
		row, ok := s.Store.Snapshot().Workload(written.Name)
		if !ok {
			return noWorkload(s.Store.Snapshot(), written.Name)
		}
		inForce := strconv.Quote(strconv.FormatInt(row.Generation, 10))
		switch {
		case asked != inForce:
			return problem(http.StatusPreconditionFailed, fmt.Sprintf("the generation in force is %s, and If-Match says %s: look at the workload again", inForce, asked))
		case !state.SameSpec(row.Spec, written):
			return problem(http.StatusPreconditionFailed, fmt.Sprintf("another spec than that of generation %s is written, and not in force yet: look at the workload again", inForce))
		}
		return nil
	}
}
