package services

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/swarm"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/plan"
	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/controller/spec/load"
	"github.com/tendhq/tend/controller/swarm/convert"
	"github.com/tendhq/tend/controller/swarm/manager"
)

// world is a Swarm of a few nodes that does at once what it is told, and a project on it,
// planned step by step. It has no batches: an update replaces all tasks.
type world struct {
	t        *testing.T
	dir      string
	now      time.Time
	project  *spec.Project
	nodes    []manager.Node
	networks []manager.Network
	secrets  []manager.Secret
	configs  []manager.Config
	services []manager.Service
	tasks    []manager.Task
	rollouts map[string]core.Rollout
	statuses map[string]core.Status
	history  map[string]map[string]*spec.Workload
	intents  map[string]core.Intent
	// digests are those that the registry tells, by the image's name, and asked counts the questions.
	digests map[string]string
	asked   int
	// broken are the images whose tasks fail, and never are those that never get healthy.
	broken, never map[string]bool
	remove        bool
	// refuses reports whether the Swarm refuses an action, as it has no quorum; nil for never.
	refuses func(Action) bool
	ids     int
	did     []string
	events  []string
}

func newWorld(t *testing.T, compose, specs string) *world {
	t.Helper()
	w := emptyWorld(t, t.TempDir())
	w.write(compose, specs)
	return w
}

// emptyWorld is a world whose project's files are in a folder.
func emptyWorld(t *testing.T, dir string) *world {
	w := &world{
		t: t, dir: dir, now: time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC),
		rollouts: map[string]core.Rollout{}, statuses: map[string]core.Status{}, history: map[string]map[string]*spec.Workload{},
		intents: map[string]core.Intent{}, digests: map[string]string{}, broken: map[string]bool{}, never: map[string]bool{},
	}
	for _, name := range []string{"a", "b"} {
		w.nodes = append(w.nodes, manager.Node{ID: "id-" + name, Hostname: name, Role: swarm.NodeRoleManager, State: swarm.NodeStateReady, Availability: swarm.NodeAvailabilityActive})
	}
	return w
}

// write puts another compose.yaml and spec file in force.
func (w *world) write(compose, specs string) {
	w.t.Helper()
	require.NoError(w.t, os.WriteFile(filepath.Join(w.dir, "compose.yaml"), []byte(compose), 0o600))
	require.NoError(w.t, os.RemoveAll(filepath.Join(w.dir, "specs")))
	if specs != "" {
		require.NoError(w.t, os.Mkdir(filepath.Join(w.dir, "specs"), 0o700))
		require.NoError(w.t, os.WriteFile(filepath.Join(w.dir, "specs", "all.yaml"), []byte(specs), 0o600))
	}
	p, err := load.Project(w.t.Context(), load.Options{ProjectDirectory: w.dir, Name: "shop", IngressImage: "tend/ingress", Adapt: convert.Adapt})
	require.NoError(w.t, err)
	w.put(p)
}

// put puts a project in force.
func (w *world) put(p *spec.Project) {
	w.project = p
	for name, s := range p.Workloads {
		if w.history[name] == nil {
			w.history[name] = map[string]*spec.Workload{}
		}
		w.history[name][s.Revision] = s
	}
}

// contents are those of the project's secrets or configs.
func (w *world) named() (secrets, configs map[string]string) {
	secrets, configs = map[string]string{}, map[string]string{}
	for key, s := range w.project.Secrets {
		content, err := os.ReadFile(s.File)
		require.NoError(w.t, err)
		secrets[key] = convert.ObjectName("secret", "shop", key, content)
	}
	for key, c := range w.project.Configs {
		configs[key] = convert.ObjectName("config", "shop", key, []byte(c.Content))
	}
	return secrets, configs
}

func (w *world) projectInput() ProjectInput {
	in := ProjectInput{Now: w.now, Project: w.project, Remove: w.remove, Networks: w.networks, Secrets: w.secrets, Configs: w.configs, Services: w.services}
	in.WantedSecrets, in.WantedConfigs = w.named()
	for _, name := range slices.Sorted(maps.Keys(w.rollouts)) {
		in.Rollouts = append(in.Rollouts, w.rollouts[name])
	}
	return in
}

func (w *world) input(name string) Input {
	in := Input{
		Now: w.now, Project: w.project, Workload: name, Spec: w.project.Workloads[name], Tasks: w.tasks, Nodes: w.nodes,
		Objects: w.projectInput().Objects(), Held: map[string]string{}, Load: map[string]int{},
		Rollout: w.rollouts[name], Status: w.statuses[name], History: w.history[name], Intent: w.intents[name],
	}
	if w.remove {
		in.Spec = nil
	}
	for i, s := range w.services {
		switch {
		case s.Spec.Labels[spec.LabelService] != name:
		case s.Spec.Labels[spec.LabelHook] != "":
			in.Hooks = append(in.Hooks, s)
		default:
			in.Service = &w.services[i]
		}
	}
	if in.Spec != nil {
		for _, d := range in.Spec.DependsOn {
			s := w.statuses[d.Name]
			in.Dependencies = append(in.Dependencies, plan.Dependency{Dependency: d, Known: true, Running: s.Ready, Ready: s.Ready, Completed: s.Completed(), Converged: s.Converged})
		}
	}
	return in
}

// plan plans one workload and remembers what follows, but carries nothing out. A registry
// answers at once.
func (w *world) plan(name string) Plan {
	p := Compute(w.input(name))
	w.rollouts[name], w.statuses[name] = p.Rollout, p.Status
	for _, e := range p.Events {
		w.events = append(w.events, fmt.Sprintf("%s: %s %s", e.Workload, e.Reason, e.Message))
	}
	for _, a := range p.Actions {
		if a.Kind == AskRegistry {
			w.asked++
			w.rollouts[name] = RegistryAsked(p.Rollout, a, w.digests[a.Object])
			return w.plan(name)
		}
	}
	return p
}

// step plans everything once and carries it out; it reports whether anything was done.
func (w *world) step() (acted bool) {
	actions := ComputeProject(w.projectInput()).Actions
	names := map[string]bool{}
	for name := range w.project.Workloads {
		names[name] = true
	}
	for _, s := range w.services {
		names[s.Spec.Labels[spec.LabelService]] = true
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		actions = append(actions, w.plan(name).Actions...)
	}
	for _, a := range actions {
		if w.refuses == nil || !w.refuses(a) {
			w.carryOut(a)
		}
	}
	return len(actions) > 0
}

// settle goes on until nothing more is done, and fails where that does not come.
func (w *world) settle() *world {
	w.t.Helper()
	quiet := 0 // what a plan has noted may have the next one act
	for range 100 {
		if quiet++; w.step() {
			quiet = 0
		}
		if quiet == 2 {
			return w
		}
	}
	require.Fail(w.t, "it does not come to rest", "%s", strings.Join(w.did, "\n"))
	return w
}

// pass lets time pass, with a plan each second.
func (w *world) pass(d time.Duration) *world {
	for range d / time.Second {
		w.now = w.now.Add(time.Second)
		w.step()
	}
	return w
}

func (w *world) id(kind string) string { w.ids++; return fmt.Sprintf("%s%d", kind, w.ids) }

func (w *world) carryOut(a Action) {
	w.did = append(w.did, fmt.Sprintf("%s %s", a.Kind, a.Object))
	switch a.Kind {
	case CreateNetwork:
		w.networks = append(w.networks, manager.Network{ID: w.id("n"), Name: a.Object, Labels: map[string]string{spec.LabelProject: "shop"}})
	case RemoveNetwork:
		w.networks = slices.DeleteFunc(w.networks, func(n manager.Network) bool { return n.ID == a.ID })
	case CreateSecret:
		w.secrets = append(w.secrets, manager.Secret{ID: w.id("s"), Name: a.Object, Labels: map[string]string{spec.LabelProject: "shop"}})
	case RemoveSecret:
		w.secrets = slices.DeleteFunc(w.secrets, func(s manager.Secret) bool { return s.ID == a.ID })
	case CreateConfig:
		w.configs = append(w.configs, manager.Config{ID: w.id("c"), Name: a.Object, Labels: map[string]string{spec.LabelProject: "shop"}})
	case RemoveConfig:
		w.configs = slices.DeleteFunc(w.configs, func(c manager.Config) bool { return c.ID == a.ID })
	case CreateService:
		w.services = append(w.services, manager.Service{ID: w.id("svc"), Version: 1, Spec: a.Spec, CreatedAt: w.now})
		w.run(&w.services[len(w.services)-1])
	case UpdateService:
		i := slices.IndexFunc(w.services, func(s manager.Service) bool { return s.ID == a.ID })
		require.GreaterOrEqual(w.t, i, 0)
		s := &w.services[i]
		require.Equal(w.t, s.Version, a.Version)
		s.Version++
		s.Spec, s.Update = a.Spec, manager.Update{}
		w.run(s)
	case RemoveService:
		i := slices.IndexFunc(w.services, func(s manager.Service) bool { return s.ID == a.ID })
		if i >= 0 && w.services[i].Spec.Mode.ReplicatedJob != nil {
			for _, t := range w.tasks {
				require.False(w.t, t.ServiceID == a.ID && !Over(t), "Swarm leaves what runs of the job %s", a.Object)
			}
		}
		w.services = slices.DeleteFunc(w.services, func(s manager.Service) bool { return s.ID == a.ID })
		w.tasks = slices.DeleteFunc(w.tasks, func(t manager.Task) bool { return t.ServiceID == a.ID })
	}
}

// run makes the tasks of a service be as its spec says.
func (w *world) run(s *manager.Service) {
	image := nameOf(s.Spec.TaskTemplate.ContainerSpec.Image)
	job := s.Spec.Mode.ReplicatedJob
	if s.Spec.Mode.Global != nil {
		w.runGlobal(s)
		return
	}
	n := 0
	if job != nil {
		n = int(*job.TotalCompletions)
		s.JobIteration++
		s.Completed = 0
	} else {
		n = int(*s.Spec.Mode.Replicated.Replicas)
	}
	revision := s.Spec.Labels[spec.LabelRevision]
	w.tasks = slices.DeleteFunc(w.tasks, func(t manager.Task) bool {
		stays := !w.broken[image] && RevisionOf(t) == revision && t.Spec.ForceUpdate == s.Spec.TaskTemplate.ForceUpdate && t.Slot <= n
		return t.ServiceID == s.ID && !stays && !(w.broken[image] && t.Slot > 1)
	})
	for slot := 1; slot <= n; slot++ {
		if slices.ContainsFunc(w.tasks, func(t manager.Task) bool { return t.ServiceID == s.ID && t.Slot == slot }) {
			continue
		}
		t := manager.Task{
			ID: w.id("t"), ServiceID: s.ID, NodeID: "id-a", Slot: slot, Spec: s.Spec.TaskTemplate, JobIteration: s.JobIteration,
			State: swarm.TaskStateRunning, DesiredState: swarm.TaskStateRunning, Since: w.now, CreatedAt: w.now,
		}
		switch {
		case w.broken[image]:
			t.State, t.DesiredState, t.Err, t.ExitCode = swarm.TaskStateFailed, swarm.TaskStateShutdown, "task: non-zero exit (1)", 1
			if job == nil {
				s.Update = manager.Update{State: swarm.UpdateStatePaused, Message: "update paused due to failure or early termination of task " + t.ID}
			}
		case w.never[image]:
			t.State = swarm.TaskStateStarting
		case job != nil:
			t.State, t.DesiredState = swarm.TaskStateComplete, swarm.TaskStateComplete
			s.Completed++
		}
		w.tasks = append(w.tasks, t)
		if w.broken[image] {
			return // Swarm goes no further
		}
	}
}

// runGlobal makes the tasks of a global service be as its spec says, on each node that may
// have one.
func (w *world) runGlobal(s *manager.Service) {
	image, revision := nameOf(s.Spec.TaskTemplate.ContainerSpec.Image), s.Spec.Labels[spec.LabelRevision]
	for _, n := range w.nodes {
		fits := n.State != swarm.NodeStateDown && n.Availability == swarm.NodeAvailabilityActive
		for _, c := range s.Spec.TaskTemplate.Placement.Constraints {
			fits = fits && satisfies(n, c)
		}
		has := slices.ContainsFunc(w.tasks, func(t manager.Task) bool {
			return t.ServiceID == s.ID && t.NodeID == n.ID && fits && !Over(t) && RevisionOf(t) == revision && t.Spec.ForceUpdate == s.Spec.TaskTemplate.ForceUpdate
		})
		if has || n.Availability == swarm.NodeAvailabilityPause {
			continue
		}
		w.tasks = slices.DeleteFunc(w.tasks, func(t manager.Task) bool { return t.ServiceID == s.ID && t.NodeID == n.ID })
		if !fits {
			continue
		}
		t := manager.Task{
			ID: w.id("t"), ServiceID: s.ID, NodeID: n.ID, Spec: s.Spec.TaskTemplate,
			State: swarm.TaskStateRunning, DesiredState: swarm.TaskStateRunning, Since: w.now, CreatedAt: w.now,
		}
		switch {
		case w.broken[image]:
			t.State, t.DesiredState, t.Err, t.ExitCode = swarm.TaskStateFailed, swarm.TaskStateShutdown, "task: non-zero exit (1)", 1
			s.Update = manager.Update{State: swarm.UpdateStatePaused, Message: "update paused due to failure or early termination of task " + t.ID}
		case w.never[image]:
			t.State = swarm.TaskStateStarting
		}
		w.tasks = append(w.tasks, t)
		if w.broken[image] {
			return // Swarm goes no further
		}
	}
}

// look has Swarm see to what its nodes are now.
func (w *world) look() {
	for i, s := range w.services {
		if s.Spec.Mode.Global != nil {
			w.runGlobal(&w.services[i])
		}
	}
}

// took returns what was done since the last call, and forgets it.
func (w *world) took() string {
	did := strings.Join(w.did, "\n")
	w.did, w.events = nil, nil
	return did
}

func (w *world) service(name string) *manager.Service {
	w.t.Helper()
	s := w.input(name).Service
	require.NotNil(w.t, s, name)
	return s
}

func (w *world) image(name string) string {
	return w.service(name).Spec.TaskTemplate.ContainerSpec.Image
}
