package main

import (
	"context"
	"fmt"

	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"

	"github.com/tendhq/tend/e2e/kit"
)

// watch has the judge look at all containers, and then follow the engine's
// events until the engine ends. The engine keeps events in memory only, and 256
// of them: so those of health checks are left out, and a new engine is looked
// at from scratch.
func (d *daemon) watch(ctx context.Context) error {
	args := filters.NewArgs(filters.Arg("type", string(events.ContainerEventType)), filters.Arg("type", string(events.VolumeEventType)))
	for _, action := range []string{"create", "start", "die", "destroy", "kill", "pause", "unpause", "rename", "update", "oom", "mount", "unmount"} {
		args.Add("event", action)
	}
	messages, broken := d.Events(ctx, events.ListOptions{Filters: args})
	found, err := kit.Containers(ctx, d)
	if err != nil {
		return fmt.Errorf("look at the containers: %w", err)
	}
	d.judge.found(found)
	d.watched.Go(func() {
		for {
			select {
			case m := <-messages:
				d.judge.told(m)
			case err := <-broken:
				d.journal.note("chaos", "the engine's events end: %v", err)
				return
			}
		}
	})
	return nil
}
