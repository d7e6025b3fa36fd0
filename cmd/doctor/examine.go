package doctor

import (
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

	// containers are the project's.
	containers []engine.Container
}

// Examine makes all checks that can be made, side by side, and returns what they found, in
// the order of the checks.
func Examine(ctx context.Context, p Patient) []Finding {
	listed := p.list(ctx)
	type check = func(context.Context) []Finding
	checks := []check{p.files, p.engine, p.disks, p.controller}
	if listed {
		checks = append(checks, p.workloads, p.ports, p.names, p.health, p.certificates, p.images)
	}
	if p.Project != nil {
		checks = append(checks, p.backups)
	}
	if p.Prometheus != "" {
		checks = append(checks, p.prometheus)
	}
	return slices.Concat(each(ctx, len(checks), checks, func(ctx context.Context, made check) []Finding {
		ctx, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		return made(ctx)
	})...)
}

// list asks for the project's containers, without those of another folder, and reports
// whether they are known.
func (p *Patient) list(ctx context.Context) bool {
	if p.Project == nil || p.EngineErr != nil {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	all, err := p.Engine.Containers(ctx, p.Project.Name)
	p.containers = slices.DeleteFunc(all, func(c engine.Container) bool { return spec.OtherFolder(p.Project.WorkingDir, c.Labels) != "" })
	p.EngineErr = err
	return err == nil
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

// local reports whether the engine is on this machine, and in its network: then its folder
// is here, which it is not in a container that has the engine's socket.
func (p *Patient) local() bool {
	if !strings.HasPrefix(p.Host, "unix://") || runtime.GOOS != "linux" {
		return false
	}
	_, err := os.Stat(p.Info.Root)
	return err == nil
}

func (p *Patient) files(context.Context) []Finding {
	return []Finding{Files(p.Project, p.ProjectErr)}
}

func (p *Patient) engine(context.Context) []Finding {
	return []Finding{Engine(p.Host, p.Info, p.EngineErr)}
}

func (p *Patient) disks(context.Context) []Finding {
	data, err := spaceOf(p.DataDir)
	all := []Finding{Disk("data directory", p.DataDir, data, err, "free some space: on a full disk tend can keep neither its state nor a backup")}
	if p.Info.Root == "" {
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

// workloads counts containers where no controller tells how workloads are.
func (p *Patient) workloads(context.Context) []Finding {
	if p.ControllerErr == nil {
		return nil
	}
	return Containers(p.Project, p.containers)
}

func (p *Patient) ports(ctx context.Context) []Finding {
	return Ports(PortsOf(p.Project), p.containers, func(port Port) error {
		if !p.local() {
			return errElsewhere
		}
		return listen(ctx, port)
	})
}

func (p *Patient) names(ctx context.Context) []Finding {
	return Names(each(ctx, atOnce, questions(p.Project, p.containers), func(ctx context.Context, q question) Lookup {
		return lookUp(ctx, p.Engine, q)
	}))
}

func (p *Patient) health(ctx context.Context) []Finding {
	return Health(each(ctx, atOnce, calls(p.Project, p.containers), func(ctx context.Context, c call) Answer {
		if !p.local() || p.Info.Users == docker.Rootless {
			return c.unasked(errElsewhere)
		}
		return c.make(ctx)
	}))
}

func (p *Patient) certificates(ctx context.Context) []Finding {
	all := written(p.Project)
	if p.local() {
		for _, served := range each(ctx, atOnce, loopbackPorts(p.Project, p.containers), served) {
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
