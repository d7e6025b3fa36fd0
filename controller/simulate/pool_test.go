package simulate

import (
	"cmp"
	"context"
	"fmt"
	"hash/crc32"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/engine/model"
	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/controller/spec/load"
)

const (
	project = "p"
	// canary is a secret's content: nobody but a container may ever see it.
	canary = "c4n4ry"
)

// names are the services of the project.
var names = []string{"web", "api", "db", "job", "gw", "store"}

// variant is one way in which a service may be written.
type variant struct {
	*spec.Workload
	// good is false where the image does not do what it should.
	good bool
	// ports are those that ingresses hold; nil for none.
	ports *ports
}

// ports are the ingresses of a service's host ports, by the image that they are made from.
type ports map[string][]*spec.Workload

// ingresses are the ingresses of a service, made from an image.
func (v variant) ingresses(image string) []*spec.Workload {
	if v.ports == nil {
		return nil
	}
	return (*v.ports)[image]
}

// pool holds every way in which a service may be written, read by package spec
// once and shared by all histories: nothing of it is ever changed.
type pool struct {
	base     *spec.Project
	variants map[string][]variant
	// last are the variants of a history's end: good ones, of images that
	// nothing else uses.
	last map[string]variant
	// joiners are the ways in which tail joins others.
	joiners []*spec.Workload
}

// images are what containers of an image do. "absent" is nowhere, and "remote"
// has to be pulled.
var images = map[string]model.Behavior{
	"good":      {HealthCheck: true, HealthAfter: time.Second},
	"good2":     {HealthCheck: true, HealthAfter: time.Second, StopAfter: 2 * time.Second, StopCode: 143},
	"plain":     {},
	"slow":      {HealthCheck: true, HealthAfter: 20 * time.Second},
	"stuck":     {HealthCheck: true, HealthAfter: time.Second, IgnoresStop: true},
	"remote":    {HealthCheck: true, HealthAfter: time.Second},
	"last":      {HealthCheck: true, HealthAfter: time.Second},
	"sick":      {HealthCheck: true, HealthAfter: time.Second, Sick: true},
	"crash":     {Exits: true, After: time.Second, Code: 3},
	"ends":      {Exits: true, After: 3 * time.Second},
	"broken":    {CannotStart: true},
	"volumed":   {HealthCheck: true, HealthAfter: time.Second, Volumes: []string{"/var"}},
	"task":      {Exits: true, After: 2 * time.Second},
	"task2":     {Exits: true, After: 5 * time.Second},
	"fails":     {Exits: true, After: time.Second, Code: 1},
	"tasklast":  {Exits: true, After: time.Second},
	"pg15":      {HealthCheck: true, HealthAfter: 3 * time.Second, StopAfter: time.Second},
	"pg15b":     {HealthCheck: true, HealthAfter: 5 * time.Second, StopAfter: 5 * time.Second},
	"pg15c":     {HealthCheck: true, HealthAfter: 3 * time.Second, StopAfter: time.Second},
	"pg16":      {HealthCheck: true, HealthAfter: 3 * time.Second, StopAfter: time.Second},
	"pglast15c": {HealthCheck: true, HealthAfter: time.Second},
	"pglast16":  {HealthCheck: true, HealthAfter: time.Second},
	"pglast":    {HealthCheck: true, HealthAfter: time.Second},
}

// goodImages are those of them that do what they should.
var goodImages = []string{"good", "good2", "plain", "slow", "stuck", "remote", "volumed", "task", "task2", "pg15", "pg15b", "last", "tasklast", "pglast", "pglast15c", "pglast16"}

// build is what makes data readable to a server of Postgres: its major version, and
// the libc that it sorts text by.
type build struct {
	major int
	libc  string
}

func (b build) String() string { return fmt.Sprintf("Postgres %d with %s", b.major, b.libc) }

// servers are the builds of Postgres in the images.
var servers = map[string]build{
	"pg15": {15, "glibc 2.36"}, "pg15b": {15, "glibc 2.36"}, "pg15c": {15, "glibc 2.41"}, "pg16": {16, "glibc 2.36"},
	"pglast": {15, "glibc 2.36"}, "pglast15c": {15, "glibc 2.41"}, "pglast16": {16, "glibc 2.36"},
}

// hooks are what a container does that runs a hook's command.
var hooks = map[string]model.Behavior{
	"migrate": {Exits: true, After: 2 * time.Second},
	"refuse":  {Exits: true, After: time.Second, Code: 1},
	"dawdle":  {},
}

// compose is the project, with the ports of two services.
const compose = `name: p
services:
  web: {image: good, restart: always, expose: ["80"], networks: [front, back], secrets: [password]}
  api:
    image: good
    expose: ["81"]
    networks: [back]
    depends_on: {db: {condition: service_healthy}, job: {condition: service_started}}
  db: {image: pg15, restart: always, networks: [back], volumes: ["data:/var/lib/postgresql/data"]}
  job: {image: task, networks: [back]}
  store: {image: volumed, networks: [back], volumes: ["files:/files", "/cache"], ports: [%s]}
  gw: {image: good, ports: [%s], networks: [front], depends_on: [web]}
networks: {front: {}, back: {}}
volumes: {data: {}, files: {}}
secrets: {password: {environment: PASSWORD}}
`

const specs = `apiVersion: tend/v1
kind: Deployment
metadata: {name: api}
spec:
  readinessProbe: {exec: {command: [ready]}, periodSeconds: 120, timeoutSeconds: 100, failureThreshold: 1}
  livenessProbe: {exec: {command: [alive]}, periodSeconds: 150, timeoutSeconds: 120, failureThreshold: 2}
  startupProbe: {exec: {command: [started]}, periodSeconds: 5, timeoutSeconds: 5, failureThreshold: 10}
  preRollout: [{name: migrate, command: [migrate], timeoutSeconds: 30}]
---
apiVersion: tend/v1
kind: Database
metadata: {name: db}
spec: {engine: postgres, backup: {beforeUpdate: false}}
---
apiVersion: tend/v1
kind: Job
metadata: {name: job}
spec: {backoffLimit: 6}
`

// loadPool returns the project whose containers publish their ports themselves.
var loadPool = sync.OnceValue(func() *pool { return newPool("", [2]string{"", `"127.0.0.1:8080:80"`}) })

// loadPublished returns the project whose ports are held by ingresses: of store and gw, as
// they may be written.
var loadPublished = sync.OnceValue(func() *pool {
	return newPool(releases[0],
		[2]string{`"9000:9000"`, `"127.0.0.1:8080:80"`},
		[2]string{`"9000:9000"`, `"127.0.0.1:8080:81"`}, // what it leads to is part of the revision
		[2]string{`"9000-9001:9000-9001"`, `"127.0.0.1:8080:80", "127.0.0.1:8443:443"`},
		[2]string{`"9000:9000"`, `"8080:80"`}, // in the way of the others
		[2]string{``, ``})
})

// newPool reads the project with each way to write its ports. The variants are made from
// what was read: to read each of them would take longer than all histories.
func newPool(ingressImage string, written ...[2]string) *pool {
	dir, err := os.MkdirTemp("", "simulate")
	must(err)
	defer func() { must(os.RemoveAll(dir)) }()
	must(os.Mkdir(filepath.Join(dir, "specs"), 0o700))
	p := &pool{variants: map[string][]variant{}, last: map[string]variant{}}
	bases := map[string][]variant{}
	for _, ports := range written {
		for name, text := range map[string]string{"compose.yaml": fmt.Sprintf(compose, ports[0], ports[1]), ".env": "PASSWORD=" + canary, "specs/all.yaml": specs} {
			must(os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
		}
		project, err := load.Project(context.Background(), load.Options{ProjectDirectory: dir, IngressImage: ingressImage})
		must(err)
		p.base = cmp.Or(p.base, project)
		for _, name := range names {
			bases[name] = append(bases[name], variant{Workload: project.Workloads[name], ports: portsOf(project, name)})
		}
	}
	rng := rand.New(rand.NewPCG(1, 1))
	for _, name := range names {
		for range many {
			base := bases[name][0]
			if ingressImage != "" {
				base = bases[name][rng.IntN(len(bases[name]))]
			}
			v := vary(base.Workload, rng)
			v.ports = base.ports
			p.variants[name] = append(p.variants[name], v)
		}
		p.last[name] = ending(p.base.Workloads[name])
		if of := portsOf(p.base, name); of != nil {
			p.last[name] = variant{Workload: p.last[name].Workload, good: true, ports: of}
		}
	}
	p.joiners = loadJoiners(dir)
	rng = rand.New(rand.NewPCG(1, 2))
	for range many {
		p.variants[joiner] = append(p.variants[joiner], vary(p.joiners[rng.IntN(len(p.joiners))], rng))
	}
	return p
}

// many is in how many ways a service may be written.
const many = 48

// portsOf are the ports of a service that ingresses hold, by each release.
func portsOf(project *spec.Project, service string) *ports {
	all := ports{}
	for _, name := range slices.Sorted(maps.Keys(project.Workloads)) {
		i := project.Workloads[name]
		if i.Kind != spec.Ingress || i.Backend.Service != service {
			continue
		}
		for _, image := range releases {
			of := *i
			of.Image, of.Template.Image = image, image
			all[image] = append(all[image], &of)
		}
	}
	if len(all) == 0 {
		return nil
	}
	return &all
}

// composeHash begins the hash that Compose would give a workload.
const composeHash = "compose-"

// withImage is a workload of another image, and with that of another revision.
func withImage(w *spec.Workload, image, command string) *spec.Workload {
	next := *w
	next.Image, next.Template.Image = image, image
	if len(w.PreRollout) > 0 {
		next.PreRollout = slices.Clone(w.PreRollout)
		next.PreRollout[0].Command = []string{command}
	}
	revise(&next, command)
	return &next
}

// revise gives a workload the revision that belongs to its template; a Deployment's
// probes are part of that.
func revise(w *spec.Workload, command string) {
	of := w.Image + " " + command
	if p := w.Probes; w.Kind == spec.Deployment && p.Any() {
		of += fmt.Sprint(" ", p.Startup != nil, p.Liveness != nil, p.Readiness != nil)
	}
	if len(w.Joins()) > 0 {
		of += " " + shares(w)
	}
	for _, h := range w.HostPorts() {
		of += fmt.Sprint(" ", h.String(), " ", h.Target)
	}
	w.Revision = fmt.Sprintf("%08x-%s", crc32.ChecksumIEEE([]byte(of)), w.Image) // the first eight digits tell them apart
	w.ConfigHash = composeHash + w.Revision
}

// ending is how a workload is written at the end of a history.
func ending(w *spec.Workload) variant {
	image := map[spec.Kind]string{spec.Deployment: "last", spec.Database: "pglast", spec.Job: "tasklast"}[w.Kind]
	next := withImage(w, image, "migrate")
	if w.Kind == spec.Deployment && len(w.FixedHostPorts) == 0 && len(w.Volumes) == 0 {
		next.Replicas, next.Strategy = 2, rolling(1, 0)
		next.Probes.Startup, next.Probes.Liveness = nil, nil
		revise(next, "migrate")
	}
	return variant{Workload: next, good: true}
}

func rolling(surge, unavailable int) spec.Strategy {
	return spec.Strategy{Type: spec.RollingUpdate, MaxSurge: surge, MaxUnavailable: unavailable}
}

// vary writes a workload in another way.
func vary(w *spec.Workload, rng *rand.Rand) variant {
	pick := func(of ...string) string { return of[rng.IntN(len(of))] }
	maybe := func(percent int) bool { return rng.IntN(100) < percent }
	seconds := func(of ...int) time.Duration { return time.Duration(of[rng.IntN(len(of))]) * time.Second }
	image := map[string]string{
		"web":   pick("good", "good2", "good", "good2", "plain", "slow", "stuck", "remote", "sick", "crash", "broken", "absent", "ends"),
		"api":   pick("good", "good2", "good", "good2", "plain", "remote", "crash", "broken"),
		"db":    pick("pg15", "pg15", "pg15b", "pg15c", "pg16"),
		"job":   pick("task", "task2", "task", "fails"),
		"gw":    pick("good", "good2", "plain", "stuck"),
		"store": pick("volumed", "volumed", "good2", "plain", "slow", "crash"),
	}[w.Name]
	if w.Name == joiner {
		image = pick("good", "good2", "good", "plain", "slow", "stuck", "crash", "sick", "ends")
	}
	hook := pick("migrate", "migrate", "migrate", "refuse", "dawdle")
	if len(w.PreRollout) == 0 {
		hook = ""
	}
	next := withImage(w, image, hook)
	next.ProgressDeadline = seconds(60, 120, 600)
	if maybe(20) {
		next.OnFailure = spec.Pause
	}
	next.Paused = maybe(10)
	if maybe(30) {
		next.Restart.Delay = seconds(3, 60, 300)
		next.Restart.MaxDelay = max(next.Restart.Delay*[]time.Duration{1, 4}[rng.IntN(2)], 20*time.Second)
		next.Restart.Window = seconds(5, 600)
	}
	switch w.Kind {
	case spec.Job:
		next.Replicas, next.BackoffLimit = 1+rng.IntN(3), rng.IntN(4)
		next.ActiveDeadline = seconds(0, 0, 0, 4, 30, 120)
	case spec.Database:
	default:
		if maybe(40) {
			next.Restart.Condition = spec.RestartAny
		}
		next.MinReady = seconds(0, 0, 0, 5, 40)
		if maybe(30) {
			next.ProgressDeadline = next.MinReady + seconds(1, 3, 9, 20)
		}
		next.RevisionHistoryLimit = []int{10, 10, 1}[rng.IntN(3)]
		if len(w.FixedHostPorts) > 0 || len(w.Volumes) > 0 {
			break
		}
		next.Replicas = rng.IntN(5)
		next.Drain = seconds(5, 5, 0)
		next.Strategy = []spec.Strategy{rolling(1, 0), rolling(1, 0), rolling(0, 1), rolling(2, 1), {Type: spec.Recreate}}[rng.IntN(5)]
		if maybe(50) {
			next.Probes.Readiness = nil
		}
		if maybe(60) {
			next.Probes.Liveness = nil
		}
		if maybe(80) {
			next.Probes.Startup = nil
		}
		if maybe(40) {
			next.PreRollout = nil
		}
		revise(next, hook)
	}
	return variant{Workload: next, good: slices.Contains(goodImages, image) && hook != "refuse" && hook != "dawdle"}
}

// write puts together a project from one variant of each service that it has, and from
// the ingresses of these, which are made from an image.
func (p *pool) write(of map[string]variant, image string) *spec.Project {
	next := *p.base
	next.Workloads, next.Networks, next.Volumes = map[string]*spec.Workload{}, map[string]spec.Network{}, map[string]spec.Volume{}
	for name, v := range of {
		next.Workloads[name] = v.Workload
		for _, i := range v.ingresses(image) {
			next.Workloads[i.Name] = i
		}
		for _, n := range v.Networks {
			next.Networks[n] = p.base.Networks[n]
		}
		for _, n := range v.Volumes {
			next.Volumes[n] = p.base.Volumes[n]
		}
	}
	return &next
}

// newEngine makes an engine that has the images.
func newEngine() *model.Engine {
	e := model.New()
	for _, name := range slices.Sorted(maps.Keys(images)) {
		b := images[name]
		b.Commands = maps.Clone(hooks)
		if build, ok := servers[name]; ok {
			b.Exec = server(build)
		} else {
			b.Exec = func(engine.ExecSpec) (int, time.Duration) { return 0, 0 }
		}
		if name == "remote" {
			e.PublishImage(name, b)
		} else {
			e.AddImage(name, b)
		}
	}
	return e
}

// server answers what package postgres asks a server.
func server(of build) func(engine.ExecSpec) (int, time.Duration) {
	return func(e engine.ExecSpec) (int, time.Duration) {
		if e.Stdout != nil && strings.Contains(strings.Join(e.Command, " "), "version=%s") {
			fmt.Fprintf(e.Stdout, "version=postgres (PostgreSQL) %d.4\ndistribution=debian\nrelease=12\nlibc=%s\nicu=72\n", of.major, of.libc)
		}
		return 0, 0
	}
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
