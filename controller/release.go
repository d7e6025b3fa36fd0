package controller

import (
	"context"
	"fmt"
	"time"

	"github.com/tendhq/tend/controller/plan"
	"github.com/tendhq/tend/controller/spec"
)

// Release gives a project's containers back to the engine and to Compose, and returns
// what it did for that. The controller must not be running.
func (c *Controller) Release(ctx context.Context, p *spec.Project) (done []string, err error) {
	r := c.newReconciler()
	r.setProject(p, time.Now())
	if err := c.observer.Relist(ctx); err != nil {
		return nil, err
	}
	snap := c.store.Snapshot()
	for _, row := range snap.Workloads() {
		for _, a := range plan.Release(r.input(snap, row.Name, time.Now())) {
			if _, err := c.executor.Do(ctx, a, p); err != nil {
				return done, fmt.Errorf("release %s: %w", a.Object, err)
			}
			done = append(done, a.Cause)
		}
		if row.Spec.Kind == spec.Ingress {
			for _, held := range snap.Replicas(row.Name) {
				done = append(done, fmt.Sprintf("host port %s stays with %s, which leads where it did; docker compose publishes it after docker rm -f %s and docker compose up -d --force-recreate %s",
					row.Spec.Backend.HostPort, held.Name, held.Name, row.Spec.Backend.Service))
			}
		}
	}
	return done, nil
}
