package docker

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/containerd/errdefs"
	"github.com/containerd/platforms"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/go-connections/nat"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/tendhq/tend/controller/engine"
)

// Compose writes these labels, and the conversion depends on them.
const (
	serviceLabel = "com.docker.compose.service"
	numberLabel  = "com.docker.compose.container-number"
	oneOffLabel  = "com.docker.compose.oneoff"
)

// taskLabel is on the containers of a Swarm's tasks, which are the Swarm's to keep, though
// they have the labels of the service that they were made for.
const taskLabel = "com.docker.swarm.task.id"

// restartPolicy reads a policy as Compose writes it.
func restartPolicy(policy string) container.RestartPolicy {
	name, count, _ := strings.Cut(policy, ":")
	most, _ := strconv.Atoi(count)
	return container.RestartPolicy{Name: container.RestartPolicyMode(name), MaximumRetryCount: most}
}

// createRequest is all that is sent to the engine to create a container.
type createRequest struct {
	config     *container.Config
	host       *container.HostConfig
	networking *network.NetworkingConfig
	platform   *ocispec.Platform
	// joins are the networks to connect after the create.
	joins []join
	// files are the secrets and configs to copy in after the create.
	files []file
}

// converter is a conversion in progress.
type converter struct {
	engine.ContainerSpec
	links []string
	// atLeast reports whether the engine's API is of the given version or newer.
	atLeast func(version string) bool
}

// convert makes what Compose would make of a service. An error is the user's to
// correct, and of class Invalid.
func convert(spec engine.ContainerSpec, links []string, atLeast func(version string) bool) (*createRequest, error) {
	c := &converter{ContainerSpec: spec, links: links, atLeast: atLeast}
	r := &createRequest{}
	for _, step := range []func(*createRequest) error{
		c.container, c.hostConfig, c.mounts, c.network, c.copiedFiles, c.choosePlatform,
	} {
		if err := step(r); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// invalid is an error in the service's definition.
func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %w", errdefs.ErrInvalidArgument, fmt.Errorf(format, args...))
}

func (c *converter) container(r *createRequest) error {
	s := c.Service
	healthcheck, err := c.healthcheck()
	if err != nil {
		return err
	}
	r.config = &container.Config{
		Hostname:        s.Hostname,
		Domainname:      s.DomainName,
		User:            s.User,
		ExposedPorts:    exposedPorts(s),
		Tty:             s.Tty,
		OpenStdin:       s.StdinOpen,
		AttachStdout:    true,
		AttachStderr:    true,
		Cmd:             []string(s.Command),
		Entrypoint:      []string(s.Entrypoint),
		Image:           s.Image,
		WorkingDir:      s.WorkingDir,
		NetworkDisabled: s.NetworkMode == "disabled",
		Labels:          c.Labels,
		StopSignal:      s.StopSignal,
		Env:             environment(s.Environment),
		Healthcheck:     healthcheck,
	}
	if s.StopGracePeriod != nil {
		seconds := int(time.Duration(*s.StopGracePeriod).Seconds())
		r.config.StopTimeout = &seconds
	}
	return nil
}

// environment lists the variables, sorted. One without a value removes the image's: the
// project's environment was applied before.
func environment(variables types.MappingWithEquals) []string {
	env := make([]string, 0, len(variables))
	for name, value := range variables {
		if value == nil {
			env = append(env, name)
		} else {
			env = append(env, name+"="+*value)
		}
	}
	slices.Sort(env)
	return env
}

func (c *converter) healthcheck() (*container.HealthConfig, error) {
	check := c.Service.HealthCheck
	if check == nil {
		return nil, nil
	}
	config := &container.HealthConfig{
		Test:        check.Test,
		Interval:    duration(check.Interval),
		Timeout:     duration(check.Timeout),
		StartPeriod: duration(check.StartPeriod),
	}
	if check.Retries != nil {
		config.Retries = int(*check.Retries)
	}
	if check.Disable {
		config.Test = []string{"NONE"}
	}
	if check.StartInterval != nil {
		switch {
		case !c.atLeast("1.44"):
			return nil, invalid("healthcheck.start_interval needs Docker Engine 25 or later")
		case check.StartPeriod == nil:
			return nil, invalid("healthcheck.start_interval needs healthcheck.start_period") // moby#48874
		}
		config.StartInterval = duration(check.StartInterval)
	}
	return config, nil
}

func duration(d *types.Duration) time.Duration {
	if d == nil {
		return 0
	}
	return time.Duration(*d)
}

// exposedPorts names each port of a range, which Compose passes on as it is written:
// Engine 2.0.0-beta.24 takes no range, and older engines make nothing of one.
func exposedPorts(s types.ServiceConfig) nat.PortSet {
	ports := nat.PortSet{}
	for _, expose := range s.Expose {
		numbers, _, _ := strings.Cut(expose, "/")
		first, last, err := nat.ParsePortRange(numbers)
		if err != nil { // the engine judges it
			ports[nat.Port(expose)] = struct{}{}
			continue
		}
		for n := first; n <= last; n++ {
			ports[nat.Port(fmt.Sprint(n)+expose[len(numbers):])] = struct{}{}
		}
	}
	for _, p := range s.Ports {
		ports[containerPort(p)] = struct{}{}
	}
	return ports
}

func portBindings(s types.ServiceConfig) nat.PortMap {
	bindings := nat.PortMap{}
	for _, p := range s.Ports {
		port := containerPort(p)
		bindings[port] = append(bindings[port], nat.PortBinding{HostIP: p.HostIP, HostPort: p.Published})
	}
	return bindings
}

func containerPort(p types.ServicePortConfig) nat.Port {
	return nat.Port(fmt.Sprintf("%d/%s", p.Target, p.Protocol))
}

func (c *converter) hostConfig(r *createRequest) error {
	s := c.Service
	securityOpt, unconfined, err := c.securityOpt()
	if err != nil {
		return err
	}
	r.host = &container.HostConfig{
		Annotations:    s.Annotations,
		CapAdd:         s.CapAdd,
		CapDrop:        s.CapDrop,
		CgroupnsMode:   container.CgroupnsMode(s.Cgroup),
		DNS:            s.DNS,
		DNSOptions:     s.DNSOpts,
		DNSSearch:      s.DNSSearch,
		ExtraHosts:     s.ExtraHosts.AsList(":"),
		GroupAdd:       s.GroupAdd,
		Init:           s.Init,
		IpcMode:        container.IpcMode(s.Ipc),
		Isolation:      container.Isolation(s.Isolation),
		Links:          c.links,
		OomScoreAdj:    int(s.OomScoreAdj),
		PidMode:        container.PidMode(s.Pid),
		PortBindings:   portBindings(s),
		Privileged:     s.Privileged,
		ReadonlyRootfs: s.ReadOnly,
		Resources:      resources(s),
		RestartPolicy:  restartPolicy(c.RestartPolicy),
		Runtime:        s.Runtime,
		SecurityOpt:    securityOpt,
		ShmSize:        int64(s.ShmSize),
		StorageOpt:     s.StorageOpt,
		Sysctls:        s.Sysctls,
		Tmpfs:          map[string]string{},
		UTSMode:        container.UTSMode(s.Uts),
		UsernsMode:     container.UsernsMode(s.UserNSMode),
		VolumesFrom:    s.VolumesFrom,
	}
	slices.Sort(r.host.ExtraHosts)
	for _, t := range s.Tmpfs {
		path, options, _ := strings.Cut(t, ":")
		r.host.Tmpfs[path] = options
	}
	if s.Logging != nil {
		r.host.LogConfig = container.LogConfig{Type: s.Logging.Driver, Config: s.Logging.Options}
	}
	if unconfined {
		r.host.MaskedPaths = []string{}
		r.host.ReadonlyPaths = []string{}
	}
	return nil
}

// securityOpt reads the seccomp profiles that security_opt names, as the
// Docker command line does: the engine wants their content.
func (c *converter) securityOpt() (options []string, unconfined bool, err error) {
	for _, option := range c.Service.SecurityOpt {
		if option == "systempaths=unconfined" {
			unconfined = true
			continue
		}
		key, value, ok := strings.Cut(option, "=")
		if !ok && option != "no-new-privileges" {
			if key, value, ok = strings.Cut(option, ":"); !ok {
				return nil, false, invalid("security_opt %q has no value", option)
			}
		}
		if key == "seccomp" && value != "unconfined" && value != "builtin" {
			if option, err = c.seccompProfile(value); err != nil {
				return nil, false, err
			}
		}
		options = append(options, option)
	}
	return options, unconfined, nil
}

func (c *converter) seccompProfile(path string) (string, error) {
	if !filepath.IsAbs(path) {
		path = filepath.Join(c.WorkingDir, path)
	}
	profile, err := os.ReadFile(path)
	if err != nil {
		return "", invalid("seccomp profile: %w", err)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, profile); err != nil {
		return "", invalid("seccomp profile %s: %w", path, err)
	}
	return "seccomp=" + compact.String(), nil
}

func (c *converter) choosePlatform(r *createRequest) error {
	if c.Service.Platform == "" {
		return nil
	}
	p, err := platforms.Parse(c.Service.Platform)
	if err != nil {
		return invalid("platform: %w", err)
	}
	r.platform = &p
	return nil
}
