package simulate

import (
	"fmt"
	"maps"
	"time"

	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/plan"
	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/state"
)

// scaled is the service whose number of replicas follows its CPU in some histories.
const scaled = "web"

// scaling is a load that comes and goes, and what the autoscaler has made of it.
type scaling struct {
	// cores is the load, which the replicas share. Once steady, each has what it should.
	cores  float64
	steady bool
	// variants are those that are scaled, by what they were made from; numbered those with
	// another number of replicas.
	variants map[*spec.Workload]*spec.Workload
	numbered map[numbered]*spec.Workload
	// grown are the numbers that it has grown to.
	grown []grown
}

type numbered struct {
	of       *spec.Workload
	replicas int
}

type grown struct {
	at time.Time
	to int
}

func newScaling() *scaling {
	return &scaling{variants: map[*spec.Workload]*spec.Workload{}, numbered: map[numbered]*spec.Workload{}}
}

// some draws a way in which a service may be written.
func (w *world) some(name string) variant {
	return w.scale(w.pool.variants[name][w.draw(len(w.pool.variants[name]))])
}

// scale has the service that is scaled by its CPU written so.
func (w *world) scale(v variant) variant {
	if w.scaling == nil || v.Name != scaled || v.Replicas == 0 || v.Autoscaling != nil {
		return v
	}
	made := w.scaling.variants[v.Workload]
	if made == nil {
		next := *v.Workload
		next.Template.CPUS = 1
		down := spec.DefaultScaleDown
		down.Window = time.Minute
		next.Autoscaling = &spec.Autoscaling{
			MinReplicas: 1 + next.Replicas/3, MaxReplicas: next.Replicas + 2, Metrics: []spec.Metric{{Type: spec.CPU, Utilization: 50}},
			ScaleUp: spec.DefaultScaleUp, ScaleDown: down,
			MaxSurge: spec.Amount{Count: next.Strategy.MaxSurge}, MaxUnavailable: spec.Amount{Count: next.Strategy.MaxUnavailable},
		}
		made = &next
		w.scaling.variants[v.Workload] = made
	}
	v.Workload = made
	return v
}

// inForce is a variant with the number of replicas that the autoscaler has decided.
func (w *world) inForce(v variant) variant {
	if v.Workload == nil || v.Autoscaling == nil || w.ctl == nil {
		return v
	}
	n := v.Replicas
	if row := w.ctl.State().Snapshot().Scale(v.Name); row != nil {
		n = row.Replicas
	}
	n = min(max(n, v.Autoscaling.MinReplicas), v.Autoscaling.MaxReplicas)
	key := numbered{v.Workload, n}
	if w.scaling.numbered[key] == nil {
		next := *v.Workload
		next.Replicas = n
		if next.Strategy.Type == spec.RollingUpdate {
			next.Strategy.MaxUnavailable = min(v.Autoscaling.MaxUnavailable.Count, n)
			next.Strategy = next.Strategy.WithSurge(v.Autoscaling.MaxSurge.Count)
		}
		w.scaling.numbered[key] = &next
	}
	v.Workload = w.scaling.numbered[key]
	return v
}

// loads are those that are drawn.
var loads = []float64{0.5, 0, 1.2, 2.5, 6}

// load has the load change.
func (w *world) load(cores float64) {
	w.scaling.cores = cores
	w.tell("the load of %s is %g cores", scaled, cores)
}

// minute is what happens in a minute of comeAndGo.
type minute struct {
	cores float64
	what  int
}

// minutes draws some.
func (w *world) minutes() (all []minute) {
	for range 6 {
		all = append(all, minute{one(w.tape, loads...), w.draw(4)})
	}
	return all
}

// comeAndGo has the load change for some minutes in which nothing goes wrong; what goes
// wrong before takes too little time for many decisions. In its course tend may be killed,
// and the service may be rolled out anew.
func (w *world) comeAndGo(minutes []minute) {
	w.scaling.steady = false
	for _, m := range minutes {
		w.load(m.cores)
		switch m.what {
		case 2:
			w.restart()
			w.unintend() // what was asked when the disk could not be read is forgotten
		case 3:
			if v, ok := w.written[scaled]; ok {
				next := maps.Clone(w.written)
				anew := withImage(v.Workload, "good2", fmt.Sprint("again ", w.at))
				anew.ProgressDeadline = patient(v)
				next[scaled] = variant{Workload: anew, good: true, ports: v.ports}
				w.tell("%s is written anew", scaled)
				w.put(next)
			}
		}
		for over := time.Now().Add(time.Minute); time.Now().Before(over); {
			w.turn()
		}
	}
	w.scaling.steady = true
}

// share gives each replica its part of the load.
func (w *world) share() {
	w.truth = w.engine.AppendTruth(w.truth[:0])
	var running []string
	for _, c := range w.truth {
		if c.State == engine.Running && workloadOf(c) == scaled {
			running = append(running, c.ID)
		}
	}
	for _, id := range running {
		part := w.scaling.cores / float64(len(running))
		if w.scaling.steady {
			part = 0.5
		}
		w.engine.SetUse(id, part, 0)
	}
}

// withinBounds checks that a plan wants no number that is not allowed.
func (v *invariants) withinBounds(in plan.Input, d decision) {
	if d.written.Workload == nil || d.written.Autoscaling == nil || in.Spec == nil {
		return
	}
	if a := d.written.Autoscaling; in.Spec.Replicas < a.MinReplicas || in.Spec.Replicas > a.MaxReplicas {
		v.blame("%d replicas of %s are wanted, and %d to %d are allowed", in.Spec.Replicas, in.Workload, a.MinReplicas, a.MaxReplicas)
	}
}

// scaledTo checks a decision of the autoscaler: it is within the bounds, and takes nothing
// that was asked for within the window.
func (v *invariants) scaledTo(e *state.Event) {
	var from, n int
	_, err := fmt.Sscanf(e.Message, "from %d to %d replicas", &from, &n)
	must(err)
	v.touch()
	v.rewritten[scaled] = time.Now()
	written, s := v.w.written[scaled], v.w.scaling
	if written.Workload == nil || written.Autoscaling == nil {
		return
	}
	a := written.Autoscaling
	if n < a.MinReplicas || n > a.MaxReplicas {
		v.blame("%s is scaled to %d replicas, and %d to %d are allowed", scaled, n, a.MinReplicas, a.MaxReplicas)
	}
	for _, g := range s.grown {
		if n < min(g.to, a.MaxReplicas) && time.Since(g.at) < a.ScaleDown.Window {
			v.blame("%s is scaled to %d replicas, and was scaled to %d %s ago", scaled, n, g.to, time.Since(g.at))
		}
	}
	if n > from {
		s.grown = append(s.grown, grown{time.Now(), n})
	}
	v.w.cover.count("autoscaler", "scales")
}
