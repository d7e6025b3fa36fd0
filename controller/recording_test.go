package controller

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/tendhq/tend/controller/plan"
	"github.com/tendhq/tend/controller/recorder"
)

// What the loop planned can be planned again from the recording alone; and
// nothing that is secret is in it.
func TestARecordingIsEnoughToPlanAgain(t *testing.T) {
	const canary = "c4n4ry"
	const secretive = `
web:
  image: healthy:1
  expose: ["8080"]
  environment: {PASSWORD: c4n4ry-environment}
  command: [serve, c4n4ry-command]
  labels: {key: c4n4ry-label}
  deploy: {replicas: 2}
crash: {image: 'crashes:1', environment: {TOKEN: c4n4ry-token}}
job: {image: 'task:1', restart: 'no'}
`
	spec := func(image string) string {
		return "kind: Deployment\nmetadata: {name: web}\nspec: {replicas: 3, drainSeconds: 5, progressDeadlineSeconds: 60, template: {image: '" + image + "'}," +
			"preRollout: [{name: migrate, command: [migrate, c4n4ry-hook]}]," +
			"livenessProbe: {exec: {command: [check, c4n4ry-probe]}}," +
			"readinessProbe: {httpGet: {path: /, port: 8080, httpHeaders: [{name: Authorization, value: c4n4ry-header}]}, failureThreshold: 3}}"
	}
	inWorld(t, func(w *world) {
		w.stop()
		dir := t.TempDir()
		r := recorder.Start(dir, zap.NewNop())
		plans, actions := 0, 0
		w.record = func(in plan.Input, p plan.Plan) {
			plans++
			actions += len(p.Actions)
			r.Record(in, p)
		}
		w.start()
		w.write(secretive, spec("healthy:1"))
		w.pass(2 * time.Minute)
		w.write(secretive, spec("sick:1"))
		w.pass(5 * time.Minute)
		w.write("job: {image: 'task:1', restart: 'no'}")
		w.pass(time.Minute)
		w.stop()
		r.Close()
		require.Zero(t, r.Dropped())

		files, err := recorder.Files(dir)
		require.NoError(t, err)
		require.Len(t, files, 1)
		content, err := os.ReadFile(files[0])
		require.NoError(t, err)
		recorded, workloads, replayed := 0, map[string]bool{}, 0
		for rec, err := range recorder.Read(bytes.NewReader(content)) {
			require.NoError(t, err)
			recorded++
			workloads[rec.Input.Workload] = true
			replayed += len(rec.Plan.Actions)
			d, differs := recorder.Replay(rec)
			require.False(t, differs, "%+v", d)
			require.Equal(t, rec.Plan.Events, d.Now.Events)
		}
		assert.Equal(t, actions, replayed, "each action is in it")
		assert.Less(t, recorded, plans, "and not what only repeats")
		assert.Len(t, workloads, 3)

		zip, err := gzip.NewReader(bytes.NewReader(content))
		require.NoError(t, err)
		text, err := io.ReadAll(zip)
		require.NoError(t, err)
		if i := strings.Index(string(text), canary); i >= 0 {
			t.Errorf("a secret was recorded: …%s…", text[max(i-200, 0):i+40])
		}
		w.record = nil
		w.start()
	})
}
