// Package agenda is the time of a model: what is yet to happen in it, ordered by time and
// then by arrival. It keeps time only by package time, so that inside a testing/synctest
// bubble its clock is the bubble's. It starts no goroutine but the timer's.
package agenda

import (
	"container/heap"
	"sync"
	"time"
)

// Agenda is what is yet to happen in a model. It is the model's lock as well: whoever reads
// or changes the model holds it, and what happens does so under it.
type Agenda struct {
	mu sync.Mutex
	// Now is the instant at which the model acts.
	Now     time.Time
	queue   queue
	planned int
	// wake is armed for the first item of the queue.
	wake *time.Timer
}

// Lock locks the model at the present instant, after all that was due.
func (a *Agenda) Lock() {
	a.mu.Lock()
	a.advance()
}

// Unlock carries out all that has become due, and arms the timer for the rest.
func (a *Agenda) Unlock() {
	a.advance()
	a.arm()
	a.mu.Unlock()
}

// After plans something, to happen a while after Now. It is called with the model locked.
func (a *Agenda) After(delay time.Duration, happen func()) {
	a.planned++
	heap.Push(&a.queue, item{at: a.Now.Add(delay), order: a.planned, happen: happen})
}

// Stop stops time: nothing that is planned happens any more. It is called with the model
// locked.
func (a *Agenda) Stop() {
	a.queue = nil
	if a.wake != nil {
		a.wake.Stop()
	}
}

// advance carries out all that is due, each item at its own instant.
func (a *Agenda) advance() {
	now := time.Now()
	for len(a.queue) > 0 && !a.queue[0].at.After(now) {
		next := heap.Pop(&a.queue).(item)
		a.Now = next.at
		next.happen()
	}
	a.Now = now
}

func (a *Agenda) arm() {
	if len(a.queue) == 0 {
		return
	}
	delay := time.Until(a.queue[0].at)
	if a.wake == nil {
		a.wake = time.AfterFunc(delay, func() {
			a.mu.Lock()
			defer a.mu.Unlock()
			a.advance()
			a.arm()
		})
		return
	}
	a.wake.Reset(delay)
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
