//go:build linux

package cli

import (
	"encoding/json"
	"errors"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/cmd/doctor"
	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/state"
)

// failed reports whether a command has ended with 1 and said nothing besides.
func failed(err error) bool {
	var exit *exitError
	return errors.As(err, &exit) && exit.code == exitFailed && exit.err == nil
}

func TestDoctorTellsWhatTheControllerConcludes(t *testing.T) {
	host, _ := emptyEngine(t)
	w := newWorld(t, oneService)
	w.keep("web", func(*spec.Workload, *core.Status) {})
	out, err := w.tend("--host", host, "doctor")
	require.NoError(t, err, "warnings alone are no failure")
	assert.Regexp(t, `(?m)^CHECK +WHAT +RESULT +FINDING +REMEDY$`, out)
	assert.Regexp(t, `(?m)^engine +unix://\S+ +ok +Docker Engine 20\.10\.0, API 1\.41 *$`, out)
	assert.Regexp(t, `(?m)^controller +tend +ok +tend test keeps shop *$`, out)
	assert.Regexp(t, `(?m)^workload +web +ok +Converged, 2 of 2 ready *$`, out)
	assert.Regexp(t, `(?m)^image +web:1 +warning +not here +.tend pull. brings`, out)
	// A disk that is nearly full is the machine's own.
	assert.Regexp(t, `(?m)^failures: 0, warnings: [12], not tried: \d, ok: \d$`, out)

	w.keep("web", func(_ *spec.Workload, s *core.Status) {
		fares(s, core.OutcomeStalled, "shop-web-1 exited\nwith code 3", "correct the image")
		s.ReplicaStatuses = []core.ReplicaStatus{{ID: "a", Blocker: "exited with code 3"}}
	})
	w.store.Update(func(tx *state.Tx) {
		tx.PutReplica(&state.Replica{Replica: core.Replica{Workload: "web", Number: 1, Name: "shop-web-1", ID: "a", State: core.Exited}})
	})
	out, err = w.tend("--host", host, "doctor")
	assert.True(t, failed(err), err)
	assert.Regexp(t, `(?m)^replica +shop-web-1 +warning +exited with code 3 +.tend explain web.$`, out)
	assert.Regexp(t, `(?m)^workload +web +failure +Stalled, 2 of 2 ready: shop-web-1 exited with code 3 +correct the image$`, out)
}

func TestDoctorSpeaksJSON(t *testing.T) {
	host, _ := emptyEngine(t)
	w := newWorld(t, oneService)
	w.ready = errors.New("the engine does not answer")
	out, err := w.tend("--host", host, "doctor", "-o", "json")
	assert.True(t, failed(err), err)
	var d diagnosis
	require.NoError(t, json.Unmarshal([]byte(out), &d))
	assert.False(t, d.Healthy)
	assert.Contains(t, d.Findings, doctor.Finding{
		Check: "controller", Object: "tend", Level: doctor.Failure, Message: "the controller is not ready: the engine does not answer", Remedy: "`tend events` tells since when",
	})
}

func TestDoctorWorksWithNothing(t *testing.T) {
	w := &world{t: t, dir: t.TempDir()}
	w.write("compose.yaml", "services: {web: {imago: a}}\n")
	out, err := w.tend("--host", "unix://"+filepath.Join(w.dir, "none.sock"), "doctor", "--prometheus", "http://127.0.0.1:1")
	assert.True(t, failed(err), err)
	assert.Regexp(t, `(?m)^files +project +failure +\S*compose.yaml:1:`, out)
	assert.Regexp(t, `(?m)^engine +unix://\S+ +failure +`, out)
	assert.Regexp(t, `(?m)^controller +tend +warning +none is running`, out)
	assert.Regexp(t, `(?m)^target +http://127.0.0.1:1 +failure +`, out)
}
