package simulate

import (
	"context"
	"slices"
	"time"

	swarmapi "github.com/docker/docker/api/types/swarm"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/controller/swarm/manager"
)

func one[T any](w *world, of ...T) T { return of[w.rng.IntN(len(of))] }

func (w *world) chance(p int) bool { return w.rng.IntN(100) < p }

// happen has one thing happen: to what is written, to the Swarm, to tend, or time passes.
func (w *world) happen() {
	if w.gate == nil && w.chance(60) {
		w.alive()
		return
	}
	switch k := w.rng.IntN(100); {
	case k < 40:
		d := one(w, 50*time.Millisecond, 300*time.Millisecond, time.Second, time.Second, 4*time.Second, 20*time.Second, 100*time.Second)
		w.tell("%s pass", d)
		w.idle(d)
	case k < 62:
		w.edit()
	case k < 70:
		w.intend()
	case k < 84:
		w.harm()
	case k < 92:
		w.meddle()
	case k < 96:
		w.tell("the Swarm forgets the last write")
		w.swarm.ForgetLastWrite()
		w.judge.ran, w.judge.seesRan, w.judge.knowsRan = "", "", ""
		w.judge.forgot()
	default:
		if w.gate != nil {
			w.tell("tend is killed")
			w.kill()
		}
	}
}

// idle lets time pass, in which requests are answered.
func (w *world) idle(d time.Duration) {
	for until := time.Now().Add(d); time.Now().Before(until); {
		w.answer()
		if w.gate != nil && w.gate.deliver(w.fault > 0 && w.chance(10)) {
			continue
		}
		w.pass(min(time.Second, time.Until(until)) + time.Nanosecond)
	}
}

// edit writes something else.
func (w *world) edit() {
	next := w.written.clone()
	name := one(w, names...)
	switch k := w.rng.IntN(12); {
	case k < 5:
		next.images[name] = one(w, tags[name]...)
	case k < 6:
		next.images[name] = ""
	case k < 8:
		name = one(w, "web", "api", "seed", "store")
		next.replicas[name] = 1 + w.rng.IntN(3)
		if name == "store" {
			next.replicas[name] = w.rng.IntN(2)
		}
	case k < 9:
		next.token = one(w, contents...)
	case k < 10:
		next.motd = one(w, contents...)
	case k < 11:
		next.hook = one(w, "", "migrate", "migrate", "fails", "hangs")
	default:
		next.surge, next.keep = w.chance(50), w.chance(20)
	}
	next.images["web"] = max(next.images["web"], "1") // the one that uses secrets stays
	w.written = next
	w.tell("somebody writes %+v", next)
	if w.gate != nil {
		w.write()
	}
}

// intend has a person pause, resume, restart or undo.
func (w *world) intend() {
	if w.gate == nil {
		return
	}
	name := one(w, "web", "api", "agent", "db", "store")
	switch w.rng.IntN(4) {
	case 0, 1:
		paused := !w.judge.paused[name]
		w.judge.paused[name] = false
		w.ask(name, map[bool]string{true: "pause", false: "resume"}[paused], func(i *core.Intent) { i.Paused = &paused })
		w.judge.paused[name] = w.granted() && paused
	case 2:
		w.ask(name, "restart", func(i *core.Intent) { i.RestartedAt = time.Now() })
		w.judge.meddled[name] = time.Now()
		w.granted()
	default:
		done, row := w.judge.completed[name], w.ctl.State().Snapshot()
		status, known := row.Status(name)
		if !known || len(done) == 0 {
			return
		}
		to := w.judge.revisions[name+" "+one(w, done...)].Revision
		w.judge.undone[name] = true
		w.ask(name, "undo to "+short(to), func(i *core.Intent) { i.Undo, i.UndoOf = to, status.WantedRevision })
		w.granted()
	}
}

// granted has requests answered until what a person asked for is in force, and reports
// whether it is.
func (w *world) granted() bool {
	for range 20 {
		w.answer()
		select {
		case err := <-w.asked:
			return err == nil
		default:
		}
		if w.gate == nil {
			return false
		}
		w.pass(100 * time.Millisecond)
	}
	return false
}

// harm breaks a node, the quorum or the way to the managers, or mends it.
func (w *world) harm() {
	node := one(w, w.nodes()...)
	switch w.rng.IntN(12) {
	case 0, 1:
		w.tell("%s stops", node)
		w.judge.troubled = time.Now()
		w.swarm.StopNode(node)
	case 2:
		w.tell("%s is cut off", node)
		w.judge.troubled = time.Now()
		w.swarm.CutNode(node)
	case 3:
		w.tell("%s is drained", node)
		w.judge.troubled = time.Now()
		w.swarm.SetAvailability(node, swarmapi.NodeAvailabilityDrain)
	case 4:
		w.tell("the manager that tend asks is cut off")
		w.swarm.Refuse(manager.ErrNoQuorum)
		w.idle(one(w, 5*time.Second, 40*time.Second, 3*time.Minute))
		w.swarm.Refuse(nil)
	case 5, 6:
		w.tell("the managers lose their quorum")
		w.judge.troubled = time.Now()
		w.swarm.CutNode("node2")
		w.swarm.CutNode("node3")
		w.idle(one(w, 5*time.Second, 40*time.Second, 3*time.Minute))
		w.mend()
	case 7, 8:
		w.comeOrGo()
	default:
		w.mend()
	}
}

// nodes are the host names of those that there are.
func (w *world) nodes() (all []string) {
	for _, n := range w.swarm.Truth().Nodes {
		all = append(all, n.Hostname)
	}
	return all
}

// comeOrGo has a node join, or leave for good. A node that joins begins with no volumes.
func (w *world) comeOrGo() {
	const node = "node6"
	if slices.Contains(w.nodes(), node) {
		w.tell("%s leaves for good", node)
		w.judge.troubled = time.Now()
		w.swarm.RemoveNode(node)
		return
	}
	w.tell("%s joins", node)
	w.swarm.AddNode(node, swarmapi.NodeRoleWorker)
}

// mend undoes what harm has done.
func (w *world) mend() {
	w.tell("all nodes are well again")
	for _, node := range w.nodes() {
		w.swarm.StartNode(node)
		w.swarm.HealNode(node)
		w.swarm.SetAvailability(node, swarmapi.NodeAvailabilityActive)
	}
	w.judge.troubled = time.Now()
}

// meddle has somebody change what is tend's, or make what is in its way.
func (w *world) meddle() {
	name := one(w, names...)
	own := serviceName(name)
	there := slices.ContainsFunc(w.judge.truth.Services, func(s manager.Service) bool { return s.Spec.Name == own && !w.judge.foreign[s.ID] })
	switch k := w.rng.IntN(6); {
	case k < 2 && there && name != "seed" && name != "agent":
		n := uint64(w.rng.IntN(4))
		w.tell("somebody scales %s to %d", name, n)
		w.judge.meddled[name] = time.Now()
		w.swarm.UpdateBehind(own, func(s *swarmapi.ServiceSpec) { s.Mode.Replicated.Replicas = &n })
	case k < 3 && there:
		w.tell("somebody changes the environment of %s", name)
		w.judge.meddled[name] = time.Now()
		w.swarm.UpdateBehind(own, func(s *swarmapi.ServiceSpec) { s.TaskTemplate.ContainerSpec.Env = []string{"EVIL=1"} })
	case k < 4 && there:
		w.tell("somebody removes %s", name)
		w.judge.meddled[name] = time.Now()
		for _, s := range w.judge.truth.Services {
			if s.Spec.Name == own {
				_ = w.swarm.RemoveService(context.Background(), s.ID)
			}
		}
	case k < 5:
		for _, t := range w.judge.truth.Tasks {
			if t.Spec.ContainerSpec.Labels[spec.LabelService] == name && t.State == swarmapi.TaskStateRunning {
				w.tell("a task of %s ends by itself", name)
				w.judge.meddled[name] = time.Now()
				w.swarm.Exit(t.ID, 1)
				return
			}
		}
	default:
		w.strange(name)
	}
}

// strange has somebody make a service that is in the way of one of tend's, or take it away.
func (w *world) strange(name string) {
	if w.removeForeign() {
		w.tell("somebody takes the strange service away")
		return
	}
	labels := one(w, nil, map[string]string{manager.StackLabel: project}, map[string]string{spec.LabelProject: project})
	strange := swarmapi.ServiceSpec{
		Annotations:  swarmapi.Annotations{Name: one(w, serviceName(name), "shop_other"), Labels: labels},
		TaskTemplate: swarmapi.TaskSpec{ContainerSpec: &swarmapi.ContainerSpec{Image: "web:1"}},
	}
	if id, err := w.swarm.CreateService(context.Background(), strange); err == nil {
		w.tell("somebody makes a service %s with %v", strange.Name, labels)
		w.judge.foreign[id] = true
		w.judge.meddled[name] = time.Now()
	}
}

func serviceName(workload string) string { return project + "_" + workload }

// removeForeign takes away what strange has made, and reports whether there was any.
func (w *world) removeForeign() (some bool) {
	for _, s := range w.swarm.Truth().Services {
		if w.judge.foreign[s.ID] {
			some = w.swarm.RemoveService(context.Background(), s.ID) == nil
		}
	}
	return some
}

// rest ends all that goes wrong, and waits until all is as it is to be.
func (w *world) rest() {
	w.tell("nothing goes wrong any more")
	w.fault, w.crash = 0, nil
	w.swarm.Refuse(nil)
	w.mend()
	w.alive()
	w.removeForeign()
	if bad(w.written.image("db")) {
		w.tell("somebody corrects the Database, for which others wait")
		w.written = w.written.clone()
		w.written.images["db"] = "1"
		w.write()
	}
	for _, name := range names {
		if no := false; w.judge.project.Workloads[name] != nil {
			w.judge.paused[name] = false
			w.ask(name, "resume", func(i *core.Intent) { i.Paused = &no })
			if !w.granted() {
				w.fail("tend does not answer")
			}
		}
	}
	const most, quiet = 30 * time.Minute, 2 * time.Minute // a name that was taken is tried again after one
	began := time.Now()
	for w.judge.unfinished() != "" || time.Since(w.judge.lastWrite) < quiet || time.Since(began) < quiet {
		if time.Since(began) > most {
			w.tellAll()
			w.fail("no rest: %s", w.judge.unfinished())
		}
		w.idle(5 * time.Second)
	}
	w.judge.resting = true
	w.idle(5 * time.Minute)
	if why := w.judge.unfinished(); why != "" {
		w.fail("it was at rest, and is not any more: %s", why)
	}
}

// tellAll tells what there is.
func (w *world) tellAll() {
	for _, s := range w.judge.truth.Services {
		w.tell("%s: %s %s", s.Spec.Name, s.Update.State, s.Update.Message)
	}
	for _, t := range w.judge.truth.Tasks {
		c := t.Spec.ContainerSpec
		w.tell("task %d of %s: %s %s is %s, and to be %s, on %s: %s", t.Slot, c.Labels[spec.LabelService], c.Image, short(c.Labels[spec.LabelRevision]), t.State, t.DesiredState, w.judge.node(t.NodeID), t.Err)
	}
}
