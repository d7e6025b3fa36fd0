package simulate

import (
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/engine/model"
	"github.com/tendhq/tend/controller/plan"
	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/state"
)

// told notes what the controller was told: the answer to a call that had its
// effect.
func (v *invariants) told(c *call, err error) {
	v.news = true
	if err != nil {
		v.missed(c)
	}
	switch value := c.value.(type) {
	case *engine.Container:
		if err != nil && engine.ClassOf(err) != engine.NotFound {
			break
		}
		v.knows[c.object] = true
		if !c.look {
			break
		}
		v.answered[c.object] = max(v.answered[c.object], c.step)
		if err == nil {
			v.begins([]engine.Container{*value})
			v.views[c.object] = append(v.views[c.object], seen(*value, c.step))
		}
		delete(v.hidden, c.object)
	case *[]engine.Container:
		if err == nil {
			v.list(*value, c)
			delete(v.lies, "")
			if c.look {
				v.w.lists = slices.Clone(*value)
			}
		}
	}
	switch {
	case c.op == model.OpStart:
		v.started(c, err)
	case c.op == opTell:
		v.w.holders.of(c.object).answered = v.w.at
	case c.op == model.OpCreate && *c.value.(*string) != "":
		v.made[c.object], v.knows[*c.value.(*string)] = true, true
	case c.op == model.OpExec && err == nil && *c.value.(*int) != 0:
		v.failed[c.object] = time.Now()
	case c.op == model.OpExec && err == nil && c.detail == "ready":
		v.passed[c.object] = time.Now()
	}
}

// stops notes that a stop is about to have its effect. What has ended before was
// not told to.
func (v *invariants) stops(c *call) {
	if c.op != model.OpStop {
		return
	}
	for _, t := range v.truth() {
		if t.ID == c.object && alive(t) && t.State != engine.Restarting && workloadOf(t) != "" {
			v.stopped[t.ID] = true
		}
	}
}

// started notes how a start has ended.
func (v *invariants) started(c *call, err error) {
	if err != nil {
		v.refused[c.object] = true
	} else {
		delete(v.stopped, c.object)
	}
	if v.former[c] {
		v.noTries[runOf(v.truth(), c.object)] = true
	}
}

// seen is a view of a container.
func seen(c engine.Container, asked int) view {
	return view{asked: asked, of: c, workload: replicaOf(c), revision: revision(c), works: works(c, nil), cut: !ready(c), exited: c.State == engine.Exited}
}

// ready reports whether the container seemed to do what it should, to a controller
// that knows which networks it was made to join if it remembers its revision.
func (s view) ready(snap *state.Snapshot) bool {
	return s.works && !(s.cut && knowsNetworks(snap, s.workload, s.of.Labels[spec.LabelRevision], s.of.Labels[spec.LabelConfigHash]))
}

// list notes what a list said.
func (v *invariants) list(list []engine.Container, c *call) {
	v.news = true
	for _, one := range list {
		v.knows[one.ID] = true
	}
	v.begins(list)
	if !c.look {
		return
	}
	v.hidden, v.listed, v.inList = map[string]bool{}, c.step, map[string]bool{}
	for _, one := range list {
		v.inList[one.ID] = true
		v.views[one.ID] = append(v.views[one.ID], seen(one, c.step))
	}
}

// lied notes that a look was answered with something else than the truth.
func (v *invariants) lied(c *call, truth, said []engine.Container) {
	find := func(in []engine.Container, id string) (engine.Container, bool) {
		i := slices.IndexFunc(in, func(c engine.Container) bool { return c.ID == id })
		if i < 0 {
			return engine.Container{}, false
		}
		return in[i], true
	}
	for _, t := range truth {
		s, ok := find(said, t.ID)
		if !ok && c.op == model.OpContainers && c.look {
			v.hidden[t.ID] = true
		}
		if !ok || !reflect.DeepEqual(s, t) {
			v.lies[workloadOf(t)] = true
		}
	}
	for _, s := range said {
		if _, ok := find(truth, s.ID); !ok {
			v.lies[workloadOf(s)] = true
		}
	}
}

// missed notes that a look failed: what else was told in its course may have
// been told for nothing.
func (v *invariants) missed(c *call) {
	if c.op == model.OpExec && c.ctx.Err() != nil {
		v.failed[c.object] = time.Now() // the probe was not answered in time
	}
	if slices.Contains(lookOps, c.op) {
		v.unsure = v.w.at
	}
	if c.op == opTell {
		v.w.holders.of(c.object).answered = v.w.at
	}
}

// resourceOps are what a look at the resources consists of, and lookOps any look at the engine.
var (
	resourceOps = []model.Op{model.OpNetworks, model.OpVolumes, model.OpImage}
	lookOps     = slices.Concat(resourceOps, []model.Op{model.OpContainers, model.OpContainer, model.OpLogs})
)

// looking reports whether a look is under way, so that what was told in its course
// may not be known yet.
func (v *invariants) looking() bool {
	return slices.ContainsFunc(v.w.gate.waiting(), func(c *call) bool { return c.look && slices.Contains(lookOps, c.op) })
}

// prune forgets the views that are older than a list that was taken in. What the list left
// out is inspected, and a look at it that began before may be taken in after it.
func (v *invariants) prune(snap *state.Snapshot) {
	if v.looking() || v.listed <= v.unsure {
		return
	}
	for id := range v.views {
		if _, known := snap.Replica(id); v.inList[id] || !known {
			v.forget(id, v.listed)
		}
	}
}

// supersede forgets the views that are older than the last look at their container. A
// look that began later, or in the same step, may know better, though it was answered
// before. While a look waits for the resources, what it saw is not taken in yet; nor is it
// while it waits for a list that looks at them, too, and then reads the outputs of containers.
func (v *invariants) supersede() {
	under := func(c *call) bool { return c.look && (slices.Contains(resourceOps, c.op) || c.op == model.OpLogs) }
	if slices.ContainsFunc(v.w.gate.waiting(), under) {
		return
	}
	for id, asked := range v.answered {
		v.forget(id, asked)
	}
	clear(v.answered)
}

// forget forgets the views of a container that were asked for before a step.
func (v *invariants) forget(id string, before int) {
	v.views[id] = slices.DeleteFunc(v.views[id], func(old view) bool { return old.asked < before })
	if len(v.views[id]) == 0 {
		delete(v.views, id)
	}
}

// said notes an event of the controller.
func (v *invariants) said(e *state.Event) {
	name, _, _ := strings.Cut(e.Message, ":")
	if slices.Contains(ends, e.Reason) {
		v.underWay[e.Workload]--
	}
	switch {
	case strings.Contains(e.Message, canary):
		v.blame("a secret is in an event: %s", e.Message)
	case e.Reason == "StateLost" && v.remembers:
		v.blame("what was kept on the disk is forgotten")
	case e.Reason == "RolledBack":
		if v.rolledBack[e.Workload] {
			v.blame("%s is rolled back again: %s", e.Workload, e.Message)
		}
		v.rolledBack[e.Workload] = true
	case e.Reason == "Autoscaled":
		v.scaledTo(e)
	case e.Reason == "Created" || e.Reason == "CreateFailed":
		delete(v.creating, name)
	case e.Reason == "StopFailed":
		snap := v.w.ctl.State().Snapshot()
		for _, c := range v.truth() {
			if (nameOf(c) == name || v.decisions[c.ID].Object == name) && !draining(snap, c) { // it may have been renamed since
				delete(v.doomed, c.ID)
			}
		}
	}
}

// draining reports whether a container is to be stopped and was withdrawn for that.
func draining(snap *state.Snapshot, c engine.Container) bool {
	row, ok := snap.Rollout(workloadOf(c))
	if ok {
		_, ok = row.Drains[c.ID]
	}
	return ok
}

// ready reports whether a container does what it should, on all of its networks.
func ready(c engine.Container) bool { return works(c, networksOf(workloadOf(c))) }

// works reports whether a container does what it should, on some networks. Of those
// that tend may probe itself the health check does not count.
func works(c engine.Container, networks []string) bool {
	healthy := c.Health == engine.NoHealthCheck || c.Health == engine.Healthy || c.Labels[spec.LabelService] == "api" || c.Labels[spec.LabelIngress] != ""
	if c.State != engine.Running || c.PortsMissing || !healthy {
		return false
	}
	for _, address := range c.Networks {
		if address == "" {
			return false
		}
	}
	return !slices.ContainsFunc(networks, func(name string) bool { return c.Networks[name] == "" })
}

// networksOf are the networks that the containers of a workload have to join.
func networksOf(workload string) []string {
	if w := loadPool().base.Workloads[spec.ServiceOf(workload)]; w != nil {
		return w.Networks
	}
	return nil
}

// knowsNetworks reports whether the controller can know which networks a container of a
// revision, or where docker compose made it, of a hash, has joined. An ingress joins them
// while it runs, and works without.
func knowsNetworks(snap *state.Snapshot, workload, revision, hash string) bool {
	if spec.ServiceOf(workload) != workload {
		return false
	}
	if revision != "" {
		_, known := snap.Revision(workload, revision)
		return known
	}
	w, ok := snap.Workload(workload)
	return ok && w.Spec.ConfigHash == hash || slices.ContainsFunc(snap.Revisions(workload), func(r *state.Revision) bool { return r.Spec.ConfigHash == hash })
}

// missesNetwork reports whether a replica has no address, as has reports it, in a network
// that the controller can know it to have joined.
func missesNetwork(snap *state.Snapshot, r core.Replica, has func(name string) bool) bool {
	return slices.ContainsFunc(networksOf(r.Workload), func(name string) bool { return !has(name) }) && knowsNetworks(snap, r.Workload, r.Revision, r.ConfigHash)
}

func alive(c engine.Container) bool {
	return c.State == engine.Running || c.State == engine.Paused || c.State == engine.Restarting
}

// done reports whether a container has done what it was asked to: its process has
// ended with 0, its service runs until then, and nobody has stopped it.
func (v *invariants) done(c engine.Container, written variant) bool {
	return written.Workload != nil && written.Kind == spec.Deployment && written.Restart.Condition == spec.RestartOnFailure &&
		c.State == engine.Exited && v.succeeded[ran{c.ID, c.StartedAt}] && !v.stopped[c.ID]
}

// held reports whether the controller holds a container for ready.
func held(snap *state.Snapshot, id string) bool {
	row, ok := snap.Replica(id)
	if !ok {
		return false
	}
	ready, _ := judged(snap, row.Replica)
	return ready
}

// judged reports whether the controller holds a replica for ready: by the probes of
// its revision where that has some, and else by what the engine said. unasked is true
// while it has probes that have not been answered in this run.
func judged(snap *state.Snapshot, r core.Replica) (ready, unasked bool) {
	if r.State == core.Running && probed(snap, r) {
		p, ok := snap.Probe(r.ID)
		if !ok || !p.StartedAt.Equal(r.StartedAt) {
			return false, true
		}
		if !p.Started || !p.Live || !p.Ready {
			return false, false
		}
		r.Health = core.Healthy
	}
	if missesNetwork(snap, r, func(name string) bool { return r.Addresses[name] != "" }) || lostJoin(snap, r) {
		return false, false
	}
	return plan.IsReady(r, nil), false
}

// probed reports whether tend itself asks a replica how it is, or hears of it.
func probed(snap *state.Snapshot, r core.Replica) bool {
	if _, written := snap.Workload(r.Workload); !written {
		if p, ok := snap.Probe(r.ID); ok && p.StartedAt.Equal(r.StartedAt) {
			return true // what is no longer written keeps the last results
		}
	}
	return r.Kind == spec.Ingress || probesOf(snap, r).Any()
}

// probesOf are the probes by which the controller judges a replica: those of its
// revision where that is remembered, and the written ones where docker compose made it.
func probesOf(snap *state.Snapshot, r core.Replica) spec.Probes {
	if w, ok := snap.Workload(r.Workload); ok && (r.Revision == "" || r.Revision == w.Spec.Revision) {
		return w.Spec.Probes
	}
	if row, ok := snap.Revision(r.Workload, r.Revision); ok {
		return row.Spec.Probes
	}
	return spec.Probes{}
}

// byWorkload are containers by the workload that they say they belong to.
func byWorkload(truth []engine.Container) map[string][]*engine.Container {
	of := map[string][]*engine.Container{}
	for i := range truth {
		workload := workloadOf(truth[i])
		of[workload] = append(of[workload], &truth[i])
	}
	return of
}

// rowsOf are the rows that the controller has of containers: all replicas, and by workload
// the replicas and the runs of hooks, in the order of their IDs, as the containers are.
type rowsOf struct {
	all      []*state.Replica
	replicas map[string][]*state.Replica
	runs     map[string][]*state.HookRun
}

func rowsIn(snap *state.Snapshot) rowsOf {
	of := rowsOf{snap.Replicas(""), map[string][]*state.Replica{}, map[string][]*state.HookRun{}}
	for _, r := range of.all {
		of.replicas[r.Workload] = append(of.replicas[r.Workload], r)
	}
	for _, r := range snap.HookRuns("") {
		of.runs[r.Workload] = append(of.runs[r.Workload], r)
	}
	return of
}

// agree reports whether the controller knows the containers of a workload as they are.
func (of rowsOf) agree(are []*engine.Container, workload string) bool {
	replicas, runs := of.replicas[workload], of.runs[workload]
	for _, c := range are {
		if c.Labels[spec.LabelHook] == "" && oneoff(*c) {
			continue
		}
		var r core.Replica
		switch {
		case len(replicas) > 0 && replicas[0].ID == c.ID:
			r, replicas = replicas[0].Replica, replicas[1:]
		case len(runs) > 0 && runs[0].ID == c.ID:
			r, runs = runs[0].Replica, runs[1:]
		default:
			return false
		}
		if r.State != core.State(c.State) || c.State == engine.Running && r.Health != core.Health(c.Health) || !r.StartedAt.Equal(c.StartedAt) {
			return false
		}
		if c.State == engine.Exited && r.ExitCode != c.ExitCode {
			return false // a start has failed, and the engine sends no event of that
		}
	}
	return len(replicas) == 0 && len(runs) == 0
}

// ours reports whether a container is one that tend may act on.
func ours(c engine.Container) bool {
	workload := labelled(c.Labels)
	if elsewhere(c) || workload == sideService {
		return false
	}
	if c.Labels[spec.LabelProject] != project || workload == "" {
		return c.Labels[spec.LabelProject] == project && c.Labels[spec.LabelOneoff] == "True" && workload == ""
	}
	if c.Labels[spec.LabelHook] != "" {
		return true
	}
	n, err := strconv.Atoi(c.Labels[spec.LabelContainerNumber])
	return err == nil && n > 0 && !oneoff(c)
}

// otherFolder has another project of the same name.
const otherFolder = "/elsewhere"

// sideService is of a second Compose file that is run in the same project.
const sideService = "side"

// elsewhere reports whether a container was made from another folder.
func elsewhere(c engine.Container) bool {
	return c.Labels[spec.LabelWorkingDir] == otherFolder
}

// revision is what a container was made from, also where docker compose made it.
func revision(c engine.Container) string {
	if r := c.Labels[spec.LabelRevision]; r != "" {
		return r
	}
	return strings.TrimPrefix(c.Labels[spec.LabelConfigHash], composeHash)
}

// workloadOf is the workload that a container says it belongs to.
func workloadOf(c engine.Container) string {
	if c.Labels[spec.LabelProject] != project {
		return ""
	}
	return labelled(c.Labels)
}

// oneoff reports whether a container is a one-off of docker compose, or of a hook.
func oneoff(c engine.Container) bool {
	return c.Labels[spec.LabelOneoff] == "True" && c.Labels[spec.LabelIngress] == ""
}

// nameOf is the name that tend gave a container, whatever it is called now.
func nameOf(c engine.Container) string {
	if workload := replicaOf(c); workload != "" {
		return nameOfReplica(workload, c.Labels[spec.LabelContainerNumber])
	}
	return c.Name
}

// nameOfReplica is the name of a replica, or of an ingress.
func nameOfReplica(workload, number string) string {
	if spec.ServiceOf(workload) != workload {
		return project + "-" + strings.ReplaceAll(workload, ":", "-") + "-ingress"
	}
	return project + "-" + workload + "-" + number
}

// replicaOf is the workload that a container is a replica of, or empty.
func replicaOf(c engine.Container) string {
	workload := workloadOf(c)
	if workload == "" || c.Labels[spec.LabelHook] != "" || !ours(c) || oneoff(c) {
		return ""
	}
	return workload
}
