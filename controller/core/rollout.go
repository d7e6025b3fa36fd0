package core

import (
	"reflect"
	"time"

	"github.com/tendhq/tend/controller/spec"
)

// Attempt is what is remembered of the starts of one replica number, so that a
// crash loop is slowed down.
type Attempt struct {
	// Revision is what was started; another revision begins anew.
	Revision string
	// Count is how many times it was started, At when last.
	Count int
	At    time.Time
	// Unstarted counts those of them that failed, so that nothing ever ran.
	Unstarted int
	// Error says why the last start failed; empty when it did not.
	Error string
	// Unfinished is true until the post_start commands of the last start have ended well.
	Unfinished bool
	// Ours is true once tend itself has stopped or removed what it started then.
	Ours bool
	// Repair counts the starts that were needed as somebody else had.
	Repair Repair
}

// Repair is what is remembered of the starts of one replica number that somebody
// other than tend had stopped or removed. They are no attempts.
type Repair struct {
	// Count is how many there were in a row, First and Last are when.
	Count       int
	First, Last time.Time
}

// Try is what is remembered of an action on a container that exists, other than
// a start, until it has succeeded, so that one that fails is not hammered at.
type Try struct {
	// State is the state that the container was in; another one begins anew.
	State State
	// Count is how many times something was tried, At when last.
	Count int
	At    time.Time
	// Error says why the last try failed; empty when it did not, or is under way.
	Error string
}

// Drain is what is remembered of a replica between the withdrawal of its
// endpoint and its stop signal.
type Drain struct {
	// Since is when the endpoint was withdrawn.
	Since time.Time
	// Cause says why the replica is to be stopped.
	Cause string
	// Unasked is true where no requests can be on their way to it, so that nobody has to
	// acknowledge the withdrawal.
	Unasked bool
}

// Rollout is the record of a workload's move from one revision to another. It
// is committed before the actions that follow from it are carried out.
type Rollout struct {
	Workload string
	// Revision is where the rollout leads, Stable the last revision whose
	// rollout completed.
	Revision, Stable string
	// ImageID is the image that the replicas of Revision are to be made from, empty
	// where it was never found; StableImageID the last one whose rollout completed.
	ImageID, StableImageID string
	// StartedAt is when the rollout to Revision began, or that of a Job went on after
	// it was blocked; ProgressAt is when it last came forward, less the time that does
	// not count.
	StartedAt, ProgressAt time.Time
	// AvailableSince is since when every wanted replica runs at Revision and is available,
	// zero while that is not so. The time does not count against the rollout.
	AvailableSince time.Time
	// Complete is true once every replica ran at Revision and was available.
	Complete bool
	// Blocked is true while the rollout is paused, or waits for something that
	// is not its fault, as for an old replica to end; the time does not count
	// against it.
	Blocked bool
	// Failed is a revision that was rolled back, and Failure why. It is not
	// tried again until another one is written.
	Failed, Failure string
	// Prepared is the revision for which a Database was prepared; Refused says why
	// it cannot be brought to Revision, however often that is tried.
	Prepared, Refused string
	// Hooked is the revision whose pre-rollout hooks have run.
	Hooked string
	// HookTry is the start of the next hook, until it has succeeded.
	HookTry Try
	// RestartedAt is the last Intent.RestartedAt that a rollout was begun for.
	RestartedAt time.Time
	// Drains are the replicas that are to be stopped and whose endpoint was
	// withdrawn for that, by container ID.
	Drains map[string]Drain
	// Updated, UpdatedReady, UpdatedAvailable, Ready, Available and Old are the counts
	// that ProgressAt is judged by: the most that were, and of the old the fewest.
	// Available counts only those that are wanted: so many the rollout keeps up, less
	// what it may take away.
	Updated, UpdatedReady, UpdatedAvailable, Ready, Available, Old int
	// Attempts by replica number.
	Attempts map[int]Attempt
	// Tries by container ID.
	Tries map[string]Try
	// Anonymous are the anonymous volumes of each number, by path, also while no
	// container has them: the next one of that number takes them over.
	Anonymous map[int]map[string]string
	// Done are the runs that have ended as they may, by container ID: when each was
	// started.
	Done map[string]time.Time
	// Succeeded are the numbers of a Job that ran to completion at Revision, and
	// GivenUp is why it was given up there, which is final.
	Succeeded map[int]bool
	GivenUp   Failure
	// Swarm is what only a workload on a Swarm needs.
	Swarm SwarmRecord `json:",omitzero"`
}

// SwarmRecord is the part of a rollout's record that a workload on a Swarm needs.
type SwarmRecord struct {
	// Completed are the revisions whose rollout completed, the last one at the end, and Bad
	// those of them that were gone back to since and failed.
	Completed, Bad []string `json:",omitempty"`
	// Objects are the names of the secrets and configs that Stable was rolled out with, by
	// kind and Compose key, as "secret token".
	Objects map[string]string `json:",omitempty"`
	// Images are the images of revisions: with the digest that the name stood for when the
	// revision was rolled out first, and without one where no registry told it.
	Images map[string]string `json:",omitempty"`
	// Node is the ID of the node that has the workload's volumes; empty where it has none.
	Node string `json:",omitempty"`
	// Nodes are the IDs of those that are to have a replica, sorted, where each node is to.
	Nodes []string `json:",omitempty"`
	// Applied is a hash of what the service was given last: where the service differs from
	// that, somebody else has changed it.
	Applied string `json:",omitempty"`
	// Stopped is true from when tend has had all tasks end until the next ones may start.
	Stopped bool `json:",omitempty"`
}

// Failure is why a Job was given up; zero while it was not.
type Failure struct {
	// Reason is one of the reasons of batch/v1's condition Failed; Message is a sentence.
	Reason, Message string
}

// Intent is what people asked for through the API. It stands beside what is
// written, and never changes it.
type Intent struct {
	// Paused overrides the spec's paused, where it is not nil.
	Paused *bool
	// Undo is the revision to run in place of the one that is written,
	// UndoOf, until another one is written.
	Undo, UndoOf string
	// RestartedAt has all replicas that were created before it replaced.
	RestartedAt time.Time
}

// After returns what still holds of an intent once a revision has been written: an
// undo lasts until another one is.
func (i Intent) After(written string) Intent {
	if i.UndoOf != written {
		i.Undo, i.UndoOf = "", ""
	}
	return i
}

// Pauses reports whether the rollout of a spec is held where it is.
func (i Intent) Pauses(s *spec.Workload) bool {
	if i.Paused != nil {
		return *i.Paused
	}
	return s.Paused
}

// Foreseeable reports whether a restart finds anew what has changed between two
// records of a rollout: how far it has come, and that a drain has ended. Such a
// change need not be committed before anything is done.
func Foreseeable(before, after Rollout) bool {
	for id, d := range after.Drains {
		if before.Drains[id] != d {
			return false
		}
	}
	for _, r := range []*Rollout{&before, &after} {
		r.ProgressAt, r.AvailableSince, r.Drains = time.Time{}, time.Time{}, nil
		r.Updated, r.UpdatedReady, r.UpdatedAvailable, r.Ready, r.Old = 0, 0, 0, 0, 0
	}
	return reflect.DeepEqual(before, after)
}

// AfterDeletion returns what is worth remembering of a workload that was taken out of the
// project while it has containers: what outlives them, which of them are drained, and which have
// ended or were told to. Where the workload is written again, no drain is taken back, and none of
// these runs counts.
func AfterDeletion(r Rollout, containers []Replica) (Rollout, bool) {
	kept, any := AfterRemoval(r)
	for _, c := range containers {
		if d, draining := r.Drains[c.ID]; draining {
			if kept.Drains == nil {
				kept.Drains = map[string]Drain{}
			}
			kept.Drains[c.ID] = d
		}
		if r.Attempts[c.Number].Ours || c.State == Exited {
			if kept.Attempts == nil {
				kept.Attempts = map[int]Attempt{}
			}
			kept.Attempts[c.Number] = Attempt{Revision: c.Revision, Ours: true}
		}
	}
	return kept, any || len(kept.Attempts) > 0 || len(kept.Drains) > 0
}

// AfterRemoval returns what is worth remembering of a workload that was taken
// away: its anonymous volumes, which outlive its containers, and the node of a Swarm that
// has its volumes. It returns false where that is nothing.
func AfterRemoval(r Rollout) (Rollout, bool) {
	kept := Rollout{Workload: r.Workload, Anonymous: r.Anonymous, Swarm: SwarmRecord{Node: r.Swarm.Node}}
	return kept, len(r.Anonymous) > 0 || r.Swarm.Node != ""
}
