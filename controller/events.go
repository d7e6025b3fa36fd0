package controller

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/tendhq/tend/controller/plan"
	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/state"
)

// reasons are an action's reasons in events: under way, done, and failed.
var reasons = map[plan.ActionKind]struct{ doing, done, failed string }{
	plan.CreateReplica: {"", "Created", "CreateFailed"},
	plan.StartReplica:  {"", "Restarted", "StartFailed"},
	plan.StopReplica:   {"Stopping", "Stopped", "StopFailed"},
	plan.RemoveReplica: {"", "Removed", "RemoveFailed"},
	plan.UpdateReplica: {"", "Updated", "UpdateFailed"},
	plan.PrepareUpdate: {"Preparing", "Prepared", "PrepareFailed"},
	plan.CheckUpdate:   {"Checking", "Checked", "CheckFailed"},
	plan.RunHook:       {"HookStarting", "HookStarted", "HookNotStarted"},
	plan.CreateNetwork: {"", "NetworkCreated", "NetworkFailed"},
	plan.CreateVolume:  {"", "VolumeCreated", "VolumeFailed"},
	plan.PullImage:     {"Pulling", "Pulled", "PullFailed"},
}

// started is the event of an action that takes a while; ok is false for another one.
func started(a plan.Action) (e plan.Event, ok bool) {
	reason := reasons[a.Kind].doing
	return plan.Event{Type: plan.Normal, Workload: a.Workload, Reason: reason, Message: a.Object + ": " + a.Cause}, reason != ""
}

// succeeded is the event of an action that was carried out.
func succeeded(a plan.Action) plan.Event {
	return plan.Event{Type: plan.Normal, Workload: a.Workload, Reason: reasons[a.Kind].done, Message: fmt.Sprintf("%s: %s", a.Object, a.Cause)}
}

// failed is the event of an action that failed, or whose result is not known.
func failed(a plan.Action, err error) plan.Event {
	return plan.Event{Type: plan.Warning, Workload: a.Workload, Reason: reasons[a.Kind].failed, Message: fmt.Sprintf("%s: %v", a.Object, err)}
}

// specChanged is the event of a spec that was edited.
func specChanged(before *spec.Workload, after *state.Workload) plan.Event {
	var changes []string
	if a, b := before.Replicas, after.Spec.Replicas; a != b {
		changes = append(changes, fmt.Sprintf("replicas %d → %d", a, b))
	}
	if a, b := before.Revision, after.Spec.Revision; a != b {
		changes = append(changes, fmt.Sprintf("revision %s → %s", short(a), short(b)))
	}
	if a, b := before.Image, after.Spec.Image; a != b {
		changes = append(changes, fmt.Sprintf("image %s → %s", a, b))
	}
	return plan.Event{
		Type: plan.Normal, Workload: after.Name, Reason: "SpecChanged",
		Message: fmt.Sprintf("generation %d: %s", after.Generation, cmp.Or(strings.Join(changes, ", "), "policy")),
	}
}
