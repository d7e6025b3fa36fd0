//go:build linux

package cli

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/spec/load"
	"github.com/tendhq/tend/state"
)

func TestPullLeavesOutWhatIsBuiltOrNeverPulled(t *testing.T) {
	w := newWorld(t, `
name: shop
services:
  web: {image: "web:1", volumes: [{type: image, source: "data:1", target: /data}]}
  api: {image: "web:1"}
  own: {build: .}
  local: {image: "local:1", pull_policy: never}
`)
	p, err := load.Project(t.Context(), load.Options{ProjectDirectory: w.dir})
	require.NoError(t, err)
	images, err := pulls(p, nil)
	require.NoError(t, err)
	assert.Equal(t, []string{"data:1", "web:1"}, images)
	for service, problem := range map[string]string{
		"none": "project shop has no service none", "own": "is built here", "local": "pull_policy is never",
	} {
		_, err := pulls(p, []string{service})
		assert.ErrorContains(t, err, problem)
	}
}

func TestGetImages(t *testing.T) {
	w := newWorld(t, oneService)
	w.store.Update(func(tx *state.Tx) {
		tx.PutResource(core.Resource{
			Kind: core.ImageResource, Name: "web:1", Known: true, Present: true, ID: "sha256:0123456789abcdef",
			Digest: "sha256:aaaaaaaaaaaaaaaa", Newest: "sha256:bbbbbbbbbbbbbbbb", PullInterval: time.Hour, AskedAt: time.Now().Add(-2 * time.Minute), RegistryError: "it is away",
		})
		tx.PutResource(core.Resource{Kind: core.ImageResource, Name: "db:1", Known: true})
	})
	out, err := w.tend("get", "images", "-o", "wide")
	require.NoError(t, err)
	assert.Regexp(t, `db:1 +no +- +- +- +- +never`, out)
	assert.Regexp(t, `web:1 +yes +a{12} +b{12} +2 minutes +0123456789ab +About an hour +it is away`, out)
	out, err = w.tend("get", "images", "web:1")
	require.NoError(t, err)
	assert.NotContains(t, out, "db:1")
	_, err = w.tend("get", "images", "web:2")
	assert.ErrorContains(t, err, "no workload needs the image web:2")
	_, err = w.tend("get", "images", "--watch")
	assert.ErrorContains(t, err, "cannot be watched")
}
