//go:build linux

package cli

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/tendhq/tend/controller/plan"
	"github.com/tendhq/tend/controller/recorder"
	"github.com/tendhq/tend/controller/spec"
)

func TestReplayShowsWhatWouldBeDecidedOtherwise(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "compose.yaml"), []byte("name: shop\nservices: {web: {image: web:1}}\n"), 0o600))
	r := recorder.Start(filepath.Join(dir, ".tend"), zap.NewNop())
	in := plan.Input{
		Now: time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC), Workload: "web",
		Spec: &spec.Workload{Name: "web", Kind: spec.Deployment, Replicas: 2, Revision: "rev1rev1rev1", Strategy: spec.Strategy{Type: spec.RollingUpdate, MaxSurge: 1}},
	}
	recorded := plan.Compute(in)
	require.Len(t, recorded.Actions, 2)
	r.Record(in, recorded)
	more := *in.Spec
	more.Replicas = 3
	in.Spec = &more
	r.Record(in, recorded) // the plan of another planner, which makes one replica less
	other := in
	other.Workload, other.Generation = "db", 2
	r.Record(other, plan.Compute(other))
	r.Close()

	w := &world{t: t, dir: dir}
	out, err := w.tend("replay")
	var exit *exitError
	require.True(t, errors.As(err, &exit))
	assert.Equal(t, exitFailed, exit.code)
	assert.Contains(t, out, "2026-01-02 12:00:00.000 web\n")
	assert.Contains(t, out, "  + action 3: create replica 3 of revision rev1rev1: 3 replicas wanted, 0 exist\n")
	assert.NotContains(t, out, "create replica 1 of")
	assert.Contains(t, out, "3 plans of 2 workloads from 2026-01-02 12:00:00 to 2026-01-02 12:00:00: 1 would be decided otherwise now")

	test := filepath.Join(dir, "test.jsonl.gz")
	_, err = w.tend("replay", "--workload", "web", "--output", test)
	require.NoError(t, err)
	out, err = w.tend("replay", test)
	require.NoError(t, err)
	assert.Contains(t, out, "2 plans of 1 workloads")
	assert.Contains(t, out, ": 0 would be decided otherwise now")

	_, err = w.tend("replay", "--output", test)
	require.ErrorIs(t, err, os.ErrExist, "nothing is written over")
	_, err = w.tend("replay", filepath.Join(dir, "compose.yaml"))
	require.ErrorContains(t, err, "it is no recording")
}
