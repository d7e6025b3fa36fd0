package docker

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/docker/docker/api/types/container"

	"github.com/tendhq/tend/controller/engine"
)

// Stats reads once what a container has used. The engine is asked for one reading: for a
// second one, by which it tells a rate, it would wait a second.
func (e *Engine) Stats(ctx context.Context, id string) (stats engine.Stats, err error) {
	err = e.Do(ctx, "read stats of container", id, func(ctx context.Context) error {
		reply, err := e.cli.ContainerStatsOneShot(ctx, id)
		if err != nil {
			return err
		}
		defer reply.Body.Close()
		var read container.StatsResponse
		if err := json.NewDecoder(reply.Body).Decode(&read); err != nil {
			return err
		}
		// Of a container that does not run the engine answers with nothing.
		if read.Read.IsZero() || read.MemoryStats.Limit == 0 && read.CPUStats.CPUUsage.TotalUsage == 0 {
			return errNotRunning
		}
		stats = statsOf(read)
		return nil
	})
	return stats, err
}

// errNotRunning is a conflict with a container's state.
var errNotRunning error = conflictError{errors.New("the container does not run")}

type conflictError struct{ error }

// Conflict makes it one for errdefs.
func (conflictError) Conflict() {}

// statsOf translates a reading.
func statsOf(read container.StatsResponse) engine.Stats {
	throttling, memory := read.CPUStats.ThrottlingData, read.MemoryStats
	s := engine.Stats{
		At:           read.Read,
		CPU:          time.Duration(read.CPUStats.CPUUsage.TotalUsage),
		Periods:      int64(throttling.Periods),
		Throttled:    int64(throttling.ThrottledPeriods),
		ThrottledFor: time.Duration(throttling.ThrottledTime),
		Memory:       workingSet(memory),
		MemoryLimit:  int64(memory.Limit),
	}
	for _, n := range read.Networks {
		s.Received += int64(n.RxBytes)
		s.Sent += int64(n.TxBytes)
	}
	return s
}

// workingSet is what is used without the files in the cache that are inactive, which
// control groups of version 1 and 2 call by different names.
func workingSet(m container.MemoryStats) int64 {
	inactive, v1 := m.Stats["total_inactive_file"]
	if !v1 {
		inactive = m.Stats["inactive_file"]
	}
	return int64(m.Usage - min(inactive, m.Usage))
}
