package edit

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/controller/spec/load"
)

const webSpec = "apiVersion: tend/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {replicas: 3}\n"

func anything([]byte) error { return nil }

func TestWritePutsAValidSpecInPlaceAndNoOther(t *testing.T) {
	o, file := scalable(t, "")
	path, err := Write(t.Context(), o, "web.yaml", []byte(webSpec), func(before []byte) error {
		assert.Nil(t, before)
		return nil
	})
	require.NoError(t, err)
	assert.Equal(t, file, path)
	assert.Equal(t, webSpec, read(t, file))

	_, err = Write(t.Context(), o, "web.yaml", []byte(webSpec+"  replicaz: 3\n"), anything)
	require.ErrorAs(t, err, &spec.Errors{})
	assert.ErrorContains(t, err, file)
	assert.Equal(t, webSpec, read(t, file))

	stale := errors.New("stale")
	_, err = Write(t.Context(), o, "web.yaml", []byte(webSpec), func(before []byte) error {
		assert.Equal(t, webSpec, string(before))
		return stale
	})
	assert.ErrorIs(t, err, stale)
}

func TestWriteKeepsThePolicy(t *testing.T) {
	o, file := scalable(t, webSpec)
	o.Policy = spec.Restricted
	_, err := Write(t.Context(), o, "web.yaml", []byte("apiVersion: tend/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {template: {privileged: true}}\n"), anything)
	require.ErrorAs(t, err, &spec.Errors{})
	assert.Equal(t, webSpec, read(t, file))
}

func TestWriteLeavesTheFolderOfTheSpecsNever(t *testing.T) {
	o, file := scalable(t, webSpec)
	outside := filepath.Join(filepath.Dir(filepath.Dir(file)), "compose.yaml")
	for _, name := range []string{"", ".", "../compose.yaml", "/etc/x.yaml", ".web.yaml", "web.txt", "sub/web.yaml", "a\x00.yaml"} {
		_, err := Write(t.Context(), o, name, []byte(webSpec), anything)
		require.Error(t, err, name)
	}
	link := filepath.Join(filepath.Dir(file), "link.yaml")
	require.NoError(t, os.Symlink("web.yaml", link))
	_, err := Write(t.Context(), o, "link.yaml", []byte(""), anything)
	require.ErrorAs(t, err, new(*ReadOnlyError))
	require.NoError(t, os.Remove(link))
	require.NoError(t, os.Symlink(outside, link))
	_, err = Write(t.Context(), o, "link.yaml", []byte(""), anything)
	require.Error(t, err)
	assert.Equal(t, webSpec, read(t, file))
	assert.Equal(t, scaleCompose, read(t, outside))
}

func TestADraftOfTheComposeFileStandsInItsPlace(t *testing.T) {
	o, _ := scalable(t, webSpec)
	in, err := load.Discover(o)
	require.NoError(t, err)
	o.Drafts = []load.Draft{{Path: in.Compose, Content: []byte("services: {web: {image: \"web:1\"}, more: {image: \"more:1\"}}\n")}}
	p, err := load.Project(t.Context(), o)
	require.NoError(t, err)
	assert.Contains(t, p.Workloads, "more")
	o.Drafts[0].Content = []byte("services:\n  web: {imagge: x}\n")
	_, err = load.Project(t.Context(), o)
	assert.ErrorContains(t, err, in.Compose+":2:9")
}
