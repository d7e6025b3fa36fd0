package controller

import (
	"maps"
	"sync"
	"time"

	"github.com/tendhq/tend/controller/ingresses"
	"github.com/tendhq/tend/ingress"
)

// gateways add up what subscribers say that they carried to each workload.
type gateways struct {
	mu sync.Mutex
	// last is what each subscriber said last, by workload.
	last map[Subscriber]map[string]ingress.Counters
	// totals only grow: what a subscriber carried stays counted when it is gone.
	totals  map[string]ingress.Counters
	history ingresses.History
}

// carried takes what a subscriber has counted since its own start, for the workloads that
// are kept. What it says first is where its counting begins here.
func (g *gateways) carried(who Subscriber, counted map[string]ingress.Counters, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.last == nil {
		g.last, g.totals, g.history = map[Subscriber]map[string]ingress.Counters{}, map[string]ingress.Counters{}, ingresses.History{}
	}
	before, known := g.last[who]
	g.last[who] = counted
	for workload, c := range counted {
		total := g.totals[workload]
		if known {
			total = total.Plus(since(before[workload], c))
		}
		g.totals[workload] = total
		g.history.Add(workload, total, now)
	}
}

// since is what was counted between two instants; all of it where the counting began anew.
func since(before, now ingress.Counters) ingress.Counters {
	d := now
	d.Requests -= before.Requests
	d.Failures -= before.Failures
	d.ServerErrors -= before.ServerErrors
	least := min(d.Requests, d.Failures, d.ServerErrors)
	for i, n := range before.Latency {
		d.Latency[i] -= n
		least = min(least, d.Latency[i])
	}
	if least < 0 {
		return now
	}
	return d
}

// keep forgets the subscribers and the workloads that are no more.
func (g *gateways) keep(subscriber func(Subscriber) bool, workload func(string) bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	maps.DeleteFunc(g.last, func(who Subscriber, _ map[string]ingress.Counters) bool { return !subscriber(who) })
	maps.DeleteFunc(g.totals, func(name string, _ ingress.Counters) bool { return !workload(name) })
	maps.DeleteFunc(g.history, func(name string, _ []ingresses.Sample) bool { return !workload(name) })
}

// counters returns what was carried to each workload.
func (g *gateways) counters() map[string]ingress.Counters {
	g.mu.Lock()
	defer g.mu.Unlock()
	return maps.Clone(g.totals)
}

func (g *gateways) samples() ingresses.History {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.history.Clone()
}

// Carried notes what a subscriber says that it has carried since its start, by workload.
// Nothing is noted of workloads that are not kept, nor from one that follows no endpoints.
func (c *Controller) Carried(who Subscriber, counted map[string]ingress.Counters) {
	now := time.Now()
	snap := c.store.Snapshot()
	isKept := func(name string) bool {
		_, ok := snap.Workload(name)
		return ok
	}
	maps.DeleteFunc(counted, func(name string, _ ingress.Counters) bool { return !isKept(name) })
	follows := func(who Subscriber) bool { return c.subscribers.follows(who, now) }
	if follows(who) {
		c.gateways.carried(who, counted, now)
	}
	c.gateways.keep(follows, isKept)
}
