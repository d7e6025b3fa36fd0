package simulate

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/engine/model"
)

// mended are histories without chance in which tend has once done what it must not.
var mended = []struct {
	name    string
	history func(*world)
}{
	{"an image is built anew a moment before a replica of it is made", func(w *world) {
		w.keep(only("web", "good", 1))
		w.until(model.OpImage) // the next look at it is in a minute
		w.addImage("good", images["good"])
		w.put(only("web", "good", 2)(w.pool))
		w.settle()
	}},
	{"an image is built anew while a Job's replica is made of it", func(w *world) {
		w.keep(only("job", "task2", 1))
		rebuilt := false
		w.intervene = func(c *call) bool {
			if c.op == model.OpCreate && !rebuilt {
				rebuilt = true
				w.addImage("task2", images["task2"])
			}
			return false
		}
		w.put(only("job", "task2", 2)(w.pool))
		w.settle()
	}},
	{"a service loses its last port", func(w *world) {
		w.publish()
		w.gateway.active = true
		w.keep(only("gw", "good", 2))
		without := *plainly(w.pool, "gw", "good", 2).Workload
		without.Template.Ports, without.Ports = nil, nil
		revise(&without, "")
		w.put(map[string]variant{"gw": {Workload: &without, good: true}})
		w.settle()
	}},
	{"a service is taken out, and drained for longer than its ingress takes to go", func(w *world) {
		w.publish()
		w.keep(only("gw", "good", 1))
		w.restart() // a gateway of before may be there for ten seconds
		w.until(opTell)
		w.put(only("web", "good", 1)(w.pool))
		w.settle()
	}},
	{"tend is restarted, and has to look at an image before it plans", func(w *world) {
		w.publish()
		w.keep(only("gw", "good", 2))
		w.restart()
		w.settle()
	}},
	{"the volume of a database is removed while tend looks for the first time", func(w *world) {
		w.moods.disk = true
		w.furnishResources()
		w.written = only("db", "pg15", 1)(w.pool)
		w.old(w.written["db"].Workload, 1, false)
		time.Sleep(images["pg15"].HealthAfter)
		w.start()
		removed := false
		w.intervene = func(c *call) bool {
			if c.op == model.OpVolumes && !removed {
				removed = true
				w.loseVolume("missing")
			}
			return false
		}
		for range 100 {
			w.turn()
		}
		w.heal()
		w.settle()
	}},
}

// keep has a controller keep a project until all is as it is written.
func (w *world) keep(written func(*pool) map[string]variant) {
	w.furnishResources()
	w.written = written(w.pool)
	w.start()
	w.settle()
}

// until lets things go their way until something of a kind has been asked for and
// answered.
func (w *world) until(op model.Op) {
	asked := false
	w.intervene = func(c *call) bool {
		asked = asked || c.op == op
		return false
	}
	for !asked {
		w.turn()
	}
	w.intervene = nil
}

func TestMended(t *testing.T) {
	for _, m := range mended {
		t.Run(m.name, func(t *testing.T) {
			o := live(t, play(nil), true, m.history)
			require.Empty(t, o.failed, "%s", excerpt(o.story))
		})
	}
}
