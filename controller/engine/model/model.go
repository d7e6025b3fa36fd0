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
	"container/heap"
	"fmt"
	"sync"
	"time"

	"github.com/tendhq/tend/controller/engine"
)

// Engine is a container engine in memory. Its methods may be called from any
// goroutine.
type Engine struct {
	mu sync.Mutex
	// architecture of the engine's machine; empty for this one's.
	architecture string
	// now is the instant at which the engine acts.
	now   time.Time
	queue queue
	// wake is armed for the first item of the queue.
	wake *time.Timer
	// counters make the IDs, the order of the queue, and the subnets.
	nextID, planned, madeNetworks int

	containers map[string]*instance // by ID
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
	e.mu.Lock()
	defer e.mu.Unlock()
	e.endSubscriptions(nil)
	e.queue = nil
	if e.wake != nil {
		e.wake.Stop()
	}
	return nil
}

// lock locks the engine at the present instant, after all that was due. The caller
// unlocks.
func (e *Engine) lock() {
	e.mu.Lock()
	e.advance()
}

// unlock carries out all that has become due, and arms the timer for the rest.
func (e *Engine) unlock() {
	e.advance()
	e.arm()
	e.mu.Unlock()
}

// advance carries out all that is due, each item at its own instant.
func (e *Engine) advance() {
	now := time.Now()
	for len(e.queue) > 0 && !e.queue[0].at.After(now) {
		next := heap.Pop(&e.queue).(item)
		e.now = next.at
		next.happen()
	}
	e.now = now
}

func (e *Engine) arm() {
	if len(e.queue) == 0 {
		return
	}
	delay := time.Until(e.queue[0].at)
	if e.wake == nil {
		e.wake = time.AfterFunc(delay, func() {
			e.lock()
			e.unlock()
		})
		return
	}
	e.wake.Reset(delay)
}

// after puts something into the queue. It runs with the engine locked.
func (e *Engine) after(delay time.Duration, happen func()) {
	e.planned++
	heap.Push(&e.queue, item{at: e.now.Add(delay), order: e.planned, happen: happen})
}

// newID returns an ID of Docker's form that begins with a count, so that a shortened
// one is still unique.
func (e *Engine) newID() string {
	e.nextID++
	return fmt.Sprintf("%012x%052x", e.nextID, 0)
}

// queue holds what will happen, soonest first.
type queue []item

type item struct {
	at     time.Time
	order  int
	happen func()
}

func (q queue) Len() int { return len(q) }
func (q queue) Less(i, j int) bool {
	if c := q[i].at.Compare(q[j].at); c != 0 {
		return c < 0
	}
	return q[i].order < q[j].order
}
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(x any)   { *q = append(*q, x.(item)) }
func (q *queue) Pop() any {
	last := (*q)[len(*q)-1]
	(*q)[len(*q)-1] = item{}
	*q = (*q)[:len(*q)-1]
	return last
}
