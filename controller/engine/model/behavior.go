package model

import (
	"io"
	"strings"
	"time"

	"github.com/tendhq/tend/controller/engine"
)

// Behavior is the behaviour of an image's containers. With the zero value they run
// until they are stopped, and then end at once with 0.
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

	// CannotStart makes every start fail as Invalid, as where the program does not
	// exist.
	CannotStart bool

	// HealthCheck is true for an image with a health check; a service can bring one of
	// its own, or disable it. Its first result comes HealthAfter the start: healthy, or
	// unhealthy where Sick is set.
	HealthCheck bool
	HealthAfter time.Duration
	Sick        bool

	// Exec runs a command in the container: it reads the input, writes the output, and
	// returns the exit code and how long after the start the command ends. 127 means
	// that the program does not exist, as it does for every command where Exec is nil.
	// It is called with the engine locked.
	Exec func(engine.ExecSpec) (code int, after time.Duration)

	// Attached speaks for the process of a container with one that attaches to it, in a
	// goroutine of its own, until the connection ends. Where it is nil, input is lost and
	// there is no output.
	Attached func(id string, conn io.ReadWriter)

	// Cores is how much CPU the process uses all the time, and Memory its working set in
	// bytes, until SetUse says otherwise.
	Cores  float64
	Memory int64

	// Volumes are the paths of the image's volumes: a container gets an anonymous
	// volume at each, unless the service mounts something there.
	Volumes []string

	// Output is written to the log, line by line, at each start.
	Output []string

	// Commands are the behaviours of containers with another command, by its first
	// word.
	Commands map[string]Behavior
}

// of is the behaviour of a container with a command.
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
	id string
	// digest is by what a registry knows it; empty of one that came from none.
	digest   string
	created  time.Time
	behavior Behavior
}

// AddImage makes a local image. It replaces one with the same reference, for the
// containers that are created from now on. It returns the ID.
func (e *Engine) AddImage(ref string, b Behavior) string {
	e.agenda.Lock()
	defer e.agenda.Unlock()
	i := e.newImage(b)
	e.images[ref] = i
	e.emitResource("tag")
	return i.id
}

// SetBehavior has f tell how a container behaves that is created from now on, in place of
// its image. f is called with the engine locked.
func (e *Engine) SetBehavior(f func(engine.ContainerSpec) Behavior) {
	e.agenda.Lock()
	defer e.agenda.Unlock()
	e.behave = f
}

// TagImage gives a local image a further reference, which another may have had.
func (e *Engine) TagImage(image, ref string) {
	e.agenda.Lock()
	defer e.agenda.Unlock()
	e.images[ref] = e.image(image)
	e.emitResource("tag")
}

// PublishImage makes an image that can be pulled, in the place of another one of its name.
// It returns the digest.
func (e *Engine) PublishImage(ref string, b Behavior) string {
	e.agenda.Lock()
	defer e.agenda.Unlock()
	i := e.newImage(b)
	i.digest = "sha256:d" + strings.TrimPrefix(i.id, "sha256:")[1:]
	e.registry[ref], e.registry[atDigest(ref, i)] = i, i
	return i.digest
}

// atDigest is an image by its digest in the repository of a name.
func atDigest(ref string, i *image) string {
	repository, _, _ := strings.Cut(ref, "@")
	repository, _, _ = strings.Cut(repository, ":")
	return repository + "@" + i.digest
}

// AddBuild has the build of a name succeed from now on.
func (e *Engine) AddBuild(ref string, b Behavior) {
	e.agenda.Lock()
	defer e.agenda.Unlock()
	e.builds[ref] = b
}

// UnpublishImage takes a name from the registry.
func (e *Engine) UnpublishImage(ref string) {
	e.agenda.Lock()
	defer e.agenda.Unlock()
	delete(e.registry, ref)
}

// RemoveImage removes a local image.
func (e *Engine) RemoveImage(ref string) {
	e.agenda.Lock()
	defer e.agenda.Unlock()
	delete(e.images, ref)
	e.emitResource("untag")
}

// image finds a local image by its reference or ID; nil where there is none. One that
// has lost its reference stays while a container is made from it.
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
	return &image{id: "sha256:" + e.newID(), created: e.agenda.Now, behavior: b}
}
