package plan

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/spec"
)

// Joined is a container of a service whose namespaces or volumes the workload's containers
// share.
type Joined struct {
	core.Replica
	// Current is true where it is of the revision that its service is kept at, or stays at
	// another one, as its rollout is paused.
	Current bool
	// Draining is true where its endpoint was withdrawn, as it is to be stopped.
	Draining bool
}

// leaves reports whether it is about to be stopped or removed.
func (j Joined) leaves() bool {
	return j.Draining || j.State == core.Removing || j.InFlight == core.StopReplica || j.InFlight == core.RemoveReplica
}

// namespaces names the namespaces that a container can share with another.
var namespaces = map[core.JoinKind]string{
	core.JoinNetwork: "network", core.JoinIPC: "IPC namespace", core.JoinPID: "process namespace",
}

// joined returns a container that the workload's may have joined; nil where there is none
// of that ID.
func (in Input) joined(id string) *Joined {
	i := slices.IndexFunc(in.Joined, func(j Joined) bool { return j.ID == id })
	if i < 0 {
		return nil
	}
	return &in.Joined[i]
}

// lostJoin names what a container no longer has of one that it has joined, where it is
// known which services it was made to join; empty where there is nothing. What was removed
// does not come back, and a namespace ends with the run that it belongs to: the next run
// has another, which a restart of the joiner gives it.
func (in Input) lostJoin(r core.Replica) string {
	made := in.madeFrom(r)
	if made == nil || !IsRunning(r) && r.State != core.Exited {
		return ""
	}
	joins := r.JoinedFor(made)
	for _, service := range made.Joins() {
		if in.joined(joins[service]) == nil {
			return "the container of " + service + " that it joined"
		}
	}
	if r.State == core.Exited {
		return ""
	}
	for _, j := range r.Joins {
		namespace, other := namespaces[j.Kind], in.joined(j.ID)
		if namespace != "" && other != nil && IsRunning(other.Replica) && other.StartedAt.After(r.StartedAt) {
			return fmt.Sprintf("the %s of %s as it is since its restart", namespace, other.Name)
		}
	}
	return ""
}

// ownMounts returns the mounts of a container that it does not have of one whose volumes
// it shares. Of one that is gone nobody knows which those were, and none is taken for its
// own.
func (in Input) ownMounts(r core.Replica) []core.Mount {
	own := r.Mounts
	for _, j := range r.Joins {
		if j.Kind != core.JoinVolumes {
			continue
		}
		other := in.joined(j.ID)
		own = slices.DeleteFunc(slices.Clone(own), func(m core.Mount) bool { return other == nil || slices.Contains(other.Mounts, m) })
	}
	return own
}

// toJoin returns the container of a service that the next container of a spec joins; nil
// while there is none that runs and stays. What is written joins what is written: else it
// would be replaced once more.
func (in Input) toJoin(service string, made *spec.Workload) (found *Joined) {
	for i := range in.Joined {
		j := &in.Joined[i]
		fits := j.Workload == service && j.State == core.Running && !j.leaves() && (j.Current || made.Revision != in.Spec.Revision)
		if fits && (found == nil || j.Number < found.Number) {
			found = j
		}
	}
	return found
}

// joins returns the containers that the next container of a spec joins, by service, and
// the services that have none to join now.
func (in Input) joins(made *spec.Workload) (containers map[string]string, without []string) {
	for _, service := range made.Joins() {
		j := in.toJoin(service, made)
		if j == nil {
			without = append(without, service)
			continue
		}
		containers = clone(containers)
		containers[service] = j.ID
	}
	return containers, without
}

// awaitsJoined says for which container an exited one has to wait before it is started, as
// it shares a namespace of that; empty where there is none.
func (in Input) awaitsJoined(r core.Replica) string {
	for _, j := range r.Joins {
		if other := in.joined(j.ID); other != nil && j.Kind != core.JoinVolumes && (other.State != core.Running || other.leaves()) {
			return fmt.Sprintf("waiting for %s to run, which %s has joined", other.Name, r.Name)
		}
	}
	return ""
}

// joinedEnded reports whether a container that a start was to join has ended since an
// instant, also where it was started again: the engine joins only what runs.
func (in Input) joinedEnded(a core.Action, since time.Time) bool {
	ids := slices.Collect(maps.Values(a.Joins))
	if i := slices.IndexFunc(in.Replicas, func(r core.Replica) bool { return r.ID == a.ID }); i >= 0 && a.Kind == core.StartReplica {
		for _, j := range in.Replicas[i].Joins {
			if namespaces[j.Kind] != "" {
				ids = append(ids, j.ID)
			}
		}
	}
	return slices.ContainsFunc(ids, func(id string) bool {
		other := in.joined(id)
		if other == nil {
			return a.Kind == core.CreateReplica // the next one joins another container
		}
		return other.State != core.Running || other.StartedAt.After(since)
	})
}

// followJoined takes away the replicas that have joined a container which is about to go:
// it waits for them. It returns the IDs of those that are stopped or removed now.
func (s *steps) followJoined() (gone []string) {
	for _, r := range s.replicas {
		if !r.live() || r.done || r.class == coming {
			continue
		}
		i := slices.IndexFunc(r.Joins, func(j core.Join) bool {
			other := s.joined(j.ID)
			return other != nil && other.leaves()
		})
		if i >= 0 {
			s.retire([]replica{r}, "%s goes, which %s has joined", s.joined(r.Joins[i].ID).Name, r.Name)
			gone = append(gone, r.ID)
		}
	}
	return gone
}

// joinersOf names the containers of other workloads that run and have joined a replica,
// those of hooks included.
func (in Input) joinersOf(r replica) (names []string) {
	names = in.hooksOn(r)
	for _, other := range in.Joiners {
		if runsIn(r, other) {
			names = append(names, other.Name)
		}
	}
	slices.Sort(names)
	return names
}

// hooksOn names the containers that run hooks of other workloads and have joined a replica.
func (in Input) hooksOn(r replica) (names []string) {
	for _, run := range in.HookJoiners {
		if runsIn(r, run.Replica) {
			names = append(names, run.Name)
		}
	}
	return names
}

// runsIn reports whether a container runs and has joined a replica.
func runsIn(r replica, other core.Replica) bool {
	return IsRunning(other) && slices.ContainsFunc(other.Joins, func(j core.Join) bool { return j.ID == r.ID })
}
