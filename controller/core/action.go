package core

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/tendhq/tend/controller/spec"
)

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
	// ConnectReplica has a container join networks and leave others while it runs.
	ConnectReplica ActionKind = "connect"

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
	// BuildImage builds an image from a service's build section.
	BuildImage ActionKind = "build-image"
	// AskRegistry asks for what an image's name stands for in its registry.
	AskRegistry ActionKind = "ask-registry"
	// RemoveImage removes an old image from the engine.
	RemoveImage ActionKind = "remove-image"
	// MakeImage makes the image of the ingresses from tend's own executable.
	MakeImage ActionKind = "make-image"
)

// Action is one thing to do now.
type Action struct {
	Kind ActionKind
	// Workload is the workload's name; empty for the project's own objects.
	Workload string
	// Object is the name of what is acted on: a container, hook, network, volume or
	// image. ID is the container's, when it exists, or that of an image to remove.
	Object, ID string
	// Number and Revision are those of the replica to create.
	Number   int
	Revision string
	// Spec is what a container is made from, or a Database is prepared for; nil of other
	// actions. Recordings leave it out: it is their input's, at Revision.
	Spec *spec.Workload `json:"-"`
	// Command is what a hook runs. Recordings leave it out, as it may be secret.
	Command []string `json:"-"`
	// Lifecycle are the post_start commands of a container that is started, which have
	// StartTimeout, and the pre_stop commands of one that is stopped, which have Grace.
	// Recordings leave them out, as they may be secret.
	Lifecycle    []types.ServiceHook `json:"-"`
	StartTimeout time.Duration
	// ImageID is the image that a Database is prepared for. Check is true where it has
	// to be found out whether that can take over the data, and Backup where they are
	// backed up.
	ImageID       string
	Check, Backup bool
	// Grace is the time between the stop signal and SIGKILL, also where a start has to be
	// taken back.
	Grace time.Duration
	// Anonymous are the anonymous volumes that the replica to create takes over
	// from the last one of its number, by path.
	Anonymous map[string]string
	// Joins are the IDs of the containers that the one to create joins in the place of
	// services, by service.
	Joins map[string]string
	// Volumes is true where a container's anonymous volumes are removed with it.
	Volumes bool
	// RestartPolicy is what a container is to be updated to.
	RestartPolicy string
	// Connect and Disconnect are the networks that a container is to join and to leave.
	Connect, Disconnect []string
	// Cause says why, in words for a person; logs, events and the command
	// line show the same sentence.
	Cause string
}

// String is an action in one line.
func (a Action) String() string {
	var b strings.Builder
	b.WriteString(string(a.Kind))
	if a.Kind == CreateReplica {
		fmt.Fprintf(&b, " %s #%d at %s", a.Workload, a.Number, a.Revision[:min(8, len(a.Revision))])
	} else if a.Object != "" {
		b.WriteString(" " + a.Object)
	}
	for _, target := range slices.Sorted(maps.Keys(a.Anonymous)) {
		fmt.Fprintf(&b, " with %.12s at %s", a.Anonymous[target], target)
	}
	return b.String() + ": " + a.Cause
}
