package simulate

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/engine/model"
	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/ingress"
	"github.com/tendhq/tend/state"
)

// invariants hold what is true always against what the engine has and is asked
// for, and against what the controller was told of it: never against what the
// controller thinks is right.
type invariants struct {
	w *world
	// wrong is what was decided or said and should not have been.
	wrong string
	plans int // since the last look
	// planned is what the engine had when a plan was made last. Its memory is used again for the next one.
	planned []engine.Container

	// What is, and was. holder is who had a volume last; before is what the
	// controller knew a step ago.
	holder    map[string]holding
	served    map[build]time.Time // when there was a container of a server last
	before    *state.Snapshot
	strangers int

	// What this run of the controller was told. views are of a container; a list
	// that was given up half-way was told for nothing, so that the views before it
	// count too. answered is the step of the last look at a container, until what is
	// older is forgotten. knows are the containers that it was ever told of, hidden those
	// that the last list kept back.
	views         map[string][]view
	answered      map[string]int
	knows, hidden map[string]bool
	listed        int             // the step in which the last list was asked for
	inList        map[string]bool // what it had
	unsure        int             // the step in which a look failed last
	news          bool            // something was told or decided since the claims were checked
	// lies are the workloads about which the controller was told something untrue,
	// until it knows better.
	lies map[string]bool
	// unheard holds the containers whose stop tend may not have heard of: its event was lost,
	// was told to an earlier process of tend, or came after the run had ended.
	unheard map[string]bool
	// stopped are the containers that somebody has stopped since their last start.
	// ended holds the start of each run that tend was told to have ended with 0 and by
	// itself, by container.
	stopped map[string]bool
	ended   map[string]time.Time
	// succeeded are the runs that have ended with 0. A start that fails after that changes the
	// container's exit code.
	succeeded map[ran]bool
	// serving are the containers that were published when their workload was written last.
	serving map[string]bool
	// stoppedElse are the containers that tend has decided to stop, and not for their health.
	stoppedElse map[string]bool
	// refused are the containers whose start failed; passed is when a readiness
	// probe passed, failed when any probe did not.
	refused        map[string]bool
	passed, failed map[string]time.Time

	// replicas are the workloads that containers are replicas of, by ID: what the labels
	// say never changes.
	replicas map[string]string

	// anonymous are the volumes that nobody named, as this run last planned with them.
	anonymous map[mountPoint]string

	// What it decided. decisions are the last ones by object. creating are the names of
	// the containers that are to be made, and made the names of those that were. doomed
	// are the replicas that are to be stopped, and drained is since when.
	decisions      map[string]decision
	creating, made map[string]bool
	doomed         map[string]bool
	drained        map[string]time.Time
	// unfollowed are the drains that began when nobody had the endpoints in force, or was to be
	// waited for.
	unfollowed map[string]bool
	// reaches holds the ingresses that were in their networks when they were planned last.
	reaches map[string]bool
	// underWay counts the actions that have not ended, by workload.
	underWay map[string]int
	// advances are how far the rollouts have come, by workload.
	advances map[string]advance
	tries    map[string]tries
	// former are the starts that were under way when their workload was taken out.
	former map[*call]bool
	// followed is when the rollout of a Job began that followed another one, whichever tend
	// has begun it.
	followed map[string]time.Time
	// noTries are the runs that a person began, or that were there when their Job was taken out,
	// toldToEnd those that tend has told to end, and begun all that there were of the Job, as
	// they were seen.
	noTries, toldToEnd map[ran]bool
	begun              map[ran]engine.Container
	// cutOff counts the starts of a Job that a former run of the controller has decided last:
	// it may have been killed before it knew what came of them.
	cutOff int
	// irremovable are the containers that a former run of the controller was to remove.
	irremovable map[string]bool

	// What it said. withdrawn is when an endpoint was withdrawn, and with which
	// index; guessed are those published while nobody remembered the ports of their
	// container's revision.
	withdrawn  map[string]withdrawal
	published  map[string]bool
	guessed    map[string]bool
	index      uint64
	rolledBack map[string]bool   // revisions, since their workload was edited
	givenUp    map[string]string // the revision that was rolled back last, by workload
	// rewritten is when people last wanted something else of a workload.
	rewritten map[string]time.Time
	// intended holds the workloads that people have paused, restarted or undone since
	// they were written.
	intended map[string]bool
	// asTold are the rows that the API's last answer about a workload's replicas was made of.
	asTold    map[string][]any
	remembers bool // something was on the disk when this run began, and nothing can go wrong with it

	// What it asked for. times are those of the latest calls, by what they were
	// for; touched is when something gave a reason to try again.
	times   map[string][]time.Time
	touched []time.Time
}

// holding is a server that had a volume, and what made the data.
type holding struct {
	id   string
	data build
}

// view is what a container looked like to whoever asked in that step.
type view struct {
	asked              int
	workload           string // of which it is a replica, or empty
	revision           string
	of                 engine.Container
	works, cut, exited bool // cut: it has left a network, and works apart from that
}

// mostPlans are made between two looks, which may be minutes apart.
const mostPlans = 10_000

type withdrawal struct {
	at    time.Time
	index uint64
}

func newInvariants(w *world) *invariants {
	v := &invariants{w: w, replicas: map[string]string{}, holder: map[string]holding{}, served: map[build]time.Time{}, refused: map[string]bool{}, rolledBack: map[string]bool{}, givenUp: map[string]string{}, rewritten: map[string]time.Time{}, stopped: map[string]bool{}, unheard: map[string]bool{}, stoppedElse: map[string]bool{}, succeeded: map[ran]bool{}, ended: map[string]time.Time{}, followed: map[string]time.Time{}, former: map[*call]bool{}, noTries: map[ran]bool{}, toldToEnd: map[ran]bool{}, begun: map[ran]engine.Container{}, irremovable: map[string]bool{}, unfollowed: map[string]bool{}}
	v.restarted()
	return v
}

func (v *invariants) truth() []engine.Container { return v.w.engine.Truth() }

// replicaOf is the workload that a container of the engine is a replica of, or empty.
func (v *invariants) replicaOf(c *engine.Container) string {
	workload, known := v.replicas[c.ID]
	if !known {
		workload = replicaOf(*c)
		v.replicas[c.ID] = workload
	}
	return workload
}

// blame notes what should not have been, where a history cannot end just now.
func (v *invariants) blame(format string, args ...any) {
	v.wrong = cmp.Or(v.wrong, fmt.Sprintf(format, args...))
}

// restarted forgets what only this run of the controller was told and decided.
func (v *invariants) restarted() {
	v.views, v.answered, v.knows, v.hidden, v.listed, v.unsure = map[string][]view{}, map[string]int{}, map[string]bool{}, nil, 0, v.w.at
	v.lies, v.passed, v.failed = map[string]bool{}, map[string]time.Time{}, map[string]time.Time{}
	for _, c := range v.truth() {
		if alive(c) && v.stopped[c.ID] { // only the process before may have heard of it
			v.unheard[c.ID] = true
		}
	}
	for id, d := range v.decisions {
		switch {
		case d.Kind == core.RemoveReplica:
			v.irremovable[id] = true
		case d.Workload == "job" && (d.Kind == core.CreateReplica || d.Kind == core.StartReplica):
			v.cutOff++
		}
	}
	if s := v.w.scaling; s != nil && v.w.moods.disk { // what was decided may be lost
		s.grown = nil
	}
	v.decisions, v.creating, v.made = map[string]decision{}, map[string]bool{}, map[string]bool{}
	v.doomed, v.drained, v.advances = map[string]bool{}, map[string]time.Time{}, map[string]advance{}
	v.tries, v.reaches = map[string]tries{}, map[string]bool{}
	v.underWay, v.intended = map[string]int{}, map[string]bool{}
	for key := range v.w.rows {
		v.intended[key[1]] = v.intended[key[1]] || key[0] == state.Intents
	}
	v.serving = map[string]bool{}
	v.withdrawn, v.published, v.guessed, v.index = map[string]withdrawal{}, map[string]bool{}, map[string]bool{}, 0
	v.times, v.anonymous, v.asTold = map[string][]time.Time{}, map[mountPoint]string{}, map[string][]any{}
	if v.w.moods.disk { // it may have been forgotten
		clear(v.rolledBack)
		clear(v.stopped)
		clear(v.ended)
	}
	for _, h := range v.w.holders.all {
		h.told = ingress.Config{}
	}
	v.remembers = len(v.w.rows) > 0 && !v.w.moods.disk
	v.before = nil
}

// edited notes that people want something else of a workload.
func (v *invariants) edited(workload string) {
	v.touch()
	delete(v.rolledBack, workload)
	v.rewritten[workload] = time.Now()
	for _, c := range v.truth() {
		if workloadOf(c) == workload && v.published[c.ID] {
			v.serving[c.ID] = true
		}
	}
	if s := v.w.scaling; s != nil && workload == scaled {
		s.grown = nil
	}
}

// takenOut notes that a workload is not written any more: what was asked of it, who has
// stopped what, and what has done its work is forgotten.
func (v *invariants) takenOut(workload string) {
	delete(v.intended, workload)
	for _, c := range v.truth() {
		if workloadOf(c) == workload {
			delete(v.stopped, c.ID)
			delete(v.ended, c.ID)
			v.noTries[ran{c.ID, c.StartedAt}] = true
			for _, waits := range v.w.gate.waiting() {
				if waits.op == model.OpStart && waits.object == c.ID {
					v.former[waits] = true
				}
			}
		}
	}
}

// touch notes that something gave tend a reason to try again at once.
func (v *invariants) touch() {
	v.touched = append(v.touched, time.Now())
}

// look checks everything. planned is true when the loop has taken in all that
// has come.
func (v *invariants) look(planned bool, truth []engine.Container) {
	v.plans = 0
	if v.wrong != "" {
		v.w.fail("%s", v.wrong)
	}
	for _, c := range truth {
		if c.State == engine.Exited && c.ExitCode == 0 {
			v.succeeded[ran{c.ID, c.StartedAt}] = true
		}
	}
	v.volumesHold(truth)
	v.numbersHold(truth)
	v.begins(truth)
	v.supersede()
	snap := v.w.ctl.State().Snapshot()
	v.follow(snap)
	for workload := range v.lies {
		if workload != "" && !v.looking() && rowsIn(snap).agree(byWorkload(truth)[workload], workload) {
			delete(v.lies, workload)
		}
	}
	for id := range v.doomed {
		if !slices.ContainsFunc(truth, func(c engine.Container) bool { return c.ID == id && alive(c) }) {
			delete(v.doomed, id)
		}
	}
	for _, c := range v.w.gate.waiting() {
		planned = planned && !slices.Contains(diskOps, c.op) // the loop waits for it
		if !c.seen {
			c.seen = true
			v.asked(c, snap, truth)
		}
	}
	v.before = snap
	if planned && v.w.ctl.Linked() && !v.w.gate.hasListed() {
		v.w.fail("tend goes on after it has subscribed to the events, and has not listed the containers")
	}
	if v.news && planned && v.w.ctl.Linked() && !v.w.away {
		v.news = v.looking() // then not all is known yet
		v.claims(snap, truth)
		v.led(snap, truth)
	}
}

// volumesHold checks that one container runs on a volume, and notes which.
func (v *invariants) volumesHold(truth []engine.Container) {
	holders := map[string]string{}
	for i := range truth {
		c := &truth[i]
		v.carriesOver(c)
		if data, ok := servers[c.Image]; ok {
			v.served[data] = time.Now()
		}
		for _, m := range c.Mounts {
			volume := m.Source
			if !alive(*c) || m.ReadOnly || shared(truth, *c, m) {
				continue
			}
			if other, ok := holders[volume]; ok {
				v.w.fail("%s and %s run on volume %s", other, c.Name, volume)
			}
			holders[volume] = c.Name
			// The first server makes the files.
			v.holder[volume] = holding{id: c.ID, data: cmp.Or(v.holder[volume].data, servers[c.Image])}
		}
	}
}

// carriesOver checks that a replica has the anonymous volumes that the last one of its
// number had, where this run had planned with it and the engine still has them.
// One that was made late, by a request that failed, does no harm before it is started.
func (v *invariants) carriesOver(c *engine.Container) {
	if c.State == engine.Created {
		return
	}
	for _, m := range c.Mounts {
		if !m.Anonymous {
			continue
		}
		workload := v.replicaOf(c)
		if workload == "" || workload == joiner {
			continue
		}
		at := mountPoint{workload: workload, number: c.Labels[spec.LabelContainerNumber], target: m.Target}
		if before := v.anonymous[at]; before != "" && before != m.Source && !v.w.away && v.w.has(before) {
			v.w.fail("%s has an empty volume at %s, and number %s had one with data", c.Name, m.Target, at.number)
		}
	}
}

// mountPoint is a place in the replicas of one number.
type mountPoint struct{ workload, number, target string }

// numbersHold checks that no two replicas carry a number.
func (v *invariants) numbersHold(truth []engine.Container) {
	type replica struct{ workload, number, name string }
	replicas := make([]replica, 0, len(truth))
	for i := range truth {
		c := &truth[i]
		if !alive(*c) {
			continue
		}
		workload := v.replicaOf(c)
		if workload == "" {
			continue
		}
		r := replica{workload, c.Labels[spec.LabelContainerNumber], c.Name}
		for _, other := range replicas {
			if other.workload == r.workload && other.number == r.number {
				v.w.fail("%s and %s are both number %s of %s", other.name, c.Name, r.number, r.workload)
			}
		}
		replicas = append(replicas, r)
	}
}

// dataOn are the volumes on which the controller knows a database to have worked.
func dataOn(snap *state.Snapshot) []string {
	if snap == nil {
		return nil
	}
	if rollout, ok := snap.Rollout("db"); ok {
		if row, ok := snap.Revision("db", rollout.Stable); ok {
			return row.Spec.Volumes
		}
	}
	return nil
}

// data is what the database's container reads, if there is one.
func (v *invariants) data() build {
	for _, c := range v.truth() {
		if workloadOf(c) == "db" {
			return servers[c.Image]
		}
	}
	return build{}
}
