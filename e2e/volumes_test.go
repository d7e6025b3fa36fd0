package e2e_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/versions"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/e2e/kit"
)

// stranger is a compose.yaml as people write it, without a spec.
const stranger = `
services:
  named:
    image: ${PROBE}
    environment: {VERSION: "1"}
    volumes: ["data:/data"]
    healthcheck: {test: [CMD, /probe, health], interval: 1s, timeout: 10s, retries: 3, start_period: 30s}
  bound:
    image: ${PROBE}
    environment: {VERSION: "1"}
    volumes: ["./bound:/data"]
  anonymous:
    image: ${PROBE}
    environment: {VERSION: "1"}
    volumes: ["/data"]
    scale: 2
volumes: {data: {}}
`

// writers counts the running containers of each service and number by the engine's
// events, and remembers where there were two at a time.
type writers struct {
	mu      sync.Mutex
	running map[string]int
	two     []string
}

// watchWriters watches until the test ends. Containers of one number must never run
// side by side where they have an anonymous volume, those of one service where they
// have any other.
func (p *project) watchWriters() *writers {
	w := &writers{running: map[string]int{}}
	ctx, cancel := context.WithCancel(context.Background())
	messages, errs := p.engine.Events(ctx, events.ListOptions{Filters: filters.NewArgs(
		filters.Arg("label", kit.ProjectLabel+"="+p.name), filters.Arg("event", "start"), filters.Arg("event", "die"),
	)})
	var watching sync.WaitGroup
	watching.Go(func() {
		for {
			select {
			case m := <-messages:
				key := m.Actor.Attributes[kit.ServiceLabel]
				if key == "anonymous" {
					key += "-" + m.Actor.Attributes[kit.NumberLabel]
				}
				w.mu.Lock()
				if m.Action == events.ActionStart {
					w.running[key]++
				} else {
					w.running[key]--
				}
				if w.running[key] > 1 {
					w.two = append(w.two, key)
				}
				w.mu.Unlock()
			case <-ctx.Done():
				return
			case err := <-errs:
				assert.ErrorIs(p.t, err, context.Canceled, "the engine's events end")
				return
			}
		}
	})
	p.t.Cleanup(func() {
		cancel()
		watching.Wait()
		assert.Empty(p.t, w.two, "two containers ran on one volume")
	})
	return w
}

// anonymousVolumes are the names of the volumes at /data of a service, by number.
func (p *project) anonymousVolumes(service string) map[int]string {
	names := map[int]string{}
	for _, r := range p.replicas(service) {
		for _, m := range r.Mounts {
			if m.Type == mount.TypeVolume && m.Destination == "/data" {
				names[r.number()] = m.Name
			}
		}
	}
	return names
}

func (p *project) awaitVersion(version string) {
	p.t.Helper()
	p.awaitEnv("named", 1, "VERSION", version)
	p.awaitEnv("bound", 1, "VERSION", version)
	p.awaitEnv("anonymous", 2, "VERSION", version)
}

func TestAVolumeHasOneContainerAtATime(t *testing.T) {
	p := newProject(t, files{"compose.yaml": stranger})
	p.watchWriters()
	p.run()
	p.awaitVersion("1")
	assert.Contains(t, p.mustTend("explain", "named"), "An update stops a container before it starts the next one: it writes to /data")
	p.write("compose.yaml", strings.ReplaceAll(stranger, `VERSION: "1"`, `VERSION: "2"`))
	p.awaitVersion("2")
	for _, r := range append(p.replicas("named"), p.replicas("bound")...) {
		assert.Equal(t, 1, r.number(), "%s: it keeps its number, and so its name", r)
	}
}

func TestAnonymousVolumesAreCarriedOver(t *testing.T) {
	p := newProject(t, files{"compose.yaml": stranger})
	p.watchWriters()
	p.compose("up", "-d")
	p.awaitVersion("1")
	volumes := p.anonymousVolumes("anonymous")
	require.Len(t, volumes, 2)

	tend := p.run()
	p.step("an update", func() {
		p.write("compose.yaml", strings.ReplaceAll(stranger, `VERSION: "1"`, `VERSION: "2"`))
		p.awaitVersion("2")
		assert.Equal(t, volumes, p.anonymousVolumes("anonymous"))
	})
	p.step("a crash, and a removal by a person", func() {
		for _, r := range p.replicas("anonymous") {
			require.NoError(t, p.engine.ContainerRemove(t.Context(), r.ID, container.RemoveOptions{Force: true}))
		}
		p.awaitVersion("2")
		assert.Equal(t, volumes, p.anonymousVolumes("anonymous"))
	})
	p.step("down and up", func() {
		tend.stop()
		out := p.tend("down")
		require.Zero(t, out.code, "%s", out)
		for n, name := range volumes {
			assert.Contains(t, out.errOut+out.out, fmt.Sprintf("volume %.12s of anonymous-%d stays", name, n))
		}
		p.mustTend("apply")
		assert.Equal(t, volumes, p.anonymousVolumes("anonymous"))
	})
	p.step("down -v", func() {
		p.mustTend("down", "-v")
		for _, name := range volumes {
			_, err := p.engine.VolumeInspect(t.Context(), name)
			assert.True(t, errdefs.IsNotFound(err), "the volume %s stays", name)
		}
	})
}

// An image is mounted where the engine can do that, and the reason is told where it cannot.
func TestAnImageIsMountedAsAVolume(t *testing.T) {
	p := newProject(t, files{"compose.yaml": plain + "    volumes: [{type: image, source: \"${PROBE}\", target: /tools}]\n"})
	version, err := docker.ServerVersion(t.Context())
	require.NoError(t, err)
	if versions.LessThan(version.APIVersion, "1.48") {
		r := p.tend("apply", "--timeout", "2s")
		assert.Equal(t, 1, r.code, "%s", r)
		assert.Contains(t, r.errOut, "the volume of type image at /tools needs Docker Engine 28 or later")
		return
	}
	p.mustTend("apply")
	mounts := p.replica("web").Mounts
	require.Len(t, mounts, 1)
	assert.Equal(t, "/tools", mounts[0].Destination)
	before := p.identities()
	p.compose("up", "-d")
	p.assertSame(before, "docker compose up -d changed something")
}
