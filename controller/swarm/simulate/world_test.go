package simulate

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	swarmapi "github.com/docker/docker/api/types/swarm"
	"go.uber.org/zap"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/observe"
	"github.com/tendhq/tend/controller/swarm"
	"github.com/tendhq/tend/controller/swarm/manager/model"
	"github.com/tendhq/tend/state"
)

// world is a Swarm, a project that tend keeps on it, and what happens to both.
type world struct {
	rng    *rand.Rand
	folder *folder
	swarm  *model.Swarm
	began  time.Time

	written written
	rows    map[[2]string][]byte
	gate    *gate
	ctl     *swarm.Controller
	quit    context.CancelFunc
	ended   chan struct{}
	asked   chan error // what came of what people asked for last

	judge *judge
	// blamed is what tend was found to say wrongly.
	blamed string
	// fault is how many of a hundred requests go wrong.
	fault int
	// crash, where it is set, is asked before each write, and has tend killed before it is
	// carried out, or after.
	crash func() (before, after bool)
	story *strings.Builder
}

// failure ends a history.
type failure string

func (w *world) fail(format string, args ...any) {
	panic(failure(fmt.Sprintf(format, args...)))
}

// tell adds a line to the story.
func (w *world) tell(format string, args ...any) {
	if w.story != nil {
		fmt.Fprintf(w.story, "%10s  %s\n", time.Since(w.began).Round(time.Millisecond), fmt.Sprintf(format, args...))
	}
}

// inWorld runs a history in a world of its own, and returns how it failed; empty where it
// did not.
func inWorld(t *testing.T, f *folder, seed uint64, story bool, run func(*world)) (failed, told string) {
	t.Helper()
	synctest.Test(t, func(*testing.T) {
		w := &world{rng: rand.New(rand.NewPCG(seed, 0)), folder: f, swarm: model.New(), rows: map[[2]string][]byte{}, began: time.Now()}
		if story {
			w.story = &strings.Builder{}
			defer func() { told = w.story.String() }()
		}
		w.swarm.AddNode("node2", swarmapi.NodeRoleManager)
		w.swarm.AddNode("node3", swarmapi.NodeRoleManager)
		w.swarm.AddNode("node4", swarmapi.NodeRoleWorker)
		w.swarm.AddNode("node5", swarmapi.NodeRoleWorker)
		for image, b := range images {
			w.swarm.AddImage(image, b)
			if !strings.HasSuffix(image, ":2") { // those are on the nodes alone
				w.swarm.Push(image, "sha256:"+image)
			}
		}
		w.written = written{
			images:   map[string]string{"web": "1", "api": "1", "agent": "1", "db": "1", "seed": "1", "store": "1"},
			replicas: map[string]int{"web": 2, "api": 1, "seed": 1, "store": 1}, token: "red", motd: "red", hook: "migrate",
		}
		w.judge = newJudge(w)
		defer func() {
			if text, is := recover().(failure); is {
				failed = string(text)
			}
			if w.gate != nil {
				w.kill()
			}
			_ = w.swarm.Close()
			synctest.Wait()
		}()
		run(w)
	})
	return failed, told
}

// start starts a tend that knows what is on the disk.
func (w *world) start() {
	g := &gate{swarm: w.swarm, last: map[model.Op]any{}}
	ctx, quit := context.WithCancel(context.Background())
	w.gate, w.quit, w.ended, w.asked = g, quit, make(chan struct{}), make(chan error, 1)
	w.ctl = swarm.New(swarm.Options{
		Manager: g, Project: project, Folders: observe.Folders{Project: w.folder.dir}, Log: zap.NewNop(),
		Durable: &disk{gate: g, rows: w.rows},
		OnEvent: func(e *state.Event) {
			if !g.killed() {
				w.tell("    %s %s: %s", e.Workload, e.Reason, e.Message)
				w.judge.told(e.Event)
			}
		},
	})
	w.judge.started()
	ctl, ended := w.ctl, w.ended
	go func() {
		defer close(ended)
		ctl.Run(ctx)
	}()
	synctest.Wait()
	w.write()
}

// kill ends tend as SIGKILL does.
func (w *world) kill() {
	w.gate.kill()
	w.quit()
	<-w.ended
	synctest.Wait()
	w.gate = nil
}

// write puts what is written in force.
func (w *world) write() {
	p, err := w.folder.load(&w.written)
	if err != nil {
		w.fail("what is written is not valid: %v", err)
	}
	w.judge.wrote(p)
	w.ctl.SetProject(p)
	synctest.Wait()
}

// ask has a person ask something of tend's, which is in force when asked has an answer.
func (w *world) ask(name, what string, change func(*core.Intent)) {
	ctl, asked := w.ctl, w.asked
	w.tell("somebody asks: %s %s", what, name)
	go func() {
		err := ctl.Intend(context.Background(), core.Event{Type: core.Normal, Workload: name, Reason: "Asked", Message: what},
			func(i *core.Intent, _ *state.Snapshot) error { change(i); return nil })
		select {
		case asked <- err:
		default:
		}
	}()
	synctest.Wait()
}

// pass lets time pass, and looks.
func (w *world) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
	if w.blamed != "" {
		w.fail("%s", w.blamed)
	}
	w.judge.look()
}

// answer has the requests that wait answered, one after the other, until none does.
func (w *world) answer() {
	for {
		w.pass(0)
		if w.gate == nil {
			return
		}
		all := w.gate.waiting()
		for _, r := range all {
			if !r.judged {
				r.judged = true
				w.judge.requested(r)
			}
		}
		if len(all) == 0 {
			return
		}
		i := 0
		if len(all) > 1 {
			i = w.rng.IntN(len(all))
		}
		w.decide(all[i])
	}
}

// decide says what becomes of a request.
func (w *world) decide(r *request) {
	before, after := false, false
	if w.crash != nil && r.op.Write() {
		before, after = w.crash()
	}
	f := answered
	if w.fault > 0 && w.rng.IntN(100) < w.fault {
		switch w.rng.IntN(8) {
		case 0, 1:
			f = refused
		case 2:
			f = lost
		case 3:
			f = done
		case 4, 5:
			if f = stale; r.op.Write() || r.op == model.OpDigest {
				f = done
			}
		case 6:
			before = true
		case 7:
			after = true
		}
	}
	switch {
	case before:
		w.tell("tend is killed before: %s", w.name(r))
		w.kill()
		return
	case after:
		w.tell("tend is killed after: %s", w.name(r))
		w.gate.release(r, done)
		synctest.Wait()
		w.kill()
		return
	}
	if r.op.Write() || f != answered {
		w.tell("%s: %s", w.name(r), [...]string{"carried out", "refused", "lost", "carried out, and the answer lost", "answered as before"}[f])
	}
	w.judge.decided(r, f)
	w.gate.release(r, f)
}

// unpinned is an image without its digest.
func unpinned(image string) string {
	of, _, _ := strings.Cut(image, "@")
	return of
}

// name is a request for a person.
func (w *world) name(r *request) string {
	object := r.object
	if s := w.judge.service(r.object); s != nil {
		object = s.Spec.Name
	}
	if r.spec != nil {
		object += fmt.Sprintf(" %s %s", r.spec.TaskTemplate.ContainerSpec.Image, short(r.spec.Labels["tend.revision"]))
	}
	return string(r.op) + " " + object
}

func short(revision string) string { return revision[:min(8, len(revision))] }

// alive starts tend where it is dead.
func (w *world) alive() {
	if w.gate == nil {
		w.tell("tend is started")
		w.start()
	}
}

// clone is a copy that is edited.
func (w *written) clone() written {
	c := *w
	c.images, c.replicas = maps.Clone(w.images), maps.Clone(w.replicas)
	return c
}
