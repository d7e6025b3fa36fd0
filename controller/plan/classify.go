package plan

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/spec"
)

// view is the first stage: what there is, whatever is to be kept.
type view struct {
	// Input has its replicas in order of number, and its dependencies in order of name.
	Input
	// containers are the replicas that carry a number; corrupt are the others.
	containers []replica
	corrupt    []core.Replica
	// known is the rollout record after the drains, tries and runs of containers that are
	// gone were dropped from it.
	known core.Rollout
}

// replica is a container together with the facts that the later stages read.
type replica struct {
	core.Replica
	class class
	// done is true where it has exited as it may, so that it is not started again.
	done bool
	// changesAt is when time alone changes its class; zero for never.
	changesAt time.Time

	// What follows is told by the spec to keep, in the second stage.

	// revision is what it was made from, also where tend did not make it.
	revision string
	// current is true where it was made from the template of the spec, and from its
	// image as it is now; rebuilt where the image is another now.
	current, rebuilt bool
	// available is true where it counts for maxUnavailable; availableAt is when time
	// alone makes it so, zero for never.
	available   bool
	availableAt time.Time
}

// classify tells what each container is.
func classify(in Input) view {
	in.Dependencies, in.Replicas = slices.Clone(in.Dependencies), slices.Clone(in.Replicas)
	slices.SortStableFunc(in.Dependencies, func(a, b Dependency) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortStableFunc(in.Replicas, func(a, b core.Replica) int {
		return cmp.Or(cmp.Compare(a.Number, b.Number), cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID))
	})
	for i, r := range in.Replicas {
		in.Replicas[i].Mounts = in.ownMounts(r)
	}
	v := view{Input: in, containers: make([]replica, 0, len(in.Replicas)), known: in.Rollout}
	v.known.Workload = in.Workload
	v.known.Anonymous = anonymous(in.Rollout.Anonymous, in.Replicas)
	v.known.Drains = in.openDrains()
	v.known.Tries = in.openTries()
	v.known.Done = in.lastDone()
	for _, r := range in.Replicas {
		if r.Number < 1 {
			v.corrupt = append(v.corrupt, r)
			continue
		}
		c := v.classify(r)
		if c.done {
			v.known.Done[c.ID] = c.StartedAt
		}
		v.containers = append(v.containers, c)
	}
	return v
}

func (v view) classify(r core.Replica) replica {
	c := replica{Replica: judged(r), done: r.State == core.Exited && v.mayEnd(r)}
	if c.Broken == "" && !c.done {
		c.Broken = cmp.Or(v.lostNetwork(r), v.goneNetwork(r), v.lostJoin(r), v.unfinished(r))
	}
	c.class = classOf(c.Replica, v.Now)
	if _, draining := v.known.Drains[r.ID]; draining {
		c.class = leaving
	}
	if c.class == coming && r.InFlight == "" {
		c.changesAt = r.Created.Add(leftoverGrace)
	}
	return c
}

// mayEnd reports whether a container's process may have ended as it did: then it is
// done, and is not started again. One that was told to end has not done what it
// was made for, whatever its exit code. Of an end that nobody has seen that cannot
// be told: a server ends with 0, too, when the machine goes down. Of what tend has
// not kept before, the exit code is all there is to go by. What has ended as it may
// stays done: a start that fails after that sets the exit code to 128, and is no run.
func (in Input) mayEnd(r core.Replica) bool {
	switch {
	case in.Spec == nil || in.Spec.Restart.Condition == spec.RestartAny:
		return false
	case r.Interrupted || r.InFlight == core.StopReplica: // also where that is heard of late
		return false
	case in.wasDone(r):
		return true
	case r.ExitCode != 0:
		return false
	case r.Unwatched && (in.Rollout.Revision != "" || in.Rollout.Attempts[r.Number].Ours):
		return in.Spec.Kind == spec.Job
	default:
		return !in.Rollout.Attempts[r.Number].Ours
	}
}

// wasDone reports whether it is remembered that the last run of a container has ended
// as it may.
func (in Input) wasDone(r core.Replica) bool {
	at, ok := in.Rollout.Done[r.ID]
	return ok && at.Equal(r.StartedAt)
}

// lastDone returns the runs that are done and were the last of their container.
func (in Input) lastDone() map[string]time.Time {
	last := map[string]time.Time{}
	for _, r := range in.Replicas {
		if in.wasDone(r) {
			last[r.ID] = r.StartedAt
		}
	}
	return last
}

// openTries returns the tries that have not succeeded: what is under way or failed.
func (in Input) openTries() map[string]core.Try {
	open := map[string]core.Try{}
	keep := func(r core.Replica) {
		if t, ok := in.Rollout.Tries[r.ID]; ok && (r.InFlight != "" || t.Error != "") {
			open[r.ID] = t
		}
	}
	for _, r := range in.Replicas {
		keep(r)
	}
	for _, run := range in.HookRuns {
		keep(run.Replica)
	}
	return open
}

// openDrains returns the drains of containers that still exist.
func (in Input) openDrains() map[string]core.Drain {
	open := map[string]core.Drain{}
	for _, r := range in.Replicas {
		if d, ok := in.Rollout.Drains[r.ID]; ok {
			open[r.ID] = d
		}
	}
	return open
}

// unfinished names what a running container was started without, as tend ended before its
// post_start commands had; empty where there is nothing.
func (in Input) unfinished(r core.Replica) string {
	if IsRunning(r) && r.InFlight == "" && in.Rollout.Attempts[r.Number].Unfinished {
		return "its post_start commands"
	}
	return ""
}

// lostNetwork names a network that a replica has left, where it is known which
// ones it was made to join; empty where there is none.
func (in Input) lostNetwork(r core.Replica) string {
	made := in.madeFrom(r)
	if made == nil {
		return ""
	}
	return lostNetwork(r, made)
}

// madeFrom returns the spec that a container was made from: what is written, or a
// former one; nil where that is not known.
func (in Input) madeFrom(r core.Replica) *spec.Workload {
	if in.Spec != nil {
		if _, written := revisionOf(r, in.Spec); written {
			return in.Spec
		}
	}
	if r.Revision != "" {
		return in.History[r.Revision]
	}
	for _, revision := range slices.Sorted(maps.Keys(in.History)) {
		if former := in.History[revision]; former.ConfigHashJoined(r.JoinedFor(former)) == r.ConfigHash {
			return former
		}
	}
	return nil
}

// lostNetwork names a network that a container was made to join, from a spec, and
// has left; empty where there is none. The engine keeps the names also of a
// container that has exited. An ingress joins networks while it runs.
func lostNetwork(r core.Replica, made *spec.Workload) string {
	if made.Kind == spec.Ingress || !IsRunning(r) && r.State != core.Exited {
		return ""
	}
	if lost := unjoined(r, made); len(lost) > 0 {
		return "network " + lost[0]
	}
	return ""
}

// goneNetwork names a network that an exited container was last started in and that
// is gone, also where there is another one of its name: the engine will not start
// the container again. It is empty where there is none.
func (in Input) goneNetwork(r core.Replica) string {
	if r.State != core.Exited {
		return ""
	}
	for _, name := range slices.Sorted(maps.Keys(r.NetworkIDs)) {
		if id, known := in.Networks[name]; known && id != r.NetworkIDs[name] {
			return "network " + name
		}
	}
	return ""
}

// class is what a replica is to the policies.
type class string

const (
	// leaving: it is being stopped or removed, or the engine is about to.
	leaving class = "leaving"
	// coming: it is being created or started.
	coming class = "coming"
	// leftover: it can never run again as it was meant to and is to be removed.
	leftover class = "leftover"
	// exited: its process has ended.
	exited class = "exited"
	// unhealthy: it runs and does not do what it should.
	unhealthy class = "unhealthy"
	// starting: it runs and is not ready yet.
	starting class = "starting"
	// unready: it runs and asks for no requests now.
	unready class = "unready"
	// ready: it runs and does what it should.
	ready class = "ready"
)

// rules classify a replica at an instant: the first that matches decides. One
// that none matches is ready.
var rules = []struct {
	class class
	match func(core.Replica, time.Time) bool
}{
	// What is under way decides first: the engine's word is about to change.
	{leaving, func(r core.Replica, _ time.Time) bool {
		return r.InFlight == core.StopReplica || r.InFlight == core.RemoveReplica
	}},
	{coming, func(r core.Replica, _ time.Time) bool {
		return r.InFlight == core.CreateReplica || r.InFlight == core.StartReplica
	}},
	{leaving, func(r core.Replica, _ time.Time) bool { return r.State == core.Removing }},
	// Others, as Compose, create and start in two steps too.
	{coming, func(r core.Replica, now time.Time) bool {
		return r.State == core.Created && now.Before(r.Created.Add(leftoverGrace))
	}},
	// Created and not started: a crash between the two, or a failed start.
	// Dead: a removal that failed half-way (moby/moby#27381).
	{leftover, func(r core.Replica, _ time.Time) bool { return r.State == core.Created || r.State == core.Dead }},
	// A start does not give back a network that the container has left.
	{leftover, func(r core.Replica, _ time.Time) bool { return r.State == core.Exited && r.Broken != "" }},
	{exited, func(r core.Replica, _ time.Time) bool { return r.State == core.Exited }},
	// Its process has ended, and the engine starts it again.
	{starting, func(r core.Replica, _ time.Time) bool { return r.State == core.Restarting }},
	// A paused process answers nobody.
	{unhealthy, func(r core.Replica, _ time.Time) bool { return r.State == core.Paused }},
	{unhealthy, func(r core.Replica, _ time.Time) bool { return r.Broken != "" }},
	{unhealthy, func(r core.Replica, _ time.Time) bool { return r.Health == core.Unhealthy }},
	{starting, func(r core.Replica, _ time.Time) bool { return r.Health == core.Starting }},
	{unready, func(r core.Replica, _ time.Time) bool { return r.Health == core.Unready }},
}

// classOf returns the class of a replica at an instant.
func classOf(r core.Replica, now time.Time) class {
	for _, rule := range rules {
		if rule.match(r, now) {
			return rule.class
		}
	}
	return ready
}

// judged returns a replica with the results of tend's own probes in the place of the
// container's health check, where it is probed.
func judged(r core.Replica) core.Replica {
	p := r.Probe
	if p == nil || r.State != core.Running {
		return r
	}
	r.Health, r.ReadySince, r.HealthOutput, r.HealthExitCode, r.WasReady = core.Starting, time.Time{}, p.Message, 0, p.WasReady
	switch {
	case *p == (core.Probe{}): // nothing is known yet
	case !p.Live:
		r.Health = core.Unhealthy
	case !p.Started || !p.Ready && !p.WasReady:
	case !p.Ready:
		r.Health = core.Unready
	default:
		r.Health, r.ReadySince = core.Healthy, p.Since
	}
	return r
}

// IsReady reports whether a replica runs and does what it should, on all the networks of
// the spec that it was made from; made is nil where that is not known.
func IsReady(r core.Replica, made *spec.Workload) bool {
	lost := made != nil && lostNetwork(r, made) != ""
	return !lost && classOf(judged(r), time.Time{}) == ready
}

// IsRunning reports whether a replica's process runs, whatever it does.
func IsRunning(r core.Replica) bool {
	return r.State == core.Running || r.State == core.Paused || r.State == core.Restarting
}

// live reports whether a replica holds its number: it runs, or will run again.
func (r replica) live() bool {
	return r.class != leaving && r.class != leftover
}

// runs reports whether the process of a container is there, or is about to be.
func (r replica) runs() bool {
	return r.InFlight == core.CreateReplica || r.InFlight == core.StartReplica || IsRunning(r.Replica)
}

// ended reports whether its process has ended, also where its container is being removed.
func (r replica) ended() bool {
	return r.State == core.Exited || r.State == core.Dead || r.State == core.Removing
}

// neverHealthy reports whether a replica fails its own health check and has never
// passed it in this run. That may well be the check's fault.
func (r replica) neverHealthy() bool {
	return r.class == unhealthy && r.State == core.Running && r.Broken == "" && r.Probe == nil && !r.WasReady
}

// checkCannotRun reports whether the last health check has found nothing out, as
// the program that it calls does not exist or cannot be executed.
func (r replica) checkCannotRun() bool {
	if r.HealthExitCode == cannotExecute || r.HealthExitCode == noProgram {
		return true
	}
	// A shell, and the engine where there is none.
	for _, text := range []string{": not found", ": command not found", "executable file not found", "OCI runtime exec failed"} {
		if strings.Contains(r.HealthOutput, text) {
			return true
		}
	}
	return false
}

// Exit codes of a shell, and of the engine, for a program that cannot be run.
const (
	cannotExecute = 126
	noProgram     = 127
)

// why says what is the matter with a replica that is not ready.
func (r replica) why() string {
	switch {
	case r.class == exited && r.Interrupted:
		return "was told to end, and exited with code " + exitCode(r.Replica)
	case (r.class == exited || r.State == core.Restarting) && r.HealthOutput != "":
		return fmt.Sprintf("exited with code %s: %s", exitCode(r.Replica), r.HealthOutput)
	case r.class == exited || r.State == core.Restarting:
		return "exited with code " + exitCode(r.Replica)
	case r.State == core.Paused:
		return "is paused"
	case r.Broken != "":
		return "runs without " + r.Broken
	case r.neverHealthy():
		why := "has not passed its health check since it was started"
		if r.HealthOutput != "" {
			why += ": " + r.HealthOutput
		}
		if r.checkCannotRun() {
			why += "; the check itself cannot run: add the program that it calls to the image, or write another healthcheck"
		}
		return why
	case (r.class == unhealthy || r.class == unready) && r.HealthOutput != "":
		return "is " + string(r.class) + ": " + r.HealthOutput
	default:
		return "is " + string(r.class)
	}
}

// leftoverGrace is how long a container may stand created and not started
// before it counts as left over.
const leftoverGrace = 10 * time.Second
