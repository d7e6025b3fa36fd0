package simulate

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

var (
	seedFlag      = flag.Uint64("seed", 0, "the seed of the first history")
	historiesFlag = flag.Uint64("histories", 2_000, "how many histories are run")
	forFlag       = flag.Duration("for", 0, "for how long histories are run, whatever their number")
	storyFlag     = flag.Bool("story", false, "tell the story of each history")
)

// steps is how many steps a history has in which things go wrong. Those until
// it has come to rest are about twice as many.
const steps = 200

func TestMain(m *testing.M) {
	flag.Parse()
	// The worlds are small, and there are many. The pools of their routers keep each one
	// until the second collection: without the limit the heap would grow without end.
	debug.SetGCPercent(1000)
	debug.SetMemoryLimit(1 << 30)
	goleak.VerifyTestMain(m)
}

// TestHistories runs histories, each from a seed of its own, on all cores. Where it is
// interrupted, it ends with those that it has run.
func TestHistories(t *testing.T) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	fmt.Printf("histories from seed %d on\n", *seedFlag)
	s := search{began: time.Now()}
	s.next.Store(*seedFlag)
	most := *historiesFlag
	if testing.Short() {
		most = min(most, 200)
	}
	t.Run("histories", func(t *testing.T) {
		for range runtime.GOMAXPROCS(0) {
			t.Run("", func(t *testing.T) {
				t.Parallel()
				s.run(ctx, t, *seedFlag+most)
			})
		}
	})
	took := time.Since(s.began)
	t.Logf("%d histories from seed %d on, of %d steps in all, in %s: %.0f steps a second", s.histories, *seedFlag, s.steps, took.Round(time.Second), float64(s.steps)/took.Seconds())
	missing := s.cover.missing()
	t.Logf("%d of the %d cells of faults and operations were reached:\n%s", len(matrix())-len(missing), len(matrix()), s.cover)
	if s.histories >= 20_000 {
		require.Empty(t, missing, "cells that were never reached")
	}
}

// search is a run of many histories.
type search struct {
	began time.Time
	next  atomic.Uint64

	mu        sync.Mutex
	histories int
	steps     int
	cover     coverage
	found     int
}

// enough is how many failing histories are told before the search ends.
const enough = 3

func (s *search) run(ctx context.Context, t *testing.T, end uint64) {
	for ctx.Err() == nil {
		seed := s.next.Add(1) - 1
		if *forFlag == 0 && seed >= end || *forFlag > 0 && time.Since(s.began) > *forFlag {
			return
		}
		o := run(t, record(seed), steps, *storyFlag)
		if *storyFlag {
			fmt.Println(o.story)
		}
		s.mu.Lock()
		s.histories++
		s.steps += o.steps
		s.cover.add(o.cover)
		if o.failed != "" {
			s.found++
		}
		found := s.found
		s.mu.Unlock()
		if o.failed != "" && found <= enough {
			t.Errorf("the history of seed %d fails: %s\n\nThe shortest found that fails so:\n%s\nRun it again with: make simulate SEED=%d HISTORIES=1",
				seed, o.failed, excerpt(shrink(t, o, 400).story), seed)
		}
		if found >= enough {
			return
		}
	}
}

// excerpt is a story without its middle, where it is long.
func excerpt(story string) string {
	const head, tail = 60, 60 // lines
	lines := strings.Split(story, "\n")
	if len(lines) <= head+tail {
		return story
	}
	left := fmt.Sprintf("... %d lines; -story tells them ...", len(lines)-head-tail)
	return strings.Join(slices.Concat(lines[:head], []string{left}, lines[len(lines)-tail:]), "\n")
}

// A history follows from its seed alone, to the last word of its story.
func TestTheSameSeedIsTheSameHistory(t *testing.T) {
	many := uint64(60)
	if testing.Short() {
		many = 10
	}
	for seed := range many {
		first, second := run(t, record(seed), steps, true), run(t, record(seed), steps, true)
		if first.story != second.story {
			a, b := strings.Split(first.story, "\n"), strings.Split(second.story, "\n")
			for i := range min(len(a), len(b)) {
				if a[i] != b[i] {
					t.Fatalf("seed %d: line %d is once\n%s\nand then\n%s", seed, i+1, a[i], b[i])
				}
			}
			t.Fatalf("seed %d: one story has %d lines, the other %d", seed, len(a), len(b))
		}
		require.Equal(t, first.tape, second.tape)
		replayed := run(t, play(first.tape), 0, true)
		require.Equal(t, first.story, replayed.story, "seed %d, played back", seed)
	}
}
