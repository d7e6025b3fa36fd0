// Package kittest has tests use what package kit starts, and ends it with them.
package kittest

import (
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/e2e/kit"
)

// NewSwarm starts a Swarm of machines that ends with the test, which tells their logs where it
// has failed.
func NewSwarm(t *testing.T, managers, workers int) *kit.Swarm {
	t.Helper()
	dir, err := os.MkdirTemp("", "tend") // the path of a socket must be short, and t.TempDir holds the test's name
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, os.RemoveAll(dir)) })
	s, err := kit.NewSwarm(t.Context(), dir, managers, workers)
	t.Cleanup(func() {
		if t.Failed() {
			for _, n := range s.Nodes {
				t.Logf("the log of %s:\n%s", n.Hostname, n.Log())
			}
		}
		assert.NoError(t, s.Stop())
	})
	require.NoError(t, err)
	return s
}
