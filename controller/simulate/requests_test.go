package simulate

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/engine/model"
	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/state"
)

// asked checks a request that has come to the engine.
func (v *invariants) asked(c *call, snap *state.Snapshot, truth []engine.Container) {
	if slices.Contains(diskOps, c.op) {
		return
	}
	if c.op == opTell {
		v.askedToTell(c, snap, truth)
		return
	}
	v.pace(c)
	if !c.op.Write() || c.op == model.OpCopyTo {
		return
	}
	if c.create != nil {
		v.askedToCreate(c, snap, truth)
		return
	}
	if c.op == model.OpCreateVolume && slices.Contains(dataOn(v.before), c.object) && !v.w.has(c.object) {
		v.w.fail("%s: it held data and is gone, and an empty one is to take its place", v.w.name(c))
	}
	i := slices.IndexFunc(truth, func(t engine.Container) bool { return t.ID == c.object || t.Name == c.object })
	if i < 0 {
		v.alone(c)
		return
	}
	t := truth[i]
	switch {
	case t.ID != c.object:
		v.w.fail("%s: by its name, which may be another one's in a moment", v.w.name(c))
	case !ours(t):
		v.w.fail("%s: it is not tend's", v.w.name(c))
	case !v.knows[t.ID]:
		v.w.fail("%s: nobody has told tend of it", v.w.name(c))
	}
	if workloadOf(t) == "" {
		return // to look into an image
	}
	_, known := snap.Replica(t.ID)
	known = known || slices.ContainsFunc(snap.HookRuns(workloadOf(t)), func(h *state.HookRun) bool { return h.ID == t.ID })
	if v.hidden[t.ID] && !known && c.op != model.OpStart {
		v.w.fail("%s: the last list did not have it", v.w.name(c))
	}
	v.alone(c)
	d, ok := v.decisionOn(t.ID, nameOf(t))
	if !ok || !slices.Contains(requests[d.Kind], c.op) {
		v.w.fail("%s: nobody has decided that", v.w.name(c))
	}
	v.durable(c, d)
	switch c.op {
	case model.OpStart:
		if t.State == engine.Created && v.refused[t.ID] {
			v.w.fail("%s: its start has failed before, and it may come up without networks and ports", v.w.name(c))
		}
	case model.OpStop:
		if replicaOf(t) != "" {
			v.askedToStop(c, d, t, snap, truth)
		}
	}
}

// alone checks that one thing at a time is asked for of an object.
func (v *invariants) alone(c *call) {
	for _, other := range v.w.gate.waiting() {
		if other != c && other.object == c.object && other.op.Write() && !slices.Contains(othersOps, other.op) && other.op != model.OpCopyTo {
			v.w.fail("%s, and %s under way", v.w.name(c), v.w.name(other))
		}
	}
}

// requests are what actions ask of the engine to change a workload's containers.
var requests = map[core.ActionKind][]model.Op{
	core.CreateReplica: {model.OpCreate, model.OpStart},
	core.RunHook:       {model.OpCreate, model.OpStart},
	core.StartReplica:  {model.OpStart},
	core.StopReplica:   {model.OpStop},
	core.RemoveReplica: {model.OpRemove},
	core.UpdateReplica: {model.OpSetRestartPolicy},

	core.ConnectReplica: {model.OpConnect, model.OpDisconnect},
}

// durable checks that what was decided with an action has reached the disk before
// the engine is asked for it, or that tend has tried.
func (v *invariants) durable(c *call, d decision) {
	if _, decided := v.w.ctl.State().IsPending(); decided && !v.w.moods.disk {
		v.w.fail("%s: what was decided with it is not on the disk", v.w.name(c))
	}
	for _, other := range v.w.gate.waiting() {
		if other.op != opLoad && slices.Contains(diskOps, other.op) && !d.at.Before(other.at) {
			v.w.fail("%s: what was decided with it is still being written to the disk", v.w.name(c))
		}
	}
}

// Calls a minute for one object and purpose: so many at most, and a few more for
// each thing that happened in that minute and gives a reason to try again at once.
const (
	mostWrites, moreWrites = 10, 2
	mostReads, moreReads   = 60, 20
)

// pace checks that nothing is tried without a pause.
func (v *invariants) pace(c *call) {
	minute := time.Now().Add(-time.Minute)
	recent := func(times []time.Time) []time.Time {
		return slices.DeleteFunc(times, func(t time.Time) bool { return t.Before(minute) })
	}
	key := string(c.op) + " " + c.object // the same words for each container of a name
	times := recent(append(v.times[key], time.Now()))
	v.times[key], v.touched = times, recent(v.touched)
	most := mostReads + moreReads*len(v.touched)
	if c.op.Write() {
		most = mostWrites + moreWrites*len(v.touched)
	}
	if len(times) > most {
		v.w.fail("%s: %d times in a minute", v.w.name(c), len(times))
	}
}

// askedToCreate checks a new container.
func (v *invariants) askedToCreate(c *call, snap *state.Snapshot, truth []engine.Container) {
	workload := labelled(c.create.Labels)
	if c.create.Labels[spec.LabelProject] != project {
		v.w.fail("%s: without the project's label", v.w.name(c))
	}
	if text := fmt.Sprint(c.create.Labels, c.create.Service.Environment); strings.Contains(text, canary) {
		v.w.fail("%s: with a secret in what everybody can read", v.w.name(c))
	}
	d, ok := v.decisions[c.object]
	misled := d.misled || v.lies[workload]
	if v.made[c.object] && !misled && slices.ContainsFunc(truth, func(t engine.Container) bool { return t.Name == c.object }) {
		v.w.fail("%s: it was made before", v.w.name(c))
	}
	if workload == "" {
		return // to look into an image
	}
	for _, network := range c.create.Networks {
		if !v.w.hasNetwork(network) {
			v.w.fail("%s: network %s does not exist", v.w.name(c), network)
		}
	}
	v.alone(c)
	if !ok || !slices.Contains(requests[d.Kind], c.op) {
		v.w.fail("%s: nobody has decided that", v.w.name(c))
	}
	v.durable(c, d)
	if c.create.Labels[spec.LabelHook] != "" {
		return
	}
	if next := servers[c.create.Service.Image]; d.data != (build{}) && next != d.data {
		v.w.fail("%s runs %s on data of %s", c.object, next, d.data)
	}
	for _, t := range truth {
		_, known := snap.Replica(t.ID)
		if replicaOf(t) == workload && d.written.Kind == spec.Database && known && !misled && !t.Created.After(d.at) {
			v.w.fail("%s: %s still exists", v.w.name(c), t.Name)
		}
	}
}

// askedToStop checks that a replica is stopped only when nobody sends it
// requests any more, and a database only with care.
func (v *invariants) askedToStop(c *call, d decision, t engine.Container, snap *state.Snapshot, truth []engine.Container) {
	if t.Labels[spec.LabelKind] == string(spec.Database) && c.grace < 2*time.Minute {
		v.w.fail("%s: SIGKILL after %s", v.w.name(c), c.grace)
	}
	if v.published[t.ID] {
		v.w.fail("%s: its endpoint is published", v.w.name(c))
	}
	drain, reachable := 5*time.Second, t.Labels[spec.LabelIngress] == "" // of a service that nobody wants any more
	if w := d.written.Workload; w != nil {
		drain, reachable = w.Drain, hasPorts(snap, w, t)
	}
	if d.held && ready(t) && reachable {
		v.released(c, d, t, drain, truth)
	}
	since, drained := v.drained[t.ID]
	if d.followed && drain > 0 && !drained && ready(t) && d.held && reachable {
		v.w.fail("%s: nobody has withdrawn it", v.w.name(c))
	}
	at, noted := v.withdrawn[t.ID]
	if v.guessed[t.ID] && !reachable {
		return // it was published with the ports of another revision, and nothing serves there
	}
	if !noted {
		at = withdrawal{index: 1} // not published by this run: whatever it names is without it
	}
	if drained {
		at.at = since
	}
	if !noted && !(drained && reachable) || !d.followed || v.unfollowed[t.ID] || v.forgotten() || !ready(t) || !d.held || !t.StartedAt.Before(at.at.Add(-5*settled)) {
		return
	}
	if v.w.gateway.acked < at.index && time.Since(at.at) < drain {
		v.w.fail("%s: the gateway has not turned away from it, %s after its withdrawal", v.w.name(c), time.Since(at.at))
	}
}

// forgotten reports whether nobody waits for the gateway: a minute after it asked
// last, and after a restart of tend when it has not asked again in time.
func (v *invariants) forgotten() bool {
	asked := v.w.gateway.asked
	return time.Since(asked) > time.Minute || asked.Before(v.w.started) && time.Since(v.w.started) > 10*time.Second
}
