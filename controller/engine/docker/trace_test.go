package docker_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/tendhq/tend/controller"
	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/engine/docker"
	"github.com/tendhq/tend/controller/engine/enginetest"
	"github.com/tendhq/tend/controller/spec/load"
	"github.com/tendhq/tend/state"
)

// What a controller does with a real engine, and what that does, the model could
// have done as well.
func TestTheModelAcceptsTheTraceOfARealRun(t *testing.T) {
	o := newOutsider(t)
	images := o.buildImages(t)
	e, err := docker.New("")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, e.Close()) })
	project := newProject()
	t.Cleanup(func() { o.clean(t, project) })

	r := enginetest.Record(t, e, project)
	c := newController(t, r, project)
	c.write(2, images("runs"))
	c.write(4, images("runs"))
	c.write(4, images("slow")) // a rolling update
	c.disturb(func(id string) { o.Kill(t, id) })
	c.disturb(func(id string) { o.Exit(t, id, 3) })
	c.disturb(func(id string) { o.Remove(t, id) })
	c.write(1, images("slow"))
	c.removeAll()
	enginetest.Accept(t, r.Trace(t))
}

// controlled is a controller of a project with one workload.
type controlled struct {
	*testing.T
	engine  engine.Engine
	project string
	ctl     *controller.Controller
	stop    func()
}

func newController(t *testing.T, e engine.Engine, project string) *controlled {
	c := &controlled{T: t, engine: e, project: project}
	c.ctl = controller.New(controller.Options{Engine: e, Project: project, Log: zap.NewNop(), OnEvent: func(*state.Event) {}})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c.ctl.Run(ctx)
	}()
	c.stop = func() {
		cancel()
		<-ended
	}
	t.Cleanup(c.stop)
	return c
}

// write puts a number of replicas of an image in force, and waits until they run.
func (c *controlled) write(replicas int, image string) {
	c.Helper()
	folder := c.TempDir()
	require.NoError(c, os.Mkdir(filepath.Join(folder, "specs"), 0o700))
	compose := fmt.Sprintf(`name: %s
services:
  web:
    image: %s
    volumes: ["data:/data"]
    healthcheck: {test: [CMD, /probe, health], interval: 200ms, start_period: 10s}
    deploy: {restart_policy: {delay: 1s}}
volumes: {data: {}}
`, c.project, image)
	web := fmt.Sprintf("apiVersion: tend/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {replicas: %d}\n", replicas)
	require.NoError(c, os.WriteFile(filepath.Join(folder, "compose.yaml"), []byte(compose), 0o600))
	require.NoError(c, os.WriteFile(filepath.Join(folder, "specs", "web.yaml"), []byte(web), 0o600))
	p, err := load.Project(c.Context(), load.Options{ProjectDirectory: folder})
	require.NoError(c, err)
	c.ctl.SetProject(p)
	c.converge()
}

func (c *controlled) converge() {
	c.Helper()
	ctx, cancel := context.WithTimeout(c.Context(), 2*time.Minute)
	defer cancel()
	require.NoError(c, c.ctl.Wait(ctx))
}

// disturb has something done to a container, and waits until the controller has
// noticed, and all is well again.
func (c *controlled) disturb(how func(id string)) {
	c.Helper()
	before := c.ctl.State().Snapshot().Replicas("web")[0]
	how(before.ID)
	require.Eventually(c, func() bool {
		now, there := c.ctl.State().Snapshot().Replica(before.ID)
		return !there || !now.StartedAt.Equal(before.StartedAt)
	}, time.Minute, 10*time.Millisecond)
	c.converge()
}

// removeAll removes all there is, as "tend down" does.
func (c *controlled) removeAll() {
	c.Helper()
	c.ctl.RemoveAll()
	c.converge()
	c.stop()
	networks, err := c.engine.Networks(c.Context(), c.project)
	require.NoError(c, err)
	for _, n := range networks {
		require.NoError(c, c.engine.RemoveNetwork(c.Context(), n.ID))
	}
	volumes, err := c.engine.Volumes(c.Context(), c.project)
	require.NoError(c, err)
	for _, v := range volumes {
		require.NoError(c, c.engine.RemoveVolume(c.Context(), v.Name))
	}
}
