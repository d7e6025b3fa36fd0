package simulate

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/plan"
	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/controller/spec/load"
	"github.com/tendhq/tend/state"
)

// joiner is a service whose containers share what is another's. It is there in some of
// the histories.
const joiner = "tail"

// joining are the ways in which it may be written.
var joining = []string{
	`network_mode: "service:web"`,
	`network_mode: "service:gw"`,
	`network_mode: "service:db"`,
	`network_mode: "service:store", ipc: "service:store"`,
	`network_mode: "service:web", pid: "service:store"`,
	`network_mode: "service:store", volumes_from: [store]`,
}

// loadJoiners reads each of them, in a folder that has the project's files.
func loadJoiners(dir string) (all []*spec.Workload) {
	for _, joins := range joining {
		text := fmt.Sprintf(compose, "", `"127.0.0.1:8080:80"`) // of gw, which does not matter here
		text = text[:len("name: p\nservices:\n")] + fmt.Sprintf("  %s: {image: good, restart: always, expose: [\"82\"], %s}\n", joiner, joins) + text[len("name: p\nservices:\n"):]
		must(os.WriteFile(filepath.Join(dir, "compose.yaml"), []byte(text), 0o600))
		project, err := load.Project(context.Background(), load.Options{ProjectDirectory: dir})
		must(err)
		all = append(all, project.Workloads[joiner])
	}
	return all
}

// shares is what a workload's containers share with others, in words.
func shares(w *spec.Workload) string {
	t := w.Template
	return fmt.Sprint(t.NetworkMode, " ", t.Ipc, " ", t.Pid, " ", t.VolumesFrom)
}

// ending is how a service that is written is written at the end of a history.
func (p *pool) ending(v variant) variant {
	i := slices.IndexFunc(p.joiners, func(w *spec.Workload) bool { return v.Name == joiner && shares(w) == shares(v.Workload) })
	if i < 0 {
		return p.last[v.Name]
	}
	return ending(p.joiners[i])
}

// behind is a container in the network of a service.
func behind(p *pool, service, image string) variant {
	i := slices.IndexFunc(p.joiners, func(w *spec.Workload) bool { return slices.Equal(w.Joins(), []string{service}) })
	w := withImage(p.joiners[i], image, "")
	w.Strategy = rolling(1, 0)
	return variant{Workload: w, good: true}
}

// toJoin are the containers that one of a workload joins, by service.
func (w *world) toJoin(of *spec.Workload) map[string]string {
	joins := map[string]string{}
	for _, service := range of.Joins() {
		for _, c := range w.checks.truth() {
			if replicaOf(c) == service && (joins[service] == "" || c.State == engine.Running) {
				joins[service] = c.ID
			}
		}
	}
	return joins
}

// joined calls each with every container that a container has joined, and with what they share.
func joined(truth []engine.Container, c engine.Container, each func(engine.Join, *engine.Container)) {
	for _, j := range c.Joins {
		i := slices.IndexFunc(truth, func(t engine.Container) bool { return t.ID == j.ID })
		if i < 0 {
			each(j, nil)
		} else {
			each(j, &truth[i])
		}
	}
}

// joinsWhatIsDone reports whether a workload joins a service that has done what it was to do: then
// no container of it can be made, or be started again.
func (w *world) joinsWhatIsDone(of variant) bool {
	services := of.Joins()
	return len(services) > 0 && slices.ContainsFunc(w.checks.truth(), func(c engine.Container) bool {
		return slices.Contains(services, workloadOf(c)) && w.checks.done(c, w.of(workloadOf(c)))
	})
}

// joins reports whether a service joins another, or is joined.
func (w *world) joins(service string) bool {
	of := w.written[joiner].Workload
	return of != nil && (service == joiner || slices.Contains(of.Joins(), service))
}

// shared reports whether a mount of a container is another's that it has joined.
func shared(truth []engine.Container, c engine.Container, m engine.Mount) (is bool) {
	joined(truth, c, func(j engine.Join, other *engine.Container) {
		is = is || j.Kind == engine.JoinVolumes && (other == nil || slices.Contains(other.Mounts, m))
	})
	return is
}

// cutOff says what a running container no longer has of one that it has joined.
func (w *world) cutOff(truth []engine.Container, c engine.Container, written variant) (problem string) {
	joined(truth, c, func(j engine.Join, other *engine.Container) {
		switch {
		case other == nil:
			problem = fmt.Sprintf("%s has joined the %s of a container that is gone", c.Name, j.Kind)
		case !slices.Contains(written.Joins(), workloadOf(*other)):
			problem = fmt.Sprintf("%s has joined the %s of %s, and nobody has written that", c.Name, j.Kind, other.Name)
		case w.checks.done(*other, w.of(workloadOf(*other))): // there is nothing to share any more
		case j.Kind != engine.JoinVolumes && (!alive(*other) || other.StartedAt.After(c.StartedAt)):
			problem = fmt.Sprintf("%s is in the %s of a run of %s that has ended", c.Name, j.Kind, other.Name)
		}
	})
	return problem
}

// lostJoin reports whether the controller can know that a container runs without what it
// has joined.
func lostJoin(snap *state.Snapshot, r core.Replica) bool {
	lost := slices.ContainsFunc(r.Joins, func(j core.Join) bool {
		other, there := snap.Replica(j.ID)
		return !there || j.Kind != core.JoinVolumes && plan.IsRunning(other.Replica) && other.StartedAt.After(r.StartedAt)
	})
	if !lost {
		return false
	}
	_, known := snap.Revision(r.Workload, r.Revision)
	return known
}

// follows reports whether a container has to go, as one that it has joined does.
func (v *invariants) follows(c engine.Container, snap *state.Snapshot) bool {
	return slices.ContainsFunc(c.Joins, func(j engine.Join) bool {
		row, there := snap.Replica(j.ID)
		if leaves := v.decisions[j.ID].Kind; !there || v.doomed[j.ID] || row.State == core.Removing || leaves == core.RemoveReplica || leaves == core.StopReplica {
			return true
		}
		rollout, ok := snap.Rollout(row.Workload)
		if ok {
			_, ok = rollout.Drains[j.ID]
		}
		return ok
	})
}

// inOrder checks that nothing is created in the namespaces of a container, or started
// there, that does not run or is about to go, and that nothing is stopped in whose
// namespaces or on whose volumes another container of tend's runs.
func (v *invariants) inOrder(in plan.Input, p plan.Plan, snap *state.Snapshot, truth []engine.Container) {
	for _, a := range p.Actions {
		switch a.Kind {
		case core.CreateReplica:
			for service, id := range a.Joins {
				v.joinable(a, service, id, snap)
			}
		case core.StartReplica:
			i := slices.IndexFunc(in.Replicas, func(r core.Replica) bool { return r.ID == a.ID })
			_, remembered := snap.Revision(in.Workload, a.Revision)
			for _, j := range in.Replicas[i].Joins {
				if _, known := snap.Replica(j.ID); !known && !remembered {
					continue // it may be another project's
				}
				if j.Kind != core.JoinVolumes {
					v.joinable(a, "", j.ID, snap)
				}
			}
		case core.StopReplica:
			v.standsAlone(a, snap, truth)
			i := slices.IndexFunc(truth, func(c engine.Container) bool { return c.ID == a.ID })
			if i >= 0 && len(truth[i].Joins) > 0 && v.follows(truth[i], snap) {
				v.w.cover.count("joiner", "goes first")
			}
		}
	}
}

// joinable checks a container that another is to join.
func (v *invariants) joinable(a core.Action, service, id string, snap *state.Snapshot) {
	row, known := snap.Replica(id)
	switch {
	case !known:
		v.blame("%s is to join a container of %s that is gone", a.Object, service)
		return
	case service != "" && row.Workload != service:
		v.blame("%s is to join %s, which is none of %s", a.Object, row.Name, service)
	case row.State != core.Running:
		v.blame("%s is to join %s, which is %s", a.Object, row.Name, row.State)
	case v.doomed[id]:
		v.blame("%s is to join %s, which is to be stopped", a.Object, row.Name)
	}
	v.w.cover.count("joiner", string(a.Kind))
}

// standsAlone checks that no container runs that has joined one which is to be stopped,
// where tend knew of it a step ago.
func (v *invariants) standsAlone(a core.Action, snap *state.Snapshot, truth []engine.Container) {
	for _, c := range truth {
		if !alive(c) || replicaOf(c) == "" || v.before == nil || !slices.ContainsFunc(c.Joins, func(j engine.Join) bool { return j.ID == a.ID }) {
			continue
		}
		row, known := v.before.Replica(c.ID)
		now, still := snap.Replica(c.ID)
		if known && still && plan.IsRunning(row.Replica) && plan.IsRunning(now.Replica) && row.StartedAt.Equal(c.StartedAt) {
			v.blame("%s is stopped, and %s has joined it and runs", a.Object, c.Name)
		}
	}
}
