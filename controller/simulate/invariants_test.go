package simulate

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/engine/model"
	"github.com/tendhq/tend/controller/plan"
	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/state"
)

// invariants hold what is true always against what the engine has and is asked
// for, and against what the controller was told of it: never against what the
// controller thinks is right.
type invariants struct {
	w *world
	// foreign are containers that people made.
	foreign   map[string]bool
	strangers int
	// holder is who had a volume last, and stopped who was stopped by tend when it
	// knew of a revision that works.
	holder  map[string]holding
	stopped map[string]bool
	// views are what the controller was told of a container last. A list that
	// was given up half-way was told for nothing, so that the view before it
	// counts too.
	views map[string][]view
	// hidden are the containers that the last list kept back; lying is true
	// until a list is whole again.
	hidden map[string]bool
	lying  bool
	lie    time.Time // when something untrue was told last
	// doomed are the replicas that are to be stopped; stopping those that are
	// being stopped, orphaned those of them of which the controller does not know.
	doomed, stopping, orphaned map[string]bool
	// announced are the names of those that the controller said it stops.
	// Those are unwatched of which nobody had to be told.
	// Those are dismissed whose workload was not written any more.
	announced, unwatched, dismissed map[string]bool
	// refused are the containers whose start failed.
	refused map[string]bool
	// withdrawn is when an endpoint was withdrawn, and with which index.
	withdrawn map[string]withdrawal
	// draining is when the controller said of a replica that it drains.
	draining  map[string]time.Time
	published map[string]bool
	index     uint64
	// writes are the times of the latest requests, by what they were for.
	writes map[string][]time.Time
	former map[string]former
	// made are the names of containers whose create has returned to this run of
	// the controller; passed is when a readiness probe passed.
	made   map[string]bool
	passed map[string]time.Time
	// rolledBack are the revisions that were, since the last edit.
	rolledBack map[string]bool
	// linked is when the controller last held the engine for reachable.
	linked time.Time
	// kept is true where something was on the disk when this run of the controller
	// began, and nothing can go wrong with it.
	kept bool
	// wrong is what was said and should not have been.
	wrong string
}

// former is how many replicas there might be before an edit, and how long a
// drain took.
type former struct {
	limit int
	drain time.Duration
	until time.Time // until when it counts
}

// holding is a server that had a volume, of a major version, and that of the
// data.
type holding struct {
	id          string
	major, data int
}

// view is what a container looked like to whoever asked in that step.
type view struct {
	engine.Container
	asked int
}

type withdrawal struct {
	at    time.Time
	index uint64
}

func newInvariants(w *world) *invariants {
	return &invariants{
		w: w, foreign: map[string]bool{}, holder: map[string]holding{}, stopped: map[string]bool{}, views: map[string][]view{},
		doomed: map[string]bool{}, stopping: map[string]bool{}, orphaned: map[string]bool{}, announced: map[string]bool{}, unwatched: map[string]bool{}, dismissed: map[string]bool{}, refused: map[string]bool{},
		withdrawn: map[string]withdrawal{}, draining: map[string]time.Time{}, published: map[string]bool{}, writes: map[string][]time.Time{},
		former: map[string]former{}, rolledBack: map[string]bool{}, made: map[string]bool{}, passed: map[string]time.Time{},
	}
}

func (v *invariants) truth() []engine.Container { return v.w.engine.Truth() }

// restarted forgets what only this run of the controller was told.
func (v *invariants) restarted() {
	clear(v.views)
	clear(v.doomed)
	clear(v.announced)
	clear(v.withdrawn)
	clear(v.published)
	clear(v.writes)
	if v.w.moods.disk { // it may have been forgotten
		clear(v.rolledBack)
	}
	v.kept = len(v.w.rows) > 0 && !v.w.moods.disk
	clear(v.passed)
	clear(v.made)
	v.hidden, v.lying, v.index = nil, false, 0
	v.orphaned = maps.Clone(v.stopping)
}

// written notes that people want something else.
func (v *invariants) written() {
	clear(v.writes)
	clear(v.rolledBack)
	if _, ok := v.w.written["db"]; !ok {
		clear(v.stopped) // nobody keeps in mind what it was
	}
	// What was decided before the edit may come yet, where it waits for a call.
	until := time.Now().Add(2 * settled)
	for _, c := range v.w.gate.waiting() {
		if c.op == model.OpImage && !c.look || c.create != nil || slices.Contains(diskOps, c.op) {
			until = time.Now().Add(2 * time.Minute)
		}
	}
	for name, w := range v.w.written {
		now, f := former{limit: w.Replicas + w.Strategy.MaxSurge, drain: w.Drain, until: until}, v.former[name]
		if v.edited(name) {
			now = former{limit: max(now.limit, f.limit), drain: min(now.drain, f.drain), until: later(until, f.until)}
		}
		v.former[name] = now
	}
}

// edited says whether what comes may have been decided before an edit.
func (v *invariants) edited(workload string) bool { return time.Now().Before(v.former[workload].until) }

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// said notes an event of the controller.
func (v *invariants) said(e *state.Event) {
	name, _, _ := strings.Cut(e.Message, ":")
	switch {
	case strings.Contains(e.Message, canary):
		v.wrong = "a secret is in an event: " + e.Message
	case e.Reason == "Draining":
		v.draining[name] = time.Now()
	case e.Reason == "Stopping":
		v.announced[name] = true
		v.unwatched[name] = v.forgotten()
		_, wanted := v.w.written[e.Workload]
		v.dismissed[name] = !wanted
	case e.Reason == "StateLost" && v.kept:
		v.wrong = "what was kept on the disk is forgotten"
	case e.Reason == "RolledBack":
		if v.rolledBack[e.Workload+e.Message[:strings.Index(e.Message, " is ")]] {
			v.wrong = e.Workload + " is rolled back again: " + e.Message
		}
		v.rolledBack[e.Workload+e.Message[:strings.Index(e.Message, " is ")]] = true
	case e.Reason == "StopFailed":
		delete(v.announced, name)
		// Where only the reply was lost, it goes on, and nobody can see that.
		for _, c := range v.truth() {
			if c.Name == name && v.stopping[c.ID] {
				v.orphaned[c.ID] = true
			}
		}
	}
}

// meddled notes that something befell a container from outside.
func (v *invariants) meddled(id string) {
	clear(v.writes)
	delete(v.stopped, id)
}

// before notes a request that takes effect now.
func (v *invariants) before(c *call) {
	switch c.op {
	case model.OpStop:
		if i := slices.IndexFunc(v.truth(), func(t engine.Container) bool { return t.ID == c.object && alive(t) }); i >= 0 {
			rollout, known := v.w.ctl.State().Snapshot().Rollout("db")
			v.stopping[c.object] = true
			v.stopped[c.object] = known && rollout.Stable != ""
		}
	case model.OpCreateVolume:
		if v.holder[c.object].id != "" && !v.has(c.object) {
			v.w.fail("volume %s held data and is gone, and an empty one takes its place", c.object)
		}
	}
}

// major is the version of the database's container, 0 where there is none.
func (v *invariants) major() int {
	for _, c := range v.truth() {
		if len(c.Volumes) > 0 {
			return majors[c.Image]
		}
	}
	return 0
}

// has says whether a volume exists.
func (v *invariants) has(volume string) bool {
	found, err := v.w.engine.Volumes(v.w.life, "", volume)
	return err != nil || len(found) > 0
}

// told notes what the controller was told.
func (v *invariants) told(c *call, err error) {
	switch value := c.value.(type) {
	case *engine.Container:
		if !c.look {
			break
		}
		// A look that began later may know better, though it was answered before.
		v.views[c.object] = slices.DeleteFunc(v.views[c.object], func(old view) bool { return old.asked <= c.step })
		if err == nil {
			v.views[c.object] = append(v.views[c.object], view{*value, c.step})
		}
		delete(v.hidden, c.object)
		if slices.ContainsFunc(v.truth(), func(t engine.Container) bool { return t.ID == c.object }) && err != nil {
			v.lie = time.Now()
		}
	case *[]engine.Container:
		if err == nil && c.look {
			v.listed(*value, c.step)
			v.w.lists, v.hidden, v.lying = slices.Clone(*value), nil, false
		}
	}
	switch {
	case c.op == model.OpStart && err != nil:
		v.refused[c.object] = true
	case c.op == model.OpCreate && err == nil:
		v.made[c.object] = true
	case c.op == model.OpExec && err == nil && c.detail == "ready":
		if code := c.value.(*int); *code == 0 {
			v.passed[c.object] = time.Now()
		}
	}
}

func (v *invariants) listed(list []engine.Container, asked int) {
	for _, c := range list {
		views := append(v.views[c.ID], view{c, asked})
		v.views[c.ID] = views[max(len(views)-8, 0):]
	}
}

// lied notes a list that was not the truth.
func (v *invariants) lied(c *call, err error) {
	if err != nil || !c.look {
		return
	}
	list := *c.value.(*[]engine.Container)
	v.listed(list, c.step)
	v.lie = time.Now()
	v.lying, v.hidden = true, map[string]bool{}
	for _, t := range v.truth() {
		if !slices.ContainsFunc(list, func(l engine.Container) bool { return l.ID == t.ID }) {
			v.hidden[t.ID] = true
		}
	}
}

// ready says whether a container does what it should. Of those that tend may
// probe itself the health check does not count.
func ready(c engine.Container) bool {
	healthy := c.Health == engine.NoHealthCheck || c.Health == engine.Healthy || c.Labels[spec.LabelService] == "api"
	if c.State != engine.Running || c.PortsMissing || !healthy {
		return false
	}
	for _, address := range c.Networks {
		if address == "" {
			return false
		}
	}
	return true
}

func alive(c engine.Container) bool {
	return c.State == engine.Running || c.State == engine.Paused || c.State == engine.Restarting
}

// ours says whether a container is one that tend may act on.
func ours(c engine.Container) bool {
	workload, number, _ := labelled(c.Labels)
	if c.Labels[spec.LabelProject] != project || workload == "" {
		return c.Labels[spec.LabelProject] == project && c.Labels[spec.LabelOneoff] == "True" && workload == ""
	}
	if c.Labels[spec.LabelHook] != "" {
		return true
	}
	n, err := strconv.Atoi(number)
	return err == nil && n > 0 && c.Labels[spec.LabelOneoff] != "True"
}

// revision is what a container was made from, also where docker compose made it.
func revision(c engine.Container) string {
	if r := c.Labels[spec.LabelRevision]; r != "" {
		return r
	}
	return strings.TrimPrefix(c.Labels[spec.LabelConfigHash], composeHash)
}

// replicaOf is the workload that a container is a replica of, or empty.
func replicaOf(c engine.Container) string {
	if c.Labels[spec.LabelHook] != "" || c.Labels[spec.LabelOneoff] == "True" || !ours(c) {
		return ""
	}
	return c.Labels[spec.LabelService]
}

// look checks everything. planned is true when the loop has taken in all that
// has come.
func (v *invariants) look(planned bool) {
	truth := v.truth()
	if v.wrong != "" {
		v.w.fail("%s", v.wrong)
	}
	v.volumesHold(truth)
	v.numbersHold(truth)
	for id := range v.stopping {
		if i := slices.IndexFunc(truth, func(c engine.Container) bool { return c.ID == id }); i < 0 || !alive(truth[i]) {
			delete(v.stopping, id)
		}
	}
	snap := v.w.ctl.State().Snapshot()
	v.follow(snap)
	if v.w.ctl.Linked() || v.linked.Before(v.w.started) {
		v.linked = time.Now()
	}
	for _, c := range v.w.gate.waiting() {
		planned = planned && !slices.Contains(diskOps, c.op) // the loop waits for it
		if !c.seen {
			c.seen = true
			v.asked(c, snap, truth)
		}
	}
	v.floors(snap, truth)
	if planned && v.w.ctl.Linked() && !v.w.away {
		v.claims(snap)
	}
}

// volumesHold checks what must hold of database volumes.
func (v *invariants) volumesHold(truth []engine.Container) {
	holders := map[string]string{}
	for _, c := range truth {
		for _, volume := range c.Volumes {
			if !alive(c) {
				continue
			}
			if other, ok := holders[volume]; ok {
				v.w.fail("%s and %s run on volume %s", other, c.Name, volume)
			}
			holders[volume] = c.Name
			// Of a server that was lost, nobody can ask what it is.
			major, before := majors[c.Image], v.holder[volume]
			data := cmp.Or(before.data, major) // the first server makes the files
			if before.id != c.ID && v.stopped[before.id] && before.major == data && major != data {
				v.w.fail("%s runs Postgres %d on volume %s, which holds data of Postgres %d", c.Name, major, volume, data)
			}
			v.holder[volume] = holding{id: c.ID, major: major, data: data}
		}
	}
}

// numbersHold checks that no two replicas carry a number.
func (v *invariants) numbersHold(truth []engine.Container) {
	type number struct{ workload, number string }
	holders := map[number]string{}
	for _, c := range truth {
		if replicaOf(c) == "" || !alive(c) || v.foreign[c.ID] {
			continue
		}
		n := number{c.Labels[spec.LabelService], c.Labels[spec.LabelContainerNumber]}
		if other, ok := holders[n]; ok {
			v.w.fail("%s and %s are both number %s of %s", other, c.Name, n.number, n.workload)
		}
		holders[n] = c.Name
	}
}

// follow notes which endpoints were withdrawn.
func (v *invariants) follow(snap *state.Snapshot) {
	index := snap.EndpointsIndex()
	if index == v.index {
		return
	}
	v.index = index
	now := map[string]bool{}
	for _, e := range snap.Endpoints("") {
		now[e.ID] = true
		delete(v.withdrawn, e.ID)
	}
	for id := range v.published {
		if !now[id] {
			at := time.Now()
			if row, ok := snap.Replica(id); ok {
				if drained, ok := v.draining[row.Name]; ok {
					at = drained
				}
			}
			v.withdrawn[id] = withdrawal{at: at, index: index}
		}
	}
	v.published = now
}

// asked checks a request that has come to the engine.
func (v *invariants) asked(c *call, snap *state.Snapshot, truth []engine.Container) {
	if !c.op.Write() || slices.Contains(diskOps, c.op) {
		return
	}
	v.pace(c)
	for _, other := range v.w.gate.waiting() {
		if other != c && other.object == c.object && other.op.Write() && other.object != "" && !slices.Contains(diskOps, other.op) {
			v.w.fail("%s, and %s under way", v.w.name(c), v.w.name(other))
		}
	}
	if c.create != nil {
		v.askedToCreate(c, snap, truth)
		return
	}
	i := slices.IndexFunc(truth, func(t engine.Container) bool { return t.ID == c.object })
	if i < 0 {
		return
	}
	t := truth[i]
	if !ours(t) {
		v.w.fail("%s: it is not tend's", v.w.name(c))
	}
	if replicaOf(t) != "" {
		v.blindly(c)
	}
	switch c.op {
	case model.OpStart:
		if t.State == engine.Created && v.refused[t.ID] {
			v.w.fail("%s: its start has failed before, and it may come up without networks and ports", v.w.name(c))
		}
	case model.OpRemove, model.OpStop:
		if _, known := snap.Replica(t.ID); v.hidden[t.ID] && !known {
			v.w.fail("%s: the last list did not have it", v.w.name(c))
		}
		if c.op == model.OpStop {
			v.askedToStop(c, t, snap)
		}
	}
}

// blindly checks that nothing is asked for that was decided without the engine.
func (v *invariants) blindly(c *call) {
	if since := time.Since(v.linked); since > 3*time.Minute { // longer than what was decided before can take
		v.w.fail("%s: the engine has not answered for %s", v.w.name(c), since)
	}
}

// pace checks that nothing is tried without a pause.
func (v *invariants) pace(c *call) {
	const most = 10 // a minute
	key := v.w.gateName(c)
	now := time.Now()
	times := slices.DeleteFunc(append(v.writes[key], now), func(t time.Time) bool { return now.Sub(t) > time.Minute })
	v.writes[key] = times
	if len(times) > most {
		v.w.fail("%s: %d times in a minute", v.w.name(c), len(times))
	}
}

// gateName is what a call is for, in the same words for each container of a name.
func (w *world) gateName(c *call) string { return string(c.op) + " " + c.object }

// askedToCreate checks a new container.
func (v *invariants) askedToCreate(c *call, snap *state.Snapshot, truth []engine.Container) {
	workload, _, wanted := labelled(c.create.Labels)
	if c.create.Labels[spec.LabelProject] != project {
		v.w.fail("%s: without the project's label", v.w.name(c))
	}
	if v.made[c.object] && time.Since(v.lie) > 2*time.Minute && slices.ContainsFunc(truth, func(t engine.Container) bool { return t.Name == c.object }) {
		v.w.fail("%s: it was made before", v.w.name(c))
	}
	if workload == "" || c.create.Labels[spec.LabelHook] != "" {
		return
	}
	v.blindly(c)
	written, ok := v.w.written[workload]
	if !ok || time.Since(v.lie) < 2*time.Minute { // it may have been decided on that
		return
	}
	known := func(id string) bool { _, ok := snap.Replica(id); return ok }
	total, others := 0, false
	for _, t := range truth {
		if replicaOf(t) != workload || !known(t.ID) {
			continue
		}
		if written.Kind == spec.Database {
			v.w.fail("%s: %s still exists", v.w.name(c), t.Name)
		}
		// Of a Job each number is replaced on its own.
		if t.State == engine.Running && (written.Kind != spec.Job || revision(t) == wanted) || t.State == engine.Exited && written.Kind != spec.Job {
			total++
		}
		others = others || alive(t) && revision(t) != wanted && !v.doomed[t.ID]
	}
	for _, other := range v.w.gate.waiting() {
		if other.create != nil && other.create.Labels[spec.LabelService] == workload && other.create.Labels[spec.LabelHook] == "" {
			total++
		}
	}
	limit := written.Replicas + written.Strategy.MaxSurge
	if v.edited(workload) {
		limit = max(limit, v.former[workload].limit)
	}
	if total > limit {
		v.w.fail("%s: %d replicas of %s, and at most %d are to exist", v.w.name(c), total, workload, limit)
	}
	rollout, _ := snap.Rollout(workload)
	v.hooked(c, workload, wanted, snap, truth)
	if others && !v.edited(workload) && v.paused(snap, workload) && (rollout == nil || rollout.Stable != wanted) {
		v.w.fail("%s: the rollout of %s is paused", v.w.name(c), workload)
	}
}

// probed checks that a replica with a readiness probe is published only when the
// probe has passed in this run of the container.
func (v *invariants) probed(e *state.Endpoint, snap *state.Snapshot) {
	written := v.w.written[e.Workload]
	row, ok := snap.Replica(e.ID)
	if written.Workload == nil || written.Probes.Readiness == nil || e.Revision != written.Revision || v.edited(e.Workload) || !ok {
		return
	}
	if v.passed[e.ID].Before(row.StartedAt) {
		v.w.fail("the endpoint of %s is published, and its probe has not passed since it started", e.Replica)
	}
}

// hooked checks that a revision's hook has succeeded before its first replica is
// made. One that was rolled out before needs none again.
func (v *invariants) hooked(c *call, workload, wanted string, snap *state.Snapshot, truth []engine.Container) {
	written := v.w.written[workload]
	rollout, ok := snap.Rollout(workload)
	if len(written.PreRollout) == 0 || wanted != written.Revision || !ok || rollout.Stable == wanted || rollout.Hooked == wanted || v.edited(workload) {
		return
	}
	for _, t := range truth {
		if t.Labels[spec.LabelService] == workload && revision(t) == wanted && (t.Labels[spec.LabelHook] == "" || t.State == engine.Exited && t.ExitCode == 0) {
			return
		}
	}
	v.w.fail("%s: its hook has not run", v.w.name(c))
}

func (v *invariants) paused(snap *state.Snapshot, workload string) bool {
	if row, ok := snap.Intent(workload); ok && row.Paused != nil {
		return *row.Paused
	}
	return v.w.written[workload].Workload != nil && v.w.written[workload].Paused
}

// askedToStop checks that a replica is stopped only when nobody sends it
// requests any more, and a database only with care.
func (v *invariants) askedToStop(c *call, t engine.Container, snap *state.Snapshot) {
	workload := replicaOf(t)
	written, ok := v.w.written[workload]
	if t.Labels[spec.LabelKind] == string(spec.Database) {
		if c.grace < 2*time.Minute {
			v.w.fail("%s: SIGKILL after %s", v.w.name(c), c.grace)
		}
		row, known := snap.Replica(t.ID)
		if known && ok && !v.dismissed[t.Name] && row.Health == plan.Starting && row.State == plan.Running && time.Since(row.StartedAt) < written.ProgressDeadline {
			v.w.fail("%s: it has not started yet", v.w.name(c))
		}
	}
	if v.published[t.ID] {
		v.w.fail("%s: its endpoint is published", v.w.name(c))
	}
	g := v.w.gateway
	at, noted := v.withdrawn[t.ID]
	if !noted || v.forgotten() || v.unwatched[t.Name] || !ready(t) || !seenReady(snap, t.ID) || !t.StartedAt.Before(at.at.Add(-5*settled)) {
		return
	}
	drain := 5 * time.Second
	if written.Workload != nil {
		drain = written.Drain
	}
	if v.edited(workload) {
		drain = min(drain, v.former[workload].drain)
	}
	if g.acked < at.index && time.Since(at.at) < drain {
		v.w.fail("%s: the gateway has not turned away from it, %s after its withdrawal", v.w.name(c), time.Since(at.at))
	}
}

// forgotten says whether nobody waits for the gateway: a minute after it asked
// last, and after a restart of tend when it has not asked again in time.
func (v *invariants) forgotten() bool {
	asked := v.w.gateway.asked
	return time.Since(asked) > time.Minute || asked.Before(v.w.started) && time.Since(v.w.started) > 10*time.Second
}

// floors checks that a rolling update leaves enough replicas ready: as many as
// are to be, less those that were lost and of which nobody knows yet.
func (v *invariants) floors(snap *state.Snapshot, truth []engine.Container) {
	doomed := map[string]bool{}
	for _, c := range v.w.gate.waiting() {
		if c.op == model.OpStop {
			doomed[c.object] = true
		}
	}
	maps.Copy(doomed, v.stopping)
	for _, c := range truth {
		if v.announced[c.Name] && alive(c) {
			doomed[c.ID] = true
		} else {
			delete(v.announced, c.Name)
		}
	}
	for _, name := range names {
		if row, ok := snap.Rollout(name); ok {
			for id := range row.Drains {
				doomed[id] = true
			}
		}
	}
	fresh := map[string]bool{}
	for _, c := range truth {
		if doomed[c.ID] && !v.doomed[c.ID] && !v.foreign[c.ID] && ready(c) && seenReady(snap, c.ID) {
			fresh[replicaOf(c)] = true
		}
	}
	v.doomed = doomed
	for _, name := range names {
		written, ok := v.w.written[name]
		if !fresh[name] || !ok || v.lying || written.Kind != spec.Deployment || written.Strategy.Type != spec.RollingUpdate {
			continue
		}
		left, unseen := 0, 0
		for _, c := range truth {
			switch {
			case replicaOf(c) != name:
			case doomed[c.ID] && !v.orphaned[c.ID]:
			case ready(c) && !doomed[c.ID]:
				left++
			case heldReady(snap, c.ID):
				unseen++
			}
		}
		for _, row := range snap.Replicas(name) {
			gone := !slices.ContainsFunc(truth, func(c engine.Container) bool { return c.ID == row.ID })
			if gone && heldReady(snap, row.ID) && !doomed[row.ID] {
				unseen++
			}
		}
		if floor := written.Replicas - written.Strategy.MaxUnavailable; left+unseen < floor {
			v.w.fail("of %s a ready replica is taken away, and %d are left of the %d that are to be", name, left, floor)
		}
	}
}

// heldReady says whether the controller may hold a replica for ready.
func heldReady(snap *state.Snapshot, id string) bool {
	row, ok := snap.Replica(id)
	return ok && plan.IsReady(row.Replica)
}

// seenReady says whether the controller holds a replica for ready. Where tend may
// probe it itself, only what it was told counts, so that some are missed here.
func seenReady(snap *state.Snapshot, id string) bool {
	if !heldReady(snap, id) {
		return false
	}
	row, _ := snap.Replica(id)
	p, probed := snap.Probe(id)
	return row.Workload != "api" || probed && p.Started && p.Live && p.Ready
}

// claims checks that the controller says nothing that it was not told.
func (v *invariants) claims(snap *state.Snapshot) {
	looking := map[string]bool{} // what was said of them is not known yet
	for _, c := range v.w.gate.waiting() {
		looking[c.object] = looking[c.object] || c.op == model.OpLogs
	}
	for _, e := range snap.Endpoints("") {
		if !looking[e.ID] && !slices.ContainsFunc(v.views[e.ID], func(c view) bool { return ready(c.Container) }) {
			v.w.fail("the endpoint of %s is published, and nobody said that it is ready", e.Replica)
		}
		v.probed(e, snap)
	}
	for name, written := range v.w.written {
		row, ok := snap.Status(name)
		if !ok || !row.Converged || written.Kind == spec.Job {
			continue
		}
		if w, ok := snap.Workload(name); !ok || row.ObservedGeneration != w.Generation {
			continue
		}
		if _, asked := snap.Intent(name); asked {
			continue
		}
		n := 0
		for _, views := range v.views {
			if slices.ContainsFunc(views, func(c view) bool {
				return replicaOf(c.Container) == name && revision(c.Container) == written.Revision && (ready(c.Container) || c.State == engine.Exited)
			}) {
				n++
			}
		}
		if n < written.Replicas {
			v.w.fail("%s is said to be converged, and %d of its %d replicas were seen", name, n, written.Replicas)
		}
	}
}
