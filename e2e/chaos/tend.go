package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/tendhq/tend/e2e/kit"
)

// tend is the program under test, which is started again whenever it ends.
type tend struct {
	dir     string
	journal *journal
	judge   *judge
	log     *os.File

	mu     sync.Mutex
	cmd    *exec.Cmd
	killed bool
	// pause is how long to wait before the next start.
	pause time.Duration
	// kills and exits count the ends by us and by itself.
	kills, exits int
}

func newTend(dir string, j *journal, judge *judge) (*tend, error) {
	log, err := os.Create(filepath.Join(dir, "tend.log"))
	return &tend{dir: dir, journal: j, judge: judge, log: log}, err
}

// keep runs tend until ctx ends.
func (t *tend) keep(ctx context.Context) {
	for ctx.Err() == nil {
		cmd := exec.CommandContext(ctx, filepath.Join(t.dir, "tend"), "run", "--project-directory", filepath.Join(t.dir, "project"),
			"--host", "unix://"+filepath.Join(t.dir, "witness.sock"), "--data-dir", dataDirOf(t.dir),
			"--endpoints-listen", "0.0.0.0:7071", "--insecure")
		cmd.Stdout, cmd.Stderr = t.log, t.log
		t.judge.tendStarts()
		if err := cmd.Start(); err != nil {
			t.judge.fail("tend cannot be started: %v", err)
			return
		}
		t.mu.Lock()
		t.cmd, t.killed, t.pause = cmd, false, time.Second
		t.mu.Unlock()
		err := cmd.Wait()
		t.mu.Lock()
		if !t.killed && ctx.Err() == nil {
			t.exits++
			t.journal.note("tend", "ended by itself: %v", err)
			t.judge.tendEnded(err)
		}
		wait := t.pause
		t.mu.Unlock()
		_ = kit.Pause(ctx, wait)
	}
}

// kill kills tend, which is started again after a while.
func (t *tend) kill(after time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.cmd == nil || t.killed {
		return
	}
	t.killed, t.pause = true, after
	t.kills++
	t.journal.note("chaos", "kill -9 tend, start it again after %s", after)
	if err := t.cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.journal.note("chaos", "tend is gone already: %v", err)
	}
}

// harass kills tend every few seconds until ctx ends.
func (t *tend) harass(ctx context.Context, rng *rand.Rand) {
	for {
		next := between(rng, 2*time.Second, 8*time.Second)
		if rng.IntN(4) == 0 { // long enough for what takes several steps
			next = between(rng, 15*time.Second, 40*time.Second)
		}
		if kit.Pause(ctx, next) != nil {
			return
		}
		after := time.Duration(0)
		if rng.IntN(3) == 0 {
			after = between(rng, 0, 5*time.Second)
		}
		t.kill(after)
	}
}

// between draws a time.
func between(rng *rand.Rand, from, to time.Duration) time.Duration {
	return (from + time.Duration(rng.Int64N(int64(to-from)))).Round(time.Millisecond)
}

func (t *tend) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return fmt.Sprintf("%d kill -9 of tend; it ended %d times by itself, as it could not start", t.kills, t.exits)
}
