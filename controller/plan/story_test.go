package plan

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/spec"
)

var update = flag.Bool("update", false, "write the golden files anew")

// Each file in testdata/stories is a transcript. A line that begins with "> "
// is a command, "# " begins a comment, and all other lines are what the command
// above printed; -update writes them anew. After a blank line nothing is there:
// another situation begins.
//
// The commands are the methods of story that commands lists; in a command,
// key=value pairs come last, durations are as Go writes them, and instants are
// given as how long ago they were.
func TestStories(t *testing.T) {
	paths, err := filepath.Glob("testdata/stories/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, paths)
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(path)
			require.NoError(t, err)
			got := play(t, string(want))
			if *update {
				require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
				return
			}
			assert.Equal(t, string(want), got)
		})
	}
}

// play returns a transcript with what its commands print now.
func play(t *testing.T, transcript string) string {
	s := newStory(t)
	for line := range strings.Lines(transcript) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case line == "":
			out := s.out.String()
			s = newStory(t)
			s.out.WriteString(out + "\n")
		case strings.HasPrefix(line, "#"):
			fmt.Fprintln(&s.out, line)
		case strings.HasPrefix(line, "> "):
			fmt.Fprintln(&s.out, line)
			words := strings.Fields(line[2:])
			command, ok := commands[words[0]]
			require.Truef(t, ok, "no such command: %s", line)
			s.line = line
			s.args, s.values = nil, map[string]string{}
			for _, w := range words[1:] {
				if k, v, ok := strings.Cut(w, "="); ok {
					s.values[k] = v
				} else {
					s.args = append(s.args, w)
				}
			}
			command(s)
			for k := range s.values {
				t.Fatalf("%s: no such key: %s", line, k)
			}
		}
	}
	return s.out.String()
}

type story struct {
	*world
	t         *testing.T
	out       strings.Builder
	failing   map[core.ActionKind]string
	how       outcome // of what fails
	resources []core.Resource
	stored    []core.LocalImage
	keep      map[string]int
	revisions []string

	line   string
	args   []string
	values map[string]string
}

func newStory(t *testing.T) *story {
	return &story{world: newWorld(), t: t, failing: map[core.ActionKind]string{}}
}

var commands = map[string]func(*story){
	"spec":       (*story).specify,
	"replica":    (*story).replica,
	"foreign":    (*story).foreign,
	"settled":    (*story).settled,
	"attempt":    (*story).attempt,
	"health":     (*story).health,
	"dependency": (*story).dependency,
	"mount":      (*story).mount,
	"network":    func(s *story) { s.networks = map[string]string{"shop_backend": strings.Join(s.args, "")} },
	"networks":   func(s *story) { s.networks = inNetworks(s.args) }, // that exist
	"missing":    (*story).miss,
	"former": func(s *story) { // former IMAGE...: those of former revisions that are missing
		s.missingFormer = nil
		for _, image := range s.args {
			s.missingFormer = append(s.missingFormer, "image "+image)
		}
	},
	"image":      func(s *story) { s.image = strings.Join(s.args, "") },
	"dependents": func(s *story) { s.dependents = s.args },
	"holders":    func(s *story) { s.neighbours = holders(s.args...) },
	"behind": func(s *story) { // the ingress, a container in networks
		s.neighbours = []core.Replica{{Workload: "web", Name: "shop-web-7", State: core.Running, Addresses: inNetworks(s.args)}}
	},
	"vpn": (*story).join,
	"joiner": func(s *story) {
		r := core.Replica{Workload: "app", Name: s.arg(0), State: core.State(s.arg(1)), Joins: []core.Join{{Kind: core.JoinNetwork, ID: s.take("joined", "")}}}
		s.joiners = []core.Replica{r}
	},
	"remember":  (*story).remember,
	"subscribe": (*story).subscribe,
	"ack":       func(s *story) { s.acknowledged[s.target().ID] = true },
	"intent":    (*story).intend,
	"hook":      (*story).endHook,
	"forget":    func(s *story) { s.rollout, s.status = core.Rollout{}, core.Status{} },
	"after":     func(s *story) { s.shift(s.duration(s.arg(0))) },
	"lose": func(s *story) { // what is under way takes effect, and nobody hears of it
		for _, a := range s.underWay {
			s.effect(a, false)
		}
		s.underWay = nil
	},
	"die": func(s *story) {
		interrupted, unwatched := s.flag("interrupted"), s.flag("unwatched")
		s.exit(s.target(), s.number("code", 137))
		s.target().Interrupted, s.target().Unwatched = interrupted, unwatched
		s.target().HealthOutput = s.take("output", "")
	},
	"restarted": func(s *story) { // by the engine, just now
		s.start(s.target())
		s.target().RestartCount = s.number("restarts", 1)
	},
	"rm":        (*story).rm,
	"pause":     func(s *story) { s.target().State = core.Paused },
	"state":     (*story).become,
	"unhealthy": (*story).sicken,
	"starting": func(s *story) {
		s.target().StartedAt = s.now // it was restarted
		s.report(s.target(), core.Starting)
		s.target().HealthOutput = strings.Join(s.args[1:], " ")
	},
	"unready": func(s *story) {
		s.report(s.target(), core.Unready)
		s.target().HealthOutput = strings.Join(s.args[1:], " ")
	},
	"healthy":    func(s *story) { s.report(s.target(), core.Healthy) },
	"disconnect": func(s *story) { delete(s.target().Addresses, s.arg(1)) },
	"fail":       (*story).fail,
	"plan":       func(s *story) { s.print(Compute(s.input())) },
	"begin":      func(s *story) { s.print(s.plan()) },
	"finish":     (*story).finish,
	"act":        func(s *story) { s.print(s.plan()); s.finish() },
	"run":        (*story).run,
	"resource":   (*story).resource,
	"stored":     (*story).store,
	"keep":       func(s *story) { s.keep = map[string]int{s.arg(1): s.whole(s.arg(0))} },
	"revisions":  func(s *story) { s.revisions = s.args },
	"project":    (*story).project,
}

func (s *story) arg(i int) string {
	require.Greaterf(s.t, len(s.args), i, "%s: an argument is missing", s.line)
	return s.args[i]
}

func (s *story) flag(name string) bool {
	i := slices.Index(s.args, name)
	if i >= 0 {
		s.args = slices.Delete(s.args, i, i+1)
	}
	return i >= 0
}

func (s *story) duration(text string) time.Duration {
	d, err := time.ParseDuration(text)
	require.NoError(s.t, err, s.line)
	return d
}

// take returns the value of a key, once.
func (s *story) take(key, otherwise string) string {
	v, ok := s.values[key]
	if !ok {
		return otherwise
	}
	delete(s.values, key)
	return strings.ReplaceAll(v, "_", " ")
}

func (s *story) number(key string, otherwise int) int {
	n, err := strconv.Atoi(s.take(key, strconv.Itoa(otherwise)))
	require.NoError(s.t, err, s.line)
	return n
}

func (s *story) ago(key string, otherwise time.Duration) time.Time {
	return s.now.Add(-s.duration(s.take(key, otherwise.String())))
}

func (s *story) target() *core.Replica {
	r := s.find(s.arg(0))
	require.NotNilf(s.t, r, "%s: no such replica", s.line)
	return r
}

// specify: spec KIND key=value... | spec key=value... | spec none
func (s *story) specify() {
	if len(s.args) > 0 && s.args[0] == "none" {
		s.apply(nil)
		return
	}
	var w *spec.Workload
	if len(s.args) > 0 {
		w = defaults(spec.Kind(s.args[0]))
	} else {
		next := *s.spec
		w = &next
	}
	if w.Kind == spec.Ingress {
		w.Backend = &spec.Backend{Service: "web", HostPort: spec.HostPort{First: 8080, Last: 8080, Target: 80}}
	}
	w.Replicas = s.number("replicas", w.Replicas)
	w.Strategy.Type = spec.StrategyType(s.take("strategy", string(w.Strategy.Type)))
	w.Strategy.MaxSurge = s.number("surge", w.Strategy.MaxSurge)
	w.Strategy.MaxUnavailable = s.number("unavailable", w.Strategy.MaxUnavailable)
	w.MinReady = s.duration(s.take("min-ready", w.MinReady.String()))
	w.ProgressDeadline = s.duration(s.take("progress-deadline", w.ProgressDeadline.String()))
	w.Paused = s.take("paused", strconv.FormatBool(w.Paused)) == "true"
	w.Restart.Condition = spec.RestartCondition(s.take("restart", string(w.Restart.Condition)))
	w.Restart.Delay = s.duration(s.take("delay", w.Restart.Delay.String()))
	w.Restart.Window = s.duration(s.take("window", w.Restart.Window.String()))
	w.Restart.MaxAttempts = s.number("max-attempts", w.Restart.MaxAttempts)
	w.BackoffLimit = s.number("backoff-limit", w.BackoffLimit)
	w.ActiveDeadline = s.duration(s.take("active-deadline", w.ActiveDeadline.String()))
	w.StopGrace = s.duration(s.take("grace", w.StopGrace.String()))
	w.ContainerName = s.take("container-name", w.ContainerName)
	w.Image = s.take("image", w.Image)
	w.RestartPolicy = s.take("policy", w.RestartPolicy)
	w.OnFailure = spec.OnFailure(s.take("on-failure", string(w.OnFailure)))
	w.SurgeAsked = s.take("surge-asked", strconv.FormatBool(w.SurgeAsked)) == "true"
	if shared := s.take("shared", ""); shared != "" {
		w.SharedMounts = strings.Split(shared, ",")
	}
	w.Drain = s.duration(s.take("drain", w.Drain.String()))
	if port := s.number("port", 0); port > 0 {
		w.Ports, w.NetworkKeys = []int{port}, map[string]string{"shop_backend": "backend"}
	}
	if hooks := s.take("hooks", ""); hooks != "" {
		w.PreRollout = nil
		for name := range strings.SplitSeq(hooks, ",") {
			w.PreRollout = append(w.PreRollout, spec.Hook{Name: name, Command: []string{name}, Timeout: time.Minute})
		}
	}
	if command := s.take("post-start", ""); command != "" {
		w.Template.PostStart = []types.ServiceHook{{Command: []string{command}}}
	}
	if service := s.take("joins", ""); service != "" {
		w.Template.NetworkMode, w.Networks = "service:"+service, nil
	}
	if networks := s.take("networks", ""); networks != "" {
		w.Networks = slices.Sorted(maps.Keys(inNetworks(strings.Split(networks, ","))))
	}
	w.Revision = s.take("revision", w.Revision)
	w.ConfigHash = "hash-" + w.Revision
	s.apply(w)
}

// replica: replica NUMBER REVISION STATE [HEALTH] [orphan] [taken-over] key=value...
// Its image is what the image's name stands for, where image=ID does not say another.
// The revision "compose" stands for a container that tend did not make.
func (s *story) replica() {
	orphan, takenOver := s.flag("orphan"), s.flag("taken-over")
	number, err := strconv.Atoi(s.arg(0))
	require.NoError(s.t, err, s.line)
	s.made++
	up := s.duration(s.take("up", "1h"))
	ended := time.Duration(0)
	r := core.Replica{
		Workload: "web", Number: number, ID: fmt.Sprintf("id%d", s.made), Name: s.take("name", "shop-web-"+s.arg(0)),
		Revision: s.arg(1), ConfigHash: "hash-" + s.arg(1), State: core.State(s.arg(2)), RestartPolicy: s.take("policy", "no"), RestartCount: s.number("restarts", 0), Orphan: orphan, TakenOver: takenOver,
		ExitCode: s.number("code", 0), Broken: s.take("broken", ""), HealthOutput: s.take("output", ""),
		OOMKilled: s.take("oom", "") == "true", Kind: spec.Kind(s.take("kind", "")), ImageID: s.take("image", s.image), Addresses: inNetworks(strings.Split(s.take("in", "backend"), ",")),
	}
	if network := s.take("publishing", ""); network != "" {
		r.Publishing = "shop_" + network
	}
	if r.State == core.Exited {
		ended = s.duration(s.take("ended", "1s"))
		r.FinishedAt = s.now.Add(-ended)
	}
	r.Created = s.ago("created", up+ended)
	if r.State != core.Created {
		r.StartedAt = s.now.Add(-up - ended)
	}
	if r.Revision == "compose" {
		r.Revision, r.ConfigHash = "", s.take("hash", "hash-v1")
	}
	if id := s.take("network-id", ""); id != "" {
		r.NetworkIDs = map[string]string{"shop_backend": id}
	}
	if len(s.args) > 3 {
		r.Health = core.Health(s.args[3])
	}
	if id := s.take("joined", ""); id != "" {
		r.Joins = []core.Join{{Kind: core.JoinNetwork, ID: id}}
	}
	if IsReady(r, nil) {
		r.ReadySince, r.WasReady = s.ago("ready", up), true
	}
	s.replicas = append(s.replicas, r)
}

// foreign: foreign NAME FOLDER [gone] | foreign none: another folder's container.
func (s *story) foreign() {
	if s.arg(0) == "none" {
		s.foreigners = nil
		return
	}
	gone := s.flag("gone")
	s.foreigners = append(s.foreigners, core.Foreigner{ID: s.arg(0), Name: s.arg(0), Workload: "web", Folder: s.arg(1), Gone: gone})
}

// settled: settled [REVISION]: the last rollout led there and is complete.
func (s *story) settled() {
	revision := s.spec.Revision
	if len(s.args) > 0 {
		revision = s.arg(0)
	}
	s.rollout = core.Rollout{
		Workload: "web", Revision: revision, Stable: revision, Complete: true,
		StartedAt: s.now.Add(-time.Hour), ProgressAt: s.now.Add(-time.Hour),
	}
}

// attempt: attempt NUMBER REVISION [ours] count=N unstarted=N at=AGO error=TEXT
func (s *story) attempt() {
	n, err := strconv.Atoi(s.arg(0))
	require.NoError(s.t, err, s.line)
	if s.rollout.Attempts == nil {
		s.rollout.Attempts = map[int]core.Attempt{}
	}
	s.rollout.Attempts[n] = core.Attempt{Revision: s.arg(1), Count: s.number("count", 1), Unstarted: s.number("unstarted", 0), At: s.ago("at", 0), Error: s.take("error", ""), Ours: s.flag("ours")}
}

// health: health on|off: whether new containers have a health check.
func (s *story) health() { s.healthCheck = s.arg(0) == "on" }

// vpn: vpn ID STATE [draining] [old] up=TIME | vpn none: the container of the service vpn,
// whose network is shared.
func (s *story) join() {
	if s.arg(0) == "none" {
		s.joined = nil
		return
	}
	draining, old := s.flag("draining"), s.flag("old")
	j := vpn(s.arg(0), core.State(s.arg(1)), s.now.Add(-s.duration(s.take("up", "2h"))))
	j.Draining, j.Current = draining, !old
	s.joined = []Joined{j}
}

// dependency: dependency NAME started|healthy|completed [unknown] [optional] [restart] [completed] [converged] running=N ready=N
func (s *story) dependency() {
	var d Dependency
	d.Name = s.arg(0)
	d.Condition = map[string]spec.DependencyCondition{
		"started": spec.DependencyStarted, "healthy": spec.DependencyHealthy, "completed": spec.DependencyCompleted,
	}[s.arg(1)]
	s.args = s.args[2:]
	d.Known, d.Completed, d.Converged = !s.flag("unknown"), s.flag("completed"), s.flag("converged")
	d.Required, d.Restart = !s.flag("optional"), s.flag("restart")
	d.Running, d.Ready = s.number("running", 0), s.number("ready", 0)
	s.dependencies = slices.DeleteFunc(s.dependencies, func(o Dependency) bool { return o.Name == d.Name })
	s.dependencies = append(s.dependencies, d)
}

// mount: mount PATH [SOURCE]: new containers mount a volume there, an anonymous one
// where no source is given; also those that exist.
func (s *story) mount() {
	target, source := s.arg(0), ""
	if len(s.args) > 1 {
		source = s.arg(1)
	}
	s.mounts[target] = source
	for i := range s.replicas {
		m := core.Mount{Target: target, Source: source}
		if source == "" {
			m.Source, m.Anonymous = "anonymous-of-"+s.replicas[i].Name, true
		}
		s.replicas[i].Mounts = append(s.replicas[i].Mounts, m)
	}
}

// miss: missing KIND_NAME... error=TEXT: what a container needs and is not
// there, and why it cannot be had.
func (s *story) miss() {
	s.missing, s.missingError = nil, s.take("error", "")
	for _, name := range s.args {
		s.missing = append(s.missing, strings.Replace(name, "_", " ", 1))
	}
}

// remember keeps the specs in the history from now on, that in force included.
func (s *story) remember() {
	s.remembers = true
	s.history[s.spec.Revision] = s.spec
}

// become: state NAME STATE, of a replica or a hook's container.
func (s *story) become() {
	if run := s.hook(s.arg(0)); run != nil {
		run.State = core.State(s.arg(1))
		return
	}
	s.target().State = core.State(s.arg(1))
}

// subscribe: subscribe N: so many follow the endpoints.
func (s *story) subscribe() {
	n, err := strconv.Atoi(s.arg(0))
	require.NoError(s.t, err, s.line)
	s.subscribers = n
}

// intend: intent [none] [restart] paused=BOOL undo=REVISION
func (s *story) intend() {
	if s.flag("none") {
		s.intent = core.Intent{}
	}
	if s.flag("restart") {
		s.intent.RestartedAt = s.now
	}
	if paused := s.take("paused", ""); paused != "" {
		s.intent.Paused = new(paused == "true")
	}
	if undo := s.take("undo", ""); undo != "" {
		s.intent.Undo, s.intent.UndoOf = undo, s.spec.Revision
	}
}

// sicken: unhealthy NAME [probed] TEXT... code=N: a health check has failed, or a
// probe of tend's.
func (s *story) sicken() {
	r := s.target()
	probed := s.flag("probed")
	s.report(r, core.Unhealthy)
	r.HealthOutput, r.HealthExitCode = strings.Join(s.args[1:], " "), s.number("code", 1)
	if probed {
		r.Probe = &core.Probe{StartedAt: r.StartedAt, Started: true, WasReady: r.WasReady, Message: r.HealthOutput}
	}
}

// endHook: hook NAME REVISION code=N output=TEXT: the hook's process ends.
func (s *story) endHook() {
	run := s.hook(fmt.Sprintf("shop-web-%s-%s", s.arg(0), s.arg(1)))
	require.NotNilf(s.t, run, "%s: no such hook", s.line)
	run.Output = s.take("output", "")
	s.exit(&run.Replica, s.number("code", 0))
}

func (s *story) rm() {
	r := s.target()
	s.replicas = slices.DeleteFunc(s.replicas, func(o core.Replica) bool { return o.ID == r.ID })
}

// fail: fail KIND [halfway|refused] message | fail none: how actions of a kind end.
func (s *story) fail() {
	s.how = failed
	if s.flag("halfway") {
		s.how = halfway
	}
	if s.flag("refused") {
		s.how = refused
	}
	clear(s.failing)
	if s.arg(0) != "none" {
		s.failing[core.ActionKind(s.args[0])] = strings.Join(s.args[1:], " ")
	}
}

// plan plans, and begins what the plan says.
func (s *story) plan() Plan {
	p := Compute(s.input())
	s.begin(p)
	return p
}

// finish: finish [NUMBER...]: ends what is under way, or that on some replicas.
func (s *story) finish() {
	var waiting []core.Action
	for len(s.underWay) > 0 {
		a := s.underWay[0]
		message, fails := s.failing[a.Kind]
		switch {
		case len(s.args) > 0 && !slices.Contains(s.args, strconv.Itoa(a.Number)):
			waiting = append(waiting, a)
			s.underWay = s.underWay[1:]
		case fails:
			s.end(0, s.how, message)
		default:
			s.end(0, done, "")
		}
	}
	s.underWay = waiting
}

// run acts until there is nothing to do, and prints each step in short.
func (s *story) run() {
	for range 100 {
		p := s.plan()
		if len(p.Actions) == 0 {
			s.print(p)
			return
		}
		fmt.Fprintf(&s.out, "%s, ready %d of %d:\n", s.now.Format("15:04:05"), p.Status.Ready, p.Status.Replicas)
		for _, a := range p.Actions {
			fmt.Fprintln(&s.out, " ", a)
		}
		s.finish()
	}
	s.t.Fatalf("%s: there is always something to do", s.line)
}

func (s *story) print(p Plan) {
	fmt.Fprintf(&s.out, "at %s\n", s.now.Format("15:04:05"))
	for line := range strings.Lines(p.String()) {
		s.out.WriteString(line)
	}
	if s.spec != nil && (len(s.spec.Ports) > 0 || len(p.Endpoints) > 0) {
		s.out.WriteString("endpoints")
		for _, e := range p.Endpoints {
			fmt.Fprintf(&s.out, " %s %s", e.Replica, e.Addresses["backend"])
			if !slices.Equal(e.Ports, s.spec.Ports) {
				fmt.Fprintf(&s.out, " ports %v", e.Ports)
			}
		}
		s.out.WriteString("\n")
	}
}

// resource: resource KIND NAME [unknown] [present] [external] [nopull] data-of=NAME hash=HASH actual=HASH
func (s *story) resource() {
	r := core.Resource{Known: !s.flag("unknown"), Present: s.flag("present"), External: s.flag("external"), NoPull: s.flag("nopull")}
	r.Kind, r.Name = core.ResourceKind(s.arg(0)), s.arg(1)
	r.DataOf, r.ConfigHash, r.ActualHash = s.take("data-of", ""), s.take("hash", ""), s.take("actual", "")
	s.resources = append(s.resources, r)
}

// store: stored ID DAYS NAME... [used] is an image that was built that many days ago.
func (s *story) store() {
	used := s.flag("used")
	s.stored = append(s.stored, core.LocalImage{
		ID: s.arg(0), Created: s.now.AddDate(0, 0, -s.whole(s.arg(1))), Names: s.args[2:], InUse: used,
	})
}

func (s *story) whole(text string) int {
	n, err := strconv.Atoi(text)
	require.NoError(s.t, err, s.line)
	return n
}

// project plans the resources; what fails fails, and the rest is there then.
func (s *story) project() {
	p := ComputeProject(ProjectInput{
		Now: s.now, Resources: slices.Clone(s.resources), Images: slices.Clone(s.stored), Keep: s.keep, History: s.revisions,
	})
	fmt.Fprintf(&s.out, "at %s\n", s.now.Format("15:04:05"))
	for _, a := range p.Actions {
		fmt.Fprintln(&s.out, a)
	}
	for _, r := range p.Resources {
		i := slices.IndexFunc(s.resources, func(o core.Resource) bool { return o.String() == r.String() })
		r.Attempt.Error = s.failing[r.Action()]
		r.Present = r.Attempt.Error == ""
		s.resources[i] = r
	}
	for _, image := range p.Images {
		i := slices.IndexFunc(s.stored, func(o core.LocalImage) bool { return o.ID == image.ID })
		if image.Attempt.Error = s.failing[core.RemoveImage]; image.Attempt.Error == "" {
			s.stored = slices.Delete(s.stored, i, i+1)
		} else {
			s.stored[i] = image
		}
	}
	for _, r := range s.resources {
		if problem := resourceProblem(r); problem != "" {
			fmt.Fprintln(&s.out, "problem", problem)
		}
		if diverged := Diverged(r); diverged != "" {
			fmt.Fprintln(&s.out, "diverged", diverged)
		}
	}
	if !p.Next.IsZero() {
		fmt.Fprintf(&s.out, "next %s\n", p.Next.Format("15:04:05"))
	}
}
