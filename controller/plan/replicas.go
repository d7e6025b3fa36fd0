package plan

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/tendhq/tend/controller/spec"
)

// supervise gives the containers the restart policy of the spec, and reports
// those that the engine starts again and again. Where a policy restarts, the engine
// does it, also while tend is away; tend starts what the engine leaves alone: what
// was stopped or killed, or failed to start, or is to be restarted by tend only.
func (p *planner) supervise() {
	for _, r := range p.replicas {
		p.giveRestartPolicy(r)
		// The count includes the start to come, and the first one is no news.
		if r.State == Restarting && p.attempts(r.Number, r.revision, &r).Count > 2 {
			p.fail("CrashLoopBackOff", fmt.Sprintf("%s %s; the engine starts it again, as it has restart: %s", r.Name, r.why(), r.RestartPolicy),
				p.seeLogs("correct the spec; meanwhile the engine goes on starting it"))
		}
	}
}

// giveRestartPolicy gives a container the restart policy of the spec, in place: where
// restart was edited, or an earlier tend has switched it off.
func (p *planner) giveRestartPolicy(r replica) {
	has, written := restartPolicy(r.RestartPolicy), restartPolicy(p.Spec.RestartPolicy)
	if has != written && r.class != leftover {
		p.add(UpdateReplica, r.Replica, "%s has restart: %s and is to have restart: %s", r.Name, has, written)
	}
}

// restartPolicy is what the engine makes of a policy.
func restartPolicy(policy string) string { return cmp.Or(policy, "no") }

// Release returns what is to be done to a workload that tend keeps no longer, and that is
// left to the engine and to Compose.
func Release(in Input) []Action {
	p := newPlanner(in)
	for _, r := range p.replicas {
		p.giveRestartPolicy(r)
	}
	return p.plan.Actions
}

// clean removes what can never run again.
func (p *planner) clean() {
	for _, r := range p.replicas {
		switch {
		case r.class != leftover:
		case r.Broken != "":
			p.add(RemoveReplica, r.Replica, "%s has lost %s, and a start does not give it back", r.Name, r.Broken)
		case r.State == Exited:
			p.add(RemoveReplica, r.Replica, "number %d belongs to another container", r.Number)
		case r.State == Dead:
			p.add(RemoveReplica, r.Replica, "%s is dead: a removal failed half-way", r.Name)
		case p.add(RemoveReplica, r.Replica, "%s was created and not started", r.Name):
			p.plan.Rollout.Attempts = with(p.plan.Rollout.Attempts, r.Number, func(a *Attempt) { a.failed("it was not started") })
		}
	}
}

// settleNumbers sees to it that each number has one replica: of several that
// carry it the most useful one does. The others are removed where they have
// exited, and replaced as if they were old where they have not.
func (p *planner) settleNumbers() {
	holders := map[int]*replica{}
	for i := range p.replicas {
		r := &p.replicas[i]
		if !r.live() {
			continue
		}
		holder := holders[r.Number]
		if holder == nil || useful(*r) > useful(*holder) || useful(*r) == useful(*holder) && r.current && !holder.current {
			holders[r.Number] = r
		}
	}
	for i := range p.replicas {
		r := &p.replicas[i]
		switch {
		case !r.live() || holders[r.Number] == r:
		case r.class == exited && !r.available:
			r.class = leftover
		default:
			r.current = false
		}
	}
}

// free returns the n lowest numbers that no container carries, and none that comes.
func (p *planner) free(n int, come ...int) []int {
	taken := map[int]bool{}
	for _, number := range come {
		taken[number] = true
	}
	for _, r := range p.replicas {
		taken[r.Number] = true
	}
	var numbers []int
	for i := 1; len(numbers) < n; i++ {
		if !taken[i] {
			numbers = append(numbers, i)
		}
	}
	return numbers
}

// create makes replicas of a revision, when all they need is there and their
// turn has come. It returns those that come: now, or in a moment.
func (p *planner) create(revision string, numbers []int, cause string, args ...any) (come []int) {
	if p.lacks(revision) {
		return nil
	}
	if p.Spec.ContainerName != "" && len(p.replicas) > 0 {
		p.waiting = fmt.Sprintf("waiting for the name %s, which another container carries", p.Spec.ContainerName)
		return nil
	}
	for _, n := range numbers {
		a := p.attempts(n, revision, nil)
		last := p.endingOf(a, nil)
		at, wait := p.turn(a, nil, last, 0)
		if !p.due(at) {
			if last == interrupted {
				come = append(come, n)
				continue
			}
			why := "does not stay"
			if a.Error != "" {
				why = "could not be created: " + a.Error
			}
			p.fail("BackOff", fmt.Sprintf("replica %d %s; back-off %s before try %d", n, why, wait, a.Count+1), correctTry)
			continue
		}
		if p.add(CreateReplica, Replica{Number: n, Revision: revision}, cause, args...) {
			p.record(n, a, last)
			come = append(come, n)
		}
	}
	return come
}

// cannotBeMade says whether the image, a network or a volume of the spec's
// revision is missing. Nothing is stopped for what cannot be made.
func (p *planner) cannotBeMade() bool {
	return len(p.Missing) > 0 && p.Spec.Revision == p.written.Revision && p.lacks(p.Spec.Revision)
}

// lacks reports whether a new container of a revision has to wait. It notes the missing
// resources or the unready dependencies that it waits for.
func (p *planner) lacks(revision string) bool {
	if len(p.Missing) > 0 && revision == p.written.Revision {
		var problems, remedies []string
		p.quiet = true
		for _, r := range p.Missing {
			if r.DataOf != "" {
				p.fail("VolumeMissing", r.Problem(), r.remedy())
			}
			problems = append(problems, r.Problem())
			if remedy := r.remedy(); remedy != "" {
				remedies = append(remedies, remedy)
			}
			p.quiet = p.quiet && r.Problem() == r.String()
		}
		p.fault = !p.quiet
		p.waiting, p.remedy, p.waitsFor = "waiting for "+strings.Join(problems, ", "), strings.Join(remedies, "; "), nil
		return true
	}
	var reasons []string
	var names []string
	for _, d := range p.Dependencies {
		if reason := d.unmet(); reason != "" {
			reasons, names = append(reasons, reason), append(names, d.Name)
		}
	}
	if len(reasons) == 0 {
		return false
	}
	p.waiting, p.remedy, p.waitsFor = reasons[0], "", names
	return true
}

// unmet says why a dependency does not hold yet, or nothing.
func (d Dependency) unmet() string {
	switch {
	case !d.Known && !d.Required:
		return ""
	case !d.Known:
		return fmt.Sprintf("waiting for %s, which the project does not have", d.Name)
	case d.Restart && !d.Converged:
		return fmt.Sprintf("waiting for %s to be at its spec", d.Name)
	case d.Condition == spec.DependencyCompleted && !d.Completed:
		return fmt.Sprintf("waiting for %s to complete", d.Name)
	case d.Condition == spec.DependencyHealthy && d.Ready == 0:
		return fmt.Sprintf("waiting for %s to be healthy", d.Name)
	case d.Condition == spec.DependencyStarted && d.Running == 0 && !d.Completed:
		return fmt.Sprintf("waiting for %s to start", d.Name)
	}
	return ""
}
