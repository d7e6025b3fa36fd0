package plan

import (
	"fmt"
	"time"

	"github.com/tendhq/tend/controller/spec"
)

// ResourceKind is a kind of object that workloads need and that is not a container.
type ResourceKind string

// The kinds of resources.
const (
	NetworkResource ResourceKind = "network"
	VolumeResource  ResourceKind = "volume"
	ImageResource   ResourceKind = "image"
)

// Resource is a network, a volume or an image that the project needs, and what
// is known of it.
type Resource struct {
	Kind ResourceKind
	Name string
	// External resources are never created; NoPull images never pulled.
	External, NoPull bool
	// ConfigHash is Compose's hash of what is written, ActualHash the label on
	// what exists, empty where it carries none.
	ConfigHash, ActualHash string
	// Known is true once the engine was asked for it, Present when it has it.
	Known, Present bool
	// ID is an image's content address, or a network's ID.
	ID string
	// DataOf is the Database that had its data on a volume when it last worked,
	// or empty.
	DataOf string
	// InFlight is the action under way on it, or empty.
	InFlight ActionKind
	// Attempt counts the tries to create or pull it.
	Attempt Attempt
}

// String names a resource in a sentence.
func (r Resource) String() string { return string(r.Kind) + " " + r.Name }

// ProjectInput is all that a plan for the project's resources may depend on.
type ProjectInput struct {
	Now       time.Time
	Resources []Resource
}

// ProjectPlan is what to do about the project's resources.
type ProjectPlan struct {
	Actions []Action
	// Resources are those of the input whose record changed, to be committed
	// before the actions are carried out.
	Resources []Resource
	Next      time.Time
}

// resourceBackoff paces failed pulls and creates as restarts are paced.
var resourceBackoff = spec.Restart{Delay: 10 * time.Second, MaxDelay: 300 * time.Second}

// ComputeProject plans the networks, volumes and images that the workloads
// wait for. Nothing is ever removed here, and a network whose configuration
// changed is left as it is, since containers are joined to it. A volume that held
// a database's data is not made anew: nobody would see that the data are lost.
func ComputeProject(in ProjectInput) ProjectPlan {
	var p Plan
	var changed []Resource
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
			p.at(at)
			continue
		}
		r.Attempt = Attempt{Count: r.Attempt.Count + 1, At: in.Now}
		changed = append(changed, r)
		p.Actions = append(p.Actions, Action{
			Kind: r.Action(), Object: r.Name,
			Cause: fmt.Sprintf("%s does not exist and is needed", r),
		})
	}
	return ProjectPlan{Actions: p.Actions, Resources: changed, Next: p.Next}
}

// Action is what brings a resource into being.
func (r Resource) Action() ActionKind {
	switch r.Kind {
	case NetworkResource:
		return CreateNetwork
	case VolumeResource:
		return CreateVolume
	default:
		return PullImage
	}
}

// resourceProblem says what keeps a resource from being there, in words for a person;
// empty when it is there, or on its way.
func resourceProblem(r Resource) string {
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
func resourceRemedy(r Resource) string {
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
func Diverged(r Resource) string {
	if !r.Present || r.External || r.ActualHash == "" || r.ActualHash == r.ConfigHash {
		return ""
	}
	return fmt.Sprintf("%s was made from another configuration and is left as it is: take the project down and up again to change a network; move the data to change a volume", r)
}
