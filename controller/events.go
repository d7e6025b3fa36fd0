package controller

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/state"
)

// reasons are an action's reasons in events: under way, done, and failed.
var reasons = map[core.ActionKind]struct{ doing, done, failed string }{
	core.CreateReplica:  {"", "Created", "CreateFailed"},
	core.StartReplica:   {"", "Restarted", "StartFailed"},
	core.StopReplica:    {"Stopping", "Stopped", "StopFailed"},
	core.RemoveReplica:  {"", "Removed", "RemoveFailed"},
	core.UpdateReplica:  {"", "Updated", "UpdateFailed"},
	core.ConnectReplica: {"", "Connected", "ConnectFailed"},
	core.PrepareUpdate:  {"Preparing", "Prepared", "PrepareFailed"},
	core.CheckUpdate:    {"Checking", "Checked", "CheckFailed"},
	core.RunHook:        {"HookStarting", "HookStarted", "HookNotStarted"},
	core.CreateNetwork:  {"", "NetworkCreated", "NetworkFailed"},
	core.CreateVolume:   {"", "VolumeCreated", "VolumeFailed"},
	core.PullImage:      {"Pulling", "Pulled", "PullFailed"},
	core.BuildImage:     {"Building", "Built", "BuildFailed"},
	core.AskRegistry:    {"", "", "RegistryFailed"},
	core.RemoveImage:    {"", "ImageRemoved", "ImageRemoveFailed"},
	core.MakeImage:      {"", "ImageMade", "ImageFailed"},
}

// started is the event of an action that takes a while; ok is false for another one.
func started(a core.Action) (e core.Event, ok bool) {
	reason := reasons[a.Kind].doing
	return core.Event{Type: core.Normal, Workload: a.Workload, Reason: reason, Message: a.Object + ": " + a.Cause}, reason != ""
}

// succeeded is the event of an action that was carried out.
func succeeded(a core.Action) core.Event {
	return core.Event{Type: core.Normal, Workload: a.Workload, Reason: reasons[a.Kind].done, Message: fmt.Sprintf("%s: %s", a.Object, a.Cause)}
}

// failed is the event of an action that failed, or whose result is not known.
func failed(a core.Action, err error) core.Event {
	return core.Event{Type: core.Warning, Workload: a.Workload, Reason: reasons[a.Kind].failed, Message: fmt.Sprintf("%s: %v", a.Object, err)}
}

// warned is the event of what failed in an action that was carried out.
func warned(a core.Action, warning string) core.Event {
	return core.Event{Type: core.Warning, Workload: a.Workload, Reason: "PreStopFailed", Message: a.Object + ": " + warning}
}

// specChanged is the event of a spec that was edited.
func specChanged(before *spec.Workload, after *state.Workload) core.Event {
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
	return core.Event{
		Type: core.Normal, Workload: after.Name, Reason: "SpecChanged",
		Message: fmt.Sprintf("generation %d: %s", after.Generation, cmp.Or(strings.Join(changes, ", "), "policy")),
	}
}
