package model

import (
	"cmp"
	"maps"
	"net"
	"slices"
	"syscall"
	"time"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/tendhq/tend/controller/engine"
)

// Exit codes that the engine itself gives.
const (
	codeKilled     = 137 // 128 + SIGKILL
	codeNotStarted = 128
	codeNoProgram  = 127
)

// instance is a container.
type instance struct {
	engine.Container
	image    *image // nil where the container was put there
	behavior Behavior
	checked  bool          // it has a health check
	interval time.Duration // between its probes
	networks []endpoint
	ports    []types.ServicePortConfig
	files    map[string]string
	log      []logLine
	// ownVolumes are the anonymous volumes that were made for it.
	ownVolumes []string

	// run counts the starts, so that what was planned in one does not happen
	// in the next.
	run int
	// held are the host ports that this run holds.
	held []*hostPort
	// attached are the connections to the process, which end with it.
	attached []net.Conn
	// frozen is what fell due while the container was paused.
	frozen []func()
	// signalled is set where somebody had the engine end this run.
	signalled bool
	// restartDelay is how long the engine waited before it started this run; 0 where
	// somebody else started it.
	restartDelay time.Duration
	// refusedPort is set where the last start failed for a host port.
	refusedPort bool
	use         use
	memoryLimit int64
	// onExit is called once, at the end of this run.
	onExit []func()
}

// endpoint is a container's place in a network.
type endpoint struct {
	network string
	address string // asked for, or empty
	id      string // of the network that it was last started in, or empty
}

type logLine struct {
	at   time.Time
	text string
}

func newInstance(id string, spec engine.ContainerSpec, i *image, b Behavior) *instance {
	s := spec.Service
	c := &instance{
		Container: engine.Container{
			ID: id, Name: spec.Name,
			Image: s.Image, ImageID: i.id,
			Labels:        maps.Clone(spec.Labels),
			State:         engine.Created,
			RestartPolicy: cmp.Or(spec.RestartPolicy, noRestart),
			Networks:      map[string]string{},
			Joins:         joins(s),
		},
		image:    i,
		behavior: b,
		checked:  b.HealthCheck,
		interval: probeInterval,
		ports:    s.Ports,
		files:    copiedFiles(spec),

		memoryLimit: memoryLimit(s),
	}
	if s.StopGracePeriod != nil {
		c.StopTimeout = time.Duration(*s.StopGracePeriod).Truncate(time.Second)
	}
	if s.HealthCheck != nil {
		if s.HealthCheck.Interval != nil && *s.HealthCheck.Interval > 0 {
			c.interval = time.Duration(*s.HealthCheck.Interval)
		}
		c.checked = !s.HealthCheck.Disable && !slices.Equal(s.HealthCheck.Test, []string{"NONE"})
	}
	for _, p := range s.Ports {
		if p.Published != "" {
			c.HostPorts = append(c.HostPorts, net.JoinHostPort(cmp.Or(p.HostIP, "0.0.0.0"), p.Published)+"/"+p.Protocol)
		}
	}
	slices.Sort(c.HostPorts)
	switch s.NetworkMode {
	case "":
	case "host", "none":
		c.Networks[s.NetworkMode], c.ports = "", nil
	default:
		c.ports = nil
	}
	names := networkNames(spec)
	for i, key := range s.NetworksByPriority() {
		if s.NetworkMode != "" {
			break
		}
		at := endpoint{network: names[i]}
		if n := s.Networks[key]; n != nil {
			at.address = n.Ipv4Address
		}
		c.networks = append(c.networks, at)
		c.Networks[at.network] = ""
	}
	return c
}

// view is a copy for whoever asks at the given instant.
func (c *instance) view(now time.Time) engine.Container {
	v := c.Container
	v.Labels = maps.Clone(v.Labels)
	v.Networks = maps.Clone(v.Networks)
	v.NetworkIDs = map[string]string{}
	for _, at := range c.networks {
		if at.id != "" {
			v.NetworkIDs[at.network] = at.id
		}
	}
	v.PublishedPorts = slices.Clone(v.PublishedPorts)
	v.HostPorts = slices.Clone(v.HostPorts)
	v.Mounts = slices.Clone(v.Mounts)
	v.Joins = slices.Clone(v.Joins)
	v.Health, v.HealthySince = c.health(now)
	return v
}

// alive reports whether the engine counts the container as running.
func (c *instance) alive() bool { return c.hasProcess() || c.State == engine.Restarting }

func (c *instance) hasProcess() bool { return c.State == engine.Running || c.State == engine.Paused }

// start begins a run, which somebody has asked for, or the engine itself wants. Where it
// cannot, the container stays as it was, and keeps the reason.
func (e *Engine) start(c *instance, asked bool) error {
	half := e.halfStarts && c.refusedPort
	c.refusedPort = false
	if !half {
		if err := e.connect(c); err != nil {
			return e.refuse(c, cmp.Or(c.ExitCode, codeNotStarted), err)
		}
	}
	if err := e.joinable(c); err != nil {
		return e.refuse(c, cmp.Or(c.ExitCode, codeNotStarted), err)
	}
	if asked { // what fails before leaves the count as it was, unlike in the newest engine
		c.restartDelay, c.RestartCount = 0, 0
	}
	if c.behavior.CannotStart {
		return e.refuse(c, codeNoProgram, failure(engine.Invalid, "exec: no such file or directory"))
	}
	c.run++
	c.signalled = false
	c.State, c.StartedAt = engine.Running, e.agenda.Now
	c.use = use{cores: c.behavior.Cores, memory: c.behavior.Memory, counted: e.agenda.Now}
	c.ExitCode, c.Error, c.OOMKilled = 0, "", false
	c.PortsMissing = half && len(c.ports) > 0
	for _, text := range c.behavior.Output {
		c.log = append(c.log, logLine{at: e.agenda.Now, text: text})
	}
	e.emit(c, "start")
	if c.behavior.Exits {
		e.inRun(c, c.behavior.After, func() { e.exit(c, c.behavior.Code) })
	}
	if c.checked {
		e.beginHealth(c)
	}
	return nil
}

func (e *Engine) refuse(c *instance, code int, err error) error {
	e.disconnect(c)
	c.ExitCode, c.Error = code, err.Error()
	return err
}

// inRun plans something for as long as this run lasts. While the container is
// paused it is put off.
func (e *Engine) inRun(c *instance, delay time.Duration, happen func()) {
	run := c.run
	e.agenda.After(delay, func() {
		switch {
		case c.run != run || !c.hasProcess():
		case c.State == engine.Paused:
			c.frozen = append(c.frozen, happen)
		default:
			happen()
		}
	})
}

// signalStop sends the stop signal, and SIGKILL when grace is over.
func (e *Engine) signalStop(c *instance, grace time.Duration) {
	if !e.signal(c, syscall.SIGTERM) {
		return
	}
	if !c.behavior.IgnoresStop {
		e.inRun(c, c.behavior.StopAfter, func() { e.exit(c, c.behavior.StopCode) })
	}
	e.inRun(c, grace, func() {
		e.emitKill(c, syscall.SIGKILL)
		e.exit(c, codeKilled)
	})
}

// signal notes that somebody has the engine end a run, and reports whether there
// is a process that feels it: one that the engine was about to start again is
// over with that. A paused container is let go first, as Docker does.
func (e *Engine) signal(c *instance, s syscall.Signal) bool {
	c.signalled = true
	if c.State == engine.Restarting {
		c.State = engine.Exited
		c.ended()
		return false
	}
	e.emitKill(c, s)
	e.unpause(c)
	return true
}

// exit ends a run.
func (e *Engine) exit(c *instance, code int) {
	if !c.hasProcess() {
		return
	}
	e.disconnect(c)
	for _, conn := range c.attached {
		_ = conn.Close() // the end of a pipe cannot fail
	}
	c.attached = nil
	c.State, c.ExitCode, c.FinishedAt = engine.Exited, code, e.agenda.Now
	c.PortsMissing, c.frozen = false, nil
	if c.engineRestarts() {
		c.State = engine.Restarting
		c.RestartCount++
		e.restart(c)
	}
	e.emit(c, "die")
	c.ended()
	e.endJoined(c)
}

// ended calls those that wait for the end of a run.
func (c *instance) ended() {
	tell := c.onExit
	c.onExit = nil
	for _, f := range tell {
		f()
	}
}

func (e *Engine) unpause(c *instance) {
	if c.State != engine.Paused {
		return
	}
	e.count(c)
	c.State = engine.Running
	e.emit(c, "unpause")
	e.doubtHealth(c)
	frozen := c.frozen
	c.frozen = nil
	for _, happen := range frozen {
		if c.alive() {
			happen()
		}
	}
}

// add puts a container there, with its name.
func (e *Engine) add(c *instance) {
	e.containers[c.ID] = c
	at, _ := slices.BinarySearchFunc(e.byID, c.ID, func(other *instance, id string) int { return cmp.Compare(other.ID, id) })
	e.byID = slices.Insert(e.byID, at, c)
	e.names[c.Name] = c.ID
	e.emit(c, "create")
}

// remove takes a container away, and its name.
func (e *Engine) remove(c *instance) {
	delete(e.containers, c.ID)
	e.byID = slices.DeleteFunc(e.byID, func(other *instance) bool { return other == c })
	delete(e.names, c.Name)
	e.emit(c, "destroy")
}
