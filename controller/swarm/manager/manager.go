// Package manager is the narrow interface between tend and a Docker Swarm, as one of its
// managers offers it. Package docker adapts the Docker Engine API, package model is a Swarm
// in memory, and package managertest holds both to the same behaviour.
// No method retries, waits for a state, or decides anything.
package manager

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/docker/docker/api/types/swarm"

	"github.com/tendhq/tend/controller/engine"
)

// StackLabel is the label by which docker stack deploy ties a service, network, secret or
// config to its stack. tend's own carry engine.ProjectLabel.
const StackLabel = "com.docker.stack.namespace"

// Why no manager can be asked. Every method fails with one of these, of the class
// Unavailable, for as long as it is so; nothing was changed then.
var (
	// ErrNoSwarm: the engine is in no Swarm.
	ErrNoSwarm = errors.New("this engine is in no Swarm: run docker swarm init, or docker swarm join to bring it into one")
	// ErrWorker: the engine is a worker, which knows nothing of services.
	ErrWorker = errors.New("this node is a worker of its Swarm: name a manager with --host, or run docker node promote on one")
	// ErrLocked: the manager was started again, and its Swarm is encrypted.
	ErrLocked = errors.New("this manager's Swarm is locked: run docker swarm unlock on it")
	// ErrNoQuorum: the managers have no leader, as no more than half of them can be reached.
	// What runs goes on running.
	ErrNoQuorum = errors.New("the Swarm has no leader: more than half of its managers must be online and reach each other")
)

// Manager is a Swarm, by way of one of its managers.
//
// Every method returns an *engine.Error on failure, so that a caller can tell what to do
// by its class. A context that ends makes the call fail with class Unknown where the Swarm
// may have carried out the request all the same, and so does a leader that is lost before
// it has answered.
//
// A list is what the leader knew when it was asked. One that was cut off from the other
// managers answers for some seconds more, so that a list may be older than the one before
// it; a change that is asked for with such a version then fails.
type Manager interface {
	// Info asks whether a manager is there and the Swarm has a leader.
	Info(ctx context.Context) (Info, error)
	// Nodes lists the Swarm's nodes, also those that are down, sorted by host name.
	Nodes(ctx context.Context) ([]Node, error)

	// Services lists the services that carry the label of the project, or that of a stack
	// of this name, sorted by name.
	Services(ctx context.Context, project string) ([]Service, error)
	// Tasks lists the tasks of the services that carry the project's label, also those
	// that have ended and those of a service that was removed and whose containers are
	// being stopped, oldest first. Swarm keeps the last few of each slot (five, unless
	// somebody has changed that).
	Tasks(ctx context.Context, project string) ([]Task, error)
	// Digest asks the registry of an image's name for the digest of what that stands for there,
	// with this user's login, and brings nothing. It is NotFound where the registry does not
	// tell it, whatever the reason.
	Digest(ctx context.Context, image string) (digest string, err error)
	// CreateService makes a service. It fails with Conflict when the name is taken, and
	// with NotFound when a network is missing. A secret or a config that is missing, or an
	// option that Swarm does not take, is Invalid. An image that is missing fails its
	// tasks, not the call.
	CreateService(ctx context.Context, s swarm.ServiceSpec) (id string, err error)
	// UpdateService gives a service another spec, and returns before its tasks follow. It
	// fails with Conflict when the service was changed since it had the version, with
	// NotFound when it is gone, and otherwise as CreateService does. Swarm itself raises
	// the version, too, as an update goes on. A spec whose Name or Mode is another one is
	// Invalid.
	UpdateService(ctx context.Context, id string, version uint64, s swarm.ServiceSpec) error
	// RemoveService removes a service, and returns before its containers have stopped.
	// One that is gone is no error.
	RemoveService(ctx context.Context, id string) error

	// Networks lists the Swarm's networks that carry the project's label and, besides
	// them, those of the given names.
	Networks(ctx context.Context, project string, names ...string) ([]Network, error)
	// CreateNetwork makes a network for the whole Swarm, an overlay unless Config names
	// another driver. A name that is taken is a Conflict.
	CreateNetwork(ctx context.Context, n engine.NetworkSpec) (id string, err error)
	// RemoveNetwork removes a network by its full ID; one that is gone is no error, one
	// that a service uses, or a task that still stops, is a Conflict.
	RemoveNetwork(ctx context.Context, id string) error

	// Secrets lists the secrets that carry the project's label and, besides them, those of
	// the given names. Nothing returns what a secret holds.
	Secrets(ctx context.Context, project string, names ...string) ([]Secret, error)
	// CreateSecret makes a secret. A name that is taken is a Conflict; one that is empty or
	// larger than 500 KB is Invalid.
	CreateSecret(ctx context.Context, s swarm.SecretSpec) (id string, err error)
	// RemoveSecret removes a secret by its ID; one that is gone is no error, one that a
	// service uses is a Conflict.
	RemoveSecret(ctx context.Context, id string) error

	// Configs lists the configs that carry the project's label and, besides them, those of
	// the given names, without what they hold.
	Configs(ctx context.Context, project string, names ...string) ([]Config, error)
	// CreateConfig makes a config. A name that is taken is a Conflict; one that is empty or
	// larger than 1000 KB is Invalid.
	CreateConfig(ctx context.Context, c swarm.ConfigSpec) (id string, err error)
	// RemoveConfig removes a config by its ID; one that is gone is no error, one that a
	// service uses is a Conflict.
	RemoveConfig(ctx context.Context, id string) error

	// Events subscribes to the events of all services, nodes, networks, secrets and
	// configs: Swarm's carry no project's name. Tasks have none: what becomes of them only
	// a list tells. The subscription stands when Events returns, so that what a list made
	// afterwards misses comes as an event; events of the second before may come, too. The
	// channel is closed when the stream ends; then err returns why (nil when ctx ended
	// it).
	Events(ctx context.Context) (events <-chan Event, err func() error, failed error)

	// Logs writes the last lines of the output of a service's tasks, by its ID, and with
	// follow what comes after them, of tasks that are yet to come as well, until ctx ends.
	// The order is kept within a task alone. It fails with NotFound when the service is gone.
	Logs(ctx context.Context, service string, o engine.LogOptions, stdout, stderr io.Writer) error
	// TaskLogs does so for one task, by its ID, until it has ended.
	TaskLogs(ctx context.Context, task string, o engine.LogOptions, stdout, stderr io.Writer) error

	// Close releases the connections.
	Close() error
}

// Info is what a manager says of its Swarm.
type Info struct {
	// Host is the address of the manager that answered, as "unix:///path".
	Host string
	// SwarmID is the Swarm's ID.
	SwarmID string
	// Managers is how many the Swarm has, and Reachable how many of them the leader
	// reaches, itself included. The Swarm needs more than half.
	Managers, Reachable int
}

// Node is a node of the Swarm.
type Node struct {
	ID, Hostname string
	// Addr is where the leader sees it, as "10.0.0.2".
	Addr string
	Role swarm.NodeRole
	// Leader is true for the one manager that leads.
	Leader bool
	// Reachability is empty of a worker.
	Reachability swarm.Reachability
	// State is ready, down, unknown (after a change of leaders, until it has been heard
	// of) or disconnected (it has left); StateMessage says more for a person.
	State        swarm.NodeState
	StateMessage string
	Availability swarm.NodeAvailability
	// Labels are the node's (node.labels in constraints), EngineLabels its engine's
	// (engine.labels).
	Labels, EngineLabels map[string]string
	// OS and Architecture are as "linux" and "x86_64": the kernel's words, not Go's.
	OS, Architecture string
	EngineVersion    string
	// NanoCPUs and Memory, in bytes, are what it has for tasks.
	NanoCPUs, Memory int64
}

// There reports whether a node is in the Swarm and does what it is told.
func (n Node) There() bool {
	return n.State != swarm.NodeStateDown && n.State != swarm.NodeStateDisconnected
}

// Service is a service as the Swarm keeps it.
type Service struct {
	ID string
	// Version is to be handed to UpdateService.
	Version uint64
	// Spec is the service's spec, with the defaults that Swarm has filled in.
	Spec swarm.ServiceSpec
	// CreatedAt and UpdatedAt are by the leader's clock.
	CreatedAt, UpdatedAt time.Time
	// Update is how its last update went; its State is empty before the first one.
	Update Update
	// Running is how many tasks run, Desired how many there should be, Completed how many
	// of a job have ended well in its present execution.
	Running, Desired, Completed uint64
	// JobIteration grows with each execution of a job; 0 of other services.
	JobIteration uint64
}

// Update is the course of a service's last update.
type Update struct {
	State swarm.UpdateState
	// StartedAt and CompletedAt are zero where it has not.
	StartedAt, CompletedAt time.Time
	Message                string
}

// Task is one run of a container for a service: Swarm never starts one again, but makes
// another for its slot.
//
// Swarm looks after jobs less than after other services. A job's task whose node is lost or
// drained is made nowhere else; it fails when the node is back. A slot that has used up its
// attempts is tried once more when another slot's task ends, and by each new leader.
type Task struct {
	ID string
	// ServiceID is its service's, which may be gone; NodeID its node's, empty where no node
	// takes it.
	ServiceID, NodeID string
	// Slot counts from 1, and from 0 in a job; it is 0 in a global service.
	Slot int
	// Spec is what its service had when the task was made.
	Spec swarm.TaskSpec
	// JobIteration is the iteration of the job that it was made in.
	JobIteration uint64
	// State is how far it has come, since Since, by the clock of its node; Message and Err
	// say more for a person. A task whose container has a health check is starting until
	// that passes, and fails when it fails: there is no unhealthy task (one that then ends
	// with 0 is complete). One that waits may have an Err, too: pending where no node will
	// do, and preparing where its image's registry does not answer (Engine 2.0.0-beta.24). Where its
	// node is down, it is what was last heard.
	State        swarm.TaskState
	Since        time.Time
	Message, Err string
	// DesiredState is how far it is to go: running (or complete, for a job's), or shutdown
	// and remove for one that is to end or has ended.
	DesiredState swarm.TaskState
	// CreatedAt is by the leader's clock.
	CreatedAt time.Time
	// ContainerID is empty before there is a container; ExitCode counts where it has ended.
	ContainerID string
	ExitCode    int
	// Networks holds its address by network name.
	Networks map[string]string
}

// Network is a network of the Swarm. Its Driver is empty until the leader has given it its
// addresses.
type Network struct {
	ID, Name, Driver string
	Attachable       bool
	Labels           map[string]string
}

// Secret is a secret without what it holds.
type Secret struct {
	ID, Name  string
	Labels    map[string]string
	CreatedAt time.Time
}

// Config is a config without what it holds.
type Config struct {
	ID, Name  string
	Labels    map[string]string
	CreatedAt time.Time
}

// Event is a hint that something has changed and has to be looked at again.
type Event struct {
	Time time.Time
	// Type is Docker's: service, node, network, secret or config; Action is create,
	// update or remove.
	Type, Action string
	// ID and Name are the object's; the name of a node is its host name.
	ID, Name string
}
