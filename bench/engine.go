package main

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/docker/docker/api/types/build"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/client"
)

const (
	projectLabel = "com.docker.compose.project"
	serviceLabel = "com.docker.compose.service"
	// prefix begins the name of everything that the benchmark makes.
	prefix = "tend-bench-"
	// imageName is what each replica runs.
	imageName = prefix + "service:latest"
	// serviceName is the one service of each project.
	serviceName = "web"
	// parallel is how many calls are made at a time: as many as tend makes for
	// one workload.
	parallel = 8
)

// buildImage makes the image that each replica runs, from scratch and the
// program in the folder service.
func buildImage(ctx context.Context, cli *client.Client, dir string) error {
	program := filepath.Join(dir, "service")
	compile := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", program, "./service")
	compile.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := compile.CombinedOutput(); err != nil {
		return fmt.Errorf("build the service: %w\n%s", err, output)
	}
	binary, err := os.ReadFile(program)
	if err != nil {
		return err
	}
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for _, f := range []struct {
		name    string
		mode    int64
		content []byte
	}{
		{"Dockerfile", 0o644, []byte("FROM scratch\nCOPY service /service\nENTRYPOINT [\"/service\"]\n")},
		{"service", 0o755, binary},
	} {
		if err := w.WriteHeader(&tar.Header{Name: f.name, Mode: f.mode, Size: int64(len(f.content))}); err != nil {
			return err
		}
		if _, err := w.Write(f.content); err != nil {
			return err
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	response, err := cli.ImageBuild(ctx, &archive, build.ImageBuildOptions{Tags: []string{imageName}, Remove: true, ForceRemove: true})
	if err != nil {
		return fmt.Errorf("build the image: %w", err)
	}
	defer response.Body.Close()
	output, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if _, err := cli.ImageInspect(ctx, imageName); err != nil {
		return fmt.Errorf("build the image: %w\n%s", err, output)
	}
	return nil
}

// containersOf lists the containers of a project, stopped ones included.
func containersOf(ctx context.Context, cli *client.Client, project string) ([]container.Summary, error) {
	return cli.ContainerList(ctx, container.ListOptions{
		All: true, Filters: filters.NewArgs(filters.Arg("label", projectLabel+"="+project)),
	})
}

// remove stops containers and removes them, one after the other: Engine 20.10
// was seen to lock up for good when many left one network at the same time.
func remove(ctx context.Context, cli *client.Client, containers []container.Summary) error {
	for _, c := range containers {
		if err := cli.ContainerStop(ctx, c.ID, container.StopOptions{}); err != nil {
			return err
		}
		if err := cli.ContainerRemove(ctx, c.ID, container.RemoveOptions{}); err != nil {
			return err
		}
	}
	return nil
}

// removeContainers removes all containers that the benchmark makes.
func removeContainers(ctx context.Context, cli *client.Client) error {
	for _, project := range []string{bareProject, tendProject, composeProject} {
		containers, err := containersOf(ctx, cli, project)
		if err != nil {
			return err
		}
		if err := remove(ctx, cli, containers); err != nil {
			return err
		}
	}
	return nil
}

// removeRest removes what else the benchmark makes on the engine.
func removeRest(ctx context.Context, cli *client.Client) error {
	var errs []error
	for _, project := range []string{bareProject, tendProject, composeProject} {
		networks, err := cli.NetworkList(ctx, network.ListOptions{
			Filters: filters.NewArgs(filters.Arg("label", projectLabel+"="+project)),
		})
		if err != nil {
			return err
		}
		for _, n := range networks {
			errs = append(errs, cli.NetworkRemove(ctx, n.ID))
		}
	}
	if _, err := cli.ImageInspect(ctx, imageName); err == nil {
		_, err := cli.ImageRemove(ctx, imageName, image.RemoveOptions{PruneChildren: true})
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// watch follows the engine's container events of all projects of the
// benchmark: what happened, and when by the engine's clock, is read from them
// for every contender alike.
type watch struct {
	stop   context.CancelFunc
	ended  chan struct{}
	mu     sync.Mutex
	events []events.Message
	err    error
	more   chan struct{} // closed, and replaced, with each event
}

// startWatch follows the events from now on.
func startWatch(ctx context.Context, cli *client.Client) *watch {
	ctx, stop := context.WithCancel(ctx)
	w := &watch{stop: stop, ended: make(chan struct{}), more: make(chan struct{})}
	messages, broken := cli.Events(ctx, events.ListOptions{
		Since: time.Now().Format(time.RFC3339Nano), // the engine replays what it sends before it has subscribed
		Filters: filters.NewArgs(
			filters.Arg("type", string(events.ContainerEventType)),
			filters.Arg("event", string(events.ActionStart)),
			filters.Arg("event", string(events.ActionDie)),
			filters.Arg("event", string(events.ActionDestroy)),
		),
	})
	go func() {
		defer close(w.ended)
		for {
			select {
			case m := <-messages:
				w.add(m)
			case err := <-broken:
				w.end(err)
				return
			}
		}
	}()
	return w
}

func (w *watch) close() {
	w.stop()
	<-w.ended
}

func (w *watch) add(m events.Message) {
	if !strings.HasPrefix(m.Actor.Attributes[projectLabel], prefix) {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, m)
	close(w.more)
	w.more = make(chan struct{})
}

func (w *watch) end(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.err = fmt.Errorf("the engine's event stream ended: %w", err)
	close(w.more)
	w.more = make(chan struct{})
}

// mark is the place in the stream from which to look later.
func (w *watch) mark() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.events)
}

// since returns a project's events after a mark.
func (w *watch) since(mark int, project string) []events.Message {
	found, _, _ := w.look(mark, project, "")
	return found
}

func (w *watch) look(mark int, project string, action events.Action) (found []events.Message, more chan struct{}, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, m := range w.events[mark:] {
		if m.Actor.Attributes[projectLabel] == project && (action == "" || m.Action == action) {
			found = append(found, m)
		}
	}
	return found, w.more, w.err
}

// await waits for the n-th event of a kind in a project after a mark, and
// returns it.
func (w *watch) await(ctx context.Context, mark int, project string, action events.Action, n int) (events.Message, error) {
	for {
		found, more, err := w.look(mark, project, action)
		switch {
		case len(found) >= n:
			return found[n-1], nil
		case err != nil:
			return events.Message{}, err
		}
		select {
		case <-more:
		case <-ctx.Done():
			return events.Message{}, fmt.Errorf("%d of %d %q events in project %s: %w", len(found), n, action, project, context.Cause(ctx))
		}
	}
}

// instant is when an event happened, by the engine's clock.
func instant(m events.Message) time.Time { return time.Unix(0, m.TimeNano) }
