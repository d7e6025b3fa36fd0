package doctor

import (
	"errors"
	"fmt"
	"slices"

	"github.com/tendhq/tend/api"
	"github.com/tendhq/tend/api/client"
	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/spec"
)

// Files tells whether what is written is valid.
func Files(p *spec.Project, err error) Finding {
	const check = "files"
	if err != nil {
		return find(Failure, check, "project", err.Error(), "correct it; `tend validate` names every mistake")
	}
	return find(OK, check, p.Name, "valid", "")
}

// Controller tells whether a controller runs, and can do its work. ready is why it cannot.
func Controller(h api.Health, ready, err error) Finding {
	const check = "controller"
	switch {
	case errors.Is(err, client.ErrNotRunning):
		return find(Warning, check, "tend", "none is running: what runs goes on running, and nothing mends it", "start one with `tend up`, or in the foreground with `tend run`")
	case err != nil:
		return find(Failure, check, "tend", err.Error(), "look at its log")
	case ready != nil:
		return find(Failure, check, "tend", ready.Error(), "`tend events` tells since when")
	default:
		return find(OK, check, "tend", fmt.Sprintf("tend %s keeps %s", h.Version, h.Project), "")
	}
}

// Workloads tells the outcome of each workload, with the obstacle and the remedy of its
// status.
func Workloads(workloads []api.Workload) (all []Finding) {
	for _, w := range workloads {
		message := w.Status.Outcome
		if message == "" {
			message = "not planned yet"
		}
		if w.Kind != string(spec.Job) {
			message += fmt.Sprintf(", %d of %d ready", w.Status.ReadyReplicas, w.Spec.Replicas)
		}
		if w.Status.Obstacle != "" {
			message += ": " + w.Status.Obstacle
		}
		all = append(all, find(levelOf(w), "workload", w.Metadata.Name, message, w.Status.Remedy))
	}
	return all
}

// levelOf is a failure where no waiting helps, or too few replicas are available.
func levelOf(w api.Workload) Level {
	unavailable := func(c api.Condition) bool { return c.Type == string(core.Available) && c.Status == "False" }
	switch outcome := core.Outcome(w.Status.Outcome); {
	case outcome == core.OutcomeStalled, slices.ContainsFunc(w.Status.Conditions, unavailable):
		return Failure
	case outcome != core.OutcomeConverged && outcome != core.OutcomeComplete, w.Status.Obstacle != "":
		return Warning
	default:
		return OK
	}
}

// Replicas tells of each replica that is not as it should be what its status says.
func Replicas(replicas []api.Replica) (all []Finding) {
	for _, r := range replicas {
		if r.Status.Blocker != "" {
			all = append(all, find(Warning, "replica", r.Metadata.Name, r.Status.Blocker, fmt.Sprintf("`tend explain %s`", r.Spec.Workload)))
		}
	}
	return all
}

// Containers tells, where no controller does, whether as many containers run as are written.
func Containers(p *spec.Project, containers []engine.Container) (all []Finding) {
	for _, w := range sorted(p.Workloads) {
		if w.Kind == spec.Job {
			continue
		}
		up := running(containers, w.Name)
		unhealthy := 0
		for _, c := range up {
			if c.Health == engine.Unhealthy {
				unhealthy++
			}
		}
		message := fmt.Sprintf("%d of %d containers run", len(up), w.Replicas)
		switch {
		case unhealthy > 0:
			all = append(all, find(Failure, "workload", w.Name, fmt.Sprintf("%s, %d unhealthy", message, unhealthy), fmt.Sprintf("`tend logs %s` shows what they wrote", w.Name)))
		case len(up) < w.Replicas:
			all = append(all, find(Failure, "workload", w.Name, message, "`tend up` starts what is missing"))
		default:
			all = append(all, find(OK, "workload", w.Name, message, ""))
		}
	}
	return all
}
