package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"

	"github.com/tendhq/tend/e2e/cases"
	"github.com/tendhq/tend/e2e/kit"
)

const (
	// controllerService is the shop's service that tend itself runs as.
	controllerService = "tend"
	// updatedService and updatedDatabase are the ones that are updated, and that fail.
	updatedService  = "order-service"
	updatedDatabase = "order-db"
	// repository is this repository, seen from the benchmark's module.
	repository = ".."
)

//go:embed nginx/nginx.conf
var nginxConfig []byte

// shop is a copy of this repository's shop, under load while it is changed.
type shop struct {
	cli   *client.Client
	name  string // in the report
	dir   string
	label string // the project
	// parts is what compose.override.yaml says of services that no case changes.
	parts string
	// begin is the command that starts it, apply the one that puts a change of a
	// service in force and fails when that does not work out in time.
	begin []string
	apply func(service string, seconds int) []string

	want desired
	// mistaken is that the last update that cannot work was said to be done.
	mistaken bool
	url      string // the gateway's
}

// desired is the state of a shop that the cases change.
type desired struct {
	replicas, revision int
	// broken, unless it is empty, are keys of the service with which it cannot work.
	broken string
	// workMem is a setting of the database, in MiB.
	workMem int
}

// override is compose.override.yaml. The services that nothing happens to have
// one replica each: what they and their health checks cost is not measured.
func (d desired) override(parts string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "services:\n%s", parts)
	for _, service := range []string{"user-service", "product-service", "payment-service"} {
		fmt.Fprintf(&b, "  %s: {deploy: {replicas: 1}}\n", service)
	}
	fmt.Fprintf(&b, "  %s:\n    deploy: {replicas: %d}\n    environment: {%s: \"%d\"}\n", updatedService, d.replicas, revisionVariable, d.revision)
	if d.broken != "" {
		fmt.Fprintf(&b, "    %s\n", d.broken)
	}
	fmt.Fprintf(&b, "  %s: {command: [postgres, -c, work_mem=%dMB]}\n", updatedDatabase, d.workMem)
	return b.String()
}

const (
	// patience is how many seconds an update that cannot work is given: tend's
	// progress deadline, the time-out of Compose's --wait.
	patience = 15
	// enough is how many any other may take.
	enough = 120
)

// newShops makes the contenders: the shop as it is delivered with tend and its
// gateway, and with Compose and nginx.
func (b *bench) newShops(ctx context.Context) ([]*shop, error) {
	tend, compose := filepath.Join(b.bin, "tend"), filepath.Join(b.bin, "docker-compose")
	shops := []*shop{
		{
			name: "tend and its gateway", label: prefix + "shop-tend",
			parts: fmt.Sprintf(`  tend: {image: %s, ports: !reset []}
  gateway: {ports: !override ["127.0.0.1::8080"]}
`, tendImage),
			begin: []string{tend, "up"},
			// The deadline stands in the specs.
			apply: func(string, int) []string { return []string{tend, "apply"} },
		},
		{
			name: "docker compose and nginx", label: prefix + "shop-compose",
			parts: fmt.Sprintf(`  tend: {profiles: [tend]}
  gateway:
    image: %s
    user: "65532:65532"
    ports: !override ["127.0.0.1::8080"]
    environment: !reset {}
    volumes: ["./nginx.conf:/etc/nginx/nginx.conf:ro"]
    tmpfs: [/tmp]
    healthcheck: {test: [CMD, bash, -c, "true >/dev/tcp/127.0.0.1/8080"]}
`, nginxImage),
			begin: []string{compose, "up", "--detach", "--wait"},
			apply: func(service string, seconds int) []string {
				return []string{compose, "up", "--detach", "--wait", "--wait-timeout", strconv.Itoa(seconds), "--no-deps", service}
			},
		},
	}
	for _, s := range shops {
		var err error
		if s.dir, err = b.folder(s.label); err != nil {
			return nil, err
		}
		s.cli, s.want = b.cli, desired{replicas: 5, workMem: 4}
		if err := s.prepare(ctx); err != nil {
			return nil, fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return shops, nil
}

// replicasLine is not in the copies of the specs: the number of replicas stands in
// the Compose files for both contenders.
var replicasLine = regexp.MustCompile(`(?m)^  replicas: .*\n`)

// fit has both contenders give up an update that cannot work as soon.
func fit(service, spec string) string {
	if service == updatedService {
		spec = kit.Set(spec, "progressDeadlineSeconds", patience)
	}
	return replicasLine.ReplaceAllString(spec, "")
}

// prepare writes the files of the project.
func (s *shop) prepare(ctx context.Context) error {
	files := kit.Shop{Repository: repository, Dir: s.dir, Project: s.label, Override: s.want.override(s.parts), Fit: fit}
	return errors.Join(files.Write(ctx), os.WriteFile(filepath.Join(s.dir, "nginx.conf"), nginxConfig, 0o644))
}

// save writes what is wanted.
func (s *shop) save() error {
	return kit.Replace(filepath.Join(s.dir, "compose.override.yaml"), s.want.override(s.parts))
}

// start starts the shop, which is not measured, and finds its gateway.
func (s *shop) start(ctx context.Context) error {
	// Compose gives up where a dependency is slow to become healthy on a busy
	// machine; a person tries again.
	for {
		err := command(ctx, s.dir, "", s.begin[0], s.begin[1:]...)
		if err == nil {
			break
		}
		progress("%s: tried again after: %v", s.name, err)
		if ended := kit.Pause(ctx, around); ended != nil {
			return errors.Join(ended, err)
		}
	}
	all, err := running(ctx, s.cli, s.label)
	if err != nil {
		return err
	}
	for _, c := range all {
		for _, p := range c.Ports {
			if c.Labels[kit.ServiceLabel] == "gateway" && p.PrivatePort == 8080 && p.PublicPort != 0 {
				s.url = fmt.Sprintf("http://127.0.0.1:%d", p.PublicPort)
				return nil
			}
		}
	}
	return errors.New("its gateway publishes no port")
}

// update changes what is wanted of a service and puts it in force.
func (s *shop) update(ctx context.Context, service string, seconds int, change func(*desired)) error {
	change(&s.want)
	if err := s.save(); err != nil {
		return err
	}
	c := s.apply(service, seconds)
	return command(ctx, s.dir, "", c[0], c[1:]...)
}

// interrupt changes what is wanted of the service, and gives up waiting for it
// once a replica of it has been made.
func (s *shop) interrupt(ctx context.Context, change func(*desired)) error {
	before, err := s.replicas(ctx, updatedService)
	if err != nil {
		return err
	}
	waiting, giveUp := context.WithCancel(ctx)
	var updating sync.WaitGroup
	updating.Go(func() { _ = s.update(waiting, updatedService, enough, change) }) // it fails, as it is given up
	err = kit.Await(ctx, func() error {
		now, err := s.replicas(ctx, updatedService)
		made := slices.ContainsFunc(now, func(c container.Summary) bool {
			return !slices.ContainsFunc(before, func(b container.Summary) bool { return b.ID == c.ID })
		})
		if err == nil && !made {
			err = fmt.Errorf("%s has no new replica", updatedService)
		}
		return err
	})
	giveUp()
	updating.Wait()
	return err
}

// replicas are the running replicas of a service.
func (s *shop) replicas(ctx context.Context, service string) ([]container.Summary, error) {
	all, err := running(ctx, s.cli, s.label)
	return slices.DeleteFunc(all, func(c container.Summary) bool { return c.Labels[kit.ServiceLabel] != service }), err
}

// replica is one of the running replicas of a service.
func (s *shop) replica(ctx context.Context, service string) (container.InspectResponse, error) {
	all, err := s.replicas(ctx, service)
	if err != nil {
		return container.InspectResponse{}, err
	}
	if len(all) == 0 {
		return container.InspectResponse{}, fmt.Errorf("no replica of %s runs", service)
	}
	return s.cli.ContainerInspect(ctx, all[0].ID)
}

// signal signals the process of a replica: not through the engine, which would
// take a kill as asked for, and leave the container down.
func (s *shop) signal(ctx context.Context, signal syscall.Signal) (pid int, err error) {
	c, err := s.replica(ctx, updatedService)
	if err != nil {
		return 0, err
	}
	return c.State.Pid, syscall.Kill(c.State.Pid, signal)
}

// hang has a replica hang for a while.
func (s *shop) hang(ctx context.Context) error {
	pid, err := s.signal(ctx, syscall.SIGSTOP)
	if err != nil {
		return err
	}
	err = kit.Pause(ctx, repairTime)
	_ = syscall.Kill(pid, syscall.SIGCONT) // it may have been replaced by now
	return err
}

// cutOff cuts a replica off from its database for a while, so that it is not ready.
func (s *shop) cutOff(ctx context.Context) error {
	replica, err := s.replica(ctx, updatedService)
	if err != nil {
		return err
	}
	database, err := s.replica(ctx, updatedDatabase)
	if err != nil {
		return err
	}
	heal, err := cases.Partition(ctx, replica, database.NetworkSettings.Networks[s.label+"_database"].IPAddress)
	if err != nil {
		return err
	}
	return errors.Join(kit.Pause(ctx, repairTime), heal(context.WithoutCancel(ctx)), kit.Pause(ctx, repairTime))
}
