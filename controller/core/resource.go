package core

import "time"

// ResourceKind is a kind of object that workloads need and that is not a container.
type ResourceKind string

// The kinds of resources.
const (
	NetworkResource ResourceKind = "network"
	VolumeResource  ResourceKind = "volume"
	ImageResource   ResourceKind = "image"
)

// Resource is a network, a volume or an image that the project needs, and what
// is known of it.
type Resource struct {
	Kind ResourceKind
	Name string
	// External resources are never created; NoPull images never pulled. One that is
	// Made is the image of the ingresses, which tend makes itself, one that is Built is
	// built by a service's build section.
	External, NoPull, Made, Built bool
	// ConfigHash is Compose's hash of what is written, ActualHash the label on
	// what exists, empty where it carries none.
	ConfigHash, ActualHash string
	// Known is true once the engine was asked for it, Present when it has it.
	Known, Present bool
	// ID is an image's content address, or a network's ID.
	ID string
	// Digest is by what the registry knows an image that is here; empty of one that came
	// from none. Newest is what its name stood for when the registry was last asked, at
	// AskedAt, and RegistryError why it gave no answer then.
	Digest, Newest, RegistryError string
	AskedAt                       time.Time
	// PulledFor is the Newest for which the image was last pulled: it is not pulled again
	// for the same.
	PulledFor string
	// PullInterval is how often the registry is asked for another image under the name; 0
	// for never.
	PullInterval time.Duration
	// PullAfter is set for an image that is pulled once more though it is here, unless
	// that was after this instant; PulledAt is when it was pulled last.
	PullAfter, PulledAt time.Time
	// DataOf is the Database that had its data on a volume when it last worked,
	// or empty.
	DataOf string
	// InFlight is the action under way on it, or empty.
	InFlight ActionKind
	// Attempt counts the tries to create or pull it.
	Attempt Attempt
	// NotBefore is until when the registry has asked to be left alone.
	NotBefore time.Time
}

// RegistryAnswer is what a registry answers: what a name stands for, or how long it asks to
// be left alone.
type RegistryAnswer struct {
	Digest     string
	RetryAfter time.Duration
}

// PullDue reports whether an image that is here is to be pulled once more.
func (r Resource) PullDue() bool {
	return r.Present && !r.PullAfter.IsZero() && r.PulledAt.Before(r.PullAfter)
}

// Settled reports whether it is known what a container would be made with: an image that
// is to be pulled first was, or could not be.
func (r Resource) Settled() bool {
	return r.Known && (!r.PullDue() || r.Attempt.Error != "")
}

// String names a resource in a sentence.
func (r Resource) String() string { return string(r.Kind) + " " + r.Name }

// Action is what brings a resource into being.
func (r Resource) Action() ActionKind {
	switch {
	case r.Kind == NetworkResource:
		return CreateNetwork
	case r.Kind == VolumeResource:
		return CreateVolume
	case r.Made:
		return MakeImage
	case r.Built:
		return BuildImage
	default:
		return PullImage
	}
}
