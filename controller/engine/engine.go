// Package engine is the narrow interface between tend and a container engine. Package
// docker adapts the Docker Engine API, package model is an engine in memory, and
// package enginetest holds both to the same behaviour.
// No method retries, waits for a state, or decides anything.
package engine

import (
	"context"
	"io"
	"slices"
	"syscall"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
)

// ProjectLabel is the label that ties a container, network or volume to its
// Compose project.
const ProjectLabel = "com.docker.compose.project"

// Engine is a container engine.
//
// Every method returns an *Error on failure, so that a caller can tell what to
// do by its Class. A context that ends makes the call fail with class Unknown
// where the engine may have carried out the request all the same.
type Engine interface {
	// Ping asks whether the engine is there.
	Ping(ctx context.Context) error

	// Containers lists every container of a project, stopped ones included,
	// each as Container returns it. The list is complete, or there is an
	// error; a container that vanishes meanwhile is left out. The containers of a
	// Swarm's tasks are not the project's, whatever their labels say.
	Containers(ctx context.Context, project string) ([]Container, error)
	// Container inspects one container by ID.
	Container(ctx context.Context, id string) (Container, error)
	// Stats reads once what a container has used of the machine. It fails with NotFound
	// when the container is gone, and with Conflict when it does not run.
	Stats(ctx context.Context, id string) (Stats, error)
	// Create makes a container, joins it to its networks and puts its
	// secrets and configs into it, without starting it. It returns the ID,
	// also with an error when the container was made but a later step failed.
	// It fails with NotFound when the image, a network or a named volume is
	// missing (it never makes a volume), and with Conflict when the name is
	// taken.
	Create(ctx context.Context, c ContainerSpec) (id string, err error)
	// Start starts a container. Starting a running one is no error. It fails
	// with NotFound when the container or a network that it joins is gone, and
	// with Exhausted when a host port is taken. A container whose start failed
	// is still Created, and is not to be started again: some engines then run
	// it without networks and ports (moby#51758).
	Start(ctx context.Context, id string) error
	// Stop sends the container's stop signal, and SIGKILL when grace is over.
	// It returns when the container has exited. Stopping a stopped container,
	// or one that is gone, is no error.
	Stop(ctx context.Context, id string, grace time.Duration) error
	// KillProcess sends SIGKILL to a container's process, and does not wait for its end.
	// It fails with NotFound when the container is gone, and with Conflict when it does
	// not run.
	KillProcess(ctx context.Context, id string) error
	// Remove removes a container that is not running, and with volumes also the
	// anonymous volumes that the engine made for it. Removing one that is gone is no
	// error. Removing a running or paused one is a Conflict, and may be one where the
	// engine is removing it already.
	Remove(ctx context.Context, id string, volumes bool) error
	// SetRestartPolicy gives a container another restart policy, in place.
	SetRestartPolicy(ctx context.Context, id, policy string) error
	// ConnectNetwork has a container join one more network, by its name, while it runs or
	// not. It is found there by its own name and the aliases. It fails with NotFound when
	// the container or the network is gone. Published ports stay where they are, unless the
	// network becomes the container's gateway: the one of highest gateway priority does,
	// and before Docker Engine 28, or among equals, the first by name that is not internal.
	// Then they close for a moment.
	ConnectNetwork(ctx context.Context, id, network string, aliases ...string) error
	// DisconnectNetwork takes a container out of a network that it has joined. It fails
	// with NotFound when the container or the network is gone. Published ports stay, unless
	// the network was the container's gateway.
	DisconnectNetwork(ctx context.Context, id, network string) error
	// Logs writes the last lines of a container's output, and with follow
	// what comes after them until ctx ends or the container exits. It writes nothing
	// where the container's log driver is none.
	Logs(ctx context.Context, id string, o LogOptions, stdout, stderr io.Writer) error
	// Exec runs a command in a running container, waits for its end and
	// returns its exit code. A program that does not exist is no error but
	// code 126 or 127, with the reason in the output. It fails with NotFound
	// when the container is gone, and with Conflict when it does not run or is
	// paused; with any other class the command may have been run. Where
	// ctx ends, or a stream of e fails, the command's streams are closed and
	// it may go on without them.
	Exec(ctx context.Context, id string, e ExecSpec) (code int, err error)

	// Attach connects to the standard input and output of a running container's first
	// process, beside whoever else has. What is written to the connection is input; what
	// is read from it is output from now on. It is closed by the caller, or when the
	// process ends; the process goes on without it.
	Attach(ctx context.Context, id string) (io.ReadWriteCloser, error)
	// CopyTo unpacks a tar archive into a folder of a container.
	CopyTo(ctx context.Context, id, folder string, archive io.Reader) error

	// Image inspects a local image.
	Image(ctx context.Context, ref string) (Image, error)
	// Images lists the local images that have a name.
	Images(ctx context.Context) ([]LocalImage, error)
	// PruneImage removes an image by its ID, with all its names; one that is gone is no
	// error, one that has several tags, or that a container was made from, running or not,
	// is a Conflict.
	PruneImage(ctx context.Context, id string) error
	// Architecture asks for that of the engine's machine, in Go's words, as "amd64".
	Architecture(ctx context.Context) (string, error)
	// LoadImage makes the images of an archive, as docker save writes it, local.
	LoadImage(ctx context.Context, archive io.Reader) error
	// Build builds an image under a name; progress receives plain lines. It is Invalid where
	// the builder that is there cannot do what is asked for.
	Build(ctx context.Context, b BuildSpec, progress func(string)) error
	// Digest asks the registry of an image's name for the digest of what that stands for
	// there, and brings nothing. It is NotFound where the registry has no such name.
	Digest(ctx context.Context, ref string) (string, error)
	// Pull brings an image from its registry; progress receives plain lines.
	Pull(ctx context.Context, ref string, progress func(string)) error

	// Networks lists the networks that carry the project's label and, besides
	// them, those of the given names.
	Networks(ctx context.Context, project string, names ...string) ([]Network, error)
	// CreateNetwork makes a network; a name that is taken is a Conflict.
	CreateNetwork(ctx context.Context, n NetworkSpec) error
	// RemoveNetwork removes a network by its full ID; one that is gone is no
	// error, one that a running container has joined is a Conflict.
	RemoveNetwork(ctx context.Context, id string) error

	// Volumes lists the volumes that carry the project's label and, besides
	// them, those of the given names.
	Volumes(ctx context.Context, project string, names ...string) ([]Volume, error)
	// CreateVolume makes a volume, or leaves the one of that name as it is.
	CreateVolume(ctx context.Context, v VolumeSpec) error
	// RemoveVolume removes a volume; one that is gone is no error, one that a
	// container mounts, running or not, is a Conflict.
	RemoveVolume(ctx context.Context, name string) error

	// Events subscribes to the events of the project's containers, and of all images,
	// networks and volumes, which carry no project's name. The subscription
	// stands when Events returns, so that what a list made afterwards misses comes as
	// an event. Events of the second before may come, too, and the engine drops some
	// for a slow reader. The "die" and the "stop" of a container that was stopped come in
	// either order. The channel is closed when the stream ends; then err returns
	// why (nil when ctx ended it).
	Events(ctx context.Context, project string) (events <-chan Event, err func() error, failed error)

	// Close releases the connections.
	Close() error
}

// State is a container's state, with Docker's names.
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

// Health is the result of the container's own health check.
type Health string

// The results of a health check.
const (
	NoHealthCheck Health = ""
	Starting      Health = "starting"
	Healthy       Health = "healthy"
	Unhealthy     Health = "unhealthy"
)

// Container is a container as the engine reports it.
type Container struct {
	ID, Name string
	// Image is the reference that it was created from, and ImageID what that stood for
	// then.
	Image, ImageID string
	Labels         map[string]string
	State          State
	ExitCode       int
	// OOMKilled and Error are hints for messages only.
	OOMKilled bool
	Error     string
	// Created, StartedAt and FinishedAt are by the engine's clock; zero when it never
	// happened.
	Created, StartedAt, FinishedAt time.Time
	// Health counts only probes made since StartedAt: an older result reads as
	// Starting, and so does any while the container does not run.
	Health Health
	// HealthOutput is the last probe's output, shortened, and HealthExitCode how
	// it ended: below 0 where the engine could not run it, or it took too long.
	HealthOutput   string
	HealthExitCode int
	// HealthySince is when the container became healthy, or a later instant, as Docker
	// remembers only the last five probes. A caller that measures the time has to keep
	// the first value for as long as StartedAt is the same and Health is Healthy. It is
	// zero while Health is not.
	HealthySince time.Time
	// StopTimeout is the grace that the container was created with; 0 for the
	// engine's own.
	StopTimeout time.Duration
	// RestartPolicy is the policy by which the engine itself starts the container
	// again, as Compose writes it: "no", "always", "unless-stopped", "on-failure",
	// "on-failure:3".
	RestartPolicy string
	// RestartCount is how often the engine has done that since somebody started it.
	RestartCount int
	// Networks holds the container's address by engine network name. A
	// network that is joined but has no address yet has an empty one.
	Networks map[string]string
	// NetworkIDs are the IDs of the networks that it was last started in, by name. The
	// engine starts it again only in these, and not in a network that was made anew
	// under the same name.
	NetworkIDs map[string]string
	// PublishedPorts are the host ports in force, as "127.0.0.1:8080->80/tcp".
	PublishedPorts []string
	// HostPorts are the ports of the host that it was created to publish, whether it runs
	// or not, as "127.0.0.1:8080/tcp", without those that the engine chooses.
	HostPorts []string
	// PortsMissing is true when the container runs without a host port that
	// it was created to publish, unless its networks never publish any.
	PortsMissing bool
	// Mounts are the volumes and binds that it mounts, sorted by Target.
	Mounts []Mount
	// Joins are what it was created to share with other containers, sorted by kind.
	Joins []Join
}

// Stats are what a container has used of the machine, since its process was started where
// they are sums.
type Stats struct {
	// At is when that was read, by the engine's clock.
	At time.Time
	// CPU is the time that its processes have run, on all cores together.
	CPU time.Duration
	// Periods counts the scheduler's periods in which processes wanted to run, while there
	// is a limit on the CPU; Throttled those in which they reached it, and ThrottledFor how
	// long they then waited.
	Periods, Throttled int64
	ThrottledFor       time.Duration
	// Memory is the working set in bytes: what is used, without the cached files that have
	// not been used of late. It is what the kubelet calls so.
	Memory int64
	// MemoryLimit is the limit on the memory in bytes, or where there is none what the
	// machine has.
	MemoryLimit int64
	// Received and Sent are bytes over all the container's networks.
	Received, Sent int64
}

// Join is a part of another container that a container was created to share. One that
// shares a namespace can be started only while the other runs, and keeps the namespace of
// the run in which it was started.
type Join struct {
	Kind JoinKind
	// ID is the other container's, as it was given when this one was created.
	ID string
}

// JoinKind names what a container shares with another, by its key in Compose.
type JoinKind string

// The kinds of joins.
const (
	JoinNetwork JoinKind = "network_mode"
	JoinIPC     JoinKind = "ipc"
	JoinPID     JoinKind = "pid"
	JoinVolumes JoinKind = "volumes_from"
)

// Mount is a volume or a bind of a container.
type Mount struct {
	// Target is the path in the container.
	Target string
	// Source is the volume's name, or the path on the host of a bind.
	Source string
	// Anonymous is true for a volume that the engine named, and nobody else.
	Anonymous bool
	// Volume is true for a volume, false for a bind.
	Volume   bool
	ReadOnly bool
}

// NamedVolumes lists the container's volumes that somebody named, sorted and without
// duplicates.
func (c Container) NamedVolumes() []string {
	var names []string
	for _, m := range c.Mounts {
		if m.Volume && !m.Anonymous {
			names = append(names, m.Source)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// ContainerSpec is what to create a container from.
type ContainerSpec struct {
	// Name is the container's name, Project the Compose project's.
	Name, Project string
	// WorkingDir is the project directory.
	WorkingDir string
	// Service is the resolved Compose service, with containers in the place of services
	// in network_mode, ipc, pid and volumes_from, where a container stands by its ID alone;
	// Labels replaces its labels.
	Service types.ServiceConfig
	Labels  map[string]string
	// Networks maps the Compose keys that the service uses to engine names;
	// Volumes does so for named volumes.
	Networks, Volumes map[string]string
	// Aliases are further names by which the container is found on each network, apart
	// from its own, its service's and those of the service's networks. A container
	// labelled as one-off has only its own and these.
	Aliases []string
	// Secrets and Configs are the project's. Where one comes from the environment, its
	// Content is set already.
	Secrets types.Secrets
	Configs types.Configs
	// Anonymous are the anonymous volumes of an earlier container to mount, by
	// their paths in the container. Each is mounted where the service or its
	// image would get a new one there, and where the engine still has it.
	Anonymous map[string]string
	// RestartPolicy is as in Container; empty for the engine's default, which is "no".
	RestartPolicy string
}

// Image is a local image as the engine reports it.
type Image struct {
	ID, Ref string
	// Digest is by what the repository of Ref knows it, as "sha256:…"; empty of an image
	// that came from no registry.
	Digest string
}

// LocalImage is one of all local images.
type LocalImage struct {
	ID string
	// Names are the tags that it has, as "shop/web:1", and the digests by which
	// repositories know it, as "shop/web@sha256:…".
	Names []string
	// Created is when it was built.
	Created time.Time
	// InUse is true where a container of any project was made from it, running or not.
	InUse bool
}

// BuildSpec is what to build an image from.
type BuildSpec struct {
	// Ref is the image's name.
	Ref string
	// Config is the resolved build section; Labels are added to its labels.
	Config types.BuildConfig
	Labels map[string]string
	// Secrets are the project's.
	Secrets types.Secrets
	// Platform is the platform to build for; empty for the engine's own.
	Platform string
}

// Network is a network as the engine reports it.
type Network struct {
	ID, Name, Driver string
	Labels           map[string]string
}

// NetworkSpec is what to create a network from. Labels replaces the labels of
// Config.
type NetworkSpec struct {
	Name   string
	Labels map[string]string
	Config types.NetworkConfig
}

// Volume is a volume as the engine reports it.
type Volume struct {
	Name, Driver string
	Labels       map[string]string
}

// VolumeSpec is what to create a volume from. Labels replaces the labels of
// Config.
type VolumeSpec struct {
	Name   string
	Labels map[string]string
	Config types.VolumeConfig
}

// LogOptions select a part of a container's output.
type LogOptions struct {
	Follow     bool
	Timestamps bool
	Tail       int // lines; 0 means all
	// Since leaves out what was written before; zero leaves out nothing.
	Since time.Time
}

// ExecSpec is a command to run in a container.
type ExecSpec struct {
	// Command is the program and its arguments; no shell reads it.
	Command []string
	// User is as in Compose, "name|uid[:group|gid]"; empty for the container's.
	User string
	// Env is added to the container's environment, as "NAME=value".
	Env []string
	// WorkingDir is where it runs; empty for the container's.
	WorkingDir string
	// Privileged gives it all capabilities.
	Privileged bool
	// Stdin is the command's input; nil for none. Exec does not return before
	// the last read of it has.
	Stdin io.Reader
	// Stdout and Stderr receive the output; nil discards it.
	Stdout, Stderr io.Writer
}

// Event is a hint that something has changed and has to be looked at again.
type Event struct {
	Time time.Time
	// Action is Docker's: create, start, die, stop, kill, oom, pause, unpause,
	// rename, destroy, health_status of a container; tag, untag, pull, load, import,
	// delete of an image; create, destroy of a network or volume.
	Action string
	// ContainerID is empty where the event is of an image, a network or a volume.
	ContainerID string
	Labels      map[string]string
	// Signal is the signal of a kill; 0 for other actions.
	Signal syscall.Signal
}
