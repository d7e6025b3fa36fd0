package api

import (
	"encoding/json"
	"time"

	"github.com/tendhq/tend/controller/spec"
)

// TypeMeta names the kind and version of a JSON object.
type TypeMeta struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
}

// The kinds of objects besides those of workloads.
const (
	ListKind     = "List"
	ReplicaKind  = "Replica"
	RevisionKind = "Revision"
	EventKind    = "Event"

	ProjectKind      = "Project"
	RevisionDiffKind = "RevisionDiff"
	PlanKind         = "Plan"
	ImageKind        = "Image"
	SubscriberKind   = "Subscriber"
	SpecFileKind     = "SpecFile"
	TrafficKind      = "Traffic"
)

func typeMeta(kind string) TypeMeta { return TypeMeta{APIVersion: spec.APIVersion, Kind: kind} }

// List is a list of objects of one kind.
type List[T any] struct {
	TypeMeta
	Items []T `json:"items"`
}

// NewList makes a list; its items are never null.
func NewList[T any](items []T) List[T] {
	if items == nil {
		items = []T{}
	}
	return List[T]{TypeMeta: typeMeta(ListKind), Items: items}
}

// Metadata names an object.
type Metadata struct {
	Name string `json:"name"`
	// Generation counts the changes of a workload's spec.
	Generation int64 `json:"generation,omitempty"`
}

// Workload is what one Compose service runs as. Its kind is Deployment,
// Database or Job.
type Workload struct {
	TypeMeta
	Metadata Metadata       `json:"metadata"`
	Spec     WorkloadSpec   `json:"spec"`
	Status   WorkloadStatus `json:"status"`
}

// WorkloadSpec is the desired state as decided: defaults filled in and
// percentages resolved. Of the template it shows the image alone, as the rest
// may hold secrets.
type WorkloadSpec struct {
	// Revision is the hash of the template as it is written.
	Revision                string   `json:"revision"`
	Replicas                int      `json:"replicas"`
	Strategy                Strategy `json:"strategy"`
	MinReadySeconds         float64  `json:"minReadySeconds,omitempty"`
	ProgressDeadlineSeconds float64  `json:"progressDeadlineSeconds,omitempty"`
	RevisionHistoryLimit    int      `json:"revisionHistoryLimit"`
	Paused                  bool     `json:"paused,omitempty"`
	Restart                 Restart  `json:"restart"`
	// BackoffLimit and ActiveDeadlineSeconds are only a Job's, ProgressDeadlineSeconds
	// only the other kinds'; absent where there is no limit.
	BackoffLimit           *int         `json:"backoffLimit,omitempty"`
	ActiveDeadlineSeconds  float64      `json:"activeDeadlineSeconds,omitempty"`
	StopGracePeriodSeconds float64      `json:"stopGracePeriodSeconds"`
	DependsOn              []Dependency `json:"dependsOn,omitempty"`
	Template               Template     `json:"template"`
	// Backend is what an Ingress leads to; absent for other kinds.
	Backend *Backend `json:"backend,omitempty"`
}

// Strategy is how a rollout replaces replicas.
type Strategy struct {
	Type string `json:"type"`
	// RollingUpdate is absent with Recreate.
	RollingUpdate *RollingUpdate `json:"rollingUpdate,omitempty"`
	// Reason says why there is no surge; absent where there is one.
	Reason string `json:"reason,omitempty"`
}

// RollingUpdate bounds a rolling update, in replicas.
type RollingUpdate struct {
	MaxSurge       int `json:"maxSurge"`
	MaxUnavailable int `json:"maxUnavailable"`
}

// Restart tells when a container that has exited is started again.
type Restart struct {
	Condition string `json:"condition"`
	// Reason names what was written, or left out, that led to the condition.
	Reason          string  `json:"reason,omitempty"`
	DelaySeconds    float64 `json:"delaySeconds"`
	MaxDelaySeconds float64 `json:"maxDelaySeconds"`
	WindowSeconds   float64 `json:"windowSeconds"`
	// MaxAttempts is absent where there is no limit.
	MaxAttempts int `json:"maxAttempts,omitempty"`
}

// Dependency is one entry of depends_on.
type Dependency struct {
	Name      string `json:"name"`
	Condition string `json:"condition"`
	Required  bool   `json:"required"`
	Restart   bool   `json:"restart,omitempty"`
}

// Template shows what replicas are made from.
type Template struct {
	Image string `json:"image"`
}

// WorkloadStatus is the status of a workload. The counts are those of apps/v1.
type WorkloadStatus struct {
	ObservedGeneration  int64 `json:"observedGeneration"`
	Replicas            int   `json:"replicas"`
	ReadyReplicas       int   `json:"readyReplicas"`
	AvailableReplicas   int   `json:"availableReplicas"`
	UpdatedReplicas     int   `json:"updatedReplicas"`
	UnavailableReplicas int   `json:"unavailableReplicas"`
	// CurrentRevision is the last one whose rollout completed, UpdateRevision
	// the one that the spec asks for.
	CurrentRevision string      `json:"currentRevision,omitempty"`
	UpdateRevision  string      `json:"updateRevision,omitempty"`
	Conditions      []Condition `json:"conditions"`
	// Converged is true when what runs is what the spec of ObservedGeneration asks for,
	// and nothing is under way.
	Converged bool `json:"converged"`
	// Paused is true where the rollout is held, or the next one will be.
	Paused bool `json:"paused,omitempty"`
	// Outcome is Converged, Complete, Moving, Waiting, Paused or Stalled; absent where
	// the workload has not been planned yet.
	Outcome string `json:"outcome,omitempty"`
	// Obstacle is what keeps the workload from converging, or is wrong though it has
	// converged; Remedy is what a person can do about it.
	Obstacle string `json:"obstacle,omitempty"`
	Remedy   string `json:"remedy,omitempty"`
	// WaitsFor names the dependencies that have to come first.
	WaitsFor []string `json:"waitsFor,omitempty"`
	// WantedRevision is the revision that people want: it is not in force where it has
	// failed.
	WantedRevision string `json:"wantedRevision,omitempty"`
	// Next is what time alone will change first.
	Next *Change `json:"next,omitempty"`
	// Deadline is when the rollout fails unless it makes progress before; absent while
	// that time does not run.
	Deadline *time.Time `json:"deadline,omitempty"`
	// Blockers are the replicas that are not ready, or not as the spec asks for, and why.
	Blockers []string `json:"blockers,omitempty"`
	// Autoscaling is what the autoscaler has decided; absent where the spec has none.
	Autoscaling *Autoscaling `json:"autoscaling,omitempty"`
}

// Autoscaling is why a workload has as many replicas as it has. The reasons are those of
// Kubernetes' conditions.
type Autoscaling struct {
	MinReplicas     int                 `json:"minReplicas"`
	MaxReplicas     int                 `json:"maxReplicas"`
	DesiredReplicas int                 `json:"desiredReplicas"`
	Reason          string              `json:"reason"`
	Message         string              `json:"message"`
	LastScaleTime   *time.Time          `json:"lastScaleTime,omitempty"`
	Metrics         []AutoscalingMetric `json:"metrics"`
}

// AutoscalingMetric is a metric as it was read last, in words, and how many replicas it
// asks for.
type AutoscalingMetric struct {
	Name     string `json:"name"`
	Current  string `json:"current,omitempty"`
	Target   string `json:"target,omitempty"`
	Replicas int    `json:"replicas,omitempty"`
	Error    string `json:"error,omitempty"`
}

// Change is what time alone will change.
type Change struct {
	At time.Time `json:"at"`
	// What will be so then, in half a sentence.
	What string `json:"what"`
}

// Condition is one aspect of a workload's status.
type Condition struct {
	Type string `json:"type"`
	// Status is "True" or "False".
	Status             string    `json:"status"`
	Reason             string    `json:"reason"`
	Message            string    `json:"message"`
	LastTransitionTime time.Time `json:"lastTransitionTime"`
}

// Replica is one container of a workload.
type Replica struct {
	TypeMeta
	Metadata Metadata      `json:"metadata"`
	Spec     ReplicaSpec   `json:"spec"`
	Status   ReplicaStatus `json:"status"`
}

// ReplicaSpec is what a replica was made from.
type ReplicaSpec struct {
	Workload string `json:"workload"`
	// Number is from 1; 0 where the container's labels are corrupt.
	Number int `json:"number"`
	// Revision is absent on a container that tend did not make.
	Revision string `json:"revision,omitempty"`
	Image    string `json:"image"`
}

// ReplicaStatus is the status of a replica.
type ReplicaStatus struct {
	ContainerID string `json:"containerID"`
	// State is the engine's: created, running, paused, restarting, removing,
	// exited or dead.
	State string `json:"state"`
	// Health is absent on a replica without a health check.
	Health string `json:"health,omitempty"`
	// Phase is creating, starting, ready, unready, unhealthy, draining, stopping, exited,
	// done or leftover; absent where the controller has not looked at it yet.
	Phase string `json:"phase,omitempty"`
	// Blocker says why it is not ready, or not as the spec asks for.
	Blocker string `json:"blocker,omitempty"`
	Ready   bool   `json:"ready"`
	// Restarts counts the starts after the first, as the back-off does: it begins anew
	// after a run that lasted the restart window.
	Restarts int `json:"restarts"`
	// ExitCode is present once the process has exited.
	ExitCode  *int      `json:"exitCode,omitempty"`
	StartedAt time.Time `json:"startedAt,omitzero"`
	// Addresses by engine network name.
	Addresses map[string]string `json:"addresses,omitempty"`
	// Ports as published on the host: "127.0.0.1:8080->80/tcp".
	Ports []string `json:"ports,omitempty"`
	// Node is the host name of the node of a Swarm that it is on.
	Node string `json:"node,omitempty"`
}

// Revision is a template of a workload, the present one or an earlier one. Its name is
// the template's hash.
type Revision struct {
	TypeMeta
	Metadata Metadata       `json:"metadata"`
	Spec     RevisionSpec   `json:"spec"`
	Status   RevisionStatus `json:"status"`
}

// RevisionSpec describes a revision.
type RevisionSpec struct {
	Workload string `json:"workload"`
	// Number is the place in the history, from 1; a revision that comes back gets a new
	// number.
	Number    int       `json:"number"`
	Image     string    `json:"image"`
	CreatedAt time.Time `json:"createdAt"`
}

// RevisionStatus tells whether a revision is in use.
type RevisionStatus struct {
	// InForce is true for the revision that the workload is to run at.
	InForce bool `json:"inForce"`
	// Replicas counts its containers.
	Replicas int `json:"replicas"`
}

// Undo asks for an earlier revision.
type Undo struct {
	// ToRevision is its number; 0 for the one before the one in force.
	ToRevision int `json:"toRevision,omitempty"`
}

// Scale asks for a number of replicas.
type Scale struct {
	Replicas *int `json:"replicas"`
}

// Endpoints are the addresses of the ready replicas, by workload. Every workload that
// tend keeps has an entry, if only an empty one.
type Endpoints struct {
	// Index grows with each change, also across restarts of the controller.
	Index     uint64                `json:"index"`
	Workloads map[string][]Endpoint `json:"workloads"`
}

// Endpoint is one ready replica.
type Endpoint struct {
	// Replica is the container's name.
	Replica  string `json:"replica"`
	Revision string `json:"revision"`
	// Addresses by Compose network.
	Addresses map[string]string `json:"addresses"`
	// Ports are the container's.
	Ports []int `json:"ports"`
}

// Event is something that happened, with the field names of core/v1. Its name is its
// ID, a number that grows: the place to read on from.
type Event struct {
	TypeMeta
	Metadata Metadata `json:"metadata"`
	// Type is Normal or Warning.
	Type string `json:"type"`
	// Workload is absent where the event concerns the whole project.
	Workload string `json:"workload,omitempty"`
	Reason   string `json:"reason"`
	Message  string `json:"message"`
	// Actor is who asked for it through the API; absent where nobody did.
	Actor string `json:"actor,omitempty"`
	// Count is how often it happened from FirstTimestamp to LastTimestamp.
	Count          int       `json:"count"`
	FirstTimestamp time.Time `json:"firstTimestamp"`
	LastTimestamp  time.Time `json:"lastTimestamp"`
}

// Health names the project of the controller that answers.
type Health struct {
	Status  string `json:"status"`
	Project string `json:"project"`
	Version string `json:"version"`
}

// Problem is an RFC 9457 problem document.
type Problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`
	// Problems lists the mistakes in compose.yaml and the specs that caused the error; absent
	// where there are none.
	Problems []SpecProblem `json:"problems,omitempty"`
}

func (p *Problem) Error() string {
	if p.Detail == "" {
		return p.Title
	}
	return p.Detail
}

// Project is the Compose project, as its controller sees it.
type Project struct {
	TypeMeta
	Metadata Metadata      `json:"metadata"`
	Status   ProjectStatus `json:"status"`
}

// ProjectStatus tells whether the controller can do its work.
type ProjectStatus struct {
	Ready bool `json:"ready"`
	// Message is why it cannot.
	Message string `json:"message,omitempty"`
	// Version is the program's.
	Version string `json:"version"`
	// Swarm is true where the workloads are services of a Docker Swarm, and the replicas tasks.
	Swarm bool `json:"swarm,omitempty"`
}

// WatchEvent is a message of a watch.
type WatchEvent struct {
	// Type is ADDED, MODIFIED, DELETED or BOOKMARK.
	Type string `json:"type"`
	// Object is a Project, a workload, a Replica or an Event.
	Object json.RawMessage `json:"object"`
}

// LogLine is a line that a replica wrote.
type LogLine struct {
	Time time.Time `json:"time"`
	// Replica is the container's name.
	Replica string `json:"replica"`
	Text    string `json:"text"`
}

// Plan is what the planner decides for a workload now.
type Plan struct {
	TypeMeta
	Metadata Metadata `json:"metadata"`
	// Actions are those that are under way, and those that would be taken now.
	Actions []Action `json:"actions"`
	// Status is what the plan says of the workload.
	Status WorkloadStatus `json:"status"`
}

// Action is one step of one object's life.
type Action struct {
	// Action is its kind, as create or stop.
	Action string `json:"action"`
	// Object is the name of what is acted on; Number and Revision are those of a replica
	// to create.
	Object   string `json:"object,omitempty"`
	Number   int    `json:"number,omitempty"`
	Revision string `json:"revision,omitempty"`
	Cause    string `json:"cause"`
	// UnderWay is true where it was decided before, and has not ended.
	UnderWay bool `json:"underWay"`
}

// RevisionDiff is how two revisions of a workload differ.
type RevisionDiff struct {
	TypeMeta
	Metadata Metadata `json:"metadata"`
	// From and To are the revisions' numbers.
	From        int          `json:"from"`
	To          int          `json:"to"`
	Differences []Difference `json:"differences"`
}

// Difference is one field in which two revisions differ.
type Difference struct {
	Field string `json:"field"`
	// From and To are the values; absent where there is none, and where they may be
	// secret.
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"`
	// Concealed is true where the values may be secret.
	Concealed bool `json:"concealed,omitempty"`
}

// Image is an image that workloads need.
type Image struct {
	TypeMeta
	Metadata Metadata `json:"metadata"`
	// Workloads are those that are to run it.
	Workloads []string    `json:"workloads"`
	Status    ImageStatus `json:"status"`
}

// ImageStatus tells whether the engine has an image.
type ImageStatus struct {
	// Known is true once the engine was asked for it, Present when it has it.
	Known   bool `json:"known"`
	Present bool `json:"present"`
	// ImageID is its content address.
	ImageID string `json:"imageID,omitempty"`
	// Digest is by what the registry knows it, and Newest what its name stood for when
	// the registry was last asked, at AskedAt; RegistryError is why it gave no answer then.
	Digest        string    `json:"digest,omitempty"`
	Newest        string    `json:"newest,omitempty"`
	RegistryError string    `json:"registryError,omitempty"`
	AskedAt       time.Time `json:"askedAt,omitzero"`
	// PullIntervalSeconds is how often the registry is asked; absent for never.
	PullIntervalSeconds float64 `json:"pullIntervalSeconds,omitempty"`
	// Error is why the last pull failed.
	Error string `json:"error,omitempty"`
}

// Subscriber is who follows the endpoints.
type Subscriber struct {
	TypeMeta
	Metadata Metadata `json:"metadata"`
	// Peer is where it asks from, and Index what it has in force.
	Peer  string `json:"peer"`
	Index uint64 `json:"index"`
	// ExpiresAt is when it counts as gone, unless it asks again.
	ExpiresAt time.Time `json:"expiresAt"`
}

// SpecFile is a file of the project's specs.
type SpecFile struct {
	TypeMeta
	Metadata Metadata `json:"metadata"`
	// ETag names the content.
	ETag string `json:"etag"`
	// Workloads are those that it has a spec of.
	Workloads []string `json:"workloads"`
}

// Validation asks whether the project would be valid with other files in place of those
// that are written.
type Validation struct {
	// Compose is the content of the first Compose file.
	Compose *string `json:"compose,omitempty"`
	// Specs are the contents of spec files, by name.
	Specs map[string]string `json:"specs,omitempty"`
}

// ValidationResult tells whether a project is valid.
type ValidationResult struct {
	Valid    bool          `json:"valid"`
	Problems []SpecProblem `json:"problems"`
}

// SpecProblem is one mistake in compose.yaml or a spec.
type SpecProblem struct {
	File string `json:"file,omitempty"`
	// Line and Column count from 1; absent where they are unknown.
	Line     int    `json:"line,omitempty"`
	Column   int    `json:"column,omitempty"`
	Workload string `json:"workload,omitempty"`
	Message  string `json:"message"`
	Hint     string `json:"hint,omitempty"`
}

// Session is who asks.
type Session struct {
	// Role is read or admin; empty after the end.
	Role string `json:"role"`
	// Actor is the name of who asks in events; absent where nobody knows it.
	Actor   string `json:"actor,omitempty"`
	Project string `json:"project"`
	Version string `json:"version"`
}

// Login begins a session, by a token or by the code of a link.
type Login struct {
	Token string `json:"token,omitempty"`
	Code  string `json:"code,omitempty"`
}

// Link is a code by which one browser can log in once.
type Link struct {
	// Role is read or admin, which is the default of a request.
	Role      string    `json:"role,omitempty"`
	Code      string    `json:"code,omitempty"`
	ExpiresAt time.Time `json:"expiresAt,omitzero"`
}

// Backend is what an ingress leads to.
type Backend struct {
	// Service is the workload whose replicas get what comes in.
	Service string `json:"service"`
	// HTTP is true where it passes requests, and not connections.
	HTTP bool `json:"http"`
}

// Traffic is what went through an ingress, or through gateways to a workload, in the last
// fifteen minutes.
type Traffic struct {
	TypeMeta
	// Metadata names the ingress, or the workload where gateways carried it.
	Metadata Metadata `json:"metadata"`
	// Workload is the one that it went to.
	Workload string   `json:"workload"`
	Samples  []Sample `json:"samples"`
}

// Sample is what went through between the sample before and Time.
type Sample struct {
	Time time.Time `json:"time"`
	// Requests and Failures are per second. A port that speaks no HTTP counts its
	// connections as requests. Answers with a status of 500 or more are failures.
	Requests float64 `json:"requests"`
	Failures float64 `json:"failures"`
	// P50 and P99 are the seconds that half of the clients, and all but one in a hundred,
	// waited at most; absent where there were none.
	P50 float64 `json:"p50,omitempty"`
	P99 float64 `json:"p99,omitempty"`
}
