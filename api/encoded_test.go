package api

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/state"
)

func TestAListIsWhatIsWrittenWhateverWasListedBefore(t *testing.T) {
	store, random := state.New(func([]state.Change) {}), rand.New(rand.NewPCG(1, 2))
	var kept encodings
	for i := range 300 {
		store.Update(func(tx *state.Tx) {
			name := fmt.Sprintf("w%d", random.IntN(5))
			_, there := tx.Workload(name)
			switch n := random.IntN(4); {
			case n == 0 && there:
				tx.DeleteWorkload(name)
			case n == 1 && there:
				tx.PutStatus(core.Status{Workload: name, Ready: i})
			case n == 2:
			default:
				tx.PutWorkload(&state.Workload{Name: name, Generation: int64(i), Spec: &spec.Workload{Name: name, Kind: spec.Deployment, Image: "web:1"}})
			}
		})
		var fresh encodings
		snap := store.Snapshot()
		require.JSONEq(t, string(fresh.workloads(snap)), string(kept.workloads(snap)))
	}
}
