package rehearsal

import (
	"cmp"
	"maps"
	"slices"
	"sync"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/spec"
)

// Bounds are how few replicas of a workload were ready, and how many containers it had.
type Bounds struct {
	Workload                 string
	LeastReady, MostReplicas int
}

// counts follows the statuses of workloads.
type counts struct {
	mu   sync.Mutex
	last map[string]core.Status
	// before are the statuses when the act began, and bounds those of the workloads whose
	// replicas have changed since then.
	before map[string]core.Status
	bounds map[string]Bounds
}

// begin has an act begin.
func (c *counts) begin() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.before, c.bounds = maps.Clone(c.last), map[string]Bounds{}
}

// count takes the status of a plan.
func (c *counts) count(s core.Status) {
	c.mu.Lock()
	defer c.mu.Unlock()
	last := c.last[s.Workload]
	c.last[s.Workload] = s
	before, there := c.before[s.Workload]
	if !there || last.Replicas == s.Replicas && last.Ready == s.Ready {
		return
	}
	b, changed := c.bounds[s.Workload]
	if !changed {
		b = Bounds{Workload: s.Workload, LeastReady: before.Ready, MostReplicas: before.Replicas}
	}
	b.LeastReady, b.MostReplicas = min(b.LeastReady, s.Ready), max(b.MostReplicas, s.Replicas)
	c.bounds[s.Workload] = b
}

// changed returns the bounds of the act, by the workloads' names: of those that serve, as
// nobody is ready in a Job.
func (c *counts) changed(p *spec.Project) []Bounds {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := slices.SortedFunc(maps.Values(c.bounds), func(a, b Bounds) int { return cmp.Compare(a.Workload, b.Workload) })
	return slices.DeleteFunc(all, func(b Bounds) bool {
		w := p.Workloads[b.Workload]
		return w == nil || w.Kind == spec.Job
	})
}
