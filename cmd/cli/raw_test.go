//go:build linux

package cli

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/spec"
)

func TestRawPrintsWhatTheAPIAnswers(t *testing.T) {
	w := newWorld(t, "name: shop\nservices: {web: {image: \"web:1\"}}\n")
	w.keep("web", func(*spec.Workload, *core.Status) {})
	out, err := w.tend("get", "--raw", "/healthz")
	require.NoError(t, err)
	assert.JSONEq(t, `{"status": "ok", "project": "shop", "version": "test"}`, out)
	_, err = w.tend("get", "--raw", "/api/v1/workloads/wbe")
	assert.ErrorContains(t, err, `did you mean "web"?`)
	for _, args := range [][]string{{"get", "--raw", "healthz"}, {"get", "--raw", "/healthz", "workloads"}, {"get"}} {
		_, err = w.tend(args...)
		assert.ErrorContains(t, err, "see tend get --help")
	}
}
