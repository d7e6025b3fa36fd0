package simulate

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/docker/docker/api/types/mount"
	swarmapi "github.com/docker/docker/api/types/swarm"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/plan/services"
	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/controller/swarm/convert"
	"github.com/tendhq/tend/controller/swarm/manager"
	"github.com/tendhq/tend/controller/swarm/manager/model"
)

// judge checks what must hold, by what the Swarm has, what tend asks for and what it says. It
// knows what happens to the Swarm, and nothing of how tend decides.
type judge struct {
	w       *world
	truth   model.Truth
	project *spec.Project
	// revisions are all that were ever written, by workload and the beginning that is shown.
	revisions map[string]*spec.Workload
	// volumes are the nodes that have each volume.
	volumes map[string]string
	// hooked are the revisions whose hook has ended well, by workload and revision.
	hooked map[string]bool
	// ran is the revision of the Job that has run to completion, seesRan what tend was told of
	// that in this look, and knowsRan what it knew after the last.
	ran, seesRan, knowsRan string
	// completed are the revisions that a workload has come to, in order.
	completed map[string][]string
	// excused are the revisions that were rolled back for what happened to nodes or tasks.
	excused map[string]bool
	paused  map[string]bool
	undone  map[string]bool
	// foreign are the IDs of services that somebody else made.
	foreign map[string]bool
	// troubled is when a node was last not well, meddled when somebody meddled with a workload.
	troubled time.Time
	meddled  map[string]time.Time
	// looked counts the lists that were answered in one look.
	looked int
	// listed are the services of the last list.
	listed []manager.Service
	// wrote are the instants of writes, by what they are.
	writes    map[string][]time.Time
	lastWrite time.Time
	requests  int
	resting   bool
}

func newJudge(w *world) *judge {
	return &judge{
		w: w, revisions: map[string]*spec.Workload{}, volumes: map[string]string{}, hooked: map[string]bool{},
		completed: map[string][]string{}, excused: map[string]bool{}, paused: map[string]bool{}, undone: map[string]bool{},
		foreign: map[string]bool{}, meddled: map[string]time.Time{}, writes: map[string][]time.Time{},
	}
}

// started notes that another tend is at work.
func (j *judge) started() { j.looked, j.listed, j.seesRan = 0, nil, "" }

// wrote notes what is written from now on.
func (j *judge) wrote(p *spec.Project) {
	for name, w := range p.Workloads {
		j.revisions[name+" "+short(w.Revision)] = w
		var before *spec.Workload
		if j.project != nil {
			before = j.project.Workloads[name]
		}
		if before == nil || before.Revision != w.Revision {
			j.undone[name] = false
		}
		if w.Kind == spec.Job && (before == nil || before.Revision != w.Revision || before.Replicas != w.Replicas) {
			j.ran, j.seesRan, j.knowsRan = "", "", ""
		}
	}
	for _, name := range names {
		if p.Workloads[name] == nil {
			delete(j.completed, name) // what is taken away may be forgotten, and what was asked of it
			j.paused[name], j.undone[name] = false, false
		}
	}
	j.project = p
}

// forgot notes that the Swarm has forgotten a write.
func (j *judge) forgot() {
	for _, name := range names {
		j.meddled[name] = time.Now()
	}
}

// service is one by its ID; nil where there is none.
func (j *judge) service(id string) *manager.Service {
	for i, s := range j.truth.Services {
		if s.ID == id {
			return &j.truth.Services[i]
		}
	}
	return nil
}

func (j *judge) node(id string) string {
	for _, n := range j.truth.Nodes {
		if n.ID == id {
			return n.Hostname
		}
	}
	return id
}

// localVolumes are the names of the volumes that a spec mounts.
func localVolumes(t swarmapi.TaskSpec) (names []string) {
	for _, m := range t.ContainerSpec.Mounts {
		if m.Type == mount.TypeVolume {
			names = append(names, m.Source)
		}
	}
	return names
}

// look checks what there is.
func (j *judge) look() {
	j.truth = j.w.swarm.Truth()
	for _, n := range j.truth.Nodes {
		if n.State != swarmapi.NodeStateReady {
			j.troubled = time.Now()
		}
	}
	writers := map[string]int{}
	for _, t := range j.truth.Tasks {
		labels := t.Spec.ContainerSpec.Labels
		if labels[spec.LabelProject] != project || t.ContainerID == "" {
			continue
		}
		for _, v := range localVolumes(t.Spec) {
			if labels[spec.LabelService] == "agent" {
				continue // each node has its own
			}
			if has := j.volumes[v]; has != "" && has != t.NodeID {
				j.w.fail("a task of %s has an empty %s on %s, and %s has the data", labels[spec.LabelService], v, j.node(t.NodeID), j.node(has))
			}
			j.volumes[v] = t.NodeID
			if t.State == swarmapi.TaskStateStarting || t.State == swarmapi.TaskStateRunning {
				writers[v]++
			}
		}
	}
	for volume, n := range writers {
		name := map[string]string{project + "_data": "db", project + "_files": "store"}[volume]
		// When a node is heard of again, Swarm itself starts the next task beside the one that ends.
		if n > 1 && name != "" && !j.recently(name) && time.Since(j.troubled) > 10*time.Minute {
			j.w.fail("%d tasks of %s run on one volume", n, name)
		}
	}
	for _, s := range j.truth.Services {
		labels := s.Spec.Labels
		switch {
		case labels[spec.LabelProject] != project || j.foreign[s.ID]:
		case labels[spec.LabelHook] != "":
			if s.Completed > 0 {
				j.hooked[labels[spec.LabelService]+" "+labels[convert.LabelHookRevision]] = true
			}
		case labels[spec.LabelService] == "db":
			if n := *s.Spec.Mode.Replicated.Replicas; n > 1 && !j.recently("db") {
				j.w.fail("db is to have %d tasks", n)
			}
		case s.Spec.Mode.ReplicatedJob != nil:
			seed := j.project.Workloads["seed"]
			if n := *s.Spec.Mode.ReplicatedJob.TotalCompletions; n > 0 && s.Completed >= n && seed != nil && n >= uint64(seed.Replicas) {
				j.ran = labels[spec.LabelRevision]
			}
		}
	}
}

// recently reports whether somebody has meddled with a workload a moment ago.
func (j *judge) recently(name string) bool {
	at, is := j.meddled[name]
	return is && time.Since(at) < 10*time.Minute
}

// decided notes what a request's answer tells tend.
func (j *judge) decided(r *request, f fate) {
	j.requests++
	if r.op.Write() || r.op == model.OpEvents || r.op == model.OpDigest {
		return
	}
	if r.op == model.OpNodes { // a look begins with it
		if j.looked == lists {
			j.knowsRan = j.seesRan // and what followed is written down
		}
		j.looked, j.seesRan = 0, ""
	}
	j.looked++
	if f == refused || f == lost || f == done {
		j.looked = -100
	}
	if r.op == model.OpServices && f == answered {
		j.listed = slices.Clone(j.truth.Services)
		there := slices.ContainsFunc(j.listed, func(s manager.Service) bool { return s.Spec.Name == serviceName("seed") })
		if there && !slices.ContainsFunc(j.listed, func(s manager.Service) bool { return j.foreign[s.ID] }) {
			j.seesRan = j.ran // it looks at nothing where somebody else is in the way
		}
	}
}

// requested checks a request that has come.
func (j *judge) requested(r *request) {
	if !r.op.Write() {
		return
	}
	w, what := j.w, j.w.name(r)
	j.lastWrite = time.Now()
	if j.resting {
		w.fail("%s: all was at rest", what)
	}
	if j.looked != lists {
		w.fail("%s: the managers have not answered all lists before", what)
	}
	j.pace(r)
	for _, s := range j.listed {
		if j.foreign[s.ID] && (s.Spec.Labels[spec.LabelProject] == project || s.Spec.Labels[manager.StackLabel] == project) {
			w.fail("%s: the last list has %s, which is not tend's", what, s.Spec.Name)
		}
	}
	has := j.service(r.object)
	switch {
	case j.foreign[r.object]:
		w.fail("%s: it is not tend's", what)
	case has != nil && r.op == model.OpUpdateService && r.version != has.Version: // the Swarm refuses it
	case r.op == model.OpRemoveSecret || r.op == model.OpRemoveConfig:
	case r.spec != nil && r.spec.Labels[spec.LabelHook] == "":
		j.requestedService(what, r.spec, has)
	case r.spec != nil && r.op == model.OpCreateService && j.paused[r.spec.Labels[spec.LabelService]]:
		w.fail("%s: its rollout is paused", what)
	}
}

// lists is how many a look has.
const lists = 6

// requestedService checks the spec that a workload's service is to have.
func (j *judge) requestedService(what string, to *swarmapi.ServiceSpec, has *manager.Service) {
	name, revision := to.Labels[spec.LabelService], to.Labels[spec.LabelRevision]
	written := j.revisions[name+" "+short(revision)]
	if written == nil {
		j.w.fail("%s: nobody has written that revision", what)
	}
	if to.Mode.Global != nil && convert.PinnedTo(*to) != "" {
		j.w.fail("%s: it is to run on each node, and is kept on one", what)
	}
	for _, v := range localVolumes(to.TaskTemplate) {
		if node := j.volumes[v]; node != "" && convert.PinnedTo(*to) != node {
			j.w.fail("%s: it may run elsewhere than on %s, which has %s", what, j.node(node), v)
		}
	}
	rolls := has == nil || has.Spec.Labels[spec.LabelRevision] != revision
	switch {
	case rolls && j.paused[name]:
		j.w.fail("%s: its rollout is paused", what)
	case rolls && len(written.PreRollout) > 0 && !j.hooked[name+" "+revision]:
		j.w.fail("%s: its hook has not run", what)
	case to.Mode.ReplicatedJob != nil && *to.Mode.ReplicatedJob.TotalCompletions > 0 && j.knowsRan == revision && j.undone[name]:
	case to.Mode.ReplicatedJob != nil && *to.Mode.ReplicatedJob.TotalCompletions > 0 && j.knowsRan == revision && (has == nil || *has.Spec.Mode.ReplicatedJob.TotalCompletions == *to.Mode.ReplicatedJob.TotalCompletions):
		j.w.fail("%s: it has run to completion at this revision", what)
	}
	if rolls && len(written.PreRollout) == 0 {
		j.hooked[name+" "+revision] = true // a hook that is written later is no reason to run it
	}
}

// pace checks that nothing is tried without a pause.
func (j *judge) pace(r *request) {
	const most = 15
	minute := time.Now().Add(-time.Minute)
	key := string(r.op) + " " + r.object
	j.writes[key] = append(slices.DeleteFunc(j.writes[key], func(t time.Time) bool { return t.Before(minute) }), time.Now())
	if len(j.writes[key]) > most {
		j.w.fail("%s: %d times in a minute", j.w.name(r), len(j.writes[key]))
	}
}

// told checks what tend says.
func (j *judge) told(e core.Event) {
	switch e.Reason {
	case "RolloutComplete":
		_, rest, _ := strings.Cut(e.Message, "revision ")
		revision, _, _ := strings.Cut(rest, ":")
		j.completed[e.Workload] = append(slices.DeleteFunc(j.completed[e.Workload], func(r string) bool { return r == revision }), revision)
	case "RolledBack":
		_, rest, _ := strings.Cut(e.Message, "revision ")
		revision, _, _ := strings.Cut(rest, " ")
		w := j.revisions[e.Workload+" "+revision]
		const since = deadline + time.Minute
		switch {
		case w == nil:
			j.blame("%s is rolled back from a revision that nobody has written", e.Workload)
		case badWorkload(w):
		case w.Global != nil && j.recently(e.Workload): // it has failed on a node
			j.excused[e.Workload+" "+revision] = true
		case w.Global != nil && !strings.Contains(e.Message, "non-zero exit"):
			j.blame("%s is rolled back, and no node may do that: %s", e.Workload, e.Message)
		case time.Since(j.troubled) < since, !j.meddled[e.Workload].IsZero() && time.Since(j.meddled[e.Workload]) < since:
			j.excused[e.Workload+" "+revision] = true
		default:
			j.blame("%s is rolled back, and nothing is wrong with its revision: %s", e.Workload, e.Message)
		}
	}
}

// blame fails the history at the next look, as what is called by tend cannot.
func (j *judge) blame(format string, args ...any) {
	if j.w.blamed == "" {
		j.w.blamed = fmt.Sprintf(format, args...)
	}
}

// badWorkload reports whether a revision cannot work.
func badWorkload(w *spec.Workload) bool {
	return bad(w.Image) || len(w.PreRollout) > 0 && w.PreRollout[0].Command[0] != "migrate"
}

// unfinished says what is not as it is to be at last; empty where all is.
func (j *judge) unfinished() string {
	if err := j.w.ctl.Ready(); err != nil {
		return err.Error()
	}
	snap := j.w.ctl.State().Snapshot()
	there := map[string]*manager.Service{}
	for i, s := range j.truth.Services {
		name := s.Spec.Labels[spec.LabelService]
		switch {
		case j.foreign[s.ID]:
		case s.Spec.Labels[spec.LabelHook] != "":
			if w := j.project.Workloads[name]; w == nil || !badWorkload(w) && !j.hookLost(name) {
				return s.Spec.Name + " is left of a hook"
			}
		case j.project.Workloads[name] == nil:
			return s.Spec.Name + " is not written"
		default:
			there[name] = &j.truth.Services[i]
		}
	}
	for _, name := range slices.Sorted(maps.Keys(j.project.Workloads)) {
		status, _ := snap.Status(name)
		if status == nil {
			return name + " has no status"
		}
		if why := j.unfinishedWorkload(name, there[name], status.Status); why != "" {
			return fmt.Sprintf("%s: %s (%s: %s)", name, why, status.Outcome, status.Obstacle)
		}
	}
	return j.left()
}

// unfinishedWorkload says what is not as it is to be of one workload.
func (j *judge) unfinishedWorkload(name string, s *manager.Service, status core.Status) string {
	wanted := j.project.Workloads[name]
	if j.undone[name] {
		if wanted = j.revisions[name+" "+short(status.WantedRevision)]; wanted == nil {
			return "nobody has written the revision that is wanted"
		}
	}
	switch failed := badWorkload(wanted) || j.excused[name+" "+short(wanted.Revision)] || j.hookLost(name); {
	case strings.Contains(status.Obstacle, "waiting for the hook"), strings.Contains(status.Obstacle, "waiting for the job"):
		return "a job runs that comes before its revision"
	case wanted.Kind == spec.Job && s == nil:
		if !status.Converged || j.meddled[name].IsZero() {
			return "there is no service"
		}
		return ""
	case wanted.Kind == spec.Job && s.Spec.Labels[spec.LabelRevision] != wanted.Revision:
		return "its service is of another revision"
	case wanted.Kind == spec.Job && bad(wanted.Image):
		if status.Outcome != core.OutcomeStalled {
			return "it cannot work, and is not said to have failed"
		}
		return ""
	case wanted.Kind == spec.Job:
		if lost := status.Outcome == core.OutcomeStalled && j.everTroubled(); !status.Converged && !lost {
			return "it has not run"
		}
		return ""
	case failed && status.Outcome != core.OutcomeStalled && status.Outcome != core.OutcomeConverged && !j.hasCompletedBad(name):
		return "it cannot work, and is not given up"
	case failed && wanted.OnFailure != spec.Pause && j.lastGood(name, wanted) != "":
		if s == nil {
			return "there is no service"
		}
		good := j.lastGood(name, wanted)
		if short(s.Spec.Labels[spec.LabelRevision]) != good && !j.everTroubled() {
			return fmt.Sprintf("it runs revision %s, and %s was the last one to work", short(s.Spec.Labels[spec.LabelRevision]), good)
		}
		if runs := short(s.Spec.Labels[spec.LabelRevision]); badWorkload(j.revisions[name+" "+runs]) && slices.Contains(j.completed[name], runs) {
			return "" // all its tasks ran at once for a moment
		}
		return j.runs(name, s)
	case failed && slices.Contains(j.completed[name], short(wanted.Revision)):
		return "" // likewise
	case failed:
		if status.Outcome != core.OutcomeStalled && status.Outcome != core.OutcomeConverged {
			return "it cannot work, and is not said to have failed"
		}
		return ""
	case s == nil:
		return "there is no service"
	case s.Spec.Labels[spec.LabelRevision] != wanted.Revision:
		return fmt.Sprintf("it runs revision %s, and %s is written", short(s.Spec.Labels[spec.LabelRevision]), short(wanted.Revision))
	case unpinned(s.Spec.TaskTemplate.ContainerSpec.Image) != wanted.Image:
		return "it has another image than is written"
	case s.Spec.Mode.Global != nil && status.Desired != len(j.truth.Nodes):
		return fmt.Sprintf("%d replicas are said to be desired, and there are %d nodes", status.Desired, len(j.truth.Nodes))
	case s.Spec.Mode.Replicated != nil && *s.Spec.Mode.Replicated.Replicas != uint64(j.project.Workloads[name].Replicas):
		return "it has another number of replicas than is written"
	case len(s.Spec.TaskTemplate.ContainerSpec.Env) > 0:
		return "it has what somebody else has written"
	case !status.Converged && status.Outcome == core.OutcomeStalled && s.Update.State == swarmapi.UpdateStatePaused && j.everTroubled():
		return "" // a task was lost with its node, and there is nothing to go back to
	case !status.Converged:
		return "it has not converged"
	}
	return j.runs(name, s)
}

// hookLost reports whether the hook of a workload has failed for what happened to its task:
// its revision is not tried again.
func (j *judge) hookLost(name string) bool {
	status, known := j.w.ctl.State().Snapshot().Status(name)
	return known && j.everTroubled() && status.Outcome == core.OutcomeStalled && (strings.Contains(status.Obstacle, "hook ") || strings.Contains(status.Obstacle, "job "))
}

// runs says what does not run of a service.
func (j *judge) runs(name string, s *manager.Service) string {
	n, wanted := uint64(0), uint64(len(j.truth.Nodes)) // all are well at last
	if r := s.Spec.Mode.Replicated; r != nil {
		wanted = *r.Replicas
	}
	nodes := map[string]bool{}
	for _, t := range j.truth.Tasks {
		if t.ServiceID != s.ID || services.Over(t) || t.NodeID == "" && t.DesiredState == swarmapi.TaskStateShutdown {
			continue
		}
		gone := !slices.ContainsFunc(j.truth.Nodes, func(n manager.Node) bool { return n.ID == t.NodeID })
		if gone && s.Spec.Mode.Global != nil {
			continue // the update went on for a node that has left, and nothing ever comes of that task
		}
		if t.Spec.ContainerSpec.Labels[spec.LabelRevision] != s.Spec.Labels[spec.LabelRevision] {
			return "a task of another revision is left"
		}
		n++
		nodes[t.NodeID] = true
	}
	if n != wanted || s.Running != n || s.Spec.Mode.Global != nil && len(nodes) != int(n) {
		return fmt.Sprintf("%d of %d tasks of %s run", s.Running, wanted, name)
	}
	return ""
}

// hasCompletedBad reports whether a workload has come to a revision that cannot work, as all
// its tasks ran at once for a moment.
func (j *judge) hasCompletedBad(name string) bool {
	return slices.ContainsFunc(j.completed[name], func(revision string) bool { return badWorkload(j.revisions[name+" "+revision]) })
}

// lastGood is the last revision that a workload has come to, other than a failed one.
func (j *judge) lastGood(name string, failed *spec.Workload) string {
	for _, revision := range slices.Backward(j.completed[name]) {
		if w := j.revisions[name+" "+revision]; w.Revision != failed.Revision && !j.excused[name+" "+revision] {
			return revision
		}
	}
	return ""
}

func (j *judge) everTroubled() bool { return !j.troubled.IsZero() || len(j.meddled) > 0 }

// left says which secret or config nothing needs, or is missing.
func (j *judge) left() string {
	needed := map[string]bool{}
	for _, s := range j.truth.Services {
		for _, r := range s.Spec.TaskTemplate.ContainerSpec.Secrets {
			needed[r.SecretName] = true
		}
		for _, r := range s.Spec.TaskTemplate.ContainerSpec.Configs {
			needed[r.ConfigName] = true
		}
	}
	if web := j.project.Workloads["web"]; web != nil {
		needed[convert.ObjectName("secret", project, "token", []byte(j.w.written.token))] = true
		needed[convert.ObjectName("config", project, "motd", []byte(j.w.written.motd))] = true
	}
	all := slices.Concat(j.truth.Secrets, j.truth.Configs)
	web := j.project.Workloads["web"]
	status, _ := j.w.ctl.State().Snapshot().Status("web")
	done := web == nil || status != nil && status.Converged && !badWorkload(web) && !j.excused["web "+short(web.Revision)]
	for _, name := range all {
		if !needed[name] && done {
			return name + " is left, and nothing uses it"
		}
	}
	for _, name := range slices.Sorted(maps.Keys(needed)) {
		if !slices.Contains(all, name) {
			return name + " is gone, and is used"
		}
	}
	return ""
}
