package controller

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/probe"
	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/state"
)

// sync has the running replicas of a workload probed, each with the probes of
// its own revision.
func (l *loop) sync(ctx context.Context, key string) {
	runs := map[probe.Run]spec.Probes{}
	snap := l.store.Snapshot()
	for _, row := range snap.Replicas(key) {
		if row.State != core.Running {
			continue
		}
		if probes := snap.Probes(key, row.Revision); probes.Any() {
			runs[runOf(snap.Addressed(row.Replica))] = probes
		}
	}
	p, ok := l.probers[key]
	defer l.forgetProbes(snap, key)
	if len(runs) == 0 {
		if ok {
			p.Sync(p.ctx, nil)
			p.stop()
			delete(l.probers, key)
		}
		return
	}
	if !ok {
		c := l.Controller // the prober's goroutines touch nothing of the loop's own
		p.Prober = probe.New(c.exec, func(r probe.Result) { c.probed(key, r) })
		p.Made, p.Ask = c.metrics.probe, c.options.AskProbe
		p.ctx, p.stop = context.WithCancel(ctx)
		l.probers[key] = p
		l.busy.Go(func() {
			<-p.ctx.Done()
			p.Wait()
		})
	}
	p.Sync(p.ctx, runs)
}

// forgetProbes deletes the probe results of containers that are gone. It does so once their
// probing has ended, and not before: a prober passes on changes only, so that a container which
// the engine had failed to find once would never be ready again.
func (l *loop) forgetProbes(snap *state.Snapshot, key string) {
	gone := slices.DeleteFunc(snap.ProbesOf(key), func(p *state.Probe) bool {
		_, exists := snap.Replica(p.ID)
		return exists
	})
	if len(gone) == 0 {
		return
	}
	l.store.Update(func(tx *state.Tx) {
		for _, p := range gone {
			tx.DeleteProbe(p.ID)
		}
	})
}

// prober probes the replicas of a workload while any runs.
type prober struct {
	*probe.Prober
	ctx  context.Context // ends all its work
	stop context.CancelFunc
}

func runOf(r core.Replica) probe.Run {
	run := probe.Run{Target: probe.Target{ID: r.ID}, StartedAt: r.StartedAt}
	for _, network := range slices.Sorted(maps.Keys(r.Addresses)) {
		if run.Address == "" {
			run.Address = r.Addresses[network]
		}
	}
	return run
}

// probed writes down the result of a replica's probes.
func (c *Controller) probed(workload string, r probe.Result) {
	c.store.Update(func(tx *state.Tx) {
		before, ok := tx.Probe(r.ID)
		wasReady := r.Started && r.Ready || ok && before.StartedAt.Equal(r.StartedAt) && before.WasReady
		tx.PutProbe(&state.Probe{ID: r.ID, Workload: workload, Probe: core.Probe{
			StartedAt: r.StartedAt, Started: r.Started, Ready: r.Ready, Live: r.Live, WasReady: wasReady, Since: r.Since, Message: r.Message,
		}})
	})
}

// exec runs a command in a container for a probe. A failure of the engine, or no answer
// while it is away, is no result.
func (c *Controller) exec(ctx context.Context, id string, command []string) (code int, output string, err error) {
	var out engine.Tail
	code, err = c.options.Engine.Exec(ctx, id, engine.ExecSpec{Command: command, Stdout: &out, Stderr: &out})
	if err != nil && (ctx.Err() == nil || !c.Linked()) {
		err = &probe.Unasked{Err: err}
	}
	return code, out.String(), err
}

// unprobed reports whether a replica that ran before this controller has not been
// probed yet. A plan made now would withdraw a replica that serves.
func (r *reconciler) unprobed(snap *state.Snapshot, key string) bool {
	return slices.ContainsFunc(snap.Replicas(key), func(row *state.Replica) bool {
		if row.State != core.Running || row.StartedAt.After(r.began) {
			return false
		}
		w := snap.Made(key, row.Revision)
		if w == nil || !w.Probed() {
			return false
		}
		p, ok := snap.Probe(row.ID)
		return !ok || !p.StartedAt.Equal(row.StartedAt)
	})
}

// probeTimeout bounds how long unprobed holds a plan back: an engine or a container
// that does not answer at all is a result, too.
const probeTimeout = 10 * time.Second
