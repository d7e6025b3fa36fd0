package plan

import (
	"fmt"
	"time"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/spec"
)

// ProjectInput is all that a plan for the project's resources may depend on.
type ProjectInput struct {
	Now       time.Time
	Resources []core.Resource
}

// ProjectPlan is what to do about the project's resources.
type ProjectPlan struct {
	Actions []core.Action
	// Resources are those of the input whose record changed, to be committed
	// before the actions are carried out.
	Resources []core.Resource
	Next      time.Time
}

// resourceBackoff paces failed pulls and creates as restarts are paced.
var resourceBackoff = spec.Restart{Delay: 10 * time.Second, MaxDelay: 300 * time.Second}

// ComputeProject plans the networks, volumes and images that the workloads
// wait for. Nothing is ever removed here, and a network whose configuration
// changed is left as it is, since containers are joined to it. A volume that held
// a database's data is not made anew: nobody would see that the data are lost.
func ComputeProject(in ProjectInput) ProjectPlan {
	var p ProjectPlan
	for _, r := range in.Resources {
		if !r.Known || r.Present || r.InFlight != "" || r.External || r.NoPull || r.DataOf != "" {
			continue
		}
		// After the first failure there is no immediate second try: unlike a
		// process that died, a registry or a name does not recover by trying.
		n := r.Attempt.Count
		if n > 0 {
			n++
		}
		if at := r.Attempt.At.Add(delay(resourceBackoff, n)); n > 0 && at.After(in.Now) {
			p.Next = soonest(p.Next, at)
			continue
		}
		r.Attempt = core.Attempt{Count: r.Attempt.Count + 1, At: in.Now}
		p.Resources = append(p.Resources, r)
		p.Actions = append(p.Actions, core.Action{
			Kind: r.Action(), Object: r.Name,
			Cause: fmt.Sprintf("%s does not exist and is needed", r),
		})
	}
	return p
}

// resourceProblem says what keeps a resource from being there, in words for a person;
// empty when it is there, or on its way.
func resourceProblem(r core.Resource) string {
	switch {
	case r.Present:
		return ""
	case r.External:
		return fmt.Sprintf("%s is external and does not exist: %s", r, resourceRemedy(r))
	case r.DataOf != "":
		return fmt.Sprintf("%s held the data of %s and is gone: %s", r, r.DataOf, resourceRemedy(r))
	case r.NoPull:
		return fmt.Sprintf("%s is not there and its pull_policy is %s: %s", r, "never or build", resourceRemedy(r))
	case r.Attempt.Error != "":
		return fmt.Sprintf("%s: %s", r, r.Attempt.Error)
	default:
		return r.String()
	}
}

// resourceRemedy is what a person can do about the problem of a resource; empty when there is nothing to do.
func resourceRemedy(r core.Resource) string {
	switch {
	case r.Present:
		return ""
	case r.External:
		return fmt.Sprintf("create it with docker %s create %s", r.Kind, r.Name)
	case r.DataOf != "":
		return "bring it back, or for an empty database make one with docker volume create " + r.Name
	case r.NoPull:
		return "build it with docker compose build, or pull it"
	case r.Attempt.Error != "":
		return correctTry
	default:
		return ""
	}
}

// Diverged says that what exists was made from another configuration than what
// is written; empty when it was not. It is left as it is: containers are joined
// to a network, and a volume holds data.
func Diverged(r core.Resource) string {
	if !r.Present || r.External || r.ActualHash == "" || r.ActualHash == r.ConfigHash {
		return ""
	}
	return fmt.Sprintf("%s was made from another configuration and is left as it is: take the project down and up again to change a network; move the data to change a volume", r)
}
