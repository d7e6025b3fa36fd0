// Package spec is what should run: a Project and its workloads, with their hashes,
// labels and policies. Package load reads a project, watch follows its files, edit
// changes a number in one, keys is the table of Compose's keys, and syntax reads YAML.
// The packages do nothing but read and write files: they know no container engine, no
// store and no clock. A Project is immutable once it was loaded.
package spec

import (
	"slices"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
)

// APIVersion is the only apiVersion that a spec file may carry.
const APIVersion = "tend/v1"

// ControllerService is the Compose service that tend itself runs as. Its containers are
// left alone, also where compose.yaml does not have it.
const ControllerService = "tend"

// ExtensionKey is the one x-* key that tend reads, on a service, on a volume and on a
// service's mount.
const ExtensionKey = "x-tend"

// Kind names the rules by which a workload is kept.
type Kind string

// The kinds of workloads.
const (
	// Deployment keeps a number of interchangeable replicas running.
	Deployment Kind = "Deployment"
	// Database keeps one container per volume: the old one is proven gone
	// before the new one is made.
	Database Kind = "Database"
	// Job runs to completion.
	Job Kind = "Job"
	// Ingress holds a host port for the replicas of another workload. Nobody writes
	// one: it follows from that workload's ports.
	Ingress Kind = "Ingress"
)

// WithArticle is the kind as one thing in a sentence.
func (k Kind) WithArticle() string {
	if k == Ingress {
		return "an " + string(k)
	}
	return "a " + string(k)
}

// Project is the desired state of one Compose project.
type Project struct {
	// Name is the Compose project name, normalised as Compose does.
	Name string
	// WorkingDir is the absolute project directory.
	WorkingDir string
	// ConfigFiles are the absolute paths of the Compose files, in merge order.
	ConfigFiles []string
	// EnvFiles are the files given with --env-file, as given; empty when none were.
	EnvFiles []string
	// SpecFiles are the absolute paths of the spec files that were read, sorted.
	SpecFiles []string
	// Workloads are the services that tend keeps, by Compose service name.
	Workloads map[string]*Workload
	// Unmanaged are the services with x-tend: {managed: false}. Their
	// containers are left alone.
	Unmanaged []string
	// Disabled are the services outside the active profiles. Their containers
	// are left alone.
	Disabled []string
	// Elsewhere are the services that another engine keeps while the project moves there:
	// what depends on them finds them there, and waits for nothing.
	Elsewhere []string
	// Networks and Volumes are those that the workloads use, by the engine's name for
	// them.
	Networks map[string]Network
	Volumes  map[string]Volume
	// Secrets and Configs are the project's, by Compose key; the templates
	// refer to them.
	Secrets types.Secrets
	Configs types.Configs
	// Policy is the policy that the project was read with.
	Policy Policy
	// Specs names the services that have a spec.
	Specs []string
}

// Network is a network of the project.
type Network struct {
	// Key is the name in compose.yaml, Name the engine's.
	Key, Name string
	// External networks are never created or removed.
	External bool
	// ConfigHash is Compose's hash of the configuration, for its label.
	ConfigHash string
	Config     types.NetworkConfig
}

// Volume is a named volume of the project.
type Volume struct {
	// Key is the name in compose.yaml, Name the engine's.
	Key, Name string
	// External volumes are never created or removed.
	External bool
	// ConfigHash is Compose's hash of the configuration, for its label.
	ConfigHash string
	Config     types.VolumeConfig
}

// Workload is the spec of one workload: the desired state of one Compose
// service, defaulted and valid.
type Workload struct {
	// Name is the Compose service name.
	Name string
	Kind Kind
	// Replicas is how many containers are to run, or for a Job to complete.
	Replicas int
	// Autoscaling is how the number of replicas follows metrics; nil where it is Replicas,
	// with which it otherwise begins.
	Autoscaling *Autoscaling
	Strategy    Strategy
	// MinReady is how long a replica must have been ready to count as available.
	MinReady time.Duration
	// ProgressDeadline is how long a rollout may go without progress.
	ProgressDeadline time.Duration
	// RevisionHistoryLimit is how many earlier revisions are remembered.
	RevisionHistoryLimit int
	// Paused holds a rollout where it is; replicas are still kept running.
	Paused  bool
	Restart Restart
	// OnFailure is what happens when a rollout makes no progress for ProgressDeadline.
	OnFailure OnFailure
	// Probes are the probes that tend makes. Without any, the container's own health
	// check tells whether a replica is ready and live.
	Probes Probes
	// Drain is the most time between withdrawing a replica's endpoint and its
	// stop signal; 0 for other kinds than Deployment.
	Drain time.Duration
	// Ports are the container's TCP ports at which a replica can be reached,
	// for its endpoint: from expose, ports and the probes; sorted.
	Ports []int
	// PreRollout are run once per revision, in order, before any replica of
	// the revision is created.
	PreRollout []Hook
	// Backup is made of a Database before its container is replaced.
	Backup Backup
	// RestartPolicy is the engine's, as Compose writes and maps it: "no", "always",
	// "unless-stopped", "on-failure:3"; empty, which means "no", where nothing is
	// written. A Job has "no" or none.
	RestartPolicy string
	// BackoffLimit is how many times a Job is tried again.
	BackoffLimit int
	// ActiveDeadline is how long a Job may take in all; 0 is without a limit.
	ActiveDeadline time.Duration
	// StopGrace is the time between the stop signal and SIGKILL.
	StopGrace time.Duration
	DependsOn []Dependency
	// Image is the reference to create containers from.
	Image string
	// PullPolicy is types.PullPolicyMissing, types.PullPolicyNever or
	// types.PullPolicyAlways, with which the image is pulled whenever tend starts.
	PullPolicy string
	// Build is what the image is built from when it is not here; nil where it is not built.
	Build *types.BuildConfig
	// PullInterval is how often the registry is asked for another image under the name; 0
	// for never.
	PullInterval time.Duration
	// KeepImages is how many images of the image's repository are kept besides those that
	// something needs; 0 for all.
	KeepImages int
	// ContainerName is the fixed container_name, or empty.
	ContainerName string
	// Room is how many containers of the template can exist side by side, as a name, a
	// host port or an address has one holder; 0 is without a limit.
	Room int
	// FixedHostPorts are the host ports that the containers publish themselves and only
	// one can hold at a time, as "127.0.0.1:8080/tcp"; with any, a rollout cannot surge.
	FixedHostPorts []string
	// Direct is true where the containers publish all their ports themselves, as with
	// Compose, so that no ingress holds one.
	Direct bool
	// Backend is what an Ingress leads to; nil for other kinds.
	Backend *Backend
	// SurgeAsked is true where a spec or deploy.update_config asks for a surge: then
	// replicas that share a volume have one, too.
	SurgeAsked bool
	// Global is set where each node of a Swarm is to run one replica; nil of others.
	Global *Global
	// SharedMounts are the container paths of volumes and binds whose access mode lets
	// several containers write.
	SharedMounts []string
	// Networks and Volumes are the engine names of those that must exist
	// before a container can be created.
	Networks []string
	Volumes  []string
	// DataVolume is the engine name of the volume that a Database has its data on; empty
	// where that is none, or the workload is no Database.
	DataVolume string
	// NetworkKeys are the names in compose.yaml of Networks.
	NetworkKeys map[string]string
	// Revision is the hash of what a container is made from. Two workloads
	// with equal revisions have interchangeable containers.
	Revision string
	// ConfigHash is what Compose writes as its config-hash label for Template.
	ConfigHash string
	// Template is the Compose service after the spec's template was merged
	// over it, resolved: environment, paths and env files.
	Template types.ServiceConfig
}

// Shares reports whether several containers may write to what they mount at a path.
func (w *Workload) Shares(target string) bool { return slices.Contains(w.SharedMounts, target) }

// Contended lists the container paths of the volumes and binds that only one container
// may write to at a time: all that a single replica writes to, or the one of a node, and the anonymous
// volumes of several, as each belongs to a number. Only the engine knows the others:
// the volumes of an image, and those of volumes_from.
func (w *Workload) Contended() (targets []string) {
	for _, m := range w.Template.Volumes {
		kept := m.Type == types.VolumeTypeVolume || m.Type == types.VolumeTypeBind
		anonymous := m.Type == types.VolumeTypeVolume && m.Source == ""
		if (kept && (w.Replicas <= 1 && w.Autoscaling == nil || w.Global != nil) || anonymous) && !m.ReadOnly && !w.Shares(m.Target) {
			targets = append(targets, m.Target)
		}
	}
	return targets
}

// Images are the references of the images that must be there before a container can be
// created: its own, and those that it mounts as volumes.
func (w *Workload) Images() []string {
	images := []string{w.Image}
	for _, v := range w.Template.Volumes {
		if v.Type == types.VolumeTypeImage && !slices.Contains(images, v.Source) {
			images = append(images, v.Source)
		}
	}
	return images
}

// StrategyType names the way in which a rollout replaces replicas.
type StrategyType string

// The strategies, with the meaning of Kubernetes apps/v1.
const (
	RollingUpdate StrategyType = "RollingUpdate"
	Recreate      StrategyType = "Recreate"
)

// Strategy is how a rollout replaces replicas. The counts are resolved from
// percentages against Workload.Replicas as Kubernetes does: MaxSurge is rounded
// up, MaxUnavailable down, and where both come to 0, MaxUnavailable is 1.
type Strategy struct {
	Type           StrategyType
	MaxSurge       int
	MaxUnavailable int
	// Reason is why there is no surge; empty where there is one.
	Reason string
}

// OnFailure is what happens after a failed rollout.
type OnFailure string

// The ways to go on after a failed rollout.
const (
	// Rollback goes back to the last revision whose rollout was complete.
	Rollback OnFailure = "rollback"
	// Pause leaves the rollout where it is.
	Pause OnFailure = "pause"
)

// Hook is a one-off container of a new revision that must exit with 0 before
// the rollout begins.
type Hook struct {
	Name    string
	Command []string
	Timeout time.Duration
}

// Backup is how a database is backed up before an update.
type Backup struct {
	BeforeUpdate bool
	Keep         int
}

// RestartCondition names the exits after which a container is started again.
type RestartCondition string

// The restart conditions of the Compose specification.
const (
	RestartAny       RestartCondition = "any"
	RestartOnFailure RestartCondition = "on-failure"
	RestartNone      RestartCondition = "none"
)

// Runs describes how long a container is to run.
func (c RestartCondition) Runs() string {
	switch c {
	case RestartNone:
		return "once"
	case RestartOnFailure:
		return "until it ends with 0"
	default:
		return "always"
	}
}

// Restart tells when a container that has exited is started again. The first restart is
// immediate; the delay before each later one doubles, from Delay to MaxDelay, and
// begins anew once a run has lasted Window. The defaults (10 s, 300 s, 10 minutes, no
// limit) are the kubelet's; deploy.restart_policy changes them.
type Restart struct {
	Condition RestartCondition
	// Reason names what was written, or left out, that led to the condition.
	Reason      string
	Delay       time.Duration
	MaxDelay    time.Duration
	Window      time.Duration
	MaxAttempts int // 0: no limit
}

// KubeletRestart is the kubelet's way to restart containers.
var KubeletRestart = Restart{
	Condition: RestartAny,
	Delay:     10 * time.Second,
	MaxDelay:  300 * time.Second,
	Window:    10 * time.Minute,
}

// DependencyCondition is a condition of depends_on.
type DependencyCondition string

// The conditions of the Compose specification.
const (
	DependencyStarted   DependencyCondition = types.ServiceConditionStarted
	DependencyHealthy   DependencyCondition = types.ServiceConditionHealthy
	DependencyCompleted DependencyCondition = types.ServiceConditionCompletedSuccessfully
)

// Dependency is one entry of depends_on.
type Dependency struct {
	Name      string
	Condition DependencyCondition
	// Required is false where the dependency may be missing from the project.
	Required bool
	// Restart asks that the workload be replaced whenever the dependency is.
	Restart bool
}
