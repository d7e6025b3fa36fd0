// Package core holds the nouns of tend: what the engine, the store, the planner, the API
// and the command line speak of. It decides nothing, and knows none of them.
package core

import (
	"time"

	"github.com/tendhq/tend/controller/spec"
)

// HookRun is the one-off container of a pre-rollout hook. That it exited with
// 0 is the record that the hook has run for its revision: it survives a crash
// of tend between the hook's end and whatever tend could write down of it.
type HookRun struct {
	// Replica is the container; it has no Number.
	Replica
	// Hook is the hook's name.
	Hook string
	// Output is the end of what it printed.
	Output string
}

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
	// Addresses by engine network name; Ports as published on the host; HostPorts as it
	// was created to publish them, whether it runs or not, as "127.0.0.1:8080/tcp".
	Addresses map[string]string
	// NetworkIDs are the IDs of the networks that it was last started in, by name.
	NetworkIDs map[string]string
	// Publishing is the network on which an ingress publishes its port; empty of another
	// container.
	Publishing string
	Ports      []string
	HostPorts  []string
	// Image is the name of the image that it was made from, ImageID what that stood
	// for; empty where the container does not tell.
	Image, ImageID string
	// DependsOn names the workloads that this container was made to need.
	DependsOn []string
	// Mounts are the volumes and binds that it may write to.
	Mounts []Mount
	// Joins are what it was created to share with other containers; those of one kind
	// are in the order in which they are written.
	Joins []Join
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

// Join is a part of another container that a replica was created to share.
type Join struct {
	Kind JoinKind
	// ID is the other container's.
	ID string
}

// JoinKind names what a replica shares with another container, by the key in Compose.
type JoinKind string

// The kinds of joins.
const (
	JoinNetwork JoinKind = "network_mode"
	JoinIPC     JoinKind = "ipc"
	JoinPID     JoinKind = "pid"
	JoinVolumes JoinKind = "volumes_from"
)

// JoinedFor are the containers that a replica has joined in the place of the services that
// the workload it was made from joins, by service.
func (r Replica) JoinedFor(made *spec.Workload) map[string]string {
	joined := map[string]string{}
	of := func(kind JoinKind) (ids []string) {
		for _, j := range r.Joins {
			if j.Kind == kind {
				ids = append(ids, j.ID)
			}
		}
		return ids
	}
	pair := func(service string, ids []string, i int) {
		if service != "" && i < len(ids) {
			joined[service] = ids[i]
		}
	}
	pair(spec.JoinedService(made.Template.NetworkMode), of(JoinNetwork), 0)
	pair(spec.JoinedService(made.Template.Ipc), of(JoinIPC), 0)
	pair(spec.JoinedService(made.Template.Pid), of(JoinPID), 0)
	for i, from := range made.Template.VolumesFrom {
		pair(spec.VolumesService(from), of(JoinVolumes), i)
	}
	return joined
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
