package model

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/tendhq/tend/controller/engine"
)

// Kill sends a container's process SIGKILL, as "docker kill" does. It ends with
// the given code, 137 as a rule.
func (e *Engine) Kill(id string, code int) {
	e.withContainer(id, func(c *instance) {
		if c.alive() && e.signal(c, syscall.SIGKILL) {
			e.exit(c, code)
		}
	})
}

// Exit has a container's process end by itself. One that is paused cannot.
func (e *Engine) Exit(id string, code int) {
	e.withContainer(id, func(c *instance) {
		if c.State == engine.Running {
			e.exit(c, code)
		}
	})
}

// StopBehind stops a container as a person would, without waiting for the end.
func (e *Engine) StopBehind(id string, grace time.Duration) {
	e.withContainer(id, func(c *instance) {
		if c.alive() {
			c.onExit = append(c.onExit, func() { e.emit(c, "stop") })
			e.signalStop(c, grace)
		}
	})
}

// RemoveBehind kills and removes a container, as "docker rm -f" does.
func (e *Engine) RemoveBehind(id string) {
	e.withContainer(id, func(c *instance) {
		if c.alive() && e.signal(c, syscall.SIGKILL) {
			e.exit(c, codeKilled)
		}
		e.remove(c)
	})
}

// Pause freezes a running container.
func (e *Engine) Pause(id string) {
	e.withContainer(id, func(c *instance) {
		if c.State == engine.Running {
			e.count(c)
			c.State = engine.Paused
			e.emit(c, "pause")
		}
	})
}

// Unpause lets a paused container go on.
func (e *Engine) Unpause(id string) {
	e.withContainer(id, e.unpause)
}

// SetHealth gives a running container a health.
func (e *Engine) SetHealth(id string, h engine.Health) {
	e.withContainer(id, func(c *instance) {
		if c.State == engine.Running {
			c.checked = true
			e.setHealth(c, h)
		}
	})
}

// ResetHealth has a running container's health check begin anew without an event, as it
// does after a restart of the engine that has kept the containers running.
func (e *Engine) ResetHealth(id string) {
	e.withContainer(id, func(c *instance) {
		if c.alive() && c.checked {
			e.beginHealth(c)
		}
	})
}

// SetState puts a container that is not running into a state that it cannot
// leave: Removing or Dead.
func (e *Engine) SetState(id string, s engine.State) {
	e.withContainer(id, func(c *instance) {
		if !c.alive() {
			c.State = s
		}
	})
}

// Boot starts the containers that an engine starts when it was restarted: those with
// the policy always, whoever stopped them.
func (e *Engine) Boot() {
	e.agenda.Lock()
	defer e.agenda.Unlock()
	for _, c := range e.byID {
		if c.State == engine.Exited && c.RestartPolicy == restartAlways {
			_ = e.start(c, false)
		}
	}
}

// UpdateBehind gives a container another restart policy, as "docker update" does.
func (e *Engine) UpdateBehind(id, policy string) {
	e.withContainer(id, func(c *instance) { c.RestartPolicy = policy })
}

// Rename gives a container another name, if it is free.
func (e *Engine) Rename(id, name string) {
	e.withContainer(id, func(c *instance) {
		if _, taken := e.names[name]; !taken {
			delete(e.names, c.Name)
			c.Name = name
			e.names[name] = id
			e.emit(c, "rename")
		}
	})
}

// JoinNetwork has a container join a network that it is not in. The container has no
// event for it.
func (e *Engine) JoinNetwork(id, network string) {
	e.withContainer(id, func(c *instance) {
		n := e.networks[network]
		if _, joined := c.Networks[network]; n != nil && !joined {
			_ = n.connect(c)
		}
	})
}

// LosePorts takes the host ports from a running container, as a restart of the
// engine may.
func (e *Engine) LosePorts(id string) {
	e.withContainer(id, func(c *instance) {
		if c.alive() && len(c.held) > 0 {
			for _, h := range c.held {
				delete(e.hostPorts, h)
			}
			c.held, c.PublishedPorts, c.PortsMissing = nil, nil, true
		}
	})
}

// LoseAddresses takes the addresses from a running container that has joined its
// networks all the same, as a start after a failed one may (moby#51758).
func (e *Engine) LoseAddresses(id string) {
	e.withContainer(id, func(c *instance) {
		if c.alive() {
			e.loseAddresses(c)
		}
	})
}

// LeaveNetwork takes a container out of a network for good, as "docker network
// disconnect" does. The container has no event for it.
func (e *Engine) LeaveNetwork(id, name string) {
	e.withContainer(id, func(c *instance) {
		e.leave(c, name)
	})
}

// Put makes a container that the controller has not made, such as one of Compose's.
// Fields that the engine itself sets may be left empty. It returns the ID.
func (e *Engine) Put(c engine.Container, b Behavior) string {
	e.agenda.Lock()
	defer e.agenda.Unlock()
	c.ID = cmp.Or(c.ID, e.newID())
	c.State = cmp.Or(c.State, engine.Created)
	c.RestartPolicy = cmp.Or(c.RestartPolicy, noRestart)
	if c.Created.IsZero() {
		c.Created = e.agenda.Now
	}
	i := &instance{Container: c, behavior: b, checked: b.HealthCheck, interval: probeInterval}
	i.Container = i.view(e.agenda.Now)
	for _, name := range slices.Sorted(maps.Keys(c.Networks)) {
		i.networks = append(i.networks, endpoint{network: name})
	}
	e.add(i)
	return c.ID
}

// ReserveName makes the engine refuse a name for a container that nobody can find, as
// happens while another is being made or after one was lost (moby#37698). The name of
// an existing container is refused anyway.
func (e *Engine) ReserveName(name string) {
	e.agenda.Lock()
	defer e.agenda.Unlock()
	if _, taken := e.names[name]; !taken {
		e.names[name] = e.newID()
	}
}

// ReleaseName undoes ReserveName.
func (e *Engine) ReleaseName(name string) {
	e.agenda.Lock()
	defer e.agenda.Unlock()
	if _, has := e.containers[e.names[name]]; !has {
		delete(e.names, name)
	}
}

// HoldPort takes a port on the host, as another program would, and returns a function
// that gives it back.
func (e *Engine) HoldPort(ip string, port int, protocol string) (release func()) {
	e.agenda.Lock()
	defer e.agenda.Unlock()
	h := &hostPort{ip: ip, port: strconv.Itoa(port), protocol: protocol}
	e.hostPorts[h] = true
	return func() {
		e.agenda.Lock()
		defer e.agenda.Unlock()
		delete(e.hostPorts, h)
	}
}

// HalfStarts makes the second start of a container succeed without networks and ports,
// where the first one failed for a host port (moby#51758).
func (e *Engine) HalfStarts(on bool) {
	e.agenda.Lock()
	defer e.agenda.Unlock()
	e.halfStarts = on
}

// Truth returns all containers of the engine as they are, oldest first, whether it can
// be reached or not. It is no request. What the result refers to must not be changed.
func (e *Engine) Truth() []engine.Container { return e.AppendTruth(nil) }

// AppendTruth appends the containers to a list, which may lie in memory that was used before.
func (e *Engine) AppendTruth(to []engine.Container) []engine.Container {
	e.agenda.Lock()
	defer e.agenda.Unlock()
	to = slices.Grow(to, len(e.byID))
	for _, c := range e.byID {
		to = append(to, c.Container)
	}
	return to
}

// TruthOf returns one container as it is, likewise.
func (e *Engine) TruthOf(id string) (c engine.Container, ok bool) {
	e.withContainer(id, func(i *instance) { c, ok = i.Container, true })
	return c, ok
}

// File is a file that was copied into a container.
func (e *Engine) File(id, path string) (content string, ok bool) {
	e.withContainer(id, func(c *instance) { content, ok = c.files[path] })
	return content, ok
}

// Disconnect makes the engine unreachable: event streams end, requests in flight
// lose their reply, new ones are Unavailable. Containers live on.
func (e *Engine) Disconnect() {
	e.agenda.Lock()
	defer e.agenda.Unlock()
	e.away = true
	e.endSubscriptions(&engine.Error{Op: string(OpEvents), Class: engine.Unavailable, Err: errAway})
	for len(e.requests) > 0 {
		e.finish(e.requests[0], &engine.Error{Class: engine.Unknown, Err: errAway})
	}
}

// Reconnect ends a Disconnect.
func (e *Engine) Reconnect() {
	e.agenda.Lock()
	defer e.agenda.Unlock()
	e.away = false
}

func (e *Engine) withContainer(id string, meddle func(*instance)) {
	e.agenda.Lock()
	defer e.agenda.Unlock()
	if c := e.containers[id]; c != nil {
		meddle(c)
	}
}
