package plan

import (
	"fmt"
	"strings"
	"time"
)

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

// rules classify a replica at an instant: the first that matches decides. The
// last matches every replica.
var rules = []struct {
	class class
	match func(Replica, time.Time) bool
}{
	// What is under way decides first: the engine's word is about to change.
	{leaving, func(r Replica, _ time.Time) bool { return r.InFlight == StopReplica || r.InFlight == RemoveReplica }},
	{coming, func(r Replica, _ time.Time) bool { return r.InFlight == CreateReplica || r.InFlight == StartReplica }},
	{leaving, func(r Replica, _ time.Time) bool { return r.State == Removing }},
	// Others, as Compose, create and start in two steps too.
	{coming, func(r Replica, now time.Time) bool {
		return r.State == Created && now.Before(r.Created.Add(leftoverGrace))
	}},
	// Created and not started: a crash between the two, or a failed start.
	// Dead: a removal that failed half-way (moby/moby#27381).
	{leftover, func(r Replica, _ time.Time) bool { return r.State == Created || r.State == Dead }},
	// A start does not give back a network that the container has left.
	{leftover, func(r Replica, _ time.Time) bool { return r.State == Exited && r.Broken != "" }},
	{exited, func(r Replica, _ time.Time) bool { return r.State == Exited }},
	// Its process has ended, and the engine starts it again.
	{starting, func(r Replica, _ time.Time) bool { return r.State == Restarting }},
	// A paused process answers nobody.
	{unhealthy, func(r Replica, _ time.Time) bool { return r.State == Paused }},
	{unhealthy, func(r Replica, _ time.Time) bool { return r.Broken != "" }},
	{unhealthy, func(r Replica, _ time.Time) bool { return r.Health == Unhealthy }},
	{starting, func(r Replica, _ time.Time) bool { return r.Health == Starting }},
	{unready, func(r Replica, _ time.Time) bool { return r.Health == Unready }},
	{ready, func(Replica, time.Time) bool { return true }},
}

func classify(r Replica, now time.Time) class {
	for _, rule := range rules {
		if rule.match(r, now) {
			return rule.class
		}
	}
	return ready
}

// IsReady says whether a replica runs and does what it should.
func IsReady(r Replica) bool { return classify(r, time.Time{}) == ready }

// IsRunning says whether a replica's process runs, whatever it does.
func IsRunning(r Replica) bool {
	return r.State == Running || r.State == Paused || r.State == Restarting
}

// isAvailable says whether a replica has been ready for long enough, and notes
// when it will have been: for the spec's MinReady and, if it crashed in the
// course of the rollout, for as long as its next restart would have to wait.
// So a revision that is ready for a moment and dies does not get any further.
func (p *planner) isAvailable(r replica) bool {
	if r.class != ready {
		return false
	}
	if p.Spec == nil {
		return true
	}
	wait := p.Spec.MinReady
	if a := p.plan.Rollout.Attempts[r.Number]; r.current && !p.plan.Rollout.Complete && a.Revision == r.revision {
		wait = max(wait, delay(p.Spec.Restart, a.ran()+r.RestartCount))
	}
	return wait == 0 || p.due(r.ReadySince.Add(wait))
}

// live is a replica that holds its number: it runs, or will run again.
func (r replica) live() bool {
	return r.class != leaving && r.class != leftover
}

// runs is a container whose process is there, or is about to be.
func (r replica) runs() bool {
	return r.InFlight == CreateReplica || r.InFlight == StartReplica || IsRunning(r.Replica)
}

// neverHealthy says whether a replica fails its own health check and has never
// passed it in this run. That may well be the check's fault.
func (r replica) neverHealthy() bool {
	return r.class == unhealthy && r.State == Running && r.Broken == "" && !r.Probed && !r.WasReady
}

// checkCannotRun says whether the last health check has found nothing out, as
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
	case (r.class == exited || r.State == Restarting) && r.HealthOutput != "":
		return fmt.Sprintf("exited with code %s: %s", exitCode(r.Replica), r.HealthOutput)
	case r.class == exited || r.State == Restarting:
		return "exited with code " + exitCode(r.Replica)
	case r.State == Paused:
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
