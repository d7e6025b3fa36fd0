package simulate

import "math/rand/v2"

// tape is what was drawn in a history, step by step. A step draws from its own
// part only, so that leaving one out does not change what the others mean.
type tape struct {
	steps [][]uint16
	rng   *rand.Rand // nil when the tape is played back
	side  *rand.Rand // of aside
	at    int        // the step that draws
	drawn int        // how much of a step was played back
}

// record draws from a seed.
func record(seed uint64) *tape {
	return &tape{rng: rand.New(rand.NewPCG(seed, 0)), side: rand.New(rand.NewPCG(seed, 1)), at: -1}
}

// play draws what was drawn before. Where the tape has nothing, it is 0.
func play(steps [][]uint16) *tape { return &tape{steps: steps, at: -1} }

// ended is what the last part of a tape begins with, from which is drawn what
// follows the steps. No draw is as large.
const ended = 1<<16 - 1

// next begins a step, and reports whether there is one.
func (t *tape) next(limit int) bool {
	t.at++
	t.drawn = 0
	if t.rng == nil {
		if t.at < len(t.steps) && len(t.steps[t.at]) > 0 && t.steps[t.at][0] == ended {
			t.drawn = 1
			return false
		}
		return t.at < len(t.steps)
	}
	if t.at < limit {
		t.steps = append(t.steps, nil)
		return true
	}
	t.steps = append(t.steps, []uint16{ended})
	return false
}

// draw returns a number below n. By convention 0 is what a calm world does.
func (t *tape) draw(n int) int {
	if t.rng != nil {
		v := t.rng.IntN(n)
		t.steps[t.at] = append(t.steps[t.at], uint16(v))
		return v
	}
	if t.at >= len(t.steps) || t.drawn >= len(t.steps[t.at]) {
		return 0
	}
	t.drawn++
	return int(t.steps[t.at][t.drawn-1]) % n
}

// aside draws from numbers of its own: what else a seed draws stays as it is.
func (t *tape) aside(n int) int {
	if t.rng == nil {
		return t.draw(n)
	}
	v := t.side.IntN(n)
	t.steps[t.at] = append(t.steps[t.at], uint16(v))
	return v
}

// chance is true in p of 100 draws, and in none of a calm world.
func (t *tape) chance(p int) bool { return 100-t.draw(100) <= p }

// one draws one of several; the first is the calm world's.
func one[T any](t *tape, of ...T) T { return of[t.draw(len(of))] }
