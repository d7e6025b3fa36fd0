package model

import (
	"time"

	"github.com/tendhq/tend/controller/engine"
)

// Behavior is what the containers of an image do. The zero value runs until it
// is stopped, and then ends at once with 0.
type Behavior struct {
	// Exits makes the process end by itself, After that long, with Code.
	Exits bool
	After time.Duration
	Code  int

	// IgnoresStop makes the process end by SIGKILL only. Otherwise it ends
	// StopAfter the stop signal, with StopCode.
	IgnoresStop bool
	StopAfter   time.Duration
	StopCode    int

	// CannotStart makes every start fail as Invalid: there is no such program.
	CannotStart bool

	// HealthCheck is that of the image; a service can bring one of its own, or
	// disable it. Its first result comes HealthAfter the start: healthy, or
	// where Sick is set, unhealthy.
	HealthCheck bool
	HealthAfter time.Duration
	Sick        bool

	// Exec is what a command run in the container does: it reads its input,
	// writes its output, and says with which code it ends and how long after
	// its start; 127 says that there is no such program, and so it is for all
	// where Exec is nil. It is called with the engine locked.
	Exec func(engine.ExecSpec) (code int, after time.Duration)

	// Volumes are the paths of the image's volumes: where a service mounts nothing
	// there, a container gets an anonymous one.
	Volumes []string

	// Output is written to the log, line by line, at each start.
	Output []string

	// Commands are what containers do whose service gives another command, by
	// its first word.
	Commands map[string]Behavior
}

// of is the behavior of a container that runs a command.
func (b Behavior) of(command []string) Behavior {
	if len(command) > 0 {
		if other, ok := b.Commands[command[0]]; ok {
			return other
		}
	}
	return b
}

// image is a local image, or one in the registry.
type image struct {
	id       string
	behavior Behavior
}

// AddImage makes an image that is there locally. An image of the same reference
// is replaced for the containers that are created from now on. It returns the ID.
func (e *Engine) AddImage(ref string, b Behavior) string {
	e.lock()
	defer e.unlock()
	i := e.newImage(b)
	e.images[ref] = i
	return i.id
}

// TagImage gives a local image a further reference, which another may have had.
func (e *Engine) TagImage(image, ref string) {
	e.lock()
	defer e.unlock()
	e.images[ref] = e.image(image)
}

// PublishImage makes an image that can be pulled.
func (e *Engine) PublishImage(ref string, b Behavior) {
	e.lock()
	defer e.unlock()
	e.registry[ref] = e.newImage(b)
}

// RemoveImage removes a local image.
func (e *Engine) RemoveImage(ref string) {
	e.lock()
	defer e.unlock()
	delete(e.images, ref)
}

// image finds a local image by its reference or ID; nil where there is none. One
// that has lost its reference stays for as long as a container is made from it.
func (e *Engine) image(ref string) *image {
	if i := e.images[ref]; i != nil {
		return i
	}
	for _, i := range e.images {
		if i.id == ref {
			return i
		}
	}
	for _, c := range e.containers {
		if c.image != nil && c.image.id == ref {
			return c.image
		}
	}
	return nil
}

func (e *Engine) newImage(b Behavior) *image {
	return &image{id: "sha256:" + e.newID(), behavior: b}
}
