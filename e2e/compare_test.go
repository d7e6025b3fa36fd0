package e2e_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/e2e/compare"
	"github.com/tendhq/tend/e2e/kit"
)

var (
	compareAll = flag.Bool("compare.all", false, "compare all projects, not only a few")
	settle     = flag.Duration("compare.settle", 5*time.Second, "for how long a project is left alone before it is looked at")
)

// few are the projects that are compared in every test run: of each kind one,
// and none that takes its time.
var few = []string{
	"extends", "gitea", "interpolation", "migrations", "monorepo", "n8n", "networks", "nightly-jobs", "ports", "secrets", "storage", "vaultwarden",
}

// comparedFiles is where the projects are that are compared.
const comparedFiles = "compare/testdata"

// tend makes of other people's Compose files what Compose makes of them, whichever
// comes first, except for what docs/comparison.md lists.
func TestTendMakesWhatComposeMakes(t *testing.T) {
	names := few
	if *compareAll {
		entries, err := os.ReadDir(comparedFiles)
		require.NoError(t, err)
		names = nil
		for _, e := range entries {
			names = append(names, e.Name())
		}
	}
	d := newComparingDaemon(t)
	var mu sync.Mutex
	seen := map[int]int{}
	t.Cleanup(func() {
		for i, m := range compare.Meant {
			t.Logf("seen %d times: %s", seen[i], m.What)
			// What is meant may be over after minutes, as where a Job succeeds at last.
			if *compareAll && *settle < time.Minute && !t.Failed() {
				assert.Positive(t, seen[i], "no project shows that this is meant: %s", m.What)
			}
		}
	})
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newComparison(t, d, name)
			c.run()
			mu.Lock()
			defer mu.Unlock()
			for i, n := range c.meant {
				seen[i] += n
			}
		})
	}
}

// newComparingDaemon starts an engine for the projects, which have names, ports
// and networks as fixed as people write them, and need more networks at once
// than an engine has addresses for by default.
func newComparingDaemon(t *testing.T) *daemon {
	d := newDaemon(t, t.TempDir())
	d.flags = []string{"--default-address-pool", "base=10.128.0.0/9,size=24"}
	d.start()
	d.load("postgres:15-bookworm", "redis:7-bookworm")
	return d
}

// starting limits how many projects are started at a time, for health checks
// to be answered within the time that is written.
var starting = make(chan struct{}, 3)

// comparison is one project, made by either.
type comparison struct {
	*project
	source string
	// config is the project as Compose reads it.
	config struct {
		Name     string
		Services map[string]struct {
			Image string
			Build any
		}
		Networks map[string]struct {
			Name     string
			External bool
			IPAM     struct{ Config []any }
		}
		Volumes map[string]struct {
			Name     string
			External bool
		}
	}
	reference record
	meant     map[int]int

	mu   sync.Mutex
	past map[string]compare.Past // by container ID
}

// record is the project at a time.
type record struct {
	compare.Record
	identities map[string]compare.Identity
}

func newComparison(t *testing.T, d *daemon, name string) *comparison {
	c := &comparison{
		project: &project{t: t, name: name, dir: filepath.Join(t.TempDir(), name), engine: d.engine},
		source:  filepath.Join(comparedFiles, name), meant: map[int]int{}, past: map[string]compare.Past{},
	}
	c.unpack()
	require.NoError(t, json.Unmarshal([]byte(c.compose("config", "--format", "json", "--no-consistency")), &c.config))
	c.name = c.config.Name
	c.prepare()
	c.follow()
	t.Cleanup(func() { d.engine.remove(t, c.name) })
	return c
}

// unpack writes the project's files, with the images in .env.
func (c *comparison) unpack() {
	c.t.Helper()
	require.NoError(c.t, os.RemoveAll(c.dir))
	require.NoError(c.t, filepath.WalkDir(c.source, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		require.NoError(c.t, err)
		name, err := filepath.Rel(c.source, path)
		c.write(name, string(content))
		return err
	}))
	env, err := os.ReadFile(c.path(".env"))
	if err != nil {
		require.ErrorIs(c.t, err, fs.ErrNotExist)
	}
	c.write(".env", string(env)+"\nPROBE="+probe+"\n")
}

// prepare makes what a person has made before: images that are built, networks
// and volumes outside the project.
func (c *comparison) prepare() {
	ctx := c.t.Context()
	for name, service := range c.config.Services {
		if service.Build == nil {
			continue
		}
		image := service.Image
		if image == "" {
			image = c.name + "-" + name
		}
		require.NoError(c.t, c.engine.ImageTag(ctx, probe, image))
	}
	for _, n := range c.config.Networks {
		if n.External {
			_, err := c.engine.NetworkCreate(ctx, n.Name, network.CreateOptions{})
			require.NoError(c.t, err)
		}
	}
	for _, v := range c.config.Volumes {
		if v.External {
			_, err := c.engine.VolumeCreate(ctx, volume.CreateOptions{Name: v.Name})
			require.NoError(c.t, err)
		}
	}
}

// follow notes what happens to the containers, until the test ends.
func (c *comparison) follow() {
	t := c.t
	ctx, cancel := context.WithCancel(context.Background())
	messages, failed := c.engine.Events(ctx, events.ListOptions{Filters: filters.NewArgs(
		filters.Arg("type", "container"), filters.Arg("event", "start"), filters.Arg("event", "health_status"), filters.Arg("label", kit.ProjectLabel+"="+c.name))})
	var done sync.WaitGroup
	done.Go(func() {
		for {
			select {
			case m := <-messages:
				c.mu.Lock()
				past := c.past[m.Actor.ID]
				switch m.Action {
				case events.ActionStart:
					past.Starts++
				case events.ActionHealthStatusHealthy:
					past.WasHealthy = true
				}
				c.past[m.Actor.ID] = past
				c.mu.Unlock()
			case err := <-failed:
				if ctx.Err() == nil {
					t.Errorf("the engine's events: %v", err)
				}
				return
			}
		}
	})
	t.Cleanup(func() { cancel(); done.Wait() })
}

// run makes the project in all directions.
func (c *comparison) run() {
	c.step("by compose", func() {
		c.up()
		c.reference = c.look(func(r record) bool { return !r.starting() })
	})
	c.step("taken over by tend", func() {
		before := c.record()
		tend := c.keep(before)
		c.judge(compare.TakenOver, before)
		tend.stop()
	})
	c.engine.remove(c.t, c.name)
	c.unpack()
	var tended record
	c.step("by tend", func() {
		tend := c.keep(c.reference)
		tended = c.judge(compare.ByTend, record{})
		tend.stop()
	})
	c.step("by tend, then compose", func() {
		c.up()
		c.judge(compare.HandedBack, tended)
	})
}

// up is docker compose up, which fails where a dependency does.
func (c *comparison) up() {
	c.t.Helper()
	starting <- struct{}{}
	defer func() { <-starting }()
	if r := c.exec(compose, "up", "-d", "--no-build", "--pull", "never"); r.code != 0 {
		assert.Regexp(c.t, "dependency failed to start|didn't complete successfully", r.errOut, "%s", r)
	}
}

// keep starts a controller, and returns when as much runs as did before.
func (c *comparison) keep(before record) *process {
	c.t.Helper()
	starting <- struct{}{}
	defer func() { <-starting }()
	tend := c.project.run()
	for late := time.Now().Add(patience / 2); time.Now().Before(late) && c.record().running() < before.running(); {
		time.Sleep(glance)
	}
	return tend
}

// grace is for how long a project may still change after it was left alone.
const grace = 30 * time.Second

// look leaves the project alone for a while, and returns it as it is then, or
// when it is as it should be soon after.
func (c *comparison) look(as func(record) bool) record {
	c.t.Helper()
	time.Sleep(*settle)
	for late := time.Now().Add(grace); ; time.Sleep(time.Second) {
		if r := c.record(); as(r) || time.Now().After(late) {
			return r
		}
	}
}

// judge compares the project with the one that Compose has made alone, and with the one
// before.
func (c *comparison) judge(direction compare.Direction, before record) record {
	c.t.Helper()
	var unmeant []compare.Difference
	var seen map[int]int
	r := c.look(func(r record) bool {
		all := compare.Compare(direction, c.reference.Record, r.Record)
		unmeant, seen = compare.Split(append(all, compare.Replaced(direction, c.reference.Record, r.Record, before.identities, r.identities)...))
		return len(unmeant) == 0
	})
	for _, d := range unmeant {
		c.t.Error(d)
	}
	if len(unmeant) > 0 && direction != compare.HandedBack {
		for _, e := range c.processes[len(c.processes)-1].events() {
			c.t.Logf("tend said: %s: %s: %s", e.Workload, e.Reason, e.Message)
		}
	}
	for i, n := range seen {
		c.meant[i] += n
	}
	return r
}

// record inspects all that the project is made of.
func (c *comparison) record() record {
	c.t.Helper()
	r := record{compare.Record{}, map[string]compare.Identity{}}
	ctx := c.t.Context()
	byID := map[string]string{}
	all := slices.DeleteFunc(c.replicas(""), func(r replica) bool { return r.Config.Labels[kit.IngressLabel] != "" })
	for _, one := range all {
		byID[one.ID] = one.Name
	}
	names := compare.Names(byID)
	for _, one := range all {
		_, raw, err := c.engine.ContainerInspectWithRaw(ctx, one.ID, false)
		if err != nil {
			continue // it has just gone
		}
		c.mu.Lock()
		past := c.past[one.ID]
		c.mu.Unlock()
		require.NoError(c.t, r.Container(raw, names, past))
		r.identities[fmt.Sprintf("container %s-%d", one.service(), one.number())] = compare.Identity{
			ID: one.ID, StartedAt: one.State.StartedAt, Stands: one.State.Running && past.Starts < 2,
		}
	}
	labelled := filters.NewArgs(filters.Arg("label", kit.ProjectLabel+"="+c.name))
	networks, err := c.engine.NetworkList(ctx, network.ListOptions{Filters: labelled})
	require.NoError(c.t, err)
	for _, n := range networks {
		_, raw, err := c.engine.NetworkInspectWithRaw(ctx, n.ID, network.InspectOptions{})
		require.NoError(c.t, err)
		require.NoError(c.t, r.Network(raw, len(c.config.Networks[n.Labels["com.docker.compose.network"]].IPAM.Config) > 0))
	}
	volumes, err := c.engine.VolumeList(ctx, volume.ListOptions{Filters: labelled})
	require.NoError(c.t, err)
	for _, v := range volumes.Volumes {
		_, raw, err := c.engine.VolumeInspectWithRaw(ctx, v.Name)
		require.NoError(c.t, err)
		require.NoError(c.t, r.Volume(raw))
	}
	return r
}

// running counts the containers that run.
func (r record) running() (n int) {
	for o := range maps.Values(r.Record) {
		if o[compare.State] == "running" {
			n++
		}
	}
	return n
}

// starting reports whether a health check has not answered yet.
func (r record) starting() bool {
	return slices.ContainsFunc(slices.Collect(maps.Values(r.Record)), func(o compare.Object) bool { return o[compare.Health] == "starting" })
}
