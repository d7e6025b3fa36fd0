package enginetest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/engine/model"
)

// Accept fails the test unless the model accepts a trace. It does where the calls, and
// the events that no call explains, have an order that fits the times in the trace, and
// in that order the model
//
//   - ends each call with the same class of error,
//   - has the same events of each container in the same order, and no others,
//   - is in a state in which each read has the result of the trace.
//
// The events give the order; it is not searched for. Calls overlap, and a call has its
// effect at its first event, or at its end where it has none. An event that no call
// explains is done to the model: a process ended, somebody killed it, or its health
// changed. The processes of the model do nothing by themselves.
//
// A read is not of one instant. For each object it has to show a state that the model
// was in between the read's begin and the first change after its end, as an engine
// changes a state before it sends the event.
func Accept(t *testing.T, trace Trace) {
	synctest.Test(t, func(t *testing.T) {
		a := &acceptance{
			T: t, trace: trace, model: model.New(), images: map[string]string{}, ids: map[string]string{},
			told: map[string][]string{}, happened: map[string][]string{}, states: map[string][]state{}, late: map[string][]sight{},
		}
		defer func() { require.NoError(t, a.model.Close()) }()
		for _, ref := range trace.images {
			// Far later than any trace ends.
			a.images[a.model.AddImage(ref, model.Behavior{IgnoresStop: true, HealthAfter: 1000 * time.Hour})] = ref
		}
		var err error
		a.events, _, err = a.model.Events(t.Context(), trace.project)
		require.NoError(t, err)
		for _, m := range trace.moments() {
			time.Sleep(m.after) // the bubble's time
			m.pass(a)
			a.look()
		}
		for id, actions := range a.told {
			require.Equal(t, actions, a.happened[id], "%s: what the model tells and what happened", id)
		}
		require.Empty(t, a.late, "shown by reads, and never so in the model")
		t.Logf("%d calls and %d events of %d containers", len(trace.calls), len(trace.events), len(a.ids))
	})
}

// acceptance is a model that does again what is in a trace.
type acceptance struct {
	*testing.T
	trace  Trace
	model  *model.Engine
	events <-chan engine.Event
	images map[string]string // the model's references, by ID
	ids    map[string]string // the model's containers, by the trace's
	open   []*again
	// told are the model's actions, by the trace's container, and happened those of
	// the trace so far.
	told, happened map[string][]string
	// states are those that each object had in the model, in order; step counts them.
	states map[string][]state
	step   int
	// late are what reads showed that was not so in the model, yet.
	late map[string][]sight
}

// again is a call that has begun in the trace, and has not ended.
type again struct {
	*call
	from int // the step at which it began
	// done is closed when the model has done it; nil before it is asked to.
	done chan struct{}
	made string
	err  error
}

// state is what an object was from a step on; nil where it did not exist.
type state struct {
	step int
	is   any
}

// sight is what a read showed of an object.
type sight struct {
	read string
	is   any
}

func (a *acceptance) begins(c *call) {
	a.open = append(a.open, &again{call: c, from: a.step})
}

func (a *acceptance) ends(c *call) {
	i := slices.IndexFunc(a.open, func(o *again) bool { return o.call == c })
	o := a.open[i]
	a.open = slices.Delete(a.open, i, i+1)
	if c.again == nil {
		a.compare(o)
		return
	}
	a.do(o)
	select {
	case <-o.done:
	default:
		require.FailNow(a, "the model is not done", "with %s", c.what)
	}
	require.Equal(a, c.err == nil, o.err == nil, "%s: %v; the model: %v", c.what, c.err, o.err)
	require.Equal(a, engine.ClassOf(c.err), engine.ClassOf(o.err), "%s: %v; the model: %v", c.what, c.err, o.err)
}

// do has the model do what was asked, unless it was, and waits until it is done
// or waits itself.
func (a *acceptance) do(o *again) {
	if o.done != nil {
		return
	}
	o.done = make(chan struct{})
	go func() {
		defer close(o.done)
		o.made, o.err = o.again(context.Background(), a.model, a.ids[o.id])
	}()
	synctest.Wait()
	if o.made != "" {
		a.ids[o.id] = o.made
	}
	a.hear()
}

// hear takes in what the model tells.
func (a *acceptance) hear() {
	synctest.Wait()
	for {
		select {
		case e := <-a.events:
			for id, mine := range a.ids {
				if mine == e.ContainerID {
					a.told[id] = append(a.told[id], e.Action)
				}
			}
		default:
			return
		}
	}
}

func (a *acceptance) happens(e engine.Event) {
	id := e.ContainerID
	a.hear()
	a.happened[id] = append(a.happened[id], e.Action)
	if len(a.told[id]) < len(a.happened[id]) {
		a.cause(e)
		a.hear()
	}
	told := a.told[id]
	if e.Action == "kill" && len(told) < len(a.happened[id]) {
		return // somebody's: the model does it with the end of the process
	}
	told = told[:min(len(told), len(a.happened[id]))]
	require.Equal(a, a.happened[id], told, "%s: what happened and what the model tells", id)
}

// cause has the model do what an event tells of.
func (a *acceptance) cause(e engine.Event) {
	for _, o := range a.open {
		if o.id == e.ContainerID && o.action == e.Action && o.done == nil {
			a.do(o)
			return
		}
	}
	id, before := a.ids[e.ContainerID], a.happened[e.ContainerID]
	switch e.Action {
	case "kill":
	case "die":
		code, err := strconv.Atoi(e.Labels["exitCode"])
		require.NoError(a, err)
		if len(before) > 1 && before[len(before)-2] == "kill" && len(a.told[e.ContainerID]) < len(before)-1 {
			a.model.Kill(id, code)
		} else {
			a.model.Exit(id, code)
		}
	case "health_status":
		// It does not say which; what is read does.
		c, err := a.model.Container(a.Context(), id)
		require.NoError(a, err)
		if c.Health == engine.Healthy {
			a.model.SetHealth(id, engine.Unhealthy)
		} else {
			a.model.SetHealth(id, engine.Healthy)
		}
	case "destroy":
		a.model.RemoveBehind(id)
	default:
		require.FailNow(a, "nobody asked for it, and it does not happen by itself", "%s of %s", e.Action, e.ContainerID)
	}
}

// look takes down in which states the model's objects are now.
func (a *acceptance) look() {
	now := map[string]any{}
	for id, mine := range a.ids {
		if c, err := a.model.Container(a.Context(), mine); err == nil {
			now[aContainer+id] = tell(c, a.images)
		}
	}
	networks, err := a.model.Networks(a.Context(), a.trace.project)
	require.NoError(a, err)
	for _, n := range networks {
		now[aNetwork+n.Name] = object{n.Name, n.Driver, n.Labels}
	}
	volumes, err := a.model.Volumes(a.Context(), a.trace.project)
	require.NoError(a, err)
	for _, v := range volumes {
		now[aVolume+v.Name] = object(v)
	}
	a.step++
	for name := range now {
		if a.states[name] == nil {
			a.states[name] = []state{{}} // it did not exist
		}
	}
	for name, before := range a.states {
		if assert.ObjectsAreEqual(before[len(before)-1].is, now[name]) {
			continue
		}
		a.states[name] = append(before, state{step: a.step, is: now[name]})
		for _, s := range a.late[name] {
			require.Equal(a, s.is, now[name], "%s, as %s showed it, and as it is in the model after %+v", name, s.read, before)
		}
		delete(a.late, name)
	}
}

// compare compares what a read showed with the model.
func (a *acceptance) compare(o *again) {
	names := maps.Clone(o.saw)
	for name := range a.states {
		if strings.HasPrefix(name, o.about) && names[name] == nil {
			names[name] = nil
		}
	}
	for name, is := range names {
		if c, ok := is.(engine.Container); ok {
			is = tell(c, a.trace.images)
			if c.State == engine.Removing || c.State == engine.Dead {
				is = nil // as good as gone
			}
		}
		if !a.was(name, is, o.from) {
			a.late[name] = append(a.late[name], sight{read: fmt.Sprintf("%s at %s", o.what, o.began), is: is})
		}
	}
}

// was reports whether an object has been in a state since a step.
func (a *acceptance) was(name string, is any, from int) bool {
	states := a.states[name]
	if states == nil {
		return is == nil
	}
	for i, s := range states {
		ended := i+1 < len(states) && states[i+1].step <= from
		if !ended && assert.ObjectsAreEqual(s.is, is) {
			return true
		}
	}
	return false
}
