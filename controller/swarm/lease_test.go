package swarm_test

import (
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/state/durable"
)

// Of two tends on one Swarm only the one with the lease acts: another cannot take it, and one
// that has lost it changes nothing any more, not even what it had planned.
func TestOnlyTheHolderOfTheLeaseActs(t *testing.T) {
	inTime(t, func(w *world) {
		data := t.TempDir()
		first, err := durable.TakeLock(data)
		require.NoError(t, err)
		defer func() { assert.NoError(t, first.Release()) }()
		_, err = durable.TakeLock(data)
		held := new(durable.HeldError)
		require.ErrorAs(t, err, &held)

		var asked, refused atomic.Int64
		w.check = func() error {
			asked.Add(1)
			err := first.Check()
			if err != nil {
				refused.Add(1)
			}
			return err
		}
		w.start(shopWith("web:1"))
		w.converges()
		old, stopOld := w.ctl, w.stop
		assert.Positive(t, asked.Load())
		assert.Zero(t, refused.Load())

		require.NoError(t, os.Remove(filepath.Join(data, "lock"))) // which lets the next one in
		second, err := durable.TakeLock(data)
		require.NoError(t, err)
		defer func() { assert.NoError(t, second.Release()) }()
		before := len(w.Writes())
		old.SetProject(w.load(shopWith("web:3")))
		time.Sleep(time.Minute)
		assert.Len(t, w.Writes(), before, "a tend acts without its lease")
		assert.Positive(t, refused.Load(), "it has tried nothing")

		w.check = second.Check
		w.start(shopWith("web:2"))
		time.Sleep(5 * time.Minute) // the old one goes on trying to bring web:3 about
		w.converges()
		assert.Equal(t, "web:2", w.image("web"))
		stopNew := w.stop
		stopOld()
		stopNew()
	})
}
