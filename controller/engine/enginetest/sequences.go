package enginetest

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/tendhq/tend/controller/engine"
)

// Compare carries out random sequences of operations on an engine and on the model side
// by side, and fails where they differ. It makes -rapid.checks sequences, of -rapid.steps
// operations on average.
//
// After each operation its value and class of error are the same, and so is, as soon as
// both are at rest, all that tend reads: the containers, their output, the networks and
// the volumes. Values that cannot be the same are compared in part: an ID by its object,
// an address by whether there is one, instants by their order and by whether they have
// changed.
//
// In the end everything is removed, and each container has had the same events in the
// same order, as alike judges them. Between two containers there is no order.
//
// Two operations are left out, as their outcome is not determined: starting a container
// whose start has failed (see engine.Engine), and stopping one that heeds signals
// without grace, as the two signals race.
//
// An engine's behaviour in a race may not come again. So the first difference is
// reported at once, with all that was done before, and not only when rapid has made the
// sequence shorter.
func Compare(t *testing.T, harness func(T) Harness) {
	var first sync.Once
	rapid.Check(t, func(rt *rapid.T) {
		h := harness(rt)
		p := &pair{
			T: rt, differ: func(p *pair, difference string) {
				first.Do(func() { t.Logf("%s\n%s", strings.Join(p.story, "\n"), difference) })
			},
			sides: []*side{newSide(rt, h), newSide(rt, Model(rt, h.Project, h.Image))},
			port:  h.Outsider.FreePort(rt),
		}
		for _, key := range keys {
			p.makeNetwork(key)
		}
		p.createVolume(rt)
		operations := p.operations()
		rt.Repeat(map[string]func(*rapid.T){"operation": func(t *rapid.T) {
			for !draw(t, "operation", operations...)(t) {
			}
		}})
		p.removeAll()
		p.compareEvents()
	})
}

// operations are all that can be done, each as often as it is to be likely. They
// return false, and do nothing, where they make no sense.
func (p *pair) operations() []func(*rapid.T) bool {
	type operation = func(*rapid.T) bool
	return slices.Concat(
		slices.Repeat([]operation{p.create}, 5),
		slices.Repeat([]operation{p.start}, 8),
		slices.Repeat([]operation{p.exit, p.setHealth, p.pause, p.unpause, p.remove}, 4),
		slices.Repeat([]operation{p.stop, p.kill, p.join, p.leave}, 2),
		[]operation{
			p.disableRestart, p.exec, p.inspect, p.removeByForce, p.rename,
			p.createNetwork, p.removeNetwork, p.createVolume, p.removeVolume,
		},
	)
}

// pair is two engines that are to do the same.
type pair struct {
	*rapid.T
	sides []*side
	// port is the host port that containers contend for.
	port int
	made []*made
	// now is how both were when they were last at rest.
	now view
	// story is what was done.
	story []string
	// differ tells of the first difference.
	differ func(p *pair, difference string)
}

// made is a container that both have made, removed ones included.
type made struct {
	image     string
	publishes bool
	// refused is set when a start has failed.
	refused bool
}

// side is one of the two.
type side struct {
	Harness
	*listener
	ids    []string // of the containers made, in order
	runs   map[string]*run
	images map[string]string // by ID
}

// run is the last start of a container that was seen.
type run struct {
	at    time.Time
	count int
}

func newSide(t T, h Harness) *side {
	s := &side{Harness: h, listener: listen(t, h.Engine, h.Project), runs: map[string]*run{}, images: map[string]string{}}
	for name := range Images {
		image, err := h.Engine.Image(t.Context(), h.Image(name))
		require.NoError(t, err)
		s.images[image.ID] = name
	}
	return s
}

// do has both do something, compares what comes of it, and waits until they are at
// rest.
func (p *pair) do(what string, f func(*side) (value any, err error)) error {
	p.Helper()
	var outcomes [2]any // a value, or the class of an error
	var failures [2]error
	for i, s := range p.sides {
		if outcomes[i], failures[i] = f(s); failures[i] != nil {
			outcomes[i] = engine.ClassOf(failures[i])
		}
	}
	p.story = append(p.story, fmt.Sprintf("%s: %v", what, outcomes[1]))
	p.Log(p.story[len(p.story)-1])
	p.same(outcomes[0], outcomes[1], "%s: %v; the model: %v", what, failures[0], failures[1])
	p.settle()
	return failures[0]
}

// settle waits until both are at rest and the same.
func (p *pair) settle() {
	p.Helper()
	deadline := time.Now().Add(patience)
	for {
		views := [2]view{p.sides[0].look(p), p.sides[1].look(p)}
		same := views[0].equal(views[1])
		switch {
		case same && views[0].atRest():
			p.now = views[1]
			return
		case time.Now().After(deadline):
			p.same(views[0], views[1], "the engine and the model")
			require.FailNow(p, "never at rest", "%+v", views)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// removeAll removes what is left.
func (p *pair) removeAll() {
	for _, c := range p.now.Containers {
		p.outsider("rm -f", c, func(s *side, id string) { s.Outsider.Remove(p, id) })
	}
	for _, key := range keys {
		_ = p.do("remove network "+key, func(s *side) (any, error) { return nil, s.removeNetwork(p, key) })
	}
	p.removeVolume(p.T)
}

// compareEvents compares the events of all containers, which have been removed.
func (p *pair) compareEvents() {
	var heard [2][]engine.Event
	for i, s := range p.sides {
		heard[i] = s.ends(p, s.ids)
	}
	for number := range p.made {
		engines, models := actions(heard[0], p.sides[0].ids[number]), actions(heard[1], p.sides[1].ids[number])
		if !alike(engines, models) {
			p.same(engines, models, "events of #%d: the engine's and the model's", number)
		}
	}
}

// same fails the sequence where the two sides differ.
func (p *pair) same(engine, model any, format string, args ...any) {
	p.Helper()
	if !assert.ObjectsAreEqual(engine, model) {
		p.differ(p, fmt.Sprintf(format, args...)+fmt.Sprintf("\n%+v\n%+v", engine, model))
	}
	require.Equal(p, engine, model, fmt.Sprintf(format, args...))
}
