package services

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/docker/api/types/swarm"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/controller/swarm/convert"
	"github.com/tendhq/tend/controller/swarm/manager"
)

// steps is the third stage: what is done now, and what stands in the way of more.
type steps struct {
	target
	actions []Action
	// same is true where the service is as it is to be.
	same bool
	wait wait
	// held is true where nothing is done at all.
	held bool
	next core.Change
}

// wait is what has to happen before more can be done; the zero value is nothing.
type wait struct {
	message, remedy string
	dependencies    []string
	// quiet is true where it is on its way; fault where it is the rollout's own, so that
	// its time counts against the rollout.
	quiet, fault bool
}

// nextSteps decides what to do about a target now.
func nextSteps(t target) steps {
	s := steps{target: t}
	s.events = slices.Clone(t.events)
	s.record.Tries = maps.Clone(t.record.Tries)
	switch {
	case s.Foreign != "":
		s.held = true
		s.wait = wait{message: s.Foreign, remedy: "remove it, or give the project another name with --project-name"}
		s.lookAgain(s.takenUntil(), "the name is tried again")
	case s.desired == nil:
		s.remove()
	default:
		s.keep()
	}
	if at := s.Refused.At.Add(pauseAfter(s.Refused.Count)); len(s.actions) > 0 && s.Refused.Count > 0 && at.After(s.Now) {
		s = steps{target: t, next: s.next} // what it would do and tell is done and told then
		s.wait = wait{message: s.Refused.Error, remedy: "correct what the message says; it is tried again after the back-off", fault: true}
		s.lookAgain(at, "it is tried again")
	}
	return s
}

// remove takes the workload away, after those that depend on it, and forgets it: a Job that
// is written again runs again.
func (s *steps) remove() {
	for _, h := range s.Hooks {
		s.removeService(h, "its workload is taken away")
	}
	switch {
	case s.Service == nil:
	case len(s.Dependents) > 0:
		s.wait = wait{message: "waiting until " + strings.Join(s.Dependents, ", ") + " has gone, which depends on it", dependencies: s.Dependents}
	default:
		s.removeService(*s.Service, "it is to be taken away")
		s.record, _ = core.AfterRemoval(s.record)
	}
}

// removeService removes a service. Of a job Swarm would leave what runs: a job is to run no
// task first, which has those of its present execution ended.
func (s *steps) removeService(service manager.Service, cause string) {
	running := func(t manager.Task) bool { return t.ServiceID == service.ID && !Over(t) }
	if job := service.Spec.Mode.ReplicatedJob; job != nil && slices.ContainsFunc(s.Tasks, running) {
		s.wait = wait{message: fmt.Sprintf("waiting until the tasks of %s have ended", service.Spec.Name), quiet: true}
		if n := job.TotalCompletions; n == nil || *n > 0 {
			none, spec := uint64(0), service.Spec
			spec.Mode = swarm.ServiceMode{ReplicatedJob: &swarm.ReplicatedJob{MaxConcurrent: &none, TotalCompletions: &none}}
			s.actions = append(s.actions, Action{Kind: UpdateService, Workload: s.Workload, Object: service.Spec.Name, ID: service.ID, Version: service.Version, Spec: spec, Cause: cause})
		}
		return
	}
	s.actions = append(s.actions, Action{Kind: RemoveService, Workload: s.Workload, Object: service.Spec.Name, ID: service.ID, Cause: cause})
}

// keep brings the service to the desired spec.
func (s *steps) keep() {
	node, waits := s.node()
	if waits != nil {
		s.wait = *waits
		return
	}
	if !s.noteImage() {
		return
	}
	objects := s.objects(node)
	wanted := convert.Service(s.Project, s.desired, objects)
	wanted.TaskTemplate.ForceUpdate = s.forceUpdate()
	service := s.Service
	if service != nil && service.Spec.Labels[convert.LabelResumed] != "" {
		wanted.Labels[convert.LabelResumed] = service.Spec.Labels[convert.LabelResumed]
	}
	if s.same = service == nil && s.desired.Kind == spec.Job && s.ran(); s.same {
		return // to make it again would run it again
	}
	differs := []string{"Name"}
	if service != nil {
		differs = Differences(service.Spec, wanted)
	}
	s.record.Swarm.Stopped = s.record.Swarm.Stopped && service != nil && runsNone(service.Spec) // or somebody has started it since
	rolls := service == nil || service.Spec.Labels[spec.LabelRevision] != s.desired.Revision || service.Spec.TaskTemplate.ForceUpdate < wanted.TaskTemplate.ForceUpdate
	if job := s.desired.Kind == spec.Job; job && !rolls && service.Spec.Mode.ReplicatedJob != nil {
		rolls = slices.Contains(differs, "Mode.ReplicatedJob.TotalCompletions")
	}
	rolls = rolls || modeOf(service.Spec) != modeOf(wanted)
	// Any update runs a job again: only another revision is to, or another number.
	ranAlready := s.desired.Kind == spec.Job && !rolls && modeOf(service.Spec) == modeOf(wanted)
	s.same = len(differs) == 0 || ranAlready
	switch {
	case s.same:
		s.record.Swarm.Applied, s.record.Swarm.Stopped = hash(wanted), false
		maps.DeleteFunc(s.record.Tries, func(_ string, t core.Try) bool { return t.At.Add(mostDelay).Before(s.Now) })
		s.tidyHooks()
		s.resume(wanted)
		s.waitForNodes()
		return
	case s.paused() && rolls:
		s.hold()
		return
	case rolls && !s.mayRoll(objects):
		return
	case service != nil && modeOf(service.Spec) != modeOf(wanted):
		s.removeService(*service, fmt.Sprintf("Swarm cannot make a %s of a %s", modeOf(wanted), modeOf(service.Spec)))
		return
	case s.recreates() && s.runs() && (slices.ContainsFunc(differs, replaces) || runsNone(service.Spec)):
		s.wait = untilEnded
		if service != nil && !runsNone(service.Spec) {
			s.stop(*service, wanted, differs, rolls)
		}
		return
	case service == nil:
		s.actions = append(s.actions, Action{Kind: CreateService, Workload: s.Workload, Object: wanted.Name, Spec: wanted, Cause: s.whyCreate()})
		s.record.Swarm.Applied = hash(wanted)
		return
	}
	s.update(wanted, differs, rolls)
}

var untilEnded = wait{message: "waiting until its tasks have ended, before the next ones start", quiet: true}

// hold leaves the service as it is while its rollout is paused. Where tend has had its tasks
// end for the rollout, those of the revision before come back.
func (s *steps) hold() {
	switch {
	case !s.record.Swarm.Stopped:
	case s.runs():
		s.wait = untilEnded
	default:
		n, before := uint64(s.desired.Replicas), s.Service.Spec
		before.Mode = swarm.ServiceMode{Replicated: &swarm.ReplicatedService{Replicas: &n}}
		s.give(before, "its rollout is paused: what ran before comes back")
		s.record.Swarm.Stopped = false
	}
}

// runsNone reports whether a service is to run no task.
func runsNone(service swarm.ServiceSpec) bool {
	r := service.Mode.Replicated
	return r != nil && r.Replicas != nil && *r.Replicas == 0
}

// replaces reports whether Swarm replaces tasks where a field of a spec differs.
func replaces(field string) bool {
	return field == "Name" || strings.HasPrefix(field, "TaskTemplate") || strings.HasPrefix(field, "EndpointSpec")
}

// recreates reports whether all tasks end before the next ones start: its strategy is
// Recreate, or it alone may write to its volumes. Swarm starts the next task after a minute,
// whether or not the one before has ended by then, and at once where that one's service was
// removed.
func (s *steps) recreates() bool {
	d := s.desired
	if d.Global != nil { // an update ends the one of a node before the next, within a minute
		return s.Service == nil && len(d.Contended()) > 0
	}
	alone := d.Replicas <= 1 && !d.SurgeAsked && len(d.Contended()) > 0
	return d.Kind != spec.Job && (d.Strategy.Type == spec.Recreate || alone)
}

// runs reports whether a task of the workload may run still. One that writes nowhere is not
// waited for where its node is lost, as nobody can tell when it ends.
func (s *steps) runs() bool {
	writes := len(s.desired.Contended()) > 0
	return slices.ContainsFunc(s.Tasks, func(t manager.Task) bool {
		return (writes || s.nodes[t.NodeID].There()) && RevisionOf(t) != "" && !s.ofHook(t) && t.NodeID != "" && !Over(t) && (s.eligible == nil || s.eligible[t.NodeID])
	})
}

// ofHook reports whether a task is of a hook's job.
func (s *steps) ofHook(t manager.Task) bool {
	return slices.ContainsFunc(s.Hooks, func(h manager.Service) bool { return h.ID == t.ServiceID })
}

// update gives the service the wanted spec.
func (s *steps) update(wanted swarm.ServiceSpec, differs []string, rolls bool) {
	cause, due := s.whyUpdate(wanted, differs, rolls)
	if !due {
		return
	}
	s.give(wanted, cause)
	s.record.Swarm.Stopped = false
}

// stop has all tasks of the service end, as it is to have the wanted spec.
func (s *steps) stop(service manager.Service, wanted swarm.ServiceSpec, differs []string, rolls bool) {
	cause, due := s.whyUpdate(wanted, differs, rolls)
	if !due {
		return
	}
	none, spec := uint64(0), service.Spec
	spec.Mode = swarm.ServiceMode{Replicated: &swarm.ReplicatedService{Replicas: &none}}
	s.give(spec, cause+": its tasks end first")
	s.record.Swarm.Stopped = true
}

// give gives the service a spec.
func (s *steps) give(to swarm.ServiceSpec, cause string) {
	s.record.Swarm.Applied = hash(to)
	s.actions = append(s.actions, Action{Kind: UpdateService, Workload: s.Workload, Object: to.Name, ID: s.Service.ID, Version: s.Service.Version, Spec: to, Cause: cause})
}

// whyUpdate says why the service is to have another spec, and whether that is due. What
// somebody else has changed is brought back with a growing delay, as two that disagree would
// never end.
func (s *steps) whyUpdate(wanted swarm.ServiceSpec, differs []string, rolls bool) (cause string, due bool) {
	switch {
	case rolls && s.Service.Spec.Labels[spec.LabelRevision] == s.desired.Revision:
		return "a restart was asked for", true
	case rolls:
		return fmt.Sprintf("revision %s → %s", short(s.Service.Spec.Labels[spec.LabelRevision]), short(s.desired.Revision)), true
	case s.record.Swarm.Stopped:
		return "its tasks have ended", true
	case s.record.Swarm.Applied != hash(wanted):
		return "what is written has changed: " + strings.Join(differs, ", "), true
	case !s.try(s.Service.ID):
		n := s.record.Tries[s.Service.ID].Count
		s.wait = wait{message: fmt.Sprintf("something else changes the service, too: it was repaired %d times in a row", n), remedy: "find out what changes it, and end that"}
		return "", false
	}
	s.tell(core.Warning, "Repaired", "somebody other than tend has changed %s of %s: it is brought back to what is written", strings.Join(differs, ", "), wanted.Name)
	return "somebody else has changed " + strings.Join(differs, ", "), true
}

// resume has Swarm go on with an update that it has paused though its revision has worked, or
// none of its tasks has failed: one was lost with its node, for instance. The label makes it
// another spec.
func (s *steps) resume(wanted swarm.ServiceSpec) {
	works, cause := s.record.Stable == s.desired.Revision || !s.updateFailed(), ""
	switch {
	case s.paused():
	case s.updatePaused() && works:
		cause = "Swarm has paused an update to a revision that has not failed"
	case s.stands():
		cause = "Swarm waits for a task on a node that was lost, and does not go on with the update"
	}
	if cause == "" || !s.try("paused "+s.Service.ID) {
		return
	}
	times, _ := strconv.Atoi(wanted.Labels[convert.LabelResumed])
	wanted.Labels[convert.LabelResumed] = strconv.Itoa(times + 1)
	s.give(wanted, cause)
}

// The delays between repairs of one service, and after what was refused.
const (
	firstDelay = time.Second
	mostDelay  = 5 * time.Minute
)

// pauseAfter is the time after so many tries.
func pauseAfter(count int) time.Duration { return min(firstDelay<<min(count, 10), mostDelay) }

// try notes a try, and reports whether it is due.
func (s *steps) try(object string) bool {
	last := s.record.Tries[object]
	if at := last.At.Add(pauseAfter(last.Count)); last.Count > 0 && at.After(s.Now) {
		s.lookAgain(at, "the service is given its spec again")
		return false
	}
	if s.record.Tries == nil {
		s.record.Tries = map[string]core.Try{}
	}
	s.record.Tries[object] = core.Try{Count: last.Count + 1, At: s.Now}
	return true
}

// mayRoll reports whether all that tasks of the desired revision need is there: objects, the
// hooks' ends, and dependencies.
func (s *steps) mayRoll(o convert.Objects) bool {
	if missing, remedy := s.missing(o); len(missing) > 0 {
		s.wait = wait{message: "waiting for " + strings.Join(missing, ", "), remedy: remedy, quiet: remedy == ""}
		return false
	}
	for _, d := range s.Dependencies {
		if why := d.Unmet(); why != "" {
			s.wait.message = cmp.Or(s.wait.message, why)
			s.wait.dependencies = append(s.wait.dependencies, d.Name)
		}
	}
	if s.wait.message != "" {
		return false
	}
	return s.runHooks(o)
}

// objects are what the desired spec refers to. A revision that tend goes back to has the
// secrets and configs that it was rolled out with, while they are there.
func (s *steps) objects(node string) convert.Objects {
	o := s.Objects
	o.Node, o.Image = node, s.record.Swarm.Images[s.desired.Revision]
	if s.desired.Revision == s.Spec.Revision || s.desired.Revision != s.record.Stable {
		return o
	}
	o.Secrets, o.Configs = maps.Clone(o.Secrets), maps.Clone(o.Configs)
	for key, name := range s.record.Swarm.Objects {
		if kind, key, _ := strings.Cut(key, " "); o.IDs[name] == "" {
			continue
		} else if kind == "secret" {
			o.Secrets[key] = name
		} else {
			o.Configs[key] = name
		}
	}
	return o
}

// used are the names of the objects that a spec refers to, by kind and Compose key.
func used(w *spec.Workload, o convert.Objects) map[string]string {
	all := map[string]string{}
	for _, secret := range w.Template.Secrets {
		all["secret "+secret.Source] = o.Secrets[secret.Source]
	}
	for _, config := range w.Template.Configs {
		all["config "+config.Source] = o.Configs[config.Source]
	}
	return all
}

// missing names what the desired spec refers to and is not there, and says how the first of
// them comes to be there that a person has to make; empty where tend makes them all.
func (s *steps) missing(o convert.Objects) (all []string, remedy string) {
	for _, name := range s.desired.Networks {
		if o.Networks[name] == "" {
			all = append(all, "network "+name)
		}
	}
	objects := used(s.desired, o)
	for _, key := range slices.Sorted(maps.Keys(objects)) {
		if o.IDs[objects[key]] != "" {
			continue
		}
		all = append(all, key)
		kind, name, _ := strings.Cut(key, " ")
		if external := map[string]types.External{"secret": s.Project.Secrets[name].External, "config": s.Project.Configs[name].External}; bool(external[kind]) {
			remedy = cmp.Or(remedy, fmt.Sprintf("docker %s create %s", kind, objects[key]))
		}
	}
	return all, remedy
}

func (s *steps) whyCreate() string {
	if s.record.Swarm.Applied != "" {
		return "it is gone, and is written"
	}
	return "it is written"
}

// lookAgain has the plan made again at an instant, at which time alone changes what is said.
func (s *steps) lookAgain(at time.Time, what string, args ...any) {
	if at.After(s.Now) && (s.next.At.IsZero() || at.Before(s.next.At)) {
		s.next = core.Change{At: at, What: fmt.Sprintf(what, args...)}
	}
}

// modeOf names the mode of a service, which Swarm never changes.
func modeOf(s swarm.ServiceSpec) string {
	switch {
	case s.Mode.ReplicatedJob != nil:
		return "replicated job"
	case s.Mode.GlobalJob != nil:
		return "global job"
	case s.Mode.Global != nil:
		return "global service"
	default:
		return "replicated service"
	}
}
