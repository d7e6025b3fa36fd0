package model

import (
	"cmp"
	"context"
	"time"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/tendhq/tend/controller/engine"
)

// machineMemory is the memory of the model's machine, in bytes.
const machineMemory = 8 << 30

// use is what a container uses of the machine.
type use struct {
	cores  float64
	memory int64
	// spent is the CPU time of this run until counted.
	spent   time.Duration
	counted time.Time
}

// Stats reads what a container has used.
func (e *Engine) Stats(ctx context.Context, id string) (engine.Stats, error) {
	return ask(ctx, e, OpStats, id, func() (engine.Stats, error) {
		c, err := e.find(id)
		switch {
		case err != nil:
			return engine.Stats{}, err
		case !c.hasProcess():
			return engine.Stats{}, failure(engine.Conflict, "container %s is not running", c.Name)
		}
		e.count(c)
		return engine.Stats{At: e.agenda.Now, CPU: c.use.spent, Memory: c.use.memory, MemoryLimit: cmp.Or(c.memoryLimit, machineMemory)}, nil
	})
}

// SetUse has a container use that many cores from now on, and that much memory, until it is
// started anew.
func (e *Engine) SetUse(id string, cores float64, memory int64) {
	e.withContainer(id, func(c *instance) {
		e.count(c)
		c.use.cores, c.use.memory = cores, memory
	})
}

// Exhaust has a container's process ask for more memory than there is, for which the kernel
// ends it.
func (e *Engine) Exhaust(id string) {
	e.withContainer(id, func(c *instance) {
		if c.State == engine.Running {
			c.OOMKilled = true
			e.emit(c, "oom")
			e.exit(c, codeKilled)
		}
	})
}

// count adds up the CPU time until now.
func (e *Engine) count(c *instance) {
	if c.State == engine.Running {
		c.use.spent += time.Duration(c.use.cores * float64(e.agenda.Now.Sub(c.use.counted)))
	}
	c.use.counted = e.agenda.Now
}

// memoryLimit is a service's limit in bytes, 0 where it has none.
func memoryLimit(s types.ServiceConfig) int64 {
	if s.Deploy != nil && s.Deploy.Resources.Limits != nil && s.Deploy.Resources.Limits.MemoryBytes != 0 {
		return int64(s.Deploy.Resources.Limits.MemoryBytes)
	}
	return int64(s.MemLimit)
}
