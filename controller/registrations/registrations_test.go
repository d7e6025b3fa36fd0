package registrations

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/probe/probetest"
	"github.com/tendhq/tend/state"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func store() *state.Store { return state.New(func([]state.Change) {}) }

// run runs a keeper; stop ends it.
func run(k *Keeper) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		k.Run(ctx)
	}()
	return func() {
		cancel()
		<-ended
	}
}

func billing(checks ...core.Check) core.Registration {
	return core.Registration{ID: "billing-1", Service: "billing", Address: "192.0.2.7", Port: 80, Checks: checks}
}

var ttl = core.Check{ID: "alive", TTL: 10 * time.Second}

func status(s *state.Store) (core.CheckStatus, string) {
	row, ok := s.Snapshot().Registration("billing-1")
	if !ok {
		return "", ""
	}
	return row.Checks[0].Status, row.Checks[0].Output
}

func TestAServiceIsCriticalOnceItHasSaidNothingForItsTTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := store()
		k := New(s)
		defer run(k)()
		is := func(want core.CheckStatus, output string) {
			t.Helper()
			synctest.Wait()
			got, said := status(s)
			assert.Equal(t, want, got)
			assert.Equal(t, output, said)
		}
		assert.True(t, k.Register(billing(ttl)))
		is(core.CheckCritical, "")
		for range 5 {
			time.Sleep(9 * time.Second)
			assert.True(t, k.Heard("alive", core.CheckPassing, "well"))
			is(core.CheckPassing, "well")
		}
		assert.False(t, k.Register(billing(ttl)), "it is registered as before")
		is(core.CheckPassing, "well")
		time.Sleep(9 * time.Second)
		is(core.CheckPassing, "well")
		time.Sleep(time.Second)
		is(core.CheckCritical, "TTL expired")
		assert.True(t, k.Heard("alive", core.CheckWarning, "slow"))
		is(core.CheckWarning, "slow")
		time.Sleep(10 * time.Second)
		is(core.CheckCritical, "TTL expired")
		assert.True(t, k.Deregister("billing-1"))
		assert.False(t, k.Deregister("billing-1"))
		assert.False(t, k.Heard("alive", core.CheckPassing, ""))
	})
}

// A restart of tend withdraws nothing: who was passing has its TTL again to say so.
func TestARestartKeepsWhatWasSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		before := store()
		k := New(before)
		stop := run(k)
		k.Register(billing(ttl))
		k.Heard("alive", core.CheckPassing, "well")
		synctest.Wait()
		stop()
		time.Sleep(time.Hour)

		after := store()
		require.NoError(t, after.Restore(before.TakeAll()))
		defer run(New(after))()
		time.Sleep(9 * time.Second)
		got, _ := status(after)
		assert.Equal(t, core.CheckPassing, got)
		time.Sleep(time.Second)
		synctest.Wait()
		got, _ = status(after)
		assert.Equal(t, core.CheckCritical, got)
	})
}

func TestAServiceThatStaysCriticalIsDeregisteredWhereItSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := store()
		k := New(s)
		defer run(k)()
		leaves := ttl
		leaves.DeregisterAfter = time.Minute
		k.Register(billing(leaves))
		k.Heard("alive", core.CheckPassing, "")
		time.Sleep(69 * time.Second)
		got, _ := status(s)
		assert.Equal(t, core.CheckCritical, got)
		time.Sleep(12 * time.Second)
		synctest.Wait()
		assert.Empty(t, s.Snapshot().Registrations(""))
	})
}

func TestAnAnswerIsJudgedAsConsulDoes(t *testing.T) {
	var code atomic.Int64
	asked := make(chan string, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case asked <- r.UserAgent():
		default:
		}
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(int(code.Load()))
		_, _ = w.Write([]byte(strings.Repeat("why ", 1000)))
	}))
	defer server.Close()
	s := store()
	k := New(s)
	defer run(k)()
	code.Store(http.StatusOK)
	k.Register(billing(core.Check{ID: "asked", HTTP: server.URL, Interval: 10 * time.Millisecond, Timeout: 5 * time.Second}))
	assert.Equal(t, "tend-check", <-asked)
	for _, c := range []struct {
		code int
		want core.CheckStatus
	}{{204, core.CheckPassing}, {429, core.CheckWarning}, {200, core.CheckPassing}, {302, core.CheckCritical}, {299, core.CheckPassing}, {500, core.CheckCritical}} {
		code.Store(int64(c.code))
		require.Eventually(t, func() bool { got, _ := status(s); return got == c.want }, 10*time.Second, time.Millisecond, "%d", c.code)
	}
	_, output := status(s)
	assert.Contains(t, output, "500 Internal Server Error why why")
	assert.Less(t, len(output), 2*maxOutput)
	server.Close()
	require.Eventually(t, func() bool { _, output := status(s); return strings.Contains(output, "connection refused") }, 10*time.Second, time.Millisecond)
}

// No attempt to connect to a service that is cut off outlives its check: TestMain sees that
// none is left behind.
func TestAServiceThatIsCutOffIsCritical(t *testing.T) {
	s := store()
	k := New(s)
	defer run(k)()
	k.Register(billing(core.Check{ID: "asked", HTTP: "http://" + probetest.CutOff(t), Interval: 10 * time.Millisecond, Timeout: 50 * time.Millisecond}))
	require.Eventually(t, func() bool { _, output := status(s); return strings.Contains(output, "deadline exceeded") }, 10*time.Second, time.Millisecond)
}

// However many are registered and do not answer, so many are asked at a time.
func TestSoManyAreAskedAtATime(t *testing.T) {
	var now, most atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		n := now.Add(1)
		for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
		}
		<-r.Context().Done()
		now.Add(-1)
	}))
	defer server.Close()
	s := store()
	k := New(s)
	defer run(k)()
	for _, id := range strings.Split(strings.Repeat("a,", 60), ",") {
		n := len(s.Snapshot().Registrations(""))
		id += string(rune('A' + n))
		k.Register(core.Registration{ID: id, Service: "many", Checks: []core.Check{{ID: id, HTTP: server.URL, Interval: time.Millisecond, Timeout: 50 * time.Millisecond}}})
	}
	require.Eventually(t, func() bool {
		for _, row := range s.Snapshot().Registrations("") {
			if !strings.Contains(row.Checks[0].Output, "deadline exceeded") {
				return false
			}
		}
		return true
	}, 20*time.Second, 5*time.Millisecond)
	// The server hears of the end of a request a little later than who has ended it.
	assert.LessOrEqual(t, most.Load(), int64(2*maxAsked))
	assert.GreaterOrEqual(t, most.Load(), int64(maxAsked))
}
