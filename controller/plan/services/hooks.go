package services

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/swarm"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/controller/swarm/convert"
	"github.com/tendhq/tend/controller/swarm/manager"
)

// hookState is how far the jobs that come before the desired revision are.
type hookState struct {
	// next is the first that has not ended well; nil where all have.
	next *spec.Hook
	// job is its job; nil where there is none yet.
	job *manager.Service
	// failed says why it has failed; empty where it has not.
	failed string
	// until is when it has taken too long; zero where it does not run, or may take as long
	// as it takes.
	until time.Time
}

// hooks tells how far the jobs that come before the desired revision are.
func (t *target) hooks() (h hookState) {
	for _, hook := range t.before() {
		job := t.hookJob(hook.Name)
		if job != nil && job.Completed > 0 {
			continue
		}
		h.next, h.job = &hook, job
		if job == nil {
			return h
		}
		if hook.Timeout > 0 {
			h.until = t.watched(job.CreatedAt).Add(hook.Timeout)
		}
		if failed := t.jobFailure(*job); failed != "" {
			h.failed = fmt.Sprintf("%s %s", t.called(hook), failed)
		} else if hook.Timeout > 0 && !t.Now.Before(h.until) {
			h.failed = fmt.Sprintf("%s has not ended within %s", t.called(hook), hook.Timeout)
		}
		return h
	}
	return h
}

// called is what a person reads for one of the jobs that come before a revision: those that
// prepare a Database are nobody's hooks.
func (t *target) called(h spec.Hook) string {
	if t.desired.Kind == spec.Database {
		return "job " + h.Name
	}
	return "hook " + h.Name
}

// before lists the jobs that come before the desired revision: those that prepare a
// Database, which take as long as they take, and the pre-rollout hooks.
func (t *target) before() (all []spec.Hook) {
	if t.unprepared() {
		all = append(all, spec.Hook{Name: convert.PrepareJob})
		if t.changesImage() {
			all = append(all, spec.Hook{Name: convert.CheckJob})
		}
	}
	if t.record.Hooked != t.desired.Revision {
		all = append(all, t.desired.PreRollout...)
	}
	return all
}

// unprepared reports whether a Database has still to be prepared for its update. On the way
// back to what worked there is nothing to prepare.
func (t *target) unprepared() bool {
	r, s := t.record, t.Service
	return t.desired.Kind == spec.Database && s != nil && s.Spec.Labels[spec.LabelRevision] != t.desired.Revision &&
		r.Prepared != t.desired.Revision && t.desired.Revision != r.Stable
}

// changesImage reports whether the data of a Database may come to another image. Data on
// another volume are left alone.
func (t *target) changesImage() bool {
	c := t.Service.Spec.TaskTemplate.ContainerSpec
	stays := func(m mount.Mount) bool { return m.Source == t.desired.DataVolume }
	moves := t.desired.DataVolume != "" && !slices.ContainsFunc(c.Mounts, stays)
	return !moves && nameOf(c.Image) != nameOf(t.desired.Image)
}

// hookJob is the job of a hook for the desired revision and its last restart.
func (t *target) hookJob(name string) *manager.Service {
	for i, s := range t.Hooks {
		of := s.Spec.Labels
		if of[spec.LabelHook] == name && of[convert.LabelHookRevision] == t.desired.Revision && !s.CreatedAt.Before(t.Intent.RestartedAt) {
			return &t.Hooks[i]
		}
	}
	return nil
}

// jobFailure says how a job of one task has failed; empty where it has not, or may be tried
// again.
func (t *target) jobFailure(job manager.Service) string {
	for _, k := range t.Tasks {
		failed := k.State == swarm.TaskStateFailed || k.State == swarm.TaskStateRejected
		if k.ServiceID == job.ID && failed && k.JobIteration == job.JobIteration {
			return cmp.Or(k.Err, fmt.Sprintf("ended with %d", k.ExitCode))
		}
	}
	return ""
}

// runHooks has the next hook run, and reports whether all have.
func (s *steps) runHooks(o convert.Objects) bool {
	h := s.hooks()
	switch {
	case h.next == nil:
		s.record.Hooked, s.record.Prepared = s.desired.Revision, s.desired.Revision
		return true
	case h.failed != "":
		s.wait = wait{message: h.failed, remedy: fmt.Sprintf("see docker service logs %s, and correct what fails: another revision is tried as soon as it is written", h.job.Spec.Name), fault: true}
	case h.job != nil:
		s.wait = wait{message: "waiting for the " + s.called(*h.next)}
		s.lookAgain(h.until, "the %s has taken too long", s.called(*h.next))
	default:
		s.wait = wait{message: "waiting for the " + s.called(*h.next), quiet: true}
		name := convert.HookName(s.Project.Name, s.desired, h.next.Name)
		if i := slices.IndexFunc(s.Hooks, func(old manager.Service) bool { return old.Spec.Name == name }); i >= 0 {
			s.removeService(s.Hooks[i], "it is to run again")
			return false
		}
		job := s.jobOf(*h.next, o)
		s.actions = append(s.actions, Action{Kind: CreateService, Workload: s.Workload, Object: name, Spec: job, Cause: fmt.Sprintf("it comes before revision %s", short(s.desired.Revision))})
		s.tell(core.Normal, "HookStarted", "%s runs for revision %s", s.called(*h.next), short(s.desired.Revision))
	}
	return false
}

// jobOf is the job of one of those that come before the desired revision. A Database that
// serves nobody cannot be backed up, and is not kept for that: the update may be its cure.
func (s *steps) jobOf(h spec.Hook, o convert.Objects) swarm.ServiceSpec {
	switch database := s.desired.Kind == spec.Database; {
	case database && h.Name == convert.PrepareJob:
		serves := s.counts.ready > 0
		return convert.Prepare(s.Project, s.desired, s.Service.Spec, s.nodeOf(s.Service.ID), serves, serves && s.changesImage() && s.desired.Backup.BeforeUpdate)
	case database && h.Name == convert.CheckJob:
		node := ""
		if prepared := s.hookJob(convert.PrepareJob); prepared != nil {
			node = s.nodeOf(prepared.ID)
		}
		return convert.Check(s.Project, s.desired, o, node)
	default:
		return convert.Hook(s.Project, s.desired, h, o)
	}
}

// nodeOf is the node of the newest task of a service; empty where it has none.
func (s *steps) nodeOf(service string) (node string) {
	var newest time.Time
	for _, k := range s.Tasks {
		if k.ServiceID == service && k.NodeID != "" && !k.CreatedAt.Before(newest) {
			node, newest = k.NodeID, k.CreatedAt
		}
	}
	return node
}

// tidyHooks removes the jobs of hooks once their revision's rollout is under way, or another
// one's is. A job that has failed stays while its revision counts as failed, as its log
// says why.
func (s *steps) tidyHooks() {
	if s.hooks().next != nil {
		return
	}
	for _, h := range s.Hooks {
		if h.Spec.Labels[convert.LabelHookRevision] != s.record.Failed || s.jobFailure(h) == "" {
			s.removeService(h, "it has run")
		}
	}
}
