package e2e_test

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"
	"github.com/docker/docker/client"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/e2e/kit"
)

// engine is a container engine, seen from outside tend.
type engine struct{ *client.Client }

// replica is a container of a project.
type replica struct{ container.InspectResponse }

func (r replica) service() string { return r.Config.Labels[kit.ServiceLabel] }
func (r replica) name() string    { return strings.TrimPrefix(r.Name, "/") }

func (r replica) number() int {
	n, _ := strconv.Atoi(r.Config.Labels[kit.NumberLabel])
	return n
}

// ready is what a person calls up: it runs, and its health check passes where
// it has one.
func (r replica) ready() bool {
	return r.State.Running && !r.State.Paused && (r.State.Health == nil || r.State.Health.Status == container.Healthy)
}

// env is the value of a variable in the container's environment.
func (r replica) env(name string) string {
	for _, v := range r.Config.Env {
		if value, ok := strings.CutPrefix(v, name+"="); ok {
			return value
		}
	}
	return ""
}

func (r replica) String() string {
	s := fmt.Sprintf("%s %.12s %s", r.name(), r.ID, r.State.Status)
	if r.State.Health != nil {
		s += " " + r.State.Health.Status
	}
	if r.State.Status == container.StateExited {
		s += fmt.Sprintf(" (%d)", r.State.ExitCode)
	}
	return s
}

// replicas lists all containers of a project; or those of one service of it,
// without what runs once on its behalf.
func (e engine) replicas(ctx context.Context, project, service string) ([]replica, error) {
	labels := []string{kit.ProjectLabel + "=" + project}
	if service != "" {
		labels = append(labels, kit.ServiceLabel+"="+service, kit.OneoffLabel+"=False")
	}
	found, err := kit.Containers(ctx, e, labels...)
	var all []replica
	for _, c := range found {
		all = append(all, replica{c})
	}
	slices.SortFunc(all, func(a, b replica) int {
		return cmp.Or(cmp.Compare(a.service(), b.service()), cmp.Compare(a.number(), b.number()), cmp.Compare(a.Created, b.Created))
	})
	return all, err
}

// remove removes all that is left of a project. It outlives the test's context.
func (e engine) remove(t *testing.T, project string) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	labelled := filters.NewArgs(filters.Arg("label", kit.ProjectLabel+"="+project))
	containers, err := e.ContainerList(ctx, container.ListOptions{All: true, Filters: labelled})
	assert.NoError(t, err)
	// A controller goes first: it would repair what is taken away.
	if i := slices.IndexFunc(containers, func(c container.Summary) bool { return c.Labels[kit.ServiceLabel] == "tend" }); i > 0 {
		containers[0], containers[i] = containers[i], containers[0]
	}
	for _, c := range containers {
		if err := e.ContainerRemove(ctx, c.ID, container.RemoveOptions{Force: true, RemoveVolumes: true}); !errdefs.IsNotFound(err) && !errdefs.IsConflict(err) {
			assert.NoError(t, err)
		}
	}
	networks, err := e.NetworkList(ctx, network.ListOptions{Filters: labelled})
	assert.NoError(t, err)
	for _, n := range networks {
		if err := e.NetworkRemove(ctx, n.ID); !e.miscounts(ctx, n.ID, err) {
			assert.NoError(t, err)
		}
	}
	volumes, err := e.VolumeList(ctx, volume.ListOptions{Filters: labelled})
	assert.NoError(t, err)
	for _, v := range volumes.Volumes {
		assert.NoError(t, e.VolumeRemove(ctx, v.Name, false))
	}
}

// recorder notes what happens to the containers of one service, as the engine
// tells it.
type recorder struct {
	mu      sync.Mutex
	checked bool // it has a health check
	running map[string]bool
	ready   map[string]bool
	// MaxRunning, MinRunning and MinReady are the extremes since record was called.
	MaxRunning, MinRunning, MinReady int
	story                            []string
}

// record follows the events of a service, which must run, until the test ends.
// Without a health check, a running container is ready.
func (p *project) record(service string) *recorder {
	return p.recordAll(service, kit.OneoffLabel+"=False")
}

// recordAll is record for the containers that have the given labels, too: without any, those
// of a Swarm's tasks are among them.
func (p *project) recordAll(service string, labels ...string) *recorder {
	t := p.t
	ctx, cancel := context.WithCancel(context.Background())
	args := filters.NewArgs(filters.Arg("type", "container"),
		filters.Arg("label", kit.ProjectLabel+"="+p.name), filters.Arg("label", kit.ServiceLabel+"="+service))
	for _, label := range labels {
		args.Add("label", label)
	}
	for _, action := range []string{"start", "die", "kill", "health_status", "pause", "destroy"} {
		args.Add("event", action)
	}
	messages, failed := p.engine.Events(ctx, events.ListOptions{Filters: args})
	r := &recorder{running: map[string]bool{}, ready: map[string]bool{}}
	now := p.replicas(service)
	for _, c := range now {
		r.checked = r.checked || c.State.Health != nil
		if c.State.Running {
			r.running[c.ID] = true
		}
		if c.ready() {
			r.ready[c.ID] = true
		}
	}
	r.MaxRunning, r.MinRunning, r.MinReady = len(r.running), len(r.running), len(r.ready)
	var done sync.WaitGroup
	done.Go(func() {
		for {
			select {
			case m := <-messages:
				r.note(m)
			case err := <-failed:
				if ctx.Err() == nil {
					t.Errorf("the engine's events: %v", err)
				}
				return
			}
		}
	})
	t.Cleanup(func() { cancel(); done.Wait() })
	return r
}

func (r *recorder) note(m events.Message) {
	r.mu.Lock()
	defer r.mu.Unlock()
	id := m.Actor.ID
	switch {
	case m.Action == events.ActionStart:
		r.running[id] = true
		if !r.checked {
			r.ready[id] = true
		}
	case m.Action == events.ActionHealthStatusHealthy:
		r.ready[id] = true
	case m.Action == events.ActionDie || m.Action == events.ActionDestroy:
		delete(r.running, id)
		delete(r.ready, id)
	default: // it was told to end, or its health check failed
		delete(r.ready, id)
	}
	r.MaxRunning = max(r.MaxRunning, len(r.running))
	r.MinRunning = min(r.MinRunning, len(r.running))
	r.MinReady = min(r.MinReady, len(r.ready))
	r.story = append(r.story, fmt.Sprintf("%s %s %.12s", time.Unix(0, m.TimeNano).Format("15:04:05.000"), m.Action, id))
}

// seen returns a copy of what was recorded until now.
func (r *recorder) seen() recorder {
	r.mu.Lock()
	defer r.mu.Unlock()
	return recorder{MaxRunning: r.MaxRunning, MinRunning: r.MinRunning, MinReady: r.MinReady, story: slices.Clone(r.story)}
}

// identity is what changes when a container is replaced or restarted.
type identity struct{ ID, StartedAt string }

// identities of all containers of a project, by name.
func (p *project) identities() map[string]identity {
	all := map[string]identity{}
	for _, r := range p.replicas("") {
		all[r.name()] = identity{r.ID, r.State.StartedAt}
	}
	require.NotEmpty(p.t, all)
	return all
}
