package docker

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/pkg/stdcopy"
	"golang.org/x/sync/errgroup"

	"github.com/tendhq/tend/controller/engine"
)

// inspectParallelism bounds the inspects of one list.
const inspectParallelism = 8

// Containers lists a project's containers, sorted by name.
func (e *Engine) Containers(ctx context.Context, project string) ([]engine.Container, error) {
	var summaries []container.Summary
	err := e.Do(ctx, "list containers of project", project, func(ctx context.Context) (err error) {
		summaries, err = e.cli.ContainerList(ctx, container.ListOptions{
			All:     true,
			Filters: filters.NewArgs(filters.Arg("label", engine.ProjectLabel+"="+project)),
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	summaries = slices.DeleteFunc(summaries, func(s container.Summary) bool { return s.Labels[taskLabel] != "" })

	inspected := make([]*engine.Container, len(summaries))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(inspectParallelism)
	for i, s := range summaries {
		group.Go(func() error {
			c, err := e.Container(ctx, s.ID)
			switch {
			case engine.ClassOf(err) == engine.NotFound:
				return nil
			case err != nil:
				return err
			}
			inspected[i] = &c
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}

	containers := make([]engine.Container, 0, len(inspected))
	for _, c := range inspected {
		if c != nil {
			containers = append(containers, *c)
		}
	}
	slices.SortFunc(containers, func(a, b engine.Container) int { return cmp.Compare(a.Name, b.Name) })
	return containers, nil
}

// Container inspects one container.
func (e *Engine) Container(ctx context.Context, id string) (c engine.Container, err error) {
	err = e.Do(ctx, "inspect container", id, func(ctx context.Context) error {
		inspect, err := e.cli.ContainerInspect(ctx, id)
		if err != nil {
			return err
		}
		c = observed(inspect)
		if c.PortsMissing {
			c.PortsMissing, err = e.publishes(ctx, c)
		}
		return err
	})
	return c, err
}

// publishes reports whether any of a container's networks can publish its ports. Where
// none can, the engine silently ignores them.
func (e *Engine) publishes(ctx context.Context, c engine.Container) (bool, error) {
	if len(c.Networks) == 0 {
		return true, nil
	}
	for name := range c.Networks {
		n, err := e.cli.NetworkInspect(ctx, name, network.InspectOptions{})
		switch {
		case errdefs.IsNotFound(err):
			return true, nil
		case err != nil:
			return false, err
		case !n.Internal && n.Driver != "macvlan" && n.Driver != "ipvlan":
			return true, nil
		}
	}
	return false, nil
}

// Start starts a container. NotFound means that the container is gone, or a
// network that it joins.
//
// It is Unavailable where the engine takes no new connections. An engine that
// shuts down stops listening before it stops the containers, and goes on
// answering on the connections that it has: a container started over one of
// them outlives its engine, and the next engine can neither start nor remove it
// (seen with Engine 20.10).
func (e *Engine) Start(ctx context.Context, id string) error {
	return e.Do(ctx, "start container", id, func(ctx context.Context) error {
		conn, err := e.cli.Dialer()(ctx)
		if err != nil {
			return fmt.Errorf("%w: %w", errNotListening, err)
		}
		_ = conn.Close()
		return e.cli.ContainerStart(ctx, id, container.StartOptions{})
	})
}

// Stop stops a container. The engine counts the grace in whole seconds; it is
// rounded up.
func (e *Engine) Stop(ctx context.Context, id string, grace time.Duration) error {
	// A negative number would mean to wait for ever.
	seconds := int((max(grace, 0) + time.Second - 1) / time.Second)
	err := e.Do(ctx, "stop container", id, func(ctx context.Context) error {
		return e.cli.ContainerStop(ctx, id, container.StopOptions{Timeout: &seconds})
	})
	return unlessNotFound(err)
}

// KillProcess sends SIGKILL to a container's process.
func (e *Engine) KillProcess(ctx context.Context, id string) error {
	return e.Do(ctx, "kill container", id, func(ctx context.Context) error {
		return e.cli.ContainerKill(ctx, id, "KILL")
	})
}

// Remove removes a container. It is a Conflict when the engine is removing it already;
// then only another inspect tells when it has gone.
//
// A container that could not start because a network had an endpoint of its name takes
// such endpoints along: no other of that name could start. Engine 2.0.0-beta.24 leaves
// one behind where a container ends while the engine comes back with live-restore.
func (e *Engine) Remove(ctx context.Context, id string, volumes bool) error {
	var removed container.InspectResponse
	err := e.Do(ctx, "remove container", id, func(ctx context.Context) (err error) {
		if removed, err = e.cli.ContainerInspect(ctx, id); err != nil {
			return err
		}
		return e.cli.ContainerRemove(ctx, id, container.RemoveOptions{RemoveVolumes: volumes})
	})
	if err == nil && strings.Contains(removed.State.Error, "endpoint with name") {
		for name := range removed.NetworkSettings.Networks {
			// Where this fails, the next container of the name does not start either, and
			// is removed in its turn.
			_ = e.Do(ctx, "remove endpoint from network", name, func(ctx context.Context) error {
				return e.cli.NetworkDisconnect(ctx, name, strings.TrimPrefix(removed.Name, "/"), true)
			})
		}
	}
	return unlessNotFound(err)
}

// SetRestartPolicy gives a container another restart policy.
func (e *Engine) SetRestartPolicy(ctx context.Context, id, policy string) error {
	return e.Do(ctx, "set restart policy of container", id, func(ctx context.Context) error {
		_, err := e.cli.ContainerUpdate(ctx, id, container.UpdateConfig{RestartPolicy: restartPolicy(policy)})
		return err
	})
}

// ConnectNetwork has a container join one more network.
func (e *Engine) ConnectNetwork(ctx context.Context, id, name string, aliases ...string) error {
	return e.Do(ctx, "connect to network "+name+" container", id, func(ctx context.Context) error {
		return e.cli.NetworkConnect(ctx, name, id, &network.EndpointSettings{Aliases: aliases})
	})
}

// DisconnectNetwork takes a container out of a network.
func (e *Engine) DisconnectNetwork(ctx context.Context, id, network string) error {
	return e.Do(ctx, "disconnect from network "+network+" container", id, func(ctx context.Context) error {
		return e.cli.NetworkDisconnect(ctx, network, id, false)
	})
}

// LogsOptions are the API's options for a part of an output.
func LogsOptions(o engine.LogOptions) container.LogsOptions {
	options := container.LogsOptions{
		ShowStdout: true, ShowStderr: true, Follow: o.Follow, Timestamps: o.Timestamps, Tail: "all",
	}
	if o.Tail > 0 {
		options.Tail = strconv.Itoa(o.Tail)
	}
	if !o.Since.IsZero() {
		options.Since = fmt.Sprintf("%d.%09d", o.Since.Unix(), o.Since.Nanosecond())
	}
	return options
}

// Logs writes a container's output.
func (e *Engine) Logs(ctx context.Context, id string, o engine.LogOptions, stdout, stderr io.Writer) error {
	err := e.Do(ctx, "read logs of container", id, func(ctx context.Context) error {
		inspect, err := e.cli.ContainerInspect(ctx, id)
		if err != nil {
			return err
		}
		if inspect.HostConfig.LogConfig.Type == "none" {
			return nil // asked for it, the engine fails
		}
		logs, err := e.cli.ContainerLogs(ctx, id, LogsOptions(o))
		if err != nil {
			return err
		}
		defer logs.Close()
		// With a terminal there is one stream; without one, two are multiplexed.
		if inspect.Config.Tty {
			_, err = io.Copy(stdout, logs)
		} else {
			_, err = stdcopy.StdCopy(stdout, stderr, logs)
		}
		return err
	})
	if o.Follow && ctx.Err() != nil {
		return nil
	}
	return err
}

// unlessNotFound turns NotFound into success, where an object is to be stopped or
// removed.
func unlessNotFound(err error) error {
	if err != nil && engine.ClassOf(err) == engine.NotFound {
		return nil
	}
	return err
}
