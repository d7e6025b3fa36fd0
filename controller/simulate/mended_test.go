package simulate

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/engine/model"
	"github.com/tendhq/tend/controller/spec"
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
	{"what has joined a service is written to join another, and the first one is replaced", func(w *world) {
		w.keep(func(p *pool) map[string]variant {
			return map[string]variant{"web": plainly(p, "web", "good", 1), "db": plainly(p, "db", "pg15", 1), joiner: behind(p, "web", "good")}
		})
		w.put(map[string]variant{"web": plainly(w.pool, "web", "good2", 1), "db": w.written["db"], joiner: behind(w.pool, "db", "slow")})
		w.settle()
	}},
	{"what has joined a service is taken out, and that is replaced", func(w *world) {
		w.keep(func(p *pool) map[string]variant {
			return map[string]variant{"db": plainly(p, "db", "pg15", 1), joiner: behind(p, "db", "good2")}
		})
		w.put(map[string]variant{"db": plainly(w.pool, "db", "pg15b", 1)})
		w.settle()
	}},
	{"what has joined a service is taken out while somebody sends it requests", func(w *world) {
		w.gateway.active = true
		w.keep(func(p *pool) map[string]variant {
			return map[string]variant{"db": plainly(p, "db", "pg15", 1), joiner: behind(p, "db", "good2")}
		})
		w.put(map[string]variant{"db": w.written["db"]})
		w.settle()
	}},
	{"what is joined is rolled back, and its container is another one then", func(w *world) {
		w.keep(func(p *pool) map[string]variant {
			return map[string]variant{"web": plainly(p, "web", "good", 1), joiner: behind(p, "web", "good")}
		})
		sick := *plainly(w.pool, "web", "sick", 1).Workload
		sick.Strategy = spec.Strategy{Type: spec.Recreate}
		w.back = w.written
		w.put(map[string]variant{"web": {Workload: &sick}, joiner: w.written[joiner]})
		w.settle()
	}},
	{"what has joined a service is of a revision that nobody remembers, and that is replaced", func(w *world) {
		w.furnishResources()
		w.written = map[string]variant{"web": plainly(w.pool, "web", "good", 1), "db": plainly(w.pool, "db", "pg15", 1)}
		w.old(w.written["web"].Workload, 1, false)
		w.old(behind(w.pool, "web", "good").Workload, 1, false)
		w.written["web"], w.written[joiner] = plainly(w.pool, "web", "good2", 1), behind(w.pool, "db", "absent")
		w.start()
		w.within(10*time.Minute, func() string {
			if slices.ContainsFunc(w.checks.truth(), func(c engine.Container) bool { return c.Image == "good" }) {
				return "what is not written any more is still there"
			}
			return ""
		})
		w.put(map[string]variant{"web": w.written["web"], "db": w.written["db"], joiner: behind(w.pool, "db", "good")})
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
