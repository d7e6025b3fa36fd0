package services

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/docker/docker/api/types/swarm"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/controller/swarm/convert"
	"github.com/tendhq/tend/controller/swarm/manager"
)

// hookState is how far the hooks of the desired revision are.
type hookState struct {
	// next is the first that has not ended well; nil where all have.
	next *spec.Hook
	// job is its job; nil where there is none yet.
	job *manager.Service
	// failed says why it has failed; empty where it has not.
	failed string
	// until is when it has taken too long; zero where it does not run.
	until time.Time
}

// hooks tells how far the hooks are.
func (t *target) hooks() (h hookState) {
	if t.record.Hooked == t.desired.Revision {
		return h
	}
	for i, hook := range t.desired.PreRollout {
		job := t.hookJob(hook.Name)
		if job != nil && job.Completed > 0 {
			continue
		}
		h.next, h.job = &t.desired.PreRollout[i], job
		if job == nil {
			return h
		}
		h.until = job.CreatedAt.Add(hook.Timeout)
		if failed := t.jobFailure(*job); failed != "" {
			h.failed = fmt.Sprintf("hook %s %s", hook.Name, failed)
		} else if !t.Now.Before(h.until) {
			h.failed = fmt.Sprintf("hook %s has not ended within %s", hook.Name, hook.Timeout)
		}
		return h
	}
	return h
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
		s.record.Hooked = s.desired.Revision
		return true
	case h.failed != "":
		s.wait = wait{message: h.failed, remedy: fmt.Sprintf("see docker service logs %s, and correct what fails: another revision is tried as soon as it is written", h.job.Spec.Name), fault: true}
	case h.job != nil:
		s.wait = wait{message: fmt.Sprintf("waiting for the hook %s", h.next.Name)}
		s.lookAgain(h.until, "the hook %s has taken too long", h.next.Name)
	default:
		s.wait = wait{message: fmt.Sprintf("waiting for the hook %s", h.next.Name), quiet: true}
		name := convert.HookName(s.Project.Name, s.desired, h.next.Name)
		if i := slices.IndexFunc(s.Hooks, func(old manager.Service) bool { return old.Spec.Name == name }); i >= 0 {
			s.removeService(s.Hooks[i], "the hook is to run again")
			return false
		}
		job := convert.Hook(s.Project, s.desired, *h.next, o)
		s.actions = append(s.actions, Action{Kind: CreateService, Workload: s.Workload, Object: name, Spec: job, Cause: fmt.Sprintf("it comes before revision %s", short(s.desired.Revision))})
		s.tell(core.Normal, "HookStarted", "hook %s runs for revision %s", h.next.Name, short(s.desired.Revision))
	}
	return false
}

// tidyHooks removes the jobs of hooks once their revision's rollout is under way, or another
// one's is.
func (s *steps) tidyHooks() {
	if s.hooks().next != nil {
		return
	}
	for _, h := range s.Hooks {
		s.removeService(h, "the hook has run")
	}
}
