package probe

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/tendhq/tend/controller/spec"
)

// bench is a prober whose probes are commands, and what it passed on.
type bench struct {
	*Prober
	ctx   context.Context
	end   context.CancelFunc
	began time.Time

	mu      sync.Mutex
	fails   map[string]string // by command: why it fails; "hang" never ends
	asked   map[string]int    // by container and command
	results []string
}

// inBubble runs a test on fake time; what it starts must have ended after it.
func inBubble(t *testing.T, test func(b *bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := &bench{began: time.Now(), fails: map[string]string{}, asked: map[string]int{}}
		b.ctx, b.end = context.WithCancel(t.Context())
		b.Prober = New(b.exec, b.changed)
		defer b.Wait()
		defer b.end()
		test(b)
	})
}

func (b *bench) exec(ctx context.Context, id string, command []string) (int, string, error) {
	b.mu.Lock()
	why := b.fails[command[0]]
	b.asked[id+" "+command[0]]++
	b.mu.Unlock()
	if why == "hang" {
		<-ctx.Done()
		return 0, "", ctx.Err()
	}
	if why != "" {
		return 0, "", errors.New(why)
	}
	return 0, "", nil
}

func (b *bench) changed(r Result) {
	b.mu.Lock()
	defer b.mu.Unlock()
	text := fmt.Sprintf("%v %s", time.Since(b.began), r.ID)
	for _, part := range []struct {
		is   bool
		name string
	}{{r.Started, "started"}, {r.Ready, "ready"}, {r.Live, "live"}} {
		if part.is {
			text += " " + part.name
		}
	}
	text += fmt.Sprintf(" since %v", r.Since.Sub(b.began))
	if r.Message != "" {
		text += ", " + r.Message
	}
	b.results = append(b.results, text)
}

// after lets time pass and returns what was passed on in it.
func (b *bench) after(d time.Duration) []string {
	time.Sleep(d)
	synctest.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	results := b.results
	b.results = nil
	return results
}

// set makes a command fail for a reason, or pass.
func (b *bench) set(command, why string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fails[command] = why
}

func (b *bench) timesAsked(what string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.asked[what]
}

func (b *bench) run(id string) Run { return Run{Target: Target{ID: id}, StartedAt: b.began} }

// asking is a probe with a command each second.
func asking(name string, failures int) *spec.Probe {
	return &spec.Probe{
		Exec: &spec.Exec{Command: []string{name}}, Period: time.Second, Timeout: 500 * time.Millisecond,
		SuccessThreshold: 1, FailureThreshold: failures,
	}
}

func TestReadinessFollowsItsThresholds(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.set("ready", "booting")
		b.Sync(b.ctx, map[Run]spec.Probes{b.run("a"): {Readiness: asking("ready", 3)}})
		assert.Equal(t, []string{"0s a started live since 0s, readiness: booting"}, b.after(2500*time.Millisecond))
		b.set("ready", "")
		assert.Equal(t, []string{"3s a started ready live since 3s"}, b.after(3*time.Second))
		b.set("ready", "hang") // the first failure is known at 6.5s
		assert.Equal(t, []string{"8.5s a started live since 8.5s, readiness: no answer within 500ms"}, b.after(3*time.Second))
	})
}

func TestAReasonThatChangesIsNews(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.set("ready", "refused")
		b.Sync(b.ctx, map[Run]spec.Probes{b.run("a"): {Readiness: asking("ready", 3)}})
		b.after(1500 * time.Millisecond)
		b.set("ready", "no database")
		assert.Equal(t, []string{"2s a started live since 0s, readiness: no database"}, b.after(5*time.Second))
	})
}

func TestLivenessSaysNothingOfReadiness(t *testing.T) {
	inBubble(t, func(b *bench) {
		readiness := asking("ready", 1)
		readiness.InitialDelay = 3500 * time.Millisecond
		b.Sync(b.ctx, map[Run]spec.Probes{b.run("a"): {Readiness: readiness, Liveness: asking("live", 3)}})
		assert.Empty(t, b.after(3*time.Second), "unready was passed on before readiness was asked")
		assert.Equal(t, []string{"3.5s a started ready live since 3.5s"}, b.after(time.Second))
	})
}

// A replica that has been ready for long is probed anew after a restart of tend, and
// when its probes are changed. It stays where it is until it is asked.
func TestThatARunHasStartedSaysNothingOfReadiness(t *testing.T) {
	inBubble(t, func(b *bench) {
		readiness := asking("ready", 1)
		readiness.InitialDelay = 3500 * time.Millisecond
		b.Sync(b.ctx, map[Run]spec.Probes{b.run("a"): {Startup: asking("start", 1), Readiness: readiness}})
		assert.Empty(t, b.after(3*time.Second), "unready was passed on before readiness was asked")
		assert.Equal(t, []string{"3.5s a started ready live since 3.5s"}, b.after(time.Second))
	})
}

func TestEachProbeHasItsOwnReason(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.Sync(b.ctx, map[Run]spec.Probes{b.run("a"): {Readiness: asking("ready", 1), Liveness: asking("live", 1)}})
		b.after(500 * time.Millisecond)
		b.set("live", "deadlock")
		assert.Equal(t, []string{"1s a started ready since 0s, liveness: deadlock"}, b.after(time.Second))
		b.set("ready", "busy")
		assert.Equal(t, []string{"2s a started since 2s, readiness: busy; liveness: deadlock"}, b.after(time.Second))
		b.set("ready", "")
		assert.Equal(t, []string{"3s a started ready since 3s, liveness: deadlock"}, b.after(time.Second))
	})
}

func TestOtherProbesWaitForTheStartup(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.set("start", "booting")
		b.Sync(b.ctx, map[Run]spec.Probes{b.run("a"): {
			Startup: asking("start", 10), Readiness: asking("ready", 1), Liveness: asking("live", 1),
		}})
		assert.Equal(t, []string{"0s a live since 0s, startup: booting"}, b.after(2500*time.Millisecond))
		assert.Zero(t, b.timesAsked("a ready")+b.timesAsked("a live"))
		b.set("start", "")
		assert.Equal(t, []string{"3s a started live since 3s", "3s a started ready live since 3s"}, b.after(2*time.Second))
		assert.Equal(t, 4, b.timesAsked("a start"), "asked again after it had passed")
	})
}

// Whoever boots slowly loses nothing by it: with the startup probe's success both
// others are asked, however long their periods are, and their delays count from the
// container's start.
func TestOtherProbesFollowTheStartupAtOnce(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.set("start", "booting")
		readiness, liveness, late := asking("ready", 3), asking("live", 3), asking("late", 3)
		readiness.Period, liveness.Period, late.Period = time.Minute, time.Minute, time.Minute
		readiness.InitialDelay, late.InitialDelay = 3*time.Second, 30*time.Second
		b.Sync(b.ctx, map[Run]spec.Probes{
			b.run("a"): {Startup: asking("start", 100), Readiness: readiness, Liveness: liveness},
			b.run("b"): {Startup: asking("start", 100), Readiness: late},
		})
		b.after(19500 * time.Millisecond)
		b.set("start", "")
		assert.ElementsMatch(t, []string{
			"20s a started live since 20s", "20s a started ready live since 20s", "20s b started live since 20s",
		}, b.after(time.Second))
		assert.Equal(t, 1, b.timesAsked("a live"))
		assert.Equal(t, []string{"30s b started ready live since 30s"}, b.after(15*time.Second))
	})
}

func TestAStartupThatFailsEndsTheProbing(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.set("start", "broken")
		probes := spec.Probes{Startup: asking("start", 3), Readiness: asking("ready", 1)}
		b.Sync(b.ctx, map[Run]spec.Probes{b.run("a"): probes})
		assert.Equal(t, []string{
			"0s a live since 0s, startup: broken",
			"2s a since 0s, startup: broken",
		}, b.after(10*time.Second))
		b.Sync(b.ctx, map[Run]spec.Probes{b.run("a"): probes})
		assert.Empty(t, b.after(10*time.Second))
		assert.Equal(t, 3, b.timesAsked("a start"))
		assert.Zero(t, b.timesAsked("a ready"))
	})
}

func TestWithoutReadinessProbeARunIsReadyOnceStarted(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.set("live", "hang")
		b.Sync(b.ctx, map[Run]spec.Probes{b.run("a"): {Liveness: asking("live", 2)}})
		assert.Equal(t, []string{
			"0s a started ready live since 0s",
			"1.5s a started ready since 0s, liveness: no answer within 500ms",
		}, b.after(3*time.Second))
	})
}

func TestDelayAndPeriodCountFromTheStart(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.set("ready", "hang")
		p := asking("ready", 3)
		p.InitialDelay, p.Period = 5*time.Second, 800*time.Millisecond
		time.Sleep(2 * time.Second) // tend comes later than the container
		b.Sync(b.ctx, map[Run]spec.Probes{b.run("a"): {Readiness: p}})
		b.after(2999 * time.Millisecond)
		assert.Zero(t, b.timesAsked("a ready"))
		b.after(2401 * time.Millisecond) // 5s, 5.8s, 6.6s, 7.4s, each of them 0.5s long
		assert.Equal(t, 4, b.timesAsked("a ready"))
	})
}

func TestAProbeLongerThanItsPeriodIsFollowedAtOnce(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.set("ready", "hang")
		p := asking("ready", 3)
		p.Period = 200 * time.Millisecond
		b.Sync(b.ctx, map[Run]spec.Probes{b.run("a"): {Readiness: p}})
		b.after(1900 * time.Millisecond)
		assert.Equal(t, 4, b.timesAsked("a ready"))
	})
}

func TestSyncKeepsUndisturbedWhatIsUnchanged(t *testing.T) {
	inBubble(t, func(b *bench) {
		probes := func() spec.Probes { return spec.Probes{Readiness: asking("ready", 3)} }
		b.Sync(b.ctx, map[Run]spec.Probes{b.run("a"): probes(), b.run("b"): probes()})
		assert.Len(t, b.after(100*time.Millisecond), 2)
		for range 50 { // equal, but another value, as after each reload
			b.Sync(b.ctx, map[Run]spec.Probes{b.run("a"): probes()})
			assert.Empty(t, b.after(100*time.Millisecond))
		}
		assert.Equal(t, 6, b.timesAsked("a ready"))
		assert.Equal(t, 1, b.timesAsked("b ready"), "it was left out, and asked on")
	})
}

func TestSyncBeginsAnewWithOtherProbes(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.Sync(b.ctx, map[Run]spec.Probes{b.run("a"): {Readiness: asking("ready", 3)}})
		b.after(1500 * time.Millisecond)
		b.set("other", "not yet")
		b.Sync(b.ctx, map[Run]spec.Probes{b.run("a"): {Readiness: asking("other", 3)}})
		assert.Equal(t, []string{"1.5s a started live since 0s, readiness: not yet"}, b.after(5*time.Second))
		assert.Equal(t, 2, b.timesAsked("a ready"))
	})
}

func TestAContainerStartedAgainIsANewRun(t *testing.T) {
	inBubble(t, func(b *bench) {
		probes := spec.Probes{Readiness: asking("ready", 3)}
		b.Sync(b.ctx, map[Run]spec.Probes{b.run("a"): probes})
		b.after(1500 * time.Millisecond)
		again := b.run("a")
		again.StartedAt = time.Now()
		b.set("ready", "booting")
		b.Sync(b.ctx, map[Run]spec.Probes{again: probes})
		// What was known of the run before does not count: one failure is enough.
		assert.Equal(t, []string{"1.5s a started live since 1.5s, readiness: booting"}, b.after(time.Second))
	})
}

func TestNothingIsHeardOfARunThatWasLeftOut(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.set("ready", "hang")
		b.Sync(b.ctx, map[Run]spec.Probes{b.run("a"): {Readiness: asking("ready", 1)}})
		b.after(100 * time.Millisecond)
		b.Sync(b.ctx, nil)
		assert.Empty(t, b.after(time.Minute))
		assert.Equal(t, 1, b.timesAsked("a ready"))
	})
}

func TestWaitReturnsWhenAllHasEnded(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.set("live", "hang")
		runs := map[Run]spec.Probes{}
		for i := range 100 {
			runs[b.run(fmt.Sprint(i))] = spec.Probes{Startup: asking("start", 1), Readiness: asking("ready", 1), Liveness: asking("live", 3)}
		}
		b.Sync(b.ctx, runs)
		b.after(700 * time.Millisecond)
		b.end()
		b.Wait()
		before := b.timesAsked("7 ready")
		b.Sync(b.ctx, map[Run]spec.Probes{b.run("late"): {Readiness: asking("ready", 1)}})
		b.after(time.Minute)
		assert.Equal(t, before, b.timesAsked("7 ready"))
		assert.Zero(t, b.timesAsked("late ready"))
	})
}

// Sync from one side, results from the other, and probes that fail and pass:
// the race detector and the order of results judge.
func TestResultsNeverComeFromAnEarlierSession(t *testing.T) {
	var mu sync.Mutex
	synced := 0 // the last session that Sync has returned from
	exec := func(_ context.Context, _ string, command []string) (int, string, error) {
		return 1, command[0], nil // the message names the session
	}
	p := New(exec, func(r Result) {
		mu.Lock()
		defer mu.Unlock()
		var session int
		_, _ = fmt.Sscanf(r.Message, "readiness: %d exited", &session)
		if session < synced {
			t.Errorf("%s: session %d was heard of after %d had begun", r.ID, session, synced)
		}
	})
	ctx, end := context.WithCancel(t.Context())
	for session := range 500 {
		runs := map[Run]spec.Probes{}
		for _, id := range []string{"a", "b", "c"} {
			probe := asking(fmt.Sprint(session), 1)
			probe.Period = time.Millisecond
			runs[Run{Target: Target{ID: id}}] = spec.Probes{Readiness: probe}
		}
		p.Sync(ctx, runs)
		mu.Lock()
		synced = session
		mu.Unlock()
	}
	end()
	p.Wait()
}
