package controller

import (
	"fmt"

	"github.com/tendhq/tend/controller/plan"
)

// reasons are the words for actions in events: under way, done, and failed.
var reasons = map[plan.ActionKind]struct{ doing, done, failed string }{
	plan.CreateReplica: {"", "Created", "CreateFailed"},
	plan.StartReplica:  {"", "Restarted", "StartFailed"},
	plan.StopReplica:   {"Stopping", "Stopped", "StopFailed"},
	plan.RemoveReplica: {"", "Removed", "RemoveFailed"},
	plan.AdoptReplica:  {"", "Adopted", "AdoptFailed"},
	plan.CreateNetwork: {"", "NetworkCreated", "NetworkFailed"},
	plan.CreateVolume:  {"", "VolumeCreated", "VolumeFailed"},
	plan.PullImage:     {"Pulling", "Pulled", "PullFailed"},
}

// started is the event of an action that takes a while; ok is false for others.
func started(a plan.Action) (e plan.Event, ok bool) {
	reason := reasons[a.Kind].doing
	return plan.Event{Type: plan.Normal, Workload: a.Workload, Reason: reason, Message: a.Object + ": " + a.Cause}, reason != ""
}

// succeeded is the event of an action that was carried out.
func succeeded(a plan.Action) plan.Event {
	return plan.Event{Type: plan.Normal, Workload: a.Workload, Reason: reasons[a.Kind].done, Message: fmt.Sprintf("%s: %s", a.Object, a.Cause)}
}

// failed is the event of an action that was not, or not known to be.
func failed(a plan.Action, err error) plan.Event {
	return plan.Event{Type: plan.Warning, Workload: a.Workload, Reason: reasons[a.Kind].failed, Message: fmt.Sprintf("%s: %v", a.Object, err)}
}
