// Package model is a container engine in memory. Through engine.Engine it behaves as a
// Docker Engine does, quirks included; package enginetest holds both to the same
// behaviour, and Docker's sources are what it is modelled on.
// It is deterministic. All that happens is in one queue, ordered by time and then by
// arrival, and IDs and addresses are counted, not drawn. It keeps time only by package
// time, so that inside a testing/synctest bubble its clock is the bubble's. It starts
// no goroutine but the timer's, and none is left after Close.
// Containers have the behaviour of their image (AddImage). The methods in outsider.go
// do what people, processes and broken machines do to an engine.
package model

import (
	"fmt"
	"time"

	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/engine/model/agenda"
)

// Engine is a container engine in memory. Its methods may be called from any
// goroutine.
type Engine struct {
	agenda agenda.Agenda
	// architecture of the engine's machine; empty for this one's.
	architecture string
	// counters make the IDs and the subnets.
	nextID, madeNetworks int

	containers map[string]*instance // by ID
	byID       []*instance          // the same, sorted
	names      map[string]string    // reserved container names, to the ID that holds them
	images     map[string]*image    // local, by reference
	registry   map[string]*image    // to be pulled, by reference
	builds     map[string]Behavior  // that succeed, by reference
	behave     func(engine.ContainerSpec) Behavior
	networks   map[string]*network // by name
	volumes    map[string]engine.Volume
	hostPorts  map[*hostPort]bool // in use, by containers and by others

	subscriptions []*subscription // in the order in which they were made
	requests      []*request      // in flight, in the order in which they came

	away       bool
	halfStarts bool
	latency    map[Op]time.Duration
	faults     []*fault
	calls      []Call
}

var _ engine.Engine = (*Engine)(nil)

// New makes an engine that holds nothing.
func New() *Engine {
	return &Engine{
		containers: map[string]*instance{},
		names:      map[string]string{},
		images:     map[string]*image{},
		registry:   map[string]*image{},
		builds:     map[string]Behavior{},
		networks:   map[string]*network{},
		volumes:    map[string]engine.Volume{},
		hostPorts:  map[*hostPort]bool{},
		latency:    map[Op]time.Duration{},
	}
}

// Close ends the event streams, and stops time: containers stay as they are.
func (e *Engine) Close() error {
	e.agenda.Lock()
	defer e.agenda.Unlock()
	e.endSubscriptions(nil)
	e.agenda.Stop()
	return nil
}

// newID returns an ID of Docker's form that begins with a count, so that a shortened
// one is still unique.
func (e *Engine) newID() string {
	e.nextID++
	return fmt.Sprintf("%012x%052x", e.nextID, 0)
}
