// Package migrate moves a project that runs from its engine to the Swarm that the engine is a
// manager of, or back. Compute decides, and is pure: from what each side has of each workload
// follows which side is to keep it. Move has a controller on each side do that.
package migrate

import (
	"cmp"
	"fmt"
	"slices"
)

// Side is one of the two that can keep a workload, by its name as an engine.
type Side string

// The sides.
const (
	Docker Side = "docker"
	Swarm  Side = "swarm"
)

// Other is the other side.
func (s Side) Other() Side {
	if s == Docker {
		return Swarm
	}
	return Docker
}

// Seen is what one side has of a workload.
type Seen struct {
	// There is true while the side has something of it, or may still make it: a container, a
	// service, a task that has not ended.
	There bool
	// Kept is true where the side is to keep it, by the plan before: what is there otherwise is
	// on its way out. Before the first plan each side keeps what it has.
	Kept bool
	// Converged is true where it is as it is written.
	Converged bool
	// Stalled says why no waiting would have it converge; empty where waiting may.
	Stalled string
	// Ran is true of a Job that ran to completion.
	Ran bool
}

// rests reports whether waiting changes nothing any more.
func (s Seen) rests() bool { return s.There && (s.Converged || s.Stalled != "") }

// Workload is a workload that is to move.
type Workload struct {
	Name string
	// DependsOn are the workloads that it depends on.
	DependsOn []string
	// Alone is true where it must be gone from one side before it may be on the other: it alone
	// writes to a volume or bind, or its containers hold ports of the host themselves.
	Alone bool
	// Job is true of what runs to completion, and Database of what is prepared before its
	// container ends.
	Job, Database bool
	// Published is true where an ingress holds its ports on the engine, and Held while one does.
	Published, Held bool
	// Joined is true where each of its containers looks names up among the tasks first.
	Joined bool
	// Stays says why it may not move; empty where it may.
	Stays string
	// Failed says why it went back during this move; empty where it has not.
	Failed string
	// Noted is true once the new side knows which of its hooks and runs there were, and
	// Prepared once a Database was prepared.
	Noted, Prepared bool
	// On is what the sides have of it.
	On map[Side]Seen
}

// Input is all that a plan depends on.
type Input struct {
	To Side
	// Workloads are in an order in which what others depend on comes first.
	Workloads []Workload
}

// Plan is what each side is to keep now, and what is to be done besides.
type Plan struct {
	// Keep are the workloads that each side is to keep. What a side has of another one it takes
	// away.
	Keep map[Side]map[string]bool
	// Ingress are the workloads whose ports an ingress is to hold.
	Ingress map[string]bool
	// Join is true once the containers of those that both sides have are to look names up among
	// the tasks first.
	Join bool
	// Note are workloads to do that for, and Prepare is one; empty where there is none.
	Note    []string
	Prepare string
	// Failed are those that cannot be on the new side, and go back, with the reason.
	Failed map[string]string
	// Conflict says why nothing at all is done; empty where something is.
	Conflict string
	// Stay are those that are where they were, or are not as they are written, with the reason.
	Stay map[string]string
	// Done is true once nothing more moves.
	Done bool
}

// Compute plans the next step of a move. What can be on both sides begins together on the new
// one, and ends on the old one once all of it is ready: only then has each of them whom it
// asks beside it. What must be alone moves one after the other: to the Swarm after all others,
// and back before them, as tasks find in their networks what is on the engine, and containers
// find in the engine's what is on the engine alone.
func Compute(in Input) Plan {
	p := Plan{
		Keep: map[Side]map[string]bool{Docker: {}, Swarm: {}}, Ingress: map[string]bool{},
		Failed: map[string]string{}, Stay: map[string]string{}, Done: true,
	}
	var together, oneByOne []*step
	all := map[string]*step{}
	for _, w := range in.Workloads {
		s := &step{Workload: w, from: w.On[in.To.Other()], to: w.On[in.To], side: in.To}
		s.why = cmp.Or(s.Failed, s.Stays)
		if all[w.Name] = s; s.Alone || s.Job {
			oneByOne = append(oneByOne, s)
		} else {
			together = append(together, s)
		}
	}
	groups := [][]*step{together, oneByOne}
	if in.To == Docker {
		slices.Reverse(groups)
	}
	turn := true
	for _, group := range groups {
		if len(group) > 0 && !group[0].Alone && !group[0].Job {
			p.Join = decideTogether(group, turn)
		} else {
			decideOneByOne(group, turn)
		}
		turn = turn && !slices.ContainsFunc(group, func(s *step) bool { return !s.settled })
	}
	for _, w := range in.Workloads {
		p.take(in.To, all[w.Name])
	}
	return p
}

// take adds to the plan what was decided of one workload.
func (p *Plan) take(to Side, s *step) {
	if s.conflict {
		p.Conflict = cmp.Or(p.Conflict, fmt.Sprintf("%s is on the engine and on the Swarm, and only one of them may have it: take it away from one", s.Name))
	}
	if s.keepFrom {
		p.Keep[to.Other()][s.Name] = true
	}
	if s.keepTo {
		p.Keep[to][s.Name] = true
	}
	// A port has one holder: its service is made once the ingress is gone, and the other way round.
	wanted := p.Keep[Swarm][s.Name]
	if s.Published && s.Held && !s.On[Swarm].There {
		delete(p.Keep[Swarm], s.Name)
	}
	if s.Published && p.Keep[Docker][s.Name] && !wanted && !s.On[Swarm].There {
		p.Ingress[s.Name] = true
	}
	if s.failed != "" {
		p.Failed[s.Name] = s.failed
	}
	if s.note {
		p.Note = append(p.Note, s.Name)
	}
	if s.prepare {
		p.Prepare = s.Name
	}
	switch {
	case !s.settled:
		p.Done = false
	case s.stays != "":
		p.Stay[s.Name] = s.stays
	}
}

// step is what is decided of one workload.
type step struct {
	Workload
	// from and to are what the two sides have of it; side is the new one.
	from, to Seen
	side     Side
	// why says why it is not to be on the new side; empty where it is.
	why string

	// keepFrom and keepTo are true where that side is to keep it.
	keepFrom, keepTo bool
	// settled is true where nothing more happens to it; stays then says why it is not as it was
	// to be.
	settled bool
	stays   string
	failed  string
	// note and prepare are true where that is to be done.
	note, prepare bool
	conflict      bool
}

// fail has it go back.
func (s *step) fail(why string) { s.why, s.failed = why, why }

// arrived reports whether the new side has all of it.
func (s *step) arrived() bool {
	ports := s.side == Swarm || !s.Published || s.Held
	return s.to.Stalled != "" || s.to.Converged && ports
}

// stay leaves it where it was, or brings it back there.
func (s *step) stay() {
	s.stays = s.why
	s.keepFrom = !s.Alone || !s.to.There
	// A replica on the new side is needed until those on the old one are all there.
	s.keepTo = s.to.There && !s.Alone && !s.from.rests()
	s.settled = s.from.rests() && !s.to.There
}

// isThere has the new side go on keeping what is there alone.
func (s *step) isThere() { s.keepTo, s.settled, s.stays = true, s.arrived(), s.to.Stalled }

// decideTogether decides of all that can be on both sides. It reports whether those that both
// have are all ready on the new side.
func decideTogether(group []*step, turn bool) (ready bool) {
	ready, unpublished, joined := true, true, true
	for _, s := range group {
		if s.why == "" && s.to.Stalled != "" && s.from.There {
			s.fail(s.to.Stalled)
		}
		if s.why == "" {
			ready = ready && s.to.rests()
			unpublished = unpublished && (s.Published || s.to.rests())
		}
		joined = joined && (s.Joined || !s.from.There)
	}
	gone := func(s *step) bool { // all that depends on it is gone from the old side
		return !slices.ContainsFunc(group, func(other *step) bool {
			return other.why == "" && other.from.There && slices.Contains(other.DependsOn, s.Name)
		})
	}
	for _, s := range group {
		switch {
		case s.to.There && !s.from.There:
			s.isThere()
		case s.why != "":
			s.stay()
		case !s.from.There:
			s.keepTo = true // nobody has it: it waits for none
		case !turn:
			s.keepFrom, s.keepTo = true, s.to.There
		case !s.to.There:
			s.keepFrom, s.note = true, !s.Noted
			s.keepTo = s.Noted && (unpublished || !s.Published)
		default:
			s.keepTo = true
			s.keepFrom = !ready || s.side == Swarm && !joined || s.side == Docker && !gone(s)
		}
	}
	return turn && ready
}

// decideOneByOne decides of what must be alone.
func decideOneByOne(group []*step, turn bool) {
	for _, s := range group {
		s.decideAlone(turn)
		turn = turn && s.settled
	}
}

func (s *step) decideAlone(turn bool) {
	if s.why == "" && !s.Job && s.to.Stalled != "" {
		s.fail(s.to.Stalled)
	}
	switch {
	case s.Job:
		s.job(turn)
	case s.from.There && s.to.There:
		s.conflict, s.keepFrom, s.keepTo = true, true, true
	case s.to.There && (s.why == "" || s.Failed == "" && s.failed == ""):
		s.isThere()
	case s.why != "":
		s.stay()
	case !s.from.There:
		s.keepTo = true // nobody has it: it waits for none
	case !s.from.Kept: // it is on its way out
	case !turn:
		s.keepFrom = true
	default:
		s.end()
	}
}

// end has it end on the old side. That it is there no more is what has it begin on the new one.
func (s *step) end() {
	s.keepFrom = true
	switch {
	case s.from.Stalled != "":
		s.fail("it does not work where it is: " + s.from.Stalled)
	case !s.from.Converged:
	case s.Database && !s.Prepared:
		s.prepare = true
	case !s.Noted:
		s.note = true
	default:
		s.keepFrom = false
	}
}

// job has a Job run on one side only. The container of one that has run stays on the engine:
// there it is the record of that.
func (s *step) job(turn bool) {
	ended := s.from.Ran || s.from.Stalled != ""
	s.keepFrom, s.keepTo = s.from.There, s.to.There
	switch {
	case s.from.Kept && !ended:
	case s.Stays != "" || s.from.Stalled != "" && !s.to.There:
		s.stays = cmp.Or(s.Stays, s.from.Stalled)
		s.keepFrom = true
		s.settled = s.from.rests()
	case s.from.There && !s.Noted && !s.to.There:
		s.note = turn
	default:
		s.keepTo = true
		s.stays = s.to.Stalled
		s.settled = s.to.rests()
		if s.side == Docker {
			s.keepFrom = s.from.There && !s.settled
			s.settled = s.settled && !s.from.There
		}
	}
}
