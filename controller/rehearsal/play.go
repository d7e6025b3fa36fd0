package rehearsal

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/tendhq/tend/controller"
	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/observe"
	"github.com/tendhq/tend/controller/plan"
	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/state"
)

// Act is one state of what is written.
type Act struct {
	Title   string
	Project *spec.Project
}

// Play is a project whose state is changed act by act, each once the one before has
// converged or can get no further.
type Play struct {
	Acts   []Act
	Images map[string]Behavior
	// IngressImage is the image of the ingresses in the projects, and Executable the file
	// that it is made from.
	IngressImage, Executable string
	// DataDir takes the backups.
	DataDir string
	// Patience is how long an act may take.
	Patience time.Duration
	// Begin is called when an act begins, and may do something to the engine. Event is told
	// what happens, with the time since the play began, and End how an act ended.
	Begin func(Act, *Engine)
	Event func(at time.Duration, e *state.Event)
	End   func(Result)
}

// Result is how an act ended.
type Result struct {
	// Took is how long it took until the project had converged, or could get no further.
	Took time.Duration
	// Err is why it has not converged.
	Err error
	// Bounds are those of the workloads that were changed, by name.
	Bounds []Bounds
}

// afterwards is how long an act goes on once it has ended, as a revision may fail late.
const afterwards = time.Minute

// heard is how long the controller takes to hear of what was done to the engine.
const heard = 10 * time.Millisecond

// Run plays it in virtual time: time passes only while everything waits, so that hours
// take moments. It returns the result of the last act.
func (p Play) Run() (last Result) {
	// Package synctest is for tests, and the runtime offers virtual time nowhere else. It
	// asks nothing of the T but to be one (ADR 45).
	synctest.Test(new(testing.T), func(*testing.T) { last = p.run() })
	return last
}

func (p Play) run() (last Result) {
	e := New(p.Images, p.IngressImage)
	defer e.Close()
	began := time.Now()
	c := &counts{last: map[string]core.Status{}}
	ctl := controller.New(controller.Options{
		Engine: e, AskProbe: e.Ask, Project: p.Acts[0].Project.Name, Folders: observe.Folders{Project: p.Acts[0].Project.WorkingDir},
		DataDir: p.DataDir, Executable: p.Executable, IngressImage: p.IngressImage, Log: zap.NewNop(),
		OnEvent: func(happened *state.Event) { p.Event(time.Since(began), happened) },
		Record:  func(_ plan.Input, planned plan.Plan) { c.count(planned.Status) },
	})
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { ctl.Run(ctx) })
	for _, act := range p.Acts {
		at := time.Now()
		c.begin()
		p.Begin(act, e)
		time.Sleep(heard)
		if last.Err = e.AddExternal(ctx, act.Project); last.Err != nil {
			break
		}
		ctl.SetProject(act.Project)
		_ = within(ctx, p.Patience, ctl.Wait) // how it ended is asked below
		took := time.Since(at)
		time.Sleep(afterwards)
		last = Result{Took: took, Err: within(ctx, time.Second, ctl.Wait), Bounds: c.changed(act.Project)}
		p.End(last)
	}
	stop()
	running.Wait()
	return last
}

// within waits for no longer than d.
func within(ctx context.Context, d time.Duration, wait func(context.Context, ...string) error) error {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	return wait(ctx)
}
