package docker

import (
	"cmp"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/go-connections/nat"

	"github.com/tendhq/tend/controller/engine"
)

// observed translates an inspect.
func observed(i container.InspectResponse) engine.Container {
	c := engine.Container{
		ID:             i.ID,
		Name:           strings.TrimPrefix(i.Name, "/"),
		Image:          i.Config.Image,
		ImageID:        i.Image,
		Labels:         i.Config.Labels,
		State:          engine.State(i.State.Status),
		ExitCode:       i.State.ExitCode,
		OOMKilled:      i.State.OOMKilled,
		Error:          i.State.Error,
		Created:        parseTime(i.Created),
		StartedAt:      parseTime(i.State.StartedAt),
		FinishedAt:     parseTime(i.State.FinishedAt),
		RestartPolicy:  writtenPolicy(i.HostConfig.RestartPolicy),
		RestartCount:   i.RestartCount,
		Networks:       map[string]string{},
		NetworkIDs:     map[string]string{},
		PublishedPorts: published(i.NetworkSettings.Ports),
		HostPorts:      hostPorts(i.HostConfig.PortBindings),
		Mounts:         mounted(i.Mounts),
		Joins:          joins(i.HostConfig),
	}
	if i.Config.StopTimeout != nil {
		c.StopTimeout = time.Duration(*i.Config.StopTimeout) * time.Second
	}
	for name, endpoint := range i.NetworkSettings.Networks {
		c.Networks[name] = cmp.Or(endpoint.IPAddress, endpoint.GlobalIPv6Address)
		if endpoint.NetworkID != "" {
			c.NetworkIDs[name] = endpoint.NetworkID
		}
	}
	if c.State == engine.Running {
		c.PortsMissing = portsMissing(i.HostConfig, i.NetworkSettings.Ports)
	}
	observeHealth(&c, i.State.Health, i.Config.Healthcheck)
	return c
}

// writtenPolicy is a policy as Compose writes it.
func writtenPolicy(p container.RestartPolicy) string {
	name := string(cmp.Or(p.Name, container.RestartPolicyDisabled))
	if p.MaximumRetryCount > 0 {
		name += ":" + strconv.Itoa(p.MaximumRetryCount)
	}
	return name
}

// parseTime reads the engine's time stamps; its "never" is Go's zero time.
func parseTime(s string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return time.Time{}
	}
	return t
}

// healthOutputLimit is how many bytes of a probe's output are kept.
const healthOutputLimit = 256

// observeHealth reads the health of a running container from the probes made
// since it was started. The engine's own status may be older: it keeps the
// results of an earlier run, and calls what does not run unhealthy.
func observeHealth(c *engine.Container, health *container.Health, check *container.HealthConfig) {
	if health == nil || health.Status == "" || health.Status == container.NoHealthcheck {
		return
	}
	c.Health = engine.Starting
	probes := slices.DeleteFunc(slices.Clone(health.Log), func(p *container.HealthcheckResult) bool {
		return p.Start.Before(c.StartedAt)
	})
	if len(probes) == 0 {
		return
	}
	last := probes[len(probes)-1]
	c.HealthOutput, c.HealthExitCode = shorten(last.Output), last.ExitCode
	switch {
	case c.State != engine.Running:
	case health.Status == container.Healthy:
		c.Health = engine.Healthy
		c.HealthySince = healthySince(probes, check)
	// After a pause the engine says unhealthy until the next probe.
	case health.Status == container.Unhealthy && last.ExitCode != 0:
		c.Health = engine.Unhealthy
	}
}

// defaultRetries is how many probes must fail in a row where the health check
// does not say.
const defaultRetries = 3

// healthySince replays the probes that the engine still has by its own rule:
// one pass makes healthy, and only as many failures in a row as the check has
// retries end that.
func healthySince(probes []*container.HealthcheckResult, check *container.HealthConfig) (since time.Time) {
	retries := defaultRetries
	if check != nil && check.Retries > 0 {
		retries = check.Retries
	}
	failures := 0
	for _, p := range probes {
		if p.ExitCode == 0 {
			failures = 0
			if since.IsZero() {
				since = p.End
			}
			continue
		}
		if failures++; failures >= retries {
			since = time.Time{}
		}
	}
	return since
}

func shorten(output string) string {
	output = strings.TrimSpace(output)
	if len(output) > healthOutputLimit {
		output = strings.ToValidUTF8(output[:healthOutputLimit], "") + "…"
	}
	return output
}

func published(ports nat.PortMap) (published []string) {
	for port, bindings := range ports {
		for _, b := range bindings {
			published = append(published, net.JoinHostPort(b.HostIP, b.HostPort)+"->"+string(port))
		}
	}
	slices.Sort(published)
	return published
}

// hostPorts lists the ports of the host among the bindings that a container was created
// with.
func hostPorts(bindings nat.PortMap) (ports []string) {
	for port, all := range bindings {
		for _, b := range all {
			if b.HostPort != "" && b.HostPort != "0" {
				ports = append(ports, net.JoinHostPort(cmp.Or(b.HostIP, "0.0.0.0"), b.HostPort)+"/"+port.Proto())
			}
		}
	}
	slices.Sort(ports)
	return ports
}

// portsMissing compares the ports that a container should publish with those that it
// does.
func portsMissing(host *container.HostConfig, inForce nat.PortMap) bool {
	mode := host.NetworkMode
	if mode.IsHost() || mode.IsNone() || mode.IsContainer() {
		return false // the engine ignores published ports in these modes
	}
	for port, wanted := range host.PortBindings {
		if len(inForce[port]) < len(wanted) {
			return true
		}
	}
	return false
}

// joins lists the containers that a container was created to share something with, by
// their IDs.
func joins(host *container.HostConfig) (joins []engine.Join) {
	for kind, id := range map[engine.JoinKind]string{
		engine.JoinNetwork: host.NetworkMode.ConnectedContainer(),
		engine.JoinIPC:     host.IpcMode.Container(),
		engine.JoinPID:     host.PidMode.Container(),
	} {
		if id != "" {
			joins = append(joins, engine.Join{Kind: kind, ID: id})
		}
	}
	for _, from := range host.VolumesFrom {
		id, _, _ := strings.Cut(from, ":")
		joins = append(joins, engine.Join{Kind: engine.JoinVolumes, ID: id})
	}
	slices.SortStableFunc(joins, func(a, b engine.Join) int { return cmp.Compare(a.Kind, b.Kind) })
	return joins
}

// anonymousVolume is how the engine names a volume that nobody named.
var anonymousVolume = regexp.MustCompile(`^[0-9a-f]{64}$`)

// mounted translates the mounts of an inspect. A tmpfs outlives no container.
func mounted(points []container.MountPoint) []engine.Mount {
	var mounts []engine.Mount
	for _, p := range points {
		switch p.Type {
		case mount.TypeVolume:
			mounts = append(mounts, engine.Mount{
				Target: p.Destination, Source: p.Name, Volume: true, Anonymous: anonymousVolume.MatchString(p.Name), ReadOnly: !p.RW,
			})
		case mount.TypeBind:
			mounts = append(mounts, engine.Mount{Target: p.Destination, Source: p.Source, ReadOnly: !p.RW})
		}
	}
	slices.SortFunc(mounts, func(a, b engine.Mount) int { return cmp.Compare(a.Target, b.Target) })
	return mounts
}
