//go:build linux

package cli

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/tendhq/tend/api"
	"github.com/tendhq/tend/api/client"
	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/spec"
)

// dialRetry paces the tries to reach a controller that is starting.
const dialRetry = 100 * time.Millisecond

// follow waits until the running controller has converged to what is written now, and
// tells what it does meanwhile.
func follow(ctx context.Context, f *flags, p *spec.Project, tell *narrator) error {
	c, err := reach(ctx, f.data(p.WorkingDir))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, f.timeout, fmt.Errorf("not converged after %s", f.timeout))
	defer cancel()
	telling, stop := context.WithCancel(ctx)
	last := "" // the event that was told last
	var events sync.WaitGroup
	events.Go(func() {
		for e, err := range c.WatchEvents(telling, client.EventOptions{Limit: 1}) {
			if err != nil {
				return // the list below tells the rest
			}
			tell.events([]api.Event{e})
			last = e.Metadata.Name
		}
	})
	end := func() { stop(); events.Wait() }
	defer end()

	var problems []error
	for list, err := range c.WatchWorkloads(ctx) {
		if err != nil {
			break
		}
		for _, w := range list.Items {
			tell.workload(w)
		}
		var stalled bool
		if problems, stalled = unconverged(p, list.Items); len(problems) == 0 {
			end() // what led to it is told before, also where the stream is behind
			if rest, err := c.Events(ctx, client.EventOptions{Since: last}); err == nil && last != "" {
				tell.events(rest.Items)
			}
			tell.say("project %s has converged: %d workloads", p.Name, len(p.Workloads))
			return nil
		}
		if stalled {
			return errors.Join(problems...)
		}
	}
	if ctx.Err() == nil {
		return errors.New("the controller has ended while the project was converging")
	}
	return errors.Join(append([]error{context.Cause(ctx)}, problems...)...)
}

// reach dials a controller that may still be starting.
func reach(ctx context.Context, dataDir string) (*client.Client, error) {
	ctx, cancel := context.WithTimeout(ctx, controllerGrace)
	defer cancel()
	for {
		c, err := client.Dial(dataDir)
		if err == nil || !errors.Is(err, client.ErrNotRunning) {
			return c, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("the controller does not answer: %w; see its log with docker compose logs %s", err, spec.ControllerService)
		case <-time.After(dialRetry):
		}
	}
}

// unconverged names the workloads that are not as p has them. stalled is true where no
// waiting helps.
func unconverged(p *spec.Project, running []api.Workload) (problems []error, stalled bool) {
	known := map[string]api.Workload{}
	stalled = true
	for _, w := range running {
		known[w.Metadata.Name] = w
		if p.Workloads[w.Metadata.Name] == nil {
			problems, stalled = append(problems, fmt.Errorf("%s: is to be taken away", w.Metadata.Name)), false
		}
	}
	for name, want := range p.Workloads {
		w, ok := known[name]
		switch {
		case !ok || w.Spec.Replicas != want.Replicas && want.Global == nil || w.Spec.Revision != want.Revision || w.Status.ObservedGeneration != w.Metadata.Generation:
			problems, stalled = append(problems, fmt.Errorf("%s: the controller has not read its spec yet", name)), false
		case !w.Status.Converged:
			problems = append(problems, fmt.Errorf("%s: %s", name, w.Status.Obstacle))
			stalled = stalled && core.Outcome(w.Status.Outcome).Halted()
		}
	}
	return problems, stalled
}
