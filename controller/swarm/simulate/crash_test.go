package simulate

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Wherever tend is killed, before or after each request that changes something, and once more
// at a later one, the next tend brings about the same: a rollout with a hook, a secret and a
// config of another content, a Database's update, a Job of another revision, a volume, and a
// workload that is taken away.
func TestEachCrashPoint(t *testing.T) {
	// away is how long nobody starts tend again: longer than a rollout may go without progress.
	const away = 2 * deadline
	scenario := func(w *world) {
		w.start()
		w.idle(30 * time.Second)
		w.written = w.written.clone()
		for name, tag := range map[string]string{"web": "2", "api": "2", "db": "2", "seed": "2", "agent": "2", "store": ""} {
			w.written.images[name] = tag
		}
		w.written.token, w.written.motd = "blue", "blue"
		w.alive()
		w.write()
		for range 20 {
			if w.gate == nil {
				w.idle(away)
				w.alive()
			}
			w.idle(4 * time.Second)
		}
		w.rest()
	}
	run := func(t *testing.T, kills ...int) (writes int) {
		failed, told := inWorld(t, files, 0, true, func(w *world) {
			w.crash = func() (before, after bool) {
				writes++
				for _, k := range kills {
					before, after = before || k == 2*writes, after || k == 2*writes+1
				}
				return before, after
			}
			scenario(w)
		})
		require.Empty(t, failed, "tend is killed at %v:\n%s", kills, told)
		return writes
	}
	writes := run(t)
	t.Logf("%d requests change something", writes)
	require.Greater(t, writes, 20)
	pairs := 0
	for first := 2; first < 2*writes+2; first++ {
		t.Run(fmt.Sprint(first), func(t *testing.T) {
			run(t, first)
			for second := first + 1; second < 2*writes+2; second++ {
				if pairs++; (pairs+int(*seedFlag))%*oneInFlag == 0 {
					run(t, first, second)
				}
			}
		})
	}
	t.Logf("one in %d of %d pairs", *oneInFlag, pairs)
}
