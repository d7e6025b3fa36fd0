package doctor

import (
	"cmp"
	"context"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tendhq/tend/api"
	"github.com/tendhq/tend/api/client"
	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/engine/docker"
	"github.com/tendhq/tend/controller/postgres"
	"github.com/tendhq/tend/controller/prometheus"
	"github.com/tendhq/tend/controller/spec"
)

const (
	// limit bounds each check in time.
	limit = 10 * time.Second
	// atOnce bounds how many replicas are asked at a time by one check.
	atOnce = 16
)

// Patient is what is examined.
type Patient struct {
	// Project is what is written, or nil, and ProjectErr why that is not valid.
	Project    *spec.Project
	ProjectErr error
	// Host is the engine's address. Engine is nil where it does not answer, and Info what
	// it says of itself; EngineErr is why there is neither.
	Host      string
	Engine    engine.Engine
	Info      docker.Info
	EngineErr error
	// Controller is nil where it cannot be asked, and ControllerErr why.
	Controller    *client.Client
	ControllerErr error
	// DataDir is the data directory.
	DataDir string
	// Prometheus is the URL of a Prometheus server; empty for none.
	Prometheus string
}

// Examine makes all checks that can be made, side by side, and returns what they found, in
// the order of the checks.
func Examine(ctx context.Context, p Patient) []Finding {
	listing, cancel := context.WithTimeout(ctx, limit)
	containers, err := p.containers(listing)
	cancel()
	checks := []func(context.Context) []Finding{
		func(context.Context) []Finding {
			return []Finding{Files(p.Project, p.ProjectErr), Engine(p.Host, p.Info, cmp.Or(p.EngineErr, err))}
		},
		p.disks, p.controller,
	}
	if p.Project != nil && p.Engine != nil && err == nil {
		with := func(check func(context.Context, []engine.Container) []Finding) func(context.Context) []Finding {
			return func(ctx context.Context) []Finding { return check(ctx, containers) }
		}
		if p.ControllerErr != nil {
			checks = append(checks, with(func(context.Context, []engine.Container) []Finding { return Containers(p.Project, containers) }))
		}
		checks = append(checks, with(p.ports), with(p.names), with(p.health), with(p.certificates), p.images)
	}
	if p.Project != nil {
		checks = append(checks, p.backups)
	}
	if p.Prometheus != "" {
		checks = append(checks, p.prometheus)
	}
	found := each(ctx, len(checks), checks, func(ctx context.Context, check func(context.Context) []Finding) []Finding {
		ctx, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		return check(ctx)
	})
	return slices.Concat(found...)
}

// each asks for all items, so many at a time, and returns the answers in the items' order.
func each[T, A any](ctx context.Context, atOnce int, items []T, ask func(context.Context, T) A) []A {
	answers := make([]A, len(items))
	var asking errgroup.Group
	asking.SetLimit(atOnce)
	for i, item := range items {
		asking.Go(func() error {
			answers[i] = ask(ctx, item)
			return nil
		})
	}
	_ = asking.Wait() // none fails
	return answers
}

// containers are the project's own, without those of another folder.
func (p *Patient) containers(ctx context.Context) ([]engine.Container, error) {
	if p.Project == nil || p.Engine == nil {
		return nil, nil
	}
	all, err := p.Engine.Containers(ctx, p.Project.Name)
	return slices.DeleteFunc(all, func(c engine.Container) bool { return spec.OtherFolder(p.Project.WorkingDir, c.Labels) != "" }), err
}

// local reports whether the engine is on this machine, and in its network: then its folder
// is here, which it is not in a container that has the engine's socket.
func (p *Patient) local() bool {
	if !strings.HasPrefix(p.Host, "unix://") || runtime.GOOS != "linux" {
		return false
	}
	_, err := os.Stat(p.Info.Root)
	return p.Info.Root != "" && err == nil
}

func (p *Patient) disks(context.Context) []Finding {
	data, err := spaceOf(p.DataDir)
	all := []Finding{Disk("data directory", p.DataDir, data, err, "free some space: on a full disk tend can keep neither its state nor a backup")}
	if p.Engine == nil {
		return all
	}
	storage, err := Space{}, errElsewhere
	if p.local() {
		storage, err = spaceOf(p.Info.Root)
	}
	return append(all, Disk("engine", p.Info.Root, storage, err, "`docker system df` shows what takes it, `docker system prune` removes what nothing uses"))
}

func (p *Patient) controller(ctx context.Context) []Finding {
	if p.ControllerErr != nil {
		return []Finding{Controller(api.Health{}, nil, p.ControllerErr)}
	}
	health, err := p.Controller.Health(ctx)
	all := []Finding{Controller(health, p.Controller.Ready(ctx), err)}
	if err != nil {
		return all
	}
	workloads, err := p.Controller.Workloads(ctx)
	if err == nil {
		all = append(all, Workloads(workloads.Items)...)
		var replicas api.List[api.Replica]
		replicas, err = p.Controller.Replicas(ctx, "")
		all = append(all, Replicas(replicas.Items)...)
	}
	if err != nil {
		all = append(all, Controller(health, nil, err))
	}
	return all
}

func (p *Patient) ports(ctx context.Context, containers []engine.Container) []Finding {
	return Ports(PortsOf(p.Project), containers, func(port Port) error {
		if !p.local() {
			return errElsewhere
		}
		return listen(ctx, port)
	})
}

func (p *Patient) names(ctx context.Context, containers []engine.Container) []Finding {
	return Names(each(ctx, atOnce, questions(p.Project, containers), func(ctx context.Context, q question) Lookup {
		return lookUp(ctx, p.Engine, q)
	}))
}

func (p *Patient) health(ctx context.Context, containers []engine.Container) []Finding {
	return Health(each(ctx, atOnce, calls(p.Project, containers), func(ctx context.Context, c call) Answer {
		if !p.local() || p.Info.Users == docker.Rootless {
			return c.unasked(errElsewhere)
		}
		return c.make(ctx)
	}))
}

func (p *Patient) certificates(ctx context.Context, containers []engine.Container) []Finding {
	all := written(p.Project)
	if p.local() {
		for _, served := range each(ctx, atOnce, loopbackPorts(p.Project, containers), served) {
			all = append(all, served...)
		}
	}
	return Certificates(time.Now(), all)
}

func (p *Patient) images(ctx context.Context) []Finding {
	local, err := p.Engine.Images(ctx)
	if err != nil {
		return []Finding{find(NotTried, "image", "all", cannotBeAsked("the engine", err), "")}
	}
	return Images(time.Now(), imagesOf(p.Project, local))
}

func (p *Patient) backups(context.Context) []Finding {
	var all []Backup
	for _, w := range sorted(p.Project.Workloads) {
		if w.Kind == spec.Database {
			at, err := postgres.Last(p.DataDir, w.Name)
			all = append(all, Backup{Workload: w.Name, At: at, Err: err})
		}
	}
	return Backups(time.Now(), all)
}

func (p *Patient) prometheus(ctx context.Context) []Finding {
	targets, err := prometheus.Targets(ctx, p.Prometheus)
	all := Targets(p.Prometheus, targets, err)
	if err != nil {
		return all
	}
	alerts, err := prometheus.Alerts(ctx, p.Prometheus)
	return append(all, Alerts(p.Prometheus, alerts, err)...)
}

// nameOf is a container's name.
func nameOf(c engine.Container) string { return strings.TrimPrefix(c.Name, "/") }
