// Package model is a container engine in memory. It does what a Docker Engine
// does to whoever looks through engine.Engine, quirks included: what it must
// hold alike is in package enginetest, what it is built from in Docker's sources.
//
// It is deterministic. All that happens is in one queue, ordered by time and
// then by arrival, and IDs and addresses are counted, not drawn. It keeps time
// by package time alone, so that inside a testing/synctest bubble its clock is
// the bubble's. It starts no goroutine but the timer's, and none is left after
// Close.
//
// Containers run the behaviour of their image (AddImage). The methods in
// outsider.go are what people, processes and broken machines do to an engine.
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
	// now is the instant of what is being carried out.
	now   time.Time
	queue queue
	// wake is armed for the first item of the queue.
	wake *time.Timer
	// counters make the IDs, the order of what is planned, and the subnets.
	nextID, planned, madeNetworks int

	containers map[string]*instance // by ID
	names      map[string]string    // reserved container names, to the ID that holds them
	images     map[string]*image    // local, by reference
	registry   map[string]*image    // to be pulled, by reference
	networks   map[string]*network  // by name
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
		networks:   map[string]*network{},
		volumes:    map[string]engine.Volume{},
		hostPorts:  map[*hostPort]bool{},
		latency:    map[Op]time.Duration{},
	}
}

// Close ends the event streams, and time: containers stay as they are.
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

// lock takes the engine at the present instant: what was due has happened.
// The caller unlocks.
func (e *Engine) lock() {
	e.mu.Lock()
	e.advance()
}

// unlock carries out what has become due, and arms the timer for what has not.
func (e *Engine) unlock() {
	e.advance()
	e.arm()
	e.mu.Unlock()
}

// advance carries out what is due, each thing at its own instant.
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

// after plans something. It runs with the engine locked.
func (e *Engine) after(delay time.Duration, happen func()) {
	e.planned++
	heap.Push(&e.queue, item{at: e.now.Add(delay), order: e.planned, happen: happen})
}

// newID is an identifier of Docker's form whose first digits are a count, so
// that shortened it is still unique.
func (e *Engine) newID() string {
	e.nextID++
	return fmt.Sprintf("%012x%052x", e.nextID, 0)
}

// queue is what will happen, soonest first.
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
