package plan

import (
	"fmt"
	"hash/fnv"
	"time"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/spec"
)

// ProjectInput is all that a plan for the project's resources may depend on.
type ProjectInput struct {
	Now       time.Time
	Resources []core.Resource
	// Images are the local images of each repository whose old images are pruned. Keep is
	// how many images of a repository are kept, and History names the images of the
	// revisions.
	Images  []core.LocalImage
	Keep    map[string]int
	History []string
}

// ProjectPlan is what to do about the project's resources.
type ProjectPlan struct {
	Actions []core.Action
	// Resources are those of the input whose record changed, to be committed
	// before the actions are carried out.
	Resources []core.Resource
	// Images are likewise those of the input.
	Images []core.LocalImage
	Next   time.Time
}

// resourceBackoff paces failed pulls and creates as restarts are paced.
var resourceBackoff = spec.Restart{Delay: 10 * time.Second, MaxDelay: 300 * time.Second}

// ComputeProject plans the networks, volumes and images that the workloads
// wait for, asks for images that are followed, and prunes old ones where that is asked
// for. Nothing else is ever removed here, and a network whose configuration changed is left
// as it is, since containers are joined to it.
// A volume that held a database's data is not made anew: nobody would see that the data
// are lost.
func ComputeProject(in ProjectInput) ProjectPlan {
	var p ProjectPlan
	for _, r := range in.Resources {
		if !r.Known || r.InFlight != "" || r.External || r.NoPull || r.DataOf != "" {
			continue
		}
		kind, cause, at := nextFor(r)
		// After the first failure there is no immediate second try: unlike a
		// process that died, a registry or a name does not recover by trying.
		n := r.Attempt.Count
		if n > 0 {
			n++
		}
		at = later(later(at, r.Attempt.At.Add(delay(resourceBackoff, n))), r.NotBefore)
		switch {
		case kind == "":
		case at.After(in.Now):
			p.Next = soonest(p.Next, at)
		default:
			r.Attempt = core.Attempt{Count: r.Attempt.Count + 1, At: in.Now}
			p.Resources = append(p.Resources, r)
			p.Actions = append(p.Actions, core.Action{Kind: kind, Object: r.Name, Cause: cause})
		}
	}
	prune(in, &p)
	return p
}

// nextFor returns what is done for a resource next, why and not before when; nothing where
// it is as it should be.
func nextFor(r core.Resource) (kind core.ActionKind, cause string, at time.Time) {
	switch {
	case !r.Present:
		return r.Action(), fmt.Sprintf("%s does not exist and is needed", r), at
	case r.PullDue():
		return core.PullImage, fmt.Sprintf("pull_policy of %s is always", r), at
	case r.PullInterval > 0 && r.Newest != "" && r.Newest != r.Digest && r.Newest != r.PulledFor:
		return core.PullImage, fmt.Sprintf("%s is another one in its registry, %s", r, shortImage(r.Newest)), at
	case r.PullInterval > 0 && r.AskedAt.IsZero():
		return core.AskRegistry, "", at
	case r.PullInterval > 0:
		return core.AskRegistry, "", r.AskedAt.Add(r.PullInterval + jitter(r))
	default:
		return "", "", at
	}
}

// jitter spreads the questions to a registry: up to a tenth of the interval, and for each
// name another one.
func jitter(r core.Resource) time.Duration {
	sum := fnv.New32a()
	_, _ = sum.Write([]byte(r.Name)) // it never fails
	return r.PullInterval / 10 * time.Duration(sum.Sum32()%1000) / 1000
}

// ResourceActed returns what is known of a resource after an action on it has ended.
// answer is the registry's, to AskRegistry.
func ResourceActed(r core.Resource, a core.Action, answer core.RegistryAnswer, err error, now time.Time) core.Resource {
	asked := a.Kind == core.AskRegistry
	if answer.RetryAfter > 0 {
		r.NotBefore = now.Add(answer.RetryAfter)
	}
	switch {
	case err == nil && !r.Present && !asked:
		// It is tried again no sooner than after a failure, unless it is seen to be there.
		r.Attempt.Error = ""
	case err == nil:
		r.Attempt, r.RegistryError = core.Attempt{}, ""
	case asked:
		r.RegistryError = err.Error()
	default:
		r.Attempt.Error = err.Error()
	}
	switch {
	case asked && err == nil:
		r.AskedAt, r.Newest = now, answer.Digest
	case a.Kind == core.PullImage && err == nil:
		r.PulledAt, r.PulledFor = now, r.Newest
	}
	return r
}

// resourceProblem says what keeps a resource from being there, in words for a person;
// empty when it is there, or on its way.
func resourceProblem(r core.Resource) string {
	switch {
	case r.Present:
		return ""
	case r.External:
		return fmt.Sprintf("%s is external and does not exist", r)
	case r.DataOf != "":
		return fmt.Sprintf("%s held the data of %s and is gone", r, r.DataOf)
	case r.NoPull:
		return fmt.Sprintf("%s is not there and its pull_policy is never or build", r)
	case r.Attempt.Error != "":
		return fmt.Sprintf("%s: %s", r, r.Attempt.Error)
	default:
		return r.String()
	}
}

// resourceRemedy is what a person can do about the problem of a resource; empty when there
// is nothing to do.
func resourceRemedy(r core.Resource) string {
	switch {
	case r.Present:
		return ""
	case r.External:
		return fmt.Sprintf("create it with docker %s create %s", r.Kind, r.Name)
	case r.DataOf != "":
		return "bring it back, or for an empty database make one with docker volume create " + r.Name
	case r.NoPull:
		return "build it with tend build, or pull it"
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
