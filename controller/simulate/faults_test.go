package simulate

import (
	"cmp"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/engine/model"
	"github.com/tendhq/tend/controller/spec"
)

// fault is one way in which a call goes wrong. do reports whether it could.
type fault struct {
	name string
	// ops are the calls that it can happen to; none stands for all.
	ops []model.Op
	// writes restricts it to calls with an effect, engine to those to the engine.
	writes, engine bool
	// when says in which moods it happens; nil stands for all.
	when func(moods) bool
	do   func(w *world, c *call) bool
}

func lies(m moods) bool { return m.lies }

func crashes(m moods) bool { return m.crash > 0 }

var (
	listing    = []model.Op{model.OpContainers}
	inspecting = []model.Op{model.OpContainer}
	creating   = []model.Op{model.OpCreate}
	filling    = []model.Op{model.OpPull, model.OpCreate, model.OpCreateVolume}
	starting   = []model.Op{model.OpStart}
	removing   = []model.Op{model.OpRemove}
	probing    = []model.Op{model.OpExec}
)

// faults is the part of the fault matrix that befalls a call.
var faults = []fault{
	{name: "error 500", do: func(w *world, c *call) bool { return w.refuse(c, engine.Unknown, "error 500") }},
	{name: "unavailable", engine: true, do: func(w *world, c *call) bool { return w.refuse(c, engine.Unavailable, "connection refused") }},
	{name: "reply lost", do: func(w *world, c *call) bool {
		w.effect(c)
		w.lose(c, engine.Unknown, errInjected)
		return true
	}},
	{name: "reply lost, effect late", engine: true, writes: true, do: func(w *world, c *call) bool {
		w.late = append(w.late, c)
		w.lose(c, engine.Unknown, errInjected)
		return true
	}},
	{name: "hang", do: func(w *world, c *call) bool {
		c.held = true
		return true
	}},
	{name: "crash before", when: crashes, do: func(w *world, _ *call) bool {
		w.restart()
		return true
	}},
	{name: "crash after", when: crashes, do: func(w *world, c *call) bool {
		w.effect(c)
		w.restart()
		return true
	}},
	{name: "daemon restart", engine: true, when: func(m moods) bool { return m.away }, do: func(w *world, c *call) bool {
		w.effect(c)
		w.lose(c, engine.Unknown, errInjected)
		w.outage()
		return true
	}},

	{name: "stale", ops: listing, when: lies, do: func(w *world, c *call) bool {
		old := w.lists
		return w.pretend(c, func(l []engine.Container) []engine.Container { return slices.Clone(old) })
	}},
	{name: "empty", ops: listing, when: lies, do: func(w *world, c *call) bool {
		return w.pretend(c, func([]engine.Container) []engine.Container { return nil })
	}},
	{name: "partial", ops: listing, when: lies, do: func(w *world, c *call) bool {
		n, of := w.draw(4), 2+w.draw(3)
		return w.pretend(c, func(l []engine.Container) []engine.Container {
			var some []engine.Container
			for i, one := range l {
				if i%of != n%of {
					some = append(some, one)
				}
			}
			return some
		})
	}},
	{name: "404", ops: inspecting, when: lies, do: func(w *world, c *call) bool {
		return w.disguise(c, func(now engine.Container) (engine.Container, error) {
			// Only its name keeps another one from being made in its place: the first
			// number is taken first.
			if beside := len(now.NamedVolumes()) > 0 && now.Labels[spec.LabelContainerNumber] != "1"; beside || now.Name != nameOf(now) {
				return now, nil
			}
			return engine.Container{}, c.fail(engine.NotFound, errors.New("no such container"))
		})
	}},
	{name: "torn", ops: inspecting, when: lies, do: func(w *world, c *call) bool { // against the list
		old := w.lists
		return w.disguise(c, func(now engine.Container) (engine.Container, error) {
			if i := slices.IndexFunc(old, func(c engine.Container) bool { return c.ID == now.ID }); i >= 0 {
				return old[i], nil
			}
			return now, nil
		})
	}},
	{name: "404 race", ops: inspecting, do: func(w *world, c *call) bool {
		w.engine.RemoveBehind(c.object)
		w.checks.touch()
		w.pend(c)
		return true
	}},

	{name: "429", ops: []model.Op{model.OpPull}, do: func(w *world, c *call) bool { return w.refuse(c, engine.Exhausted, "too many requests") }},
	{name: "missing", ops: []model.Op{model.OpPull, model.OpImage}, do: func(w *world, c *call) bool { return w.refuse(c, engine.NotFound, "no such image") }},
	{name: "disk full", ops: filling, do: func(w *world, c *call) bool {
		return w.refuse(c, engine.Exhausted, "no space left on device")
	}},
	{name: "disk full for a while", ops: filling, do: func(w *world, c *call) bool {
		w.full = time.Now().Add(one(w.tape, 5*time.Second, 30*time.Second, 3*time.Minute))
		return w.refuse(c, engine.Exhausted, "no space left on device")
	}},
	{name: "tag moved", ops: []model.Op{model.OpPull, model.OpCreate}, do: func(w *world, c *call) bool {
		image := c.object
		if c.create != nil {
			image = c.create.Service.Image
		}
		if b, ok := images[image]; ok && image != "remote" {
			w.addImage(image, b)
		}
		w.pend(c)
		return true
	}},

	{name: "409 ghost name", ops: creating, do: func(w *world, c *call) bool {
		w.engine.ReserveName(c.object)
		w.reserve = append(w.reserve, c.object)
		w.pend(c)
		return true
	}},
	{name: "no image or network", ops: creating, do: func(w *world, c *call) bool { return w.refuse(c, engine.NotFound, "no such network") }},
	{name: "made, but not joined", ops: creating, do: func(w *world, c *call) bool {
		w.respond(c, func(err error) error { return cmp.Or[error](err, c.fail(engine.Unknown, errInjected)) })
		return true
	}},

	{name: "port conflict", ops: starting, do: func(w *world, c *call) bool {
		if len(w.release) == 0 {
			w.release = append(w.release, w.engine.HoldPort("127.0.0.1", 8080, "tcp"))
		}
		w.pend(c)
		return true
	}},
	{name: "running without network", ops: starting, do: func(w *world, c *call) bool {
		w.respond(c, func(err error) error {
			w.engine.LosePorts(c.object)
			w.engine.LoseAddresses(c.object)
			return err
		})
		return true
	}},
	{name: "instant exit", ops: starting, do: func(w *world, c *call) bool {
		w.respond(c, func(err error) error {
			w.engine.Exit(c.object, 1)
			return err
		})
		return true
	}},

	{name: "304", ops: []model.Op{model.OpStop}, do: func(w *world, c *call) bool { return w.exits(c, 0) }},
	{name: "exit 143", ops: []model.Op{model.OpStop}, do: func(w *world, c *call) bool { return w.exits(c, 143) }},
	{name: "exit 137", ops: []model.Op{model.OpStop}, do: func(w *world, c *call) bool { return w.exits(c, 137) }},
	{name: "exit 255", ops: []model.Op{model.OpStop}, do: func(w *world, c *call) bool { return w.exits(c, 255) }},

	{name: "409 in progress", ops: removing, do: func(w *world, c *call) bool {
		return w.refuse(c, engine.Conflict, "removal is already in progress")
	}},
	{name: "dead", ops: removing, do: func(w *world, c *call) bool {
		w.engine.SetState(c.object, engine.Dead)
		return w.refuse(c, engine.Unknown, "the layers are in use")
	}},
	{name: "404", ops: removing, do: func(w *world, c *call) bool {
		w.engine.RemoveBehind(c.object)
		w.checks.touch()
		w.pend(c)
		return true
	}},

	{name: "fails", ops: probing, do: func(w *world, c *call) bool {
		w.respond(c, func(err error) error {
			if code, ok := c.value.(*int); ok {
				*code = 1
			}
			return err
		})
		return true
	}},
	{name: "lost", ops: []model.Op{opLoad}, do: func(w *world, c *call) bool {
		clear(w.rows)
		w.pend(c)
		return true
	}},
	{name: "corrupt", ops: []model.Op{opLoad}, do: func(w *world, c *call) bool {
		for key := range w.rows {
			w.rows[key] = []byte{0xff}
		}
		w.pend(c)
		return true
	}},
	{name: "clock jumped", ops: []model.Op{opLoad}, do: func(w *world, c *call) bool {
		w.postpone()
		w.pend(c)
		return true
	}},
	{name: "disk full", ops: []model.Op{opCommit, opReplace}, do: func(w *world, c *call) bool { return w.refuse(c, engine.Exhausted, "no space left on device") }},
	{name: "in use", ops: []model.Op{model.OpCreateVolume}, do: func(w *world, c *call) bool { return w.refuse(c, engine.Conflict, "volume is in use") }},
}

// postpone has all that is on the disk have been written while the clock was a
// year ahead.
func (w *world) postpone() {
	w.tell("what is on the disk lies a year ahead")
	w.rows.postpone(365 * 24 * time.Hour)
	for workload := range w.checks.followed {
		w.checks.followed[workload] = time.Time{} // when tend reads it next
	}
}

// of reports whether a fault can happen to a call.
func (f fault) of(c *call, m moods) bool {
	return (len(f.ops) == 0 || slices.Contains(f.ops, c.op)) && (!f.writes || c.op.Write()) && (!f.engine || !slices.Contains(othersOps, c.op)) && (f.when == nil || f.when(m))
}

// fault has a call go wrong, and reports whether it does.
func (w *world) fault(c *call) bool {
	var possible []fault
	for _, f := range faults {
		if f.of(c, w.moods) {
			possible = append(possible, f)
		}
	}
	f := possible[w.draw(len(possible))]
	w.tell("%s: %s", w.name(c), f.name)
	w.cover.count(string(c.op), f.name)
	return f.do(w, c)
}

// refuse fails a call that has no effect.
func (w *world) refuse(c *call, class engine.Class, why string) bool {
	w.lose(c, class, errors.New(why))
	return true
}

// effect has a call's effect, to which nobody listens any more.
func (w *world) effect(c *call) {
	late := slices.Contains(w.late, c) // nobody can know of it
	w.late = slices.DeleteFunc(w.late, func(other *call) bool { return other == c })
	if !c.op.Write() {
		return
	}
	w.tell("%s takes effect", w.name(c))
	w.checks.stops(c)
	if c.op == model.OpStop {
		go func() { _ = c.do(w.life) }() // it takes its time
		return
	}
	err := c.do(w.life)
	switch {
	case c.op == model.OpCreate && err == nil:
		w.checks.made[c.object] = !late
	case c.op == model.OpStart:
		w.checks.started(c, err)
		if late { // it was told to have failed, and another start may have run since
			w.checks.noTries[runOf(w.checks.truth(), c.object)] = true
		}
	}
}

// pretend answers a list with another one.
func (w *world) pretend(c *call, change func([]engine.Container) []engine.Container) bool {
	w.gate.release(c, answer{then: func(err error) error {
		list := c.value.(*[]engine.Container)
		if err != nil {
			w.checks.missed(c)
			return err
		}
		truth := *list
		*list = change(truth)
		for _, one := range truth {
			if listed := slices.ContainsFunc(*list, func(c engine.Container) bool { return c.ID == one.ID }); !listed && one.Name != nameOf(one) && !w.known(one) {
				*list = append(*list, one) // else nothing would keep another one from being made in its place
			}
		}
		w.checks.list(*list, c)
		w.checks.lied(c, truth, *list)
		return nil
	}})
	return true
}

// known reports whether tend knows of a container.
func (w *world) known(c engine.Container) bool {
	_, ok := w.ctl.State().Snapshot().Replica(c.ID)
	return ok
}

// disguise answers an inspect with something else.
func (w *world) disguise(c *call, change func(engine.Container) (engine.Container, error)) bool {
	w.respond(c, func(err error) error {
		if err != nil {
			return err
		}
		value := c.value.(*engine.Container)
		truth := []engine.Container{*value}
		if *value, err = change(*value); err != nil {
			w.checks.lied(c, truth, nil)
		} else {
			w.checks.lied(c, truth, []engine.Container{*value})
		}
		return err
	})
	return true
}

// exits has a container exit by itself just before it is stopped.
func (w *world) exits(c *call, code int) bool {
	w.engine.Kill(c.object, code)
	w.pend(c)
	return true
}

// outage has the engine go away or come back.
func (w *world) outage() {
	w.checks.touch()
	if w.away {
		w.away = false
		w.tell("the engine is back")
		w.engine.Boot()
		w.engine.Reconnect()
		return
	}
	w.away = true
	w.engine.Disconnect()
	switch w.draw(4) {
	case 1:
		w.tell("the engine is away")
	case 2:
		w.tell("the engine is killed; what ran has exited")
		for _, c := range w.checks.truth() {
			w.engine.Kill(c.ID, 255)
		}
	case 3:
		w.tell("the engine is restarted, and has lost the host ports")
		for _, c := range w.checks.truth() {
			w.engine.LosePorts(c.ID)
		}
	default:
		w.tell("the engine is away, and back at once")
		w.away = false
		w.engine.Reconnect()
	}
}

// streamFaults befall the event stream: the first always can, the last where
// two events wait, the others where one does.
var streamFaults = []string{"cut", "drop", "duplicate", "overflow", "reorder"}

// spoil damages the event stream.
func (w *world) spoil() bool {
	s := w.gate.stream
	if s == nil || s.closed {
		return false
	}
	n := len(s.pending)
	possible := len(streamFaults)
	if n < 2 {
		possible = []int{1, 4}[n]
	}
	kind := streamFaults[w.draw(possible)]
	w.tell("events: %s", kind)
	w.cover.count("events", kind)
	switch kind {
	case "cut":
		s.end(errInjected)
	case "drop":
		w.checks.unheard[s.pending[0].ContainerID] = true
		s.pending = slices.Delete(s.pending, 0, 1)
	case "duplicate":
		s.pending = slices.Insert(s.pending, 0, s.pending[0])
	case "overflow":
		for _, e := range s.pending {
			w.checks.unheard[e.ContainerID] = true
		}
		s.pending = nil
	case "reorder":
		i := 1 + w.draw(n-1)
		s.pending[0], s.pending[i] = s.pending[i], s.pending[0]
	}
	return true
}

// meddling is what a person, or the machine, does to a container.
var meddling = []string{"kill", "rm -f", "stop", "pause", "unpause", "unhealthy", "healthy", "die", "lose ports", "dead", "start", "cut network", "health begins anew", "update --restart", "rename"}

// meddle has a person, or the machine, do something to a container.
func (w *world) meddle() {
	all := w.checks.truth()
	if w.draw(8) == 7 {
		w.disturb()
		return
	}
	if len(all) == 0 {
		return
	}
	c := all[w.draw(len(all))]
	kind := meddling[w.draw(len(meddling))]
	w.tell("a person: %s %s", kind, c.Name)
	w.cover.count("outsider", kind)
	w.checks.touch()
	switch kind {
	case "kill":
		w.engine.Kill(c.ID, 137)
	case "die":
		w.engine.Exit(c.ID, one(w.tape, 1, 0, 3))
	case "rm -f":
		w.engine.RemoveBehind(c.ID)
	case "stop":
		w.engine.StopBehind(c.ID, 10*time.Second)
		rollout, kept := w.ctl.State().Snapshot().Rollout(replicaOf(c))
		kept = kept && rollout.Revision != "" // its volumes alone may be remembered
		w.checks.stopped[c.ID] = w.checks.stopped[c.ID] || kept && alive(c) && c.State != engine.Restarting
		w.checks.unheard[c.ID] = w.checks.unheard[c.ID] || c.State == engine.Restarting // it had ended before
	case "pause":
		w.engine.Pause(c.ID)
	case "unpause":
		w.engine.Unpause(c.ID)
	case "unhealthy":
		w.engine.SetHealth(c.ID, engine.Unhealthy)
	case "healthy":
		if c.Health != engine.NoHealthCheck {
			w.engine.SetHealth(c.ID, engine.Healthy)
		}
	case "lose ports":
		w.engine.LosePorts(c.ID)
	case "dead":
		w.engine.SetState(c.ID, one(w.tape, engine.Dead, engine.Removing))
	case "cut network":
		for _, network := range networksOf(workloadOf(c)) {
			w.engine.LeaveNetwork(c.ID, network)
		}
	case "health begins anew":
		w.engine.ResetHealth(c.ID)
	case "update --restart":
		w.engine.UpdateBehind(c.ID, one(w.tape, "always", "no"))
	case "rename":
		// Where a list may leave it out, only its name keeps another one from being made.
		if !w.moods.lies || w.known(c) && !w.checks.creating[nameOf(c)] {
			w.engine.Rename(c.ID, c.Name+"-old")
		}
	case "start":
		if c.State == engine.Exited && len(c.NamedVolumes()) == 0 && !w.away {
			before := runOf(w.checks.truth(), c.ID)
			if w.engine.Start(w.life, c.ID) == nil {
				delete(w.checks.stopped, c.ID)
				w.checks.noTries[runOf(w.checks.truth(), c.ID)] = true
				w.checks.noTries[before] = true // it may be seen, and is not known any more
				delete(w.checks.tries, workloadOf(c))
			}
		}
	}
}

// disturb has somebody do something that concerns no container of tend's.
func (w *world) disturb() {
	switch w.draw(6) {
	case 5:
		w.build(w.written[one(w.tape, w.names...)])
	case 0:
		w.gateway.active = !w.gateway.active
		w.tell("a gateway comes or goes: %t", w.gateway.active)
		w.ask()
	case 1:
		w.foreign()
	case 4:
		w.loseVolume(one(w.tape, "missing", "swapped"))
	case 2:
		if len(w.release) == 0 {
			w.tell("another program takes port 8080")
			w.release = append(w.release, w.engine.HoldPort("127.0.0.1", 8080, "tcp"))
		} else {
			w.free()
		}
	case 3:
		w.free()
	}
}

// build has a person build the image of a workload anew under its name.
func (w *world) build(v variant) {
	if v.Workload == nil || v.Image == "absent" || w.image(v.Image) == "" {
		return
	}
	w.tell("a person builds %s anew", v.Image)
	w.cover.count("image", "built anew")
	w.addImage(v.Image, images[v.Image])
	w.checks.touch()
}

// takeDown has a person take the project down with docker compose.
func (w *world) takeDown() {
	if w.away {
		return
	}
	w.tell("a person takes the project down")
	w.cover.count("project", "taken down")
	for _, c := range w.checks.truth() {
		if ours(c) {
			w.engine.RemoveBehind(c.ID)
		}
	}
	for _, n := range w.pool.base.Networks {
		_ = w.engine.RemoveNetwork(w.life, n.Name) // a stranger may be in it
	}
}

// loseVolume has a person remove the database's container and its volume, and
// make another one in its place where it is swapped.
func (w *world) loseVolume(how string) {
	for _, c := range w.checks.truth() {
		if len(c.NamedVolumes()) > 0 {
			w.engine.RemoveBehind(c.ID)
		}
	}
	w.checks.touch()
	for _, name := range slices.Sorted(maps.Keys(w.pool.base.Volumes)) {
		volume := w.pool.base.Volumes[name]
		if w.away || !w.has(volume.Name) {
			continue
		}
		w.tell("a person removes %s, and the containers on it: %s", volume.Name, how)
		w.cover.count("volume", how)
		must(w.engine.RemoveVolume(w.life, volume.Name))
		delete(w.checks.holder, volume.Name)
		if how == "swapped" {
			w.makeVolume(volume.Name)
		}
	}
}

// makeVolume has a person make an empty volume.
func (w *world) makeVolume(name string) {
	w.tell("a person makes %s anew", name)
	delete(w.checks.holder, name)
	must(w.engine.CreateVolume(w.life, engine.VolumeSpec{Name: name}))
}

// free gives back what others hold.
func (w *world) free() {
	w.tell("ports and names are free again")
	for _, f := range w.release {
		f()
	}
	for _, name := range w.reserve {
		w.engine.ReleaseName(name)
	}
	w.release, w.reserve = nil, nil
}

// foreign makes a container that tend did not make.
func (w *world) foreign() {
	w.checks.strangers++
	c := engine.Container{Name: "stranger-" + string(rune('a'+w.checks.strangers%26)), State: engine.Exited, Created: time.Now()}
	web, ok := w.written["web"]
	switch w.draw(5) {
	case 3: // of another folder's project of the same name
		of := one(w.tape, append(slices.Clone(w.names), "theirs")...)
		c.State = one(w.tape, engine.Running, engine.Exited)
		c.Labels = map[string]string{
			spec.LabelProject: project, spec.LabelService: of, spec.LabelOneoff: "False", spec.LabelContainerNumber: "1",
			spec.LabelWorkingDir: otherFolder, spec.LabelRevision: "theirs",
		}
	case 0: // of another project
		c.Labels = map[string]string{spec.LabelProject: "other", spec.LabelService: "web", spec.LabelContainerNumber: "1"}
	case 1: // a one-off container of Compose's
		c.Labels = map[string]string{spec.LabelProject: project, spec.LabelService: "web", spec.LabelOneoff: "True", spec.LabelContainerNumber: "1"}
	case 2: // whose labels are corrupt, or of a second Compose file in the same project
		if w.checks.strangers%2 == 1 {
			c.State = engine.Running
			c.Labels = map[string]string{
				spec.LabelProject: project, spec.LabelService: sideService, spec.LabelOneoff: "False", spec.LabelContainerNumber: "1", spec.LabelWorkingDir: w.pool.base.WorkingDir,
			}
			break
		}
		c.Labels = map[string]string{spec.LabelProject: project, spec.LabelService: "web", spec.LabelContainerNumber: "x"}
	default: // scaled by a person with docker compose
		if !ok {
			return
		}
		c.Labels = spec.ContainerLabels(w.pool.base, web.Workload, 7, "", nil)
		c.Labels[spec.LabelRevision] = ""
		c.Name, c.Networks = "p-web-7", map[string]string{}
		for _, network := range web.Networks {
			c.Networks[network] = ""
		}
	}
	if slices.ContainsFunc(w.checks.truth(), func(other engine.Container) bool { return other.Name == c.Name || nameOf(other) == c.Name }) {
		return
	}
	w.tell("a person makes %s", c.Name)
	w.cover.count("outsider", "create")
	w.engine.Put(c, model.Behavior{})
}

func (w *world) addImage(name string, b model.Behavior) {
	b.Commands = hooks
	if build, ok := servers[name]; ok {
		b.Exec = server(build)
	} else {
		b.Exec = func(engine.ExecSpec) (int, time.Duration) { return 0, 0 }
	}
	w.engine.AddImage(name, b)
}
