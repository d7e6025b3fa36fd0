// Package plan decides. Compute and ComputeProject are the only places in tend
// where it is decided what to do; they are pure, total and deterministic: the
// same input gives the same plan, a problem becomes a condition and not an
// error, and the clock is an input. A plan holds only actions that are safe at
// this instant; what must wait is planned again when something changed, or at
// the instant that the plan names as Next.
package plan

import (
	"slices"
	"time"

	"github.com/tendhq/tend/controller/spec"
)

// State is a container's state, with the engine's names.
type State string

// The states of a container.
const (
	Created    State = "created"
	Running    State = "running"
	Paused     State = "paused"
	Restarting State = "restarting"
	Removing   State = "removing"
	Exited     State = "exited"
	Dead       State = "dead"
)

// Health is the result of a replica's health check.
type Health string

// The results of a health check.
const (
	NoHealthCheck Health = ""
	Starting      Health = "starting"
	Healthy       Health = "healthy"
	// Unready: the readiness probe fails and the liveness probe does not.
	Unready   Health = "unready"
	Unhealthy Health = "unhealthy"
)

// Replica is the observation of one container of a workload.
type Replica struct {
	Workload string
	// Number is the replica's number, from 1; 0 where its labels are corrupt.
	Number int
	// Name is the container's name; ID is empty while it is being created.
	Name, ID string
	// Revision is the revision label, or empty on a container that tend did
	// not make; then ConfigHash tells whether it is as written.
	Revision, ConfigHash string
	// Kind is by which rules it was made, or empty where tend did not make it.
	Kind   spec.Kind
	State  State
	Health Health
	// HealthOutput is the last line of the last health check, or of what a process
	// that gave up by itself has printed, for messages.
	HealthOutput string
	// HealthExitCode is how the last health check exited, for messages.
	HealthExitCode int
	// Probe is what tend's own probes say of this run, in the place of the container's
	// health check; nil where tend does not probe it, zero before the first answers.
	Probe     *Probe
	ExitCode  int
	OOMKilled bool
	// Interrupted is true where this run was ended by a signal that somebody had
	// the engine send, tend included; Unwatched where nothing tells how it ended,
	// as tend or the engine was away.
	Interrupted, Unwatched bool
	// Created, StartedAt and FinishedAt are by the engine's clock, zero when
	// it never happened.
	Created, StartedAt, FinishedAt time.Time
	// ReadySince is when the replica became ready; zero when it is not.
	ReadySince time.Time
	// WasReady is true when this run of the container has been ready before.
	WasReady bool
	// Broken says what a running container lacks of what it was created with,
	// as a host port; empty when nothing.
	Broken string
	// StopTimeout is the grace that the container was created with; 0 for the
	// engine's own.
	StopTimeout time.Duration
	// RestartPolicy is by what the engine itself starts the container again, and
	// RestartCount how often it did since somebody started it.
	RestartPolicy string
	RestartCount  int
	// Addresses by engine network name; Ports as published on the host.
	Addresses map[string]string
	// NetworkIDs are the IDs of the networks that it was last started in, by name.
	NetworkIDs map[string]string
	Ports      []string
	// Image is the name of the image that it was made from, ImageID what that stood
	// for; empty where the container does not tell.
	Image, ImageID string
	// DependsOn names the workloads that this container was made to need.
	DependsOn []string
	// Mounts are the volumes and binds that it may write to.
	Mounts []Mount
	// ConfigFiles are the Compose files that it was made from, as seen from its
	// project directory.
	ConfigFiles []string
	// TakenOver is true where it was made from another folder whose containers are
	// to become the project's.
	TakenOver bool
	// Orphan is true for a container of a service that is not written and that
	// tend has not kept before: it is somebody else's.
	Orphan bool
	// InFlight is the action under way on this replica, or empty.
	InFlight ActionKind
}

// Probe is what tend's own probes say of one run of a container.
type Probe struct {
	// StartedAt is when the run began that was probed.
	StartedAt time.Time
	// Started, Ready and Live are the verdicts of the startup, readiness and
	// liveness probe; true where there is none, but for Started and Ready
	// before the first success.
	Started, Ready, Live bool
	// WasReady is true once Ready has been true.
	WasReady bool
	// Since is when Ready last changed.
	Since time.Time
	// Message says why one of them is false.
	Message string
}

// Mount is a volume or a bind of a replica.
type Mount struct {
	// Target is the path in the container, Source the volume's name or the path
	// on the host.
	Target, Source string
	// Anonymous is true for a volume that nobody named: the engine did.
	Anonymous bool
}

// Foreigner is a container that carries the project's name and was made from another
// folder: another project's, or this one's from before it was moved.
type Foreigner struct {
	// ID is the container's, Name its name, Workload the service it is labelled with.
	ID, Name, Workload string
	// Folder is the project directory that it was made from; Gone is true where that
	// is not to be found.
	Folder string
	Gone   bool
	// Volumes are the named volumes that it mounts.
	Volumes []string
}

// ActionKind says what an action does.
type ActionKind string

// The kinds of actions. Each acts on one object, and of each object at most
// one action is under way at a time.
const (
	// CreateReplica creates a container and starts it. The two are one action
	// because a container that was created and not started is never worth
	// keeping: a second start may run it without its network or ports
	// (moby/moby#51758).
	CreateReplica ActionKind = "create"
	// StartReplica starts an exited container again.
	StartReplica ActionKind = "start"
	// StopReplica sends the stop signal, and SIGKILL when the grace is over.
	StopReplica ActionKind = "stop"
	// RemoveReplica removes a container that does not run.
	RemoveReplica ActionKind = "remove"
	// UpdateReplica gives a container the restart policy of the spec, in place.
	UpdateReplica ActionKind = "update"

	// PrepareUpdate checks a running Database's container against the image that
	// comes next, backs the database up, and has it write out what it holds in
	// memory, so that the stop that follows is fast.
	PrepareUpdate ActionKind = "prepare-update"
	// CheckUpdate checks the image of a Database's container that does not serve,
	// and so cannot be prepared, against the image that comes next.
	CheckUpdate ActionKind = "check-update"
	// RunHook runs a pre-rollout hook in a one-off container.
	RunHook ActionKind = "run-hook"

	CreateNetwork ActionKind = "create-network"
	CreateVolume  ActionKind = "create-volume"
	PullImage     ActionKind = "pull-image"
)

// Action is one thing to do now.
type Action struct {
	Kind ActionKind
	// Workload is the workload's name; empty for the project's own objects.
	Workload string
	// Object is the name of what is acted on: a container, hook, network, volume or
	// image. ID is the container's, when it exists.
	Object, ID string
	// Number and Revision are those of the replica to create.
	Number   int
	Revision string
	// Spec is what a container is made from, or a Database is prepared for; nil of other
	// actions. Recordings leave it out: it is their input's, at Revision.
	Spec *spec.Workload `json:"-"`
	// Command is what a hook runs. Recordings leave it out, as it may be secret.
	Command []string `json:"-"`
	// ImageID is the image that a Database is prepared for. Check is true where it has
	// to be found out whether that can take over the data, and Backup where they are
	// backed up.
	ImageID       string
	Check, Backup bool
	// Grace is the time between the stop signal and SIGKILL.
	Grace time.Duration
	// Anonymous are the anonymous volumes that the replica to create takes over
	// from the last one of its number, by path.
	Anonymous map[string]string
	// Volumes is true where a container's anonymous volumes are removed with it.
	Volumes bool
	// RestartPolicy is what a container is to be updated to.
	RestartPolicy string
	// Cause says why, in words for a person; logs, events and the command
	// line show the same sentence.
	Cause string
}

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
	// AvailableSince is since when every replica runs at Revision and is available,
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
}

// Failure is why a Job was given up; zero while it was not.
type Failure struct {
	// Reason is one of the reasons of batch/v1's condition Failed; Message is a sentence.
	Reason, Message string
}

// Endpoint is a ready replica's address, published to gateways and scrapers.
type Endpoint struct {
	Workload string
	// ID is the container's, Replica its name.
	ID, Replica, Revision string
	// Addresses by Compose network key.
	Addresses map[string]string
	// Ports are the container ports to reach it at.
	Ports []int
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

// ConditionType names a condition, with the words of Kubernetes where it has one.
type ConditionType string

// The conditions of a workload.
const (
	// Available: enough replicas are available (apps/v1).
	Available ConditionType = "Available"
	// Progressing: the rollout came forward or is complete (apps/v1).
	Progressing ConditionType = "Progressing"
	// ReplicaFailure: a replica cannot be made or does not keep running (apps/v1).
	ReplicaFailure ConditionType = "ReplicaFailure"
	// Complete and Failed: how a Job ended (batch/v1). Complete is true of a
	// Deployment, too, while all its replicas have ended as they may.
	Complete ConditionType = "Complete"
	Failed   ConditionType = "Failed"
)

// Condition is one aspect of a workload's status.
type Condition struct {
	Type    ConditionType
	Status  bool
	Reason  string
	Message string
	// Since is when Status last changed.
	Since time.Time
}

// Outcome is how far a workload is from its spec.
type Outcome string

// The outcomes.
const (
	// OutcomeConverged: what runs is what is written.
	OutcomeConverged Outcome = "Converged"
	// OutcomeComplete: it has converged by running to completion.
	OutcomeComplete Outcome = "Complete"
	// OutcomeMoving: actions are under way, or come next.
	OutcomeMoving Outcome = "Moving"
	// OutcomeWaiting: something has to happen or to pass first, as a dependency to
	// become ready or a back-off.
	OutcomeWaiting Outcome = "Waiting"
	// OutcomePaused: somebody holds the rollout where it is.
	OutcomePaused Outcome = "Paused"
	// OutcomeStalled: it does not converge unless somebody changes something.
	OutcomeStalled Outcome = "Stalled"
)

// Halted reports whether no waiting helps.
func (o Outcome) Halted() bool { return o == OutcomePaused || o == OutcomeStalled }

// Status is what a workload is like, seen from its spec.
type Status struct {
	Workload string
	// ObservedGeneration is the generation of the spec that this was made from.
	ObservedGeneration int64
	// Desired is how many replicas are asked for.
	Desired int
	// Replicas counts the containers, Updated those of the current revision,
	// Ready and Available as in apps/v1.
	Replicas, Updated, Ready, Available, Unavailable int
	CurrentRevision, UpdateRevision                  string
	Conditions                                       []Condition
	// Converged is true when what runs is what is written, the rollout that led
	// there can no longer be taken back, and nothing is under way.
	Converged bool
	Outcome   Outcome
	// Obstacle is what keeps the workload from converging, or is wrong though it has
	// converged, and Remedy what a person can do about it, in a sentence each. Both are
	// empty where it has converged and nothing is wrong.
	Obstacle, Remedy string
	// WaitsFor names the dependencies that have to come first.
	WaitsFor []string
	// ReplicaStatuses are the containers with a number, in its order.
	ReplicaStatuses []ReplicaStatus
}

// ReplicaStatus is what one replica is like.
type ReplicaStatus struct {
	// ID is the container's.
	ID string
	// Health is the result of tend's own probes, or of the container's health check.
	Health Health
	// Ready is true where it runs and does what it should.
	Ready bool
	// Restarts counts the starts after the first, as the back-off does.
	Restarts int
	// Blocker says why it is not ready, or not as the spec asks for, in a sentence;
	// empty where it is both.
	Blocker string
}

// Replica returns the status of a container; false where it is not one of the workload's.
func (s *Status) Replica(id string) (ReplicaStatus, bool) {
	i := slices.IndexFunc(s.ReplicaStatuses, func(r ReplicaStatus) bool { return r.ID == id })
	if i < 0 || id == "" {
		return ReplicaStatus{}, false
	}
	return s.ReplicaStatuses[i], true
}

// Blockers are the sentences that say which replicas are not ready, or not as the spec
// asks for, and why.
func (s *Status) Blockers() []string {
	var all []string
	for _, r := range s.ReplicaStatuses {
		if r.Blocker != "" {
			all = append(all, r.Blocker)
		}
	}
	return all
}

// Condition returns the condition of a type, or nil.
func (s *Status) Condition(t ConditionType) *Condition {
	for i := range s.Conditions {
		if s.Conditions[i].Type == t {
			return &s.Conditions[i]
		}
	}
	return nil
}

// Completed reports whether a workload has run to completion.
func (s *Status) Completed() bool {
	c := s.Condition(Complete)
	return c != nil && c.Status
}

// EventType tells what is normal from what needs attention, as in core/v1.
type EventType string

// The types of events.
const (
	Normal  EventType = "Normal"
	Warning EventType = "Warning"
)

// Event is something that happened to a workload.
type Event struct {
	Type     EventType
	Workload string
	// Reason is one CamelCase word, Message a sentence.
	Reason, Message string
}

// Plan is what to do now and what follows from it.
type Plan struct {
	Actions []Action
	Rollout Rollout
	Status  Status
	Events  []Event
	// Endpoints are the replicas to publish.
	Endpoints []Endpoint
	// Next is the instant at which time alone could change the plan; zero for
	// never.
	Next time.Time
}

// at lowers Next to t.
func (p *Plan) at(t time.Time) {
	if p.Next.IsZero() || t.Before(p.Next) {
		p.Next = t
	}
}
