package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"

	"github.com/tendhq/tend/e2e/kit"
)

const (
	// startTimeout bounds the start of a shop.
	startTimeout = 4 * time.Minute
	// settle is how long a shop may catch up after a pause before it is measured.
	settle = 3 * time.Second
)

// shop is a copy of the shop under tend.
type shop struct {
	name      string
	profiles  []string
	variables string // lines of its .env

	engine   *client.Client
	client   http.Client
	dir, url string
}

func (s *shop) project() string { return "tend-overhead-" + s.name }

// start starts the shop and publishes its ports on free ones.
func (s *shop) start(ctx context.Context, o options) (err error) {
	if s.dir, err = os.MkdirTemp("", s.project()); err != nil {
		return err
	}
	gateway, err := kit.FreeAddress()
	if err != nil {
		return err
	}
	s.url, s.client.Timeout = "http://"+gateway, 5*time.Second
	files := kit.Shop{Repository: o.repository, Dir: s.dir, Project: s.project(), Profiles: s.profiles, Override: fmt.Sprintf(`services:
  gateway: {ports: !override ["%s:8080"]}
  prometheus: {ports: !reset []}
  alertmanager: {ports: !reset []}
  jaeger: {ports: !reset []}
`, gateway)}
	if err := files.Write(ctx); err != nil {
		return err
	}
	env := filepath.Join(s.dir, ".env")
	written, err := os.ReadFile(env)
	if err != nil {
		return err
	}
	if err := os.WriteFile(env, append(written, s.variables...), 0o644); err != nil {
		return err
	}
	return s.tend(ctx, o, "up", "--timeout", startTimeout.String())
}

func (s *shop) tend(ctx context.Context, o options, args ...string) error {
	cmd := exec.CommandContext(ctx, filepath.Join(o.repository, "build/bin/tend"), args...)
	cmd.Dir = s.dir
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("tend %s: %w\n%s", strings.Join(args, " "), err, output)
	}
	return nil
}

// remove removes the shop, also when the measurement was interrupted.
func (s *shop) remove(o options) error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	if s.dir == "" {
		return nil
	}
	return errors.Join(s.unpause(ctx), s.tend(ctx, o, "down", "-v"), os.RemoveAll(s.dir))
}

// containers are the running containers of the shop, tend's the first.
func (s *shop) containers(ctx context.Context) ([]container.InspectResponse, error) {
	all, err := kit.Containers(ctx, s.engine, "com.docker.compose.project="+s.project())
	all = slices.DeleteFunc(all, func(c container.InspectResponse) bool { return !c.State.Running })
	slices.SortStableFunc(all, func(a, b container.InspectResponse) int {
		return strings.Compare(tendFirst(a), tendFirst(b))
	})
	return all, err
}

func tendFirst(c container.InspectResponse) string {
	service := c.Config.Labels[kit.ServiceLabel]
	if service == "tend" {
		return ""
	}
	return service
}

// pause stops the shop where it is, tend before what tend would take for hanging.
func (s *shop) pause(ctx context.Context) error {
	all, err := s.containers(ctx)
	for _, c := range all {
		err = errors.Join(err, s.engine.ContainerPause(ctx, c.ID))
	}
	return err
}

// unpause ends that.
func (s *shop) unpause(ctx context.Context) error {
	all, err := s.containers(ctx)
	slices.Reverse(all)
	for _, c := range all {
		if c.State.Paused {
			err = errors.Join(err, s.engine.ContainerUnpause(ctx, c.ID))
		}
	}
	return err
}

// resume has a paused shop go on, and waits until it answers and has caught up.
func (s *shop) resume(ctx context.Context) error {
	err := s.unpause(ctx)
	if err == nil {
		err = kit.Await(ctx, func() error { return kit.Get(ctx, &s.client, s.url+"/api/products") })
	}
	if err == nil {
		err = kit.Pause(ctx, settle)
	}
	return err
}

// cpu returns how long the processes of each service have run so far, on all cores together.
func (s *shop) cpu(ctx context.Context) (map[string]time.Duration, error) {
	all, err := s.containers(ctx)
	if err != nil {
		return nil, err
	}
	of := map[string]time.Duration{}
	for _, c := range all {
		answer, err := s.engine.ContainerStatsOneShot(ctx, c.ID)
		if err != nil {
			return nil, err
		}
		var stats container.StatsResponse
		err = errors.Join(json.NewDecoder(answer.Body).Decode(&stats), answer.Body.Close())
		if err != nil {
			return nil, err
		}
		of[c.Config.Labels[kit.ServiceLabel]] += time.Duration(stats.CPUStats.CPUUsage.TotalUsage)
	}
	return of, nil
}
