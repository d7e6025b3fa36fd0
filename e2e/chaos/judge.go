package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
	"golang.org/x/sys/unix"

	"github.com/tendhq/tend/api"
	"github.com/tendhq/tend/api/client"
	"github.com/tendhq/tend/e2e/kit"
)

const (
	// edited is for how long what was written before may still be acted on.
	edited = 3 * time.Minute
	// ownDoing is for how long what happens to a container may be our doing.
	ownDoing = 2 * time.Minute
	// grace is what a database has from the stop signal to SIGKILL.
	grace = 2 * time.Minute
	// pace is how often tend may ask for the same in a minute, and once more for
	// each of its starts.
	pace = 15
)

// judge holds what must be true always against what the engine tells and what
// tend asks it for.
type judge struct {
	journal *journal
	// dir is the run's folder.
	dir string
	// stop ends the run with the first violation.
	stop context.CancelCauseFunc

	mu         sync.Mutex
	containers map[string]*box
	// volumes are those there are, and which, once all have been made.
	volumes map[string]string
	// strange are the networks and volumes that are not tend's, by ID and name.
	strange map[string]bool
	written map[string][]wish
	// touched is when we did something to a container.
	touched map[string]time.Time
	// stopping is when tend asked to stop a container.
	stopping map[string]time.Time
	asking   map[string][]time.Time
	starts   []time.Time // of tend
	engineUp time.Time
	excuses  map[string]int
	excused  time.Time // when the last excuse ended
	// lastChange is when tend last asked for a change, or a container of the
	// shop was made, started, or ended.
	lastChange time.Time
	counts     map[string]int
	failure    error
}

// box is a container.
type box struct {
	id, name, service, number string
	ours, hook                bool
	running, paused           bool
	// volumes are those that it writes to, anonymous ones and folders included.
	volumes []string
}

// wish is a number of replicas that was written.
type wish struct {
	replicas int
	at       time.Time
}

func newJudge(j *journal, dir string, stop context.CancelCauseFunc) *judge {
	v := &judge{
		journal: j, dir: dir, stop: stop, containers: map[string]*box{}, strange: map[string]bool{}, written: map[string][]wish{},
		touched: map[string]time.Time{}, stopping: map[string]time.Time{}, asking: map[string][]time.Time{},
		excuses: map[string]int{}, counts: map[string]int{},
	}
	for name, n := range replicas {
		v.written[name] = []wish{{n, time.Now()}}
	}
	return v
}

// fail notes what does not hold.
func (v *judge) fail(format string, arguments ...any) {
	err := fmt.Errorf("VIOLATION: "+format, arguments...)
	v.journal.note("judge", "%v", err)
	if v.failure == nil {
		v.failure = err
		v.stop(err)
	}
}

// wrote notes what is written for a workload.
func (v *judge) wrote(name string, n int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.written[name] = append(v.written[name], wish{n, time.Now()})
}

// limit is how many replicas of a workload may run.
func (v *judge) limit(name string) int {
	most := 0
	for i, w := range v.written[name] {
		// Until the next one was written, and for a while after that.
		if i == len(v.written[name])-1 || time.Since(v.written[name][i+1].at) < edited {
			most = max(most, w.replicas)
		}
	}
	return max(most, replicas[name]) + surgeOf(name)
}

// excuse says why tend may be unable to start, until done is called.
func (v *judge) excuse(why string) (done func()) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.excuses[why]++
	return func() {
		v.mu.Lock()
		defer v.mu.Unlock()
		v.excuses[why]--
		v.excused = time.Now()
	}
}

// tendEnded notes that tend ended by itself.
func (v *judge) tendEnded(err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, n := range v.excuses {
		if n > 0 {
			return
		}
	}
	if time.Since(v.excused) > 5*time.Second {
		v.fail("tend ended by itself: %v", err)
	}
}

func (v *judge) tendStarts() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.starts = append(v.starts, time.Now())
}

func (v *judge) engineStarts() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.engineUp = time.Now()
}

// touch notes that we are about to do something to a container.
func (v *judge) touch(id string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.touched[id] = time.Now()
}

// newBox reads what a container is from its labels.
func newBox(id, name string, labels map[string]string) *box {
	name = strings.TrimPrefix(name, "/")
	b := &box{id: id, name: name, service: cmp.Or(labels[kit.IngressLabel], labels[kit.ServiceLabel]), number: labels[kit.NumberLabel], hook: labels[hookLabel] != ""}
	_, strange := strangers[name]
	b.ours = labels[kit.ProjectLabel] == project && !strange
	if b.ours {
		b.volumes = slices.Clone(binds[b.service])
	}
	return b
}

// replica reports whether a container is a workload's replica.
func (b *box) replica() bool { return b.ours && !b.hook }

// found notes what the engine has, as after its start.
func (v *judge) found(all []container.InspectResponse) {
	v.mu.Lock()
	defer v.mu.Unlock()
	clear(v.containers)
	for _, c := range all {
		b := newBox(c.ID, c.Name, c.Config.Labels)
		b.running, b.paused = c.State.Running, c.State.Paused
		for _, m := range c.Mounts {
			if m.Name != "" {
				b.volumes = append(b.volumes, m.Name)
			}
		}
		v.containers[c.ID] = b
	}
	v.journal.note("engine", "has %d containers", len(all))
	for _, b := range v.containers {
		if b.running {
			v.runs(b)
		}
	}
}

// told notes an event of the engine.
func (v *judge) told(m events.Message) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.counts["events of the engine"]++
	if m.Type == events.VolumeEventType {
		v.toldOfVolume(m)
		return
	}
	b := v.containers[m.Actor.ID]
	if b == nil || m.Action == events.ActionCreate {
		b = newBox(m.Actor.ID, m.Actor.Attributes["name"], m.Actor.Attributes)
		v.containers[b.id] = b
	}
	detail := ""
	for _, key := range []string{"signal", "exitCode"} {
		if value, ok := m.Actor.Attributes[key]; ok {
			detail += " " + key + "=" + value
		}
	}
	v.journal.note("engine", "%s %s %.12s%s", m.Action, b.name, b.id, detail)
	switch m.Action {
	case events.ActionStart:
		b.running, b.paused = true, false
		v.runs(b)
	case events.ActionDie:
		b.running, b.paused = false, false
		delete(v.stopping, b.id)
	case events.ActionDestroy:
		delete(v.containers, b.id)
	case events.ActionPause, events.ActionUnPause:
		b.paused = m.Action == events.ActionPause
	case events.ActionKill:
		v.signalled(b, m.Actor.Attributes["signal"])
	case events.ActionRename:
		b.name = m.Actor.Attributes["name"]
	}
	if b.ours && slices.Contains([]events.Action{events.ActionCreate, events.ActionStart, events.ActionDie, events.ActionDestroy}, m.Action) {
		v.lastChange = time.Now()
	}
}

func (v *judge) toldOfVolume(m events.Message) {
	name := m.Actor.ID
	v.journal.note("engine", "%s volume %s", m.Action, name)
	switch m.Action {
	case events.ActionMount:
		if b := v.containers[m.Actor.Attributes["container"]]; b != nil && !slices.Contains(b.volumes, name) {
			b.volumes = append(b.volumes, name)
		}
	case events.ActionCreate:
		// An engine that was restarted tells of one that it finds there, too.
		if now, err := identify(filepath.Join(volumesOf(v.dir), name)); v.volumes != nil && (err != nil || now != v.volumes[name]) {
			v.fail("volume %s is made, after all were there", name)
		}
	case events.ActionDestroy:
		v.fail("volume %s is deleted", name)
	}
}

// runs checks a container that runs now against all others.
func (v *judge) runs(b *box) {
	count := 0
	if len(b.volumes) > 0 {
		v.counts["starts on a volume, for who else runs on it"]++
	}
	for _, other := range v.containers {
		if !other.running {
			continue
		}
		if other != b {
			for _, volume := range b.volumes {
				if slices.Contains(other.volumes, volume) {
					v.fail("%s and %s run on volume %s", b.name, other.name, volume)
				}
			}
		}
		if !b.replica() || !other.replica() || other.service != b.service {
			continue
		}
		if count++; other != b && other.number == b.number {
			v.fail("%s and %s are both number %s of %s", b.name, other.name, b.number, b.service)
		}
	}
	if !b.replica() {
		return
	}
	v.counts["starts of replicas, for the number and the total"]++
	if limit := v.limit(b.service); count > limit {
		v.fail("%d replicas of %s run, and at most %d are to", count, b.service, limit)
	}
}

// signalled checks that nobody but us, or an engine that starts, kills a
// database within its grace.
func (v *judge) signalled(b *box, signal string) {
	if !b.ours || !slices.Contains(databases, b.service) || signal != "9" {
		return
	}
	v.counts["SIGKILLs of databases, for who sent them"]++
	if time.Since(v.touched[b.id]) < ownDoing || time.Since(v.engineUp) < time.Minute {
		return
	}
	if asked, ok := v.stopping[b.id]; !ok || time.Since(asked) < grace {
		v.fail("%s is killed before its grace is over", b.name)
	}
}

// asked checks what tend asks the engine for, before the engine learns of it.
func (v *judge) asked(r *request) {
	name, published, known := v.look(r)
	v.mu.Lock()
	defer v.mu.Unlock()
	v.journal.note("tend", "asks: %s %s %s", r.verb, r.kind, name)
	v.counts["requests of tend to the engine"]++
	v.lastChange = time.Now()
	v.checkPace(r, name)
	b := v.containers[r.object]
	switch {
	case r.kind == "system" || r.kind == "build" || r.verb == "prune":
		v.fail("tend asks for %s %s", r.verb, r.kind)
	case r.kind == "containers" && b != nil && !b.ours:
		v.fail("tend asks for %s of the container %s, which is not its own", r.verb, b.name)
	case v.strange[r.object]:
		v.fail("tend asks for %s of %s, which is not its own", r.verb, r.object)
	case r.kind == "volumes" && (r.verb != "create" || v.volumes != nil):
		v.fail("tend asks for %s of volume %s", r.verb, r.object)
	}
	if b == nil || !b.ours {
		return
	}
	database := slices.Contains(databases, b.service)
	switch r.verb {
	case "stop":
		v.stopping[b.id] = time.Now()
		seconds, err := strconv.Atoi(r.query.Get("t"))
		if database && (err != nil || time.Duration(seconds)*time.Second < grace) {
			v.fail("tend stops %s with a grace of %q seconds", b.name, r.query.Get("t"))
		}
		if known {
			v.counts["stops by tend, for a published endpoint"]++
		}
		if published {
			v.fail("tend stops %s, whose endpoint is published", b.name)
		}
	case "kill":
		if database && r.query.Get("signal") != "SIGTERM" {
			v.fail("tend kills %s", b.name)
		}
	case "delete":
		if r.query.Get("force") == "1" {
			v.fail("tend removes %s by force", b.name)
		}
	}
}

// look names what a request is about, and finds out whether it is a published
// endpoint, where that can be known.
func (v *judge) look(r *request) (name string, published, known bool) {
	v.mu.Lock()
	b := v.containers[r.object]
	v.mu.Unlock()
	if b == nil {
		return r.object, false, false
	}
	if r.verb != "stop" {
		return b.name, false, false
	}
	tend, err := client.Dial(dataDirOf(v.dir))
	if err != nil {
		return b.name, false, false
	}
	endpoints, err := tend.Endpoints(context.Background(), client.EndpointOptions{})
	if err != nil {
		return b.name, false, false
	}
	published = slices.ContainsFunc(endpoints.Workloads[b.service], func(e api.Endpoint) bool { return e.Replica == b.name })
	return b.name, published, true
}

// checkPace checks that nothing is tried again and again without a pause.
func (v *judge) checkPace(r *request, name string) {
	if r.verb == "connect" { // a part of a create, and counted with it
		return
	}
	old := func(t time.Time) bool { return time.Since(t) > time.Minute }
	v.starts = slices.DeleteFunc(v.starts, old)
	key := r.verb + " " + r.kind + " " + name
	v.asking[key] = append(slices.DeleteFunc(v.asking[key], old), time.Now())
	if n := len(v.asking[key]); n > pace+len(v.starts) {
		v.fail("tend asks for %s %d times in a minute", key, n)
	}
}

// answered notes what came of a request.
func (v *judge) answered(r *request, status int) {
	v.journal.note("engine", "answers %d: %s %s %.64s", status, r.verb, r.kind, r.object)
}

// settle notes the volumes once all of them exist.
func (v *judge) settle() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	data, err := filepath.Glob(filepath.Join(volumesOf(v.dir), "*", "_data"))
	if err != nil {
		return err
	}
	v.volumes = map[string]string{}
	for _, path := range data {
		folder := filepath.Dir(path)
		if v.volumes[filepath.Base(folder)], err = identify(folder); err != nil {
			return err
		}
	}
	return nil
}

// identify tells a folder from another one of its name. A volume's time in the engine
// is not enough, as it is the time of the last change in it.
func identify(folder string) (string, error) {
	var stat unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, folder, 0, unix.STATX_INO|unix.STATX_BTIME, &stat); err != nil {
		return "", fmt.Errorf("%s: %w", folder, err)
	}
	return fmt.Sprintf("inode %d of %d.%09d", stat.Ino, stat.Btime.Sec, stat.Btime.Nsec), nil
}

// some returns the containers of the shop for which a condition holds, by name.
func (v *judge) some(holds func(box) bool) (some []box) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, b := range v.containers {
		if b.replica() && holds(*b) {
			some = append(some, *b)
		}
	}
	slices.SortFunc(some, func(a, b box) int { return strings.Compare(a.name, b.name) })
	return some
}

// quiet is for how long tend has asked for nothing, and nothing has changed.
func (v *judge) quiet() time.Duration {
	v.mu.Lock()
	defer v.mu.Unlock()
	return time.Since(v.lastChange)
}

// counted returns what was counted.
func (v *judge) counted() map[string]int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return maps.Clone(v.counts)
}

// plant notes a network or a volume that is not tend's, by its ID or name.
func (v *judge) plant(object string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.strange[object] = true
}
