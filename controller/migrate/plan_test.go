package migrate

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// place is what one side has of a workload in the world of the enumeration.
type place int

const (
	absent place = iota
	coming
	up
	down // it does not converge, and never will
	leaving
)

func (p place) seen(w kind) Seen {
	return Seen{There: p != absent, Kept: p != absent && p != leaving, Converged: p == up, Stalled: map[bool]string{true: "it crashes"}[p == down], Ran: w.Job && p == up}
}

// kind is what a workload of the enumeration is.
type kind struct{ Workload }

// situation is one workload in the world of the enumeration.
type situation struct {
	docker, swarm, ingress place
	noted, prepared        bool
	joined                 bool
	failed                 string
}

func (s situation) workload(k kind) Workload {
	w := k.Workload
	w.Noted, w.Prepared, w.Failed, w.Joined, w.Held = s.noted, s.prepared, s.failed, s.joined, s.ingress != absent
	w.On = map[Side]Seen{Docker: s.docker.seen(k), Swarm: s.swarm.seen(k)}
	return w
}

// follow lists what a side may become, as it is to keep the workload or not. It may also stay
// as it is, but not for ever.
func follow(p place, keep, fails bool) []place {
	switch {
	case keep && (p == absent || p == leaving):
		return []place{coming}
	case keep && p == coming && fails:
		return []place{down}
	case keep && p == coming:
		return []place{up}
	case !keep && p != absent && p != leaving:
		return []place{leaving}
	case !keep && p == leaving:
		return []place{absent}
	default:
		return nil
	}
}

// worlds is a situation of two workloads.
type worlds [2]situation

// explore visits all that can become of a world, and checks each step.
type explore struct {
	t     *testing.T
	to    Side
	kinds [2]kind
	fails [2]bool // on the new side
	// depends is true where the second one depends on the first.
	depends bool
	ends    map[worlds]bool
	seen    map[worlds][]worlds
}

func (e *explore) plan(w worlds) Plan {
	in := Input{To: e.to}
	for i, s := range w {
		k := e.kinds[i]
		k.Name = fmt.Sprint(i)
		if i == 1 && e.depends {
			k.DependsOn = []string{"0"}
		}
		in.Workloads = append(in.Workloads, s.workload(k))
	}
	return Compute(in)
}

func (e *explore) visit(w worlds) {
	if _, ok := e.seen[w]; ok {
		return
	}
	p := e.plan(w)
	e.check(w, p)
	var next []worlds
	change := func(f func(*worlds)) {
		n := w
		f(&n)
		if n != w {
			next = append(next, n)
		}
	}
	for i := range w {
		name := fmt.Sprint(i)
		onNew := func(side Side) bool { return side == e.to && e.fails[i] }
		for _, d := range follow(w[i].docker, p.Keep[Docker][name], onNew(Docker)) {
			change(func(n *worlds) { n[i].docker = d })
		}
		for _, d := range follow(w[i].swarm, p.Keep[Swarm][name], onNew(Swarm)) {
			change(func(n *worlds) { n[i].swarm = d })
		}
		for _, d := range follow(w[i].ingress, p.Ingress[name], false) {
			change(func(n *worlds) { n[i].ingress = d })
		}
		if p.Failed[name] != "" {
			change(func(n *worlds) { n[i].failed = p.Failed[name] })
		}
		if slices.Contains(p.Note, name) {
			change(func(n *worlds) { n[i].noted = true })
		}
		if p.Join && w[i].docker == up {
			change(func(n *worlds) { n[i].joined = true })
		}
		if p.Prepare == name {
			change(func(n *worlds) { n[i].prepared = true })
		}
		// The command is killed, and is run again: what it had in memory is gone.
		change(func(n *worlds) {
			for i := range n {
				n[i].failed, n[i].prepared = "", false
				for _, p := range []*place{&n[i].docker, &n[i].swarm, &n[i].ingress} {
					if *p == leaving {
						*p = coming
					}
				}
			}
		})
	}
	e.seen[w] = next
	if p.Done {
		e.ends[w] = true
	}
	for _, n := range next {
		e.visit(n)
	}
}

// check holds what must be true of each step.
func (e *explore) check(w worlds, p Plan) {
	require.Empty(e.t, p.Conflict, "%+v", w)
	for i, s := range w {
		name, k := fmt.Sprint(i), e.kinds[i]
		may := func(side Side, is place) bool { return is != absent || p.Keep[side][name] }
		both := may(Docker, s.docker) && may(Swarm, s.swarm)
		if k.Alone && !k.Job {
			require.False(e.t, both, "two may write: %+v, and %+v", w, p)
		}
		if k.Published {
			require.False(e.t, may(Swarm, s.swarm) && (s.ingress != absent || p.Ingress[name]), "two may hold the port: %+v, and %+v", w, p)
		}
		if !k.Alone && !k.Job && k.Stays == "" {
			ready := map[Side]bool{Docker: s.docker == up, Swarm: s.swarm == up}
			for side, is := range ready {
				require.False(e.t, is && !ready[side.Other()] && !p.Keep[side][name], "the last that are ready go: %+v, and %+v", w, p)
			}
		}
		runs := func(side Side, is place) bool { return is == coming || is == absent && p.Keep[side][name] }
		// Whom nobody asks by name any more ends, and the others do not.
		if beside := !k.Alone && !k.Job && k.Stays == "" && s.failed == ""; beside && e.to == Swarm && s.docker == up && s.swarm == up && !p.Keep[Docker][name] {
			require.True(e.t, s.joined, "a container ends that is asked by name: %+v, and %+v", w, p)
			other := 1 - i
			if k := e.kinds[other]; !k.Alone && !k.Job && k.Stays == "" && w[other].failed == "" && w[other].swarm != down {
				require.Equal(e.t, up, w[other].swarm, "a container ends while another one's tasks are not ready: %+v, and %+v", w, p)
			}
		}
		if k.Job && !s.noted {
			require.False(e.t, runs(Docker, s.docker) && runs(Swarm, s.swarm), "a Job runs twice: %+v, and %+v", w, p)
		}
	}
}

// From whatever a move was left in, two never write, the last replicas that are ready never
// go, and it comes to an end.
func TestFromAnyStateAMoveIsSafeAndEnds(t *testing.T) {
	kinds := map[string]Workload{
		"stateless": {}, "published": {Published: true}, "alone": {Alone: true}, "published alone": {Alone: true, Published: true},
		"database": {Alone: true, Database: true}, "database that stays": {Alone: true, Database: true, Stays: "no consent"},
		"replicas that stay": {Stays: "no consent"}, "job": {Job: true}, "job that stays": {Job: true, Stays: "no consent"},
	}
	states := 0
	for _, to := range []Side{Swarm, Docker} {
		for oneName, one := range kinds {
			for otherName, other := range kinds {
				for fails := range 8 {
					e := &explore{t: t, to: to, kinds: [2]kind{{one}, {other}}, fails: [2]bool{fails&1 > 0, fails&2 > 0}, depends: fails&4 > 0, ends: map[worlds]bool{}, seen: map[worlds][]worlds{}}
					for _, first := range starts(one, to) {
						for _, second := range starts(other, to) {
							e.visit(worlds{first, second})
						}
					}
					e.ending(fmt.Sprintf("%s and %s to %s, failing %d", oneName, otherName, to, fails))
					states += len(e.seen)
				}
			}
		}
	}
	t.Logf("%d states", states)
}

// starts are what a workload may be in when a move begins.
func starts(k Workload, to Side) (all []situation) {
	here := func(s situation, side Side, p place) situation {
		if side == Docker {
			s.docker = p
			if k.Published {
				s.ingress = up
			}
		} else {
			s.swarm = p
		}
		return s
	}
	all = append(all, situation{}, here(situation{}, to.Other(), up), here(situation{}, to.Other(), coming))
	if !k.Alone && !k.Job && !k.Published {
		all = append(all, situation{docker: up, swarm: up}, here(here(situation{}, to.Other(), up), to, coming))
	}
	return all
}

// ending checks that an end is reached from each state, and that there nothing is left to do
// and everything is on one side.
func (e *explore) ending(name string) {
	reaches := map[worlds]bool{}
	for w := range e.ends {
		reaches[w] = true
	}
	for grew := true; grew; {
		grew = false
		for w, next := range e.seen {
			for _, n := range next {
				if !reaches[w] && reaches[n] {
					reaches[w], grew = true, true
				}
			}
		}
	}
	for w := range e.seen {
		require.True(e.t, reaches[w], "%s: no end is reached from %+v, planned %+v", name, w, e.plan(w))
	}
	for w := range e.ends {
		p := e.plan(w)
		for i, s := range w {
			k := e.kinds[i]
			one := (s.docker != absent) != (s.swarm != absent)
			require.True(e.t, one || k.Job && s.swarm != absent, "%s: an end with a workload on both sides, or none: %+v", name, w)
			if onNew := map[Side]place{Docker: s.docker, Swarm: s.swarm}[e.to]; onNew != up {
				require.NotEmpty(e.t, p.Stay[fmt.Sprint(i)], "%s: it has not arrived, and nobody is told: %+v", name, w)
			}
		}
	}
}

// row is what a plan is made of, and what follows, in one line.
type row struct {
	name string
	to   Side
	in   []Workload
	want string
}

// on is what the sides have of a workload.
func on(docker, swarm Seen) map[Side]Seen { return map[Side]Seen{Docker: docker, Swarm: swarm} }

// short is a plan in one line.
func short(p Plan) string {
	var parts []string
	for _, side := range []Side{Docker, Swarm} {
		parts = append(parts, fmt.Sprintf("%s %v", side, slices.Sorted(maps.Keys(p.Keep[side]))))
	}
	add := func(some bool, format string, args ...any) {
		if some {
			parts = append(parts, fmt.Sprintf(format, args...))
		}
	}
	add(len(p.Ingress) > 0, "ingress %v", slices.Sorted(maps.Keys(p.Ingress)))
	add(p.Join, "join")
	add(len(p.Note) > 0, "note %v", p.Note)
	add(p.Prepare != "", "prepare %s", p.Prepare)
	add(len(p.Failed) > 0, "failed %v", p.Failed)
	add(len(p.Stay) > 0, "stay %v", p.Stay)
	add(p.Conflict != "", "conflict")
	add(p.Done, "done")
	return strings.Join(parts, ", ")
}

func TestSteps(t *testing.T) {
	has, coming, leaving := Seen{There: true, Kept: true, Converged: true}, Seen{There: true, Kept: true}, Seen{There: true}
	crashes := Seen{There: true, Kept: true, Stalled: "it crashes"}
	ran := Seen{There: true, Kept: true, Converged: true, Ran: true}
	for _, r := range []row{
		{"its history is noted first", Swarm, []Workload{{Name: "web", On: on(has, Seen{})}}, "docker [web], swarm [], note [web]"},
		{"its tasks begin beside its containers", Swarm, []Workload{{Name: "web", Noted: true, On: on(has, Seen{})}}, "docker [web], swarm [web]"},
		{"its containers stay until all tasks are ready", Swarm, []Workload{
			{Name: "api", Noted: true, On: on(has, has)}, {Name: "web", Noted: true, On: on(has, coming)}}, "docker [api web], swarm [api web]"},
		{"then they look names up among the tasks", Swarm, []Workload{
			{Name: "api", Noted: true, On: on(has, has)}, {Name: "web", Noted: true, On: on(has, has)}}, "docker [api web], swarm [api web], join"},
		{"and then they end", Swarm, []Workload{
			{Name: "api", Noted: true, Joined: true, On: on(has, has)}, {Name: "web", Noted: true, Joined: true, On: on(has, has)}}, "docker [], swarm [api web], join"},
		{"on the way back those end last that others depend on", Docker, []Workload{
			{Name: "api", On: on(has, has)}, {Name: "web", DependsOn: []string{"api"}, On: on(has, has)}}, "docker [api web], swarm [api], join"},
		{"what writes waits until the others have moved", Swarm, []Workload{
			{Name: "db", Alone: true, On: on(has, Seen{})}, {Name: "web", Noted: true, On: on(has, coming)}}, "docker [db web], swarm [web]"},
		{"a Database is prepared", Swarm, []Workload{{Name: "db", Alone: true, Database: true, On: on(has, Seen{})}}, "docker [db], swarm [], prepare db"},
		{"and ends", Swarm, []Workload{{Name: "db", Alone: true, Database: true, Prepared: true, Noted: true, On: on(has, Seen{})}}, "docker [], swarm []"},
		{"while it ends nothing begins", Swarm, []Workload{{Name: "db", Alone: true, Database: true, Prepared: true, Noted: true, On: on(leaving, Seen{})}}, "docker [], swarm []"},
		{"once it is gone the other one begins", Swarm, []Workload{{Name: "db", Alone: true, On: on(Seen{}, Seen{})}}, "docker [], swarm [db]"},
		{"one that crashes ends", Swarm, []Workload{{Name: "db", Alone: true, On: on(Seen{}, crashes)}}, "docker [], swarm [], failed map[db:it crashes]"},
		{"and comes back", Swarm, []Workload{{Name: "db", Alone: true, Failed: "it crashes", On: on(Seen{}, Seen{})}}, "docker [db], swarm []"},
		{"without consent it stays, also where nobody has it", Swarm, []Workload{{Name: "db", Alone: true, Stays: "no consent", On: on(Seen{}, Seen{})}}, "docker [db], swarm []"},
		{"what has moved without consent before is left there", Swarm, []Workload{{Name: "db", Alone: true, Stays: "no consent", On: on(Seen{}, has)}}, "docker [], swarm [db], done"},
		{"what crashes where it is stays", Swarm, []Workload{{Name: "db", Alone: true, On: on(crashes, Seen{})}}, "docker [db], swarm [], failed map[db:it does not work where it is: it crashes]"},
		{"two that write are nobody's to choose from", Swarm, []Workload{{Name: "db", Alone: true, On: on(has, has)}}, "docker [db], swarm [db], conflict"},
		{"a port is let go first", Swarm, []Workload{{Name: "web", Published: true, Held: true, Noted: true, On: on(has, Seen{})}}, "docker [web], swarm []"},
		{"and the service is made then", Swarm, []Workload{{Name: "web", Published: true, Noted: true, On: on(has, Seen{})}}, "docker [web], swarm [web]"},
		{"a port is held once the service is gone", Docker, []Workload{{Name: "web", Published: true, On: on(has, leaving)}}, "docker [web], swarm [], join"},
		{"and then all is done", Docker, []Workload{{Name: "web", Published: true, Held: true, On: on(has, Seen{})}}, "docker [web], swarm [], ingress [web], join, done"},
		{"a Job that has run keeps its container", Swarm, []Workload{{Name: "seed", Job: true, Noted: true, On: on(ran, ran)}}, "docker [seed], swarm [seed], done"},
		{"one that runs is waited for", Swarm, []Workload{{Name: "seed", Job: true, On: on(coming, Seen{})}}, "docker [seed], swarm []"},
	} {
		t.Run(r.name, func(t *testing.T) {
			require.Equal(t, r.want, short(Compute(Input{To: r.to, Workloads: r.in})))
		})
	}
}
