package plan_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/recorder"
)

// What was decided in testdata/recordings is decided still. Where it is not, and
// that is right, tend replay shows the difference and with --output accepts it.
func TestRecordings(t *testing.T) {
	files, err := filepath.Glob("testdata/recordings/*")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, path := range files {
		t.Run(filepath.Base(path), func(t *testing.T) {
			file, err := os.Open(path)
			require.NoError(t, err)
			defer file.Close()
			actions := 0
			for rec, err := range recorder.Read(file) {
				require.NoError(t, err)
				actions += len(rec.Plan.Actions)
				d, differs := recorder.Replay(rec)
				if differs {
					assert.Equal(t, recorder.Decide(d.Recorded), recorder.Decide(d.Now), "%s at %s", d.Workload, d.At)
				}
			}
			assert.NotZero(t, actions, "a recording in which nothing is done shows nothing")
		})
	}
}
