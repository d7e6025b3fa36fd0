package simulate

import (
	"context"
	"errors"
	"io"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/engine/model"
	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/ingress"
	"github.com/tendhq/tend/ingress/ingressmodel"
	"github.com/tendhq/tend/state"
)

// opTell is a line from tend that an ingress has read and has not put in force.
const opTell model.Op = "tell ingress"

// othersOps are asked of somebody else than the engine.
var othersOps = append([]model.Op{opTell}, diskOps...)

// releases are the images that two releases of tend make of themselves.
var releases = []string{"tend/ingress:1", "tend/ingress:2"}

// holder is the ingress of a container.
type holder struct {
	*ingressmodel.Holder
	run  time.Time      // of the container
	told ingress.Config // the last that it has read
	// answered is the step in which what it was told last had its effect, or failed.
	answered int
}

// holders are the ingresses by their container's ID.
type holders struct {
	mu  sync.Mutex
	all map[string]*holder
}

// of returns the ingress of a container, which is made where there is none yet.
func (h *holders) of(id string) *holder {
	h.mu.Lock()
	defer h.mu.Unlock()
	one, ok := h.all[id]
	if !ok {
		one = &holder{Holder: ingressmodel.New("")}
		h.all[id] = one
	}
	return one
}

// publish has host ports held by ingresses in this history.
func (w *world) publish() {
	w.pool, w.ingressImage, w.moods.ingress = loadPublished(), releases[0], true
	w.holders.all = map[string]*holder{}
	for _, image := range releases {
		w.engine.AddImage(image, model.Behavior{
			HealthCheck: true, HealthAfter: time.Second, StopAfter: time.Second,
			Attached: func(id string, conn io.ReadWriter) { w.attached(image, id, conn) },
		})
	}
}

// attached has an ingress answer a controller. What it is told anew waits at the gate.
func (w *world) attached(image, id string, conn io.ReadWriter) {
	h, g := w.holders.of(id), w.gate
	c, _ := w.engine.TruthOf(id)
	run := c.StartedAt
	w.holders.mu.Lock()
	if !h.run.Equal(run) {
		h.run, h.told = run, ingress.Config{}
		h.Begin(image)
	}
	w.holders.mu.Unlock()
	take := func(r ingress.Request) error {
		if now, there := w.engine.TruthOf(id); !there || !alive(now) || !now.StartedAt.Equal(run) {
			return errors.New("its process has ended")
		}
		h.Take(r, w.ingressImage)
		return nil
	}
	h.Hear = func(r ingress.Request) error {
		if r.Config != nil && reflect.DeepEqual(*r.Config, h.Config()) {
			return take(r)
		}
		return g.effect(w.life, &call{op: opTell, object: id, tell: &r}, func(context.Context) error { return take(r) })
	}
	h.Attached(conn)
}

// ingresses are the containers of the ingresses that run.
func ingresses(truth []engine.Container) (running []*engine.Container) {
	for i := range truth {
		if c := &truth[i]; c.State == engine.Running && c.Labels[spec.LabelIngress] != "" {
			running = append(running, c)
		}
	}
	return running
}

// clients have something to do with an ingress, or its connection to tend breaks.
func (w *world) clients() {
	all := ingresses(w.checks.truth())
	if len(all) == 0 {
		return
	}
	c := all[w.draw(len(all))]
	h := w.holders.of(c.ID)
	switch w.draw(4) {
	case 3:
		w.tell("the connection to %s breaks", c.Name)
		w.cover.count("ingress", "connection breaks")
		w.checks.touch()
		h.Cut()
	case 2:
		for _, id := range slices.Sorted(maps.Keys(h.Connections())) {
			w.tell("clients leave %s by %s", w.container(id), c.Name)
			h.Open(id, 0)
		}
	default:
		given := slices.DeleteFunc(slices.Clone(h.Config().Endpoints), func(e ingress.Endpoint) bool { return e.State != ingress.Ready })
		if len(given) > 0 && h.IsAttached() {
			e := given[w.draw(len(given))]
			w.tell("a client comes to %s by %s", w.container(e.ID), c.Name)
			w.cover.count("ingress", "connections")
			h.Open(e.ID, 1)
		}
	}
}

// disconnect ends the connections to what does not run any more.
func (w *world) disconnect(truth []engine.Container) {
	for _, c := range ingresses(truth) {
		h := w.holders.of(c.ID)
		for id := range h.Connections() {
			if !slices.ContainsFunc(truth, func(t engine.Container) bool { return t.ID == id && alive(t) }) {
				h.Open(id, 0)
			}
		}
	}
}

// upgrade has the next controller be of the other release.
func (w *world) upgrade() {
	w.ingressImage = releases[(slices.Index(releases, w.ingressImage)+1)%len(releases)]
	w.tell("another release of tend makes ingresses of %s", w.ingressImage)
	w.cover.count("ingress", "another release")
}

// of is how a workload is written: a service, or an ingress of one.
func (w *world) of(name string) variant {
	service := spec.ServiceOf(name)
	if service == name {
		return w.inForce(w.written[name])
	}
	for _, i := range w.written[service].ingresses(w.ingressImage) {
		if i.Name == name {
			return variant{Workload: i, good: true}
		}
	}
	return variant{}
}

// withIngresses adds to services their ingresses.
func (w *world) withIngresses(of map[string]variant) map[string]variant {
	all := maps.Clone(of)
	for _, v := range of {
		for _, i := range v.ingresses(w.ingressImage) {
			all[i.Name] = variant{Workload: i, good: true}
		}
	}
	return all
}

// portHeld reports whether another container than those of an ingress has its host port, or
// takes it when it is started again.
func portHeld(i *spec.Workload, are map[string][]*engine.Container) bool {
	for workload, containers := range are {
		if workload != i.Name && spec.ServiceOf(workload) == i.Backend.Service && slices.ContainsFunc(containers, func(c *engine.Container) bool {
			return slices.ContainsFunc(c.HostPorts, i.Backend.Overlaps)
		}) {
			return true
		}
	}
	return false
}

// knowsHolders reports whether the controller knows the containers of a service and of its
// ingresses as they are: any of them may have a host port of it.
func knowsHolders(known rowsOf, are map[string][]*engine.Container, service string) bool {
	for workload, containers := range are {
		if spec.ServiceOf(workload) == service && !known.agree(containers, workload) {
			return false
		}
	}
	for workload := range known.replicas {
		if spec.ServiceOf(workload) == service && are[workload] == nil {
			return false
		}
	}
	return are[service] != nil || len(known.runs[service]) == 0
}

// misled says how an ingress does not lead to what is published.
func (w *world) misled(c engine.Container) string {
	h := w.holders.of(c.ID)
	if !h.IsAttached() {
		return c.Name + " has no connection to tend"
	}
	given := map[string]bool{}
	for _, e := range h.Config().Endpoints {
		given[e.ID] = e.State == ingress.Ready
	}
	published := map[string]bool{}
	for _, e := range w.ctl.State().Snapshot().Endpoints(c.Labels[spec.LabelService]) {
		published[e.ID] = true
	}
	if !maps.Equal(given, published) {
		return c.Name + " does not lead to what is published"
	}
	return ""
}

// busy reports whether an ingress has yet to put in force what it has read.
func (v *invariants) busy(id string) bool {
	return slices.ContainsFunc(v.w.gate.waiting(), func(c *call) bool { return c.op == opTell && c.object == id })
}

// askedToTell checks that an ingress is told of every replica that tend holds for ready.
func (v *invariants) askedToTell(c *call, snap *state.Snapshot, truth []engine.Container) {
	if c.tell.Config == nil {
		return
	}
	h := v.w.holders.of(c.object)
	defer func() { h.told = *c.tell.Config }()
	if h.answered == c.step {
		return // it may have been written while the line before waited, and says what was so then
	}
	at := slices.IndexFunc(truth, func(t engine.Container) bool { return t.ID == c.object })
	if at < 0 || !ready(truth[at]) || !v.reaches[c.object] {
		return // it may reach nothing
	}
	given := map[string]bool{}
	for _, e := range c.tell.Config.Endpoints {
		given[e.ID] = true
	}
	for _, e := range h.Config().Endpoints {
		i := slices.IndexFunc(truth, func(t engine.Container) bool { return t.ID == e.ID })
		if given[e.ID] || e.State != ingress.Ready || i < 0 || len(v.lies) > 0 {
			continue
		}
		t := truth[i]
		if v.creating[nameOf(t)] {
			continue // it was not found once, and what came of making another one is not known yet
		}
		if w := v.w.of(workloadOf(t)).Workload; w == nil || !hasPorts(snap, w, t) {
			continue
		}
		host, _, _ := strings.Cut(e.Address, ":")
		moved := !slices.Contains(slices.Collect(maps.Values(t.Networks)), host) // it was withdrawn, and is to be published again
		// One that was held for gone is published again by the next plan, and none is made before the engine has answered.
		unplanned := !v.w.ctl.Linked() && !slices.ContainsFunc(snap.Endpoints(""), func(e *state.Endpoint) bool { return e.ID == t.ID })
		if ready(t) && !moved && !unplanned && held(snap, t.ID) && !v.doomed[t.ID] && !draining(snap, t) {
			v.w.fail("%s is told to give %s nothing any more, which is ready", v.w.container(c.object), t.Name)
		}
	}
}

// led checks that what an ingress was told to lead to is published, and that one which is
// held for ready has put in force what this tend has told it. An ingress keeps its
// last configuration until its service is planned, which may have been written again.
func (v *invariants) led(snap *state.Snapshot, truth []engine.Container) {
	for _, c := range ingresses(truth) {
		h := v.w.holders.of(c.ID)
		if row, ok := snap.Replica(c.ID); !ok || row.State != core.Running || !row.StartedAt.Equal(c.StartedAt) || !h.IsAttached() || v.busy(c.ID) {
			continue
		}
		if held(snap, c.ID) && h.Config().Generation < v.w.started.UnixMilli() {
			v.w.fail("%s is held for ready, and has put nothing in force that it was told", c.Name)
		}
		if _, planned := snap.Status(c.Labels[spec.LabelService]); !planned {
			continue
		}
		for _, e := range h.told.Endpoints {
			if e.State == ingress.Ready && !v.published[e.ID] {
				v.w.fail("%s is told to lead to %s, which is not published", c.Name, e.ID)
			}
		}
	}
}

// released checks that no ingress gives something to a replica that is to be stopped, or
// has connections open to it, until its drain is over. An ingress that
// is not written any more, or that tend has decided to stop, may break its connections.
func (v *invariants) released(c *call, d decision, t engine.Container, drain time.Duration, truth []engine.Container) {
	since, drained := v.drained[t.ID]
	if drained && time.Since(since) >= drain || drain == 0 || v.before == nil {
		return
	}
	for _, i := range ingresses(truth) {
		row, known := v.before.Replica(i.ID)
		if i.Labels[spec.LabelService] != workloadOf(t) || v.w.of(workloadOf(*i)).Workload == nil || v.doomed[i.ID] || v.rewritten[workloadOf(t)].After(d.at) || !known || row.State != core.Running || !row.StartedAt.Equal(i.StartedAt) {
			continue
		}
		h := v.w.holders.of(i.ID)
		if h.run.Equal(i.StartedAt) && h.Connections()[t.ID] > 0 {
			v.w.fail("%s: %s has a connection to it open", v.w.name(c), i.Name)
		}
		for _, e := range h.Config().Endpoints {
			if e.ID == t.ID && e.State == ingress.Ready {
				v.w.fail("%s: %s still leads to it", v.w.name(c), i.Name)
			}
		}
	}
}

// leavesPorts checks that an ingress which holds its port is left alone, and that none is
// made while another container is known to have its port.
func (v *invariants) leavesPorts(in []core.Replica, actions []core.Action, d decision, snap *state.Snapshot) {
	w := d.written.Workload
	if w == nil || w.Kind != spec.Ingress || d.misled {
		return
	}
	for _, r := range snap.Replicas(w.Backend.Service) {
		if r.State == core.Running && slices.ContainsFunc(r.HostPorts, w.Backend.Overlaps) && slices.ContainsFunc(actions, func(a core.Action) bool { return a.Kind == core.CreateReplica }) {
			v.blame("an ingress is made for host port %s, and %s has it", w.Backend.HostPort, r.Name)
		}
	}
	for _, r := range in {
		if r.State != core.Running || r.Revision != w.Revision || len(r.Ports) == 0 || len(in) > 1 || slices.ContainsFunc(w.Networks, func(n string) bool { return r.Addresses[n] == "" }) {
			continue
		}
		for _, a := range actions {
			if a.ID == r.ID && (a.Kind == core.StopReplica || a.Kind == core.RemoveReplica) {
				v.blame("%s holds its port, and is taken away: %s", r.Name, a.Cause)
			}
		}
	}
}
