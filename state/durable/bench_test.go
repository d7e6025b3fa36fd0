package durable_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/state/durable"
)

// What a turn of the loop waits for: the rollout record and an event of each
// workload that was planned.
func BenchmarkCommit(b *testing.B) {
	for _, workloads := range []int{1, 10, 100, 1000} {
		b.Run(fmt.Sprintf("%d workloads", workloads), func(b *testing.B) {
			f := durable.NewFile(b.TempDir(), "p")
			b.Cleanup(func() { require.NoError(b, f.Close()) })
			n := 0
			for b.Loop() {
				n++
				var rows []durable.Row
				for w := range workloads {
					rows = append(rows,
						durable.Row{Table: "rollouts", Key: fmt.Sprint("web", w), Value: bytes.Repeat([]byte{byte(n)}, 600)},
						durable.Row{Table: "events", Key: fmt.Sprintf("%020d", n*workloads+w), Value: bytes.Repeat([]byte{1}, 250)},
						durable.Row{Table: "events", Key: fmt.Sprintf("%020d", n*workloads+w-2000)})
				}
				require.NoError(b, f.Commit(b.Context(), rows))
			}
		})
	}
}
