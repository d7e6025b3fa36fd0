package usage

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/tendhq/tend/controller/engine"
)

// machine is an engine whose containers use half a core each; a reading takes a while.
type machine struct {
	mu          sync.Mutex
	reads       int
	now, atOnce int
	absent      string
	began       time.Time
}

func (m *machine) Stats(_ context.Context, id string) (engine.Stats, error) {
	m.mu.Lock()
	m.reads++
	m.now++
	m.atOnce = max(m.atOnce, m.now)
	m.mu.Unlock()
	time.Sleep(10 * time.Millisecond)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now--
	if id == m.absent {
		return engine.Stats{}, errors.New("gone")
	}
	return engine.Stats{At: time.Now(), CPU: time.Since(m.began) / 2, Memory: 1 << 20}, nil
}

func (m *machine) set(f func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f()
}

func (m *machine) count() (n int) {
	m.set(func() { n = m.reads })
	return n
}

// inBubble runs a sampler of n containers with a clock of its own.
func inBubble(t *testing.T, n int, f func(s *Sampler, m *machine)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		m := &machine{began: time.Now()}
		var ids []string
		for i := range n {
			ids = append(ids, fmt.Sprint(i))
		}
		s := New(m, func() []string { return ids })
		ctx, cancel := context.WithCancel(t.Context())
		var done sync.WaitGroup
		done.Go(func() { s.Run(ctx) })
		f(s, m)
		cancel()
		done.Wait()
	})
}

// pass lets time pass.
func pass(d time.Duration) {
	time.Sleep(d) // the bubble's clock
	synctest.Wait()
}

func TestNothingIsReadWhileNobodyAsks(t *testing.T) {
	inBubble(t, 3, func(s *Sampler, m *machine) {
		pass(time.Hour)
		assert.Zero(t, m.count())
		assert.Empty(t, s.Latest())
		pass(time.Second)
		assert.Equal(t, 3, m.count())
		pass(time.Hour)
		assert.Equal(t, 3*8, m.count(), "every 15 s for two minutes")
		assert.Empty(t, s.Latest(), "what is old is not shown")
	})
}

func TestFewAreReadAtATime(t *testing.T) {
	inBubble(t, 200, func(s *Sampler, m *machine) {
		s.Latest()
		pass(time.Second)
		assert.Len(t, s.Latest(), 200)
		m.set(func() { assert.Equal(t, 16, m.atOnce) })
	})
}

func TestARateIsBetweenTwoReadings(t *testing.T) {
	inBubble(t, 2, func(s *Sampler, m *machine) {
		m.set(func() { m.absent = "1" })
		s.Latest()
		pass(time.Second)
		first := s.Latest()
		assert.Len(t, first, 1, "one has ended")
		assert.Zero(t, first["0"].Window)
		assert.EqualValues(t, 1<<20, first["0"].Memory)
		pass(Interval)
		second := s.Latest()["0"]
		assert.InDelta(t, 0.5, second.Cores, 0.01)
		assert.InDelta(t, Interval, second.Window, float64(time.Second))
		m.set(func() { m.began = time.Now() }) // it was started anew
		pass(Interval)
		assert.Zero(t, s.Latest()["0"].Window, "of two runs there is no rate")
	})
}
