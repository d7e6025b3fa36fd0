package enginetest

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"runtime"
	"slices"
	"strings"

	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/engine"
)

var imageCases = []testCase{
	{"an engine tells its architecture", func(f *fixture) {
		arch, err := f.Engine.Architecture(f.Context())
		require.NoError(f, err)
		require.Equal(f, runtime.GOARCH, arch)
	}},
	{"a local image is listed with its names, and whether a container was made from it", func(f *fixture) {
		name, id := f.load()
		require.Equal(f, []string{name}, f.tags(id))
		require.False(f, f.local(id).InUse)
		s := f.service(Runs)
		s.Image = name
		container := f.create("1", s)
		require.True(f, f.local(id).InUse, "it was never started")
		f.remove(container)
		require.False(f, f.local(id).InUse)
		f.Outsider.Tag(f.T, name, f.named("pruned")+":2")
		require.ElementsMatch(f, []string{name, f.named("pruned") + ":2"}, f.tags(id))
	}},
	{"an image is pruned, and then it is gone", func(f *fixture) {
		name, id := f.load()
		require.NoError(f, f.Engine.PruneImage(f.Context(), id))
		_, err := f.Engine.Image(f.Context(), name)
		f.fails(engine.NotFound, err)
		require.NoError(f, f.Engine.PruneImage(f.Context(), id), "it is gone already")
	}},
	{"one that a container has, or with a second tag, is not pruned", func(f *fixture) {
		name, id := f.load()
		s := f.service(Runs)
		s.Image = name
		container := f.create("1", s)
		f.fails(engine.Conflict, f.Engine.PruneImage(f.Context(), id))
		f.remove(container)
		f.Outsider.Tag(f.T, name, f.named("pruned")+":2")
		f.fails(engine.Conflict, f.Engine.PruneImage(f.Context(), id))
		require.ElementsMatch(f, []string{name, f.named("pruned") + ":2"}, f.tags(id))
	}},
}

func (f *fixture) remove(id string) {
	f.Helper()
	require.NoError(f, f.Engine.Remove(f.Context(), id, false))
}

// local returns an image of those that are listed.
func (f *fixture) local(id string) engine.LocalImage {
	f.Helper()
	all, err := f.Engine.Images(f.Context())
	require.NoError(f, err)
	i := slices.IndexFunc(all, func(i engine.LocalImage) bool { return i.ID == id })
	require.GreaterOrEqual(f, i, 0, "the image is not listed")
	return all[i]
}

// tags are the names of an image but its digest, which containerd's store also gives to one
// that came from no registry.
func (f *fixture) tags(id string) []string {
	f.Helper()
	return slices.DeleteFunc(slices.Clone(f.local(id).Names), func(name string) bool { return strings.Contains(name, "@") })
}

// load makes an image of the case's own, and has it removed at its end.
func (f *fixture) load() (name, id string) {
	f.Helper()
	name = f.named("pruned") + ":1"
	require.NoError(f, f.Engine.LoadImage(f.Context(), bytes.NewReader(f.archive(name))))
	image, err := f.Engine.Image(f.Context(), name)
	require.NoError(f, err)
	f.Outsider.Tag(f.T, name, name) // which takes it away at the end
	return name, image.ID
}

// archive is an image as docker save writes it, with nothing in it but its name.
func (f *fixture) archive(name string) []byte {
	f.Helper()
	layer := f.tar(map[string][]byte{"name": []byte(name)})
	sum := sha256.Sum256(layer)
	config, err := json.Marshal(map[string]any{
		"architecture": "amd64", "os": "linux", "created": "2026-01-02T03:04:05Z", "config": map[string]any{"Cmd": []string{"/name"}},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + hex.EncodeToString(sum[:])}},
	})
	require.NoError(f, err)
	manifest, err := json.Marshal([]map[string]any{{"Config": "config.json", "RepoTags": []string{name}, "Layers": []string{"layer.tar"}}})
	require.NoError(f, err)
	return f.tar(map[string][]byte{"config.json": config, "manifest.json": manifest, "layer.tar": layer})
}

func (f *fixture) tar(files map[string][]byte) []byte {
	f.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for name, content := range files {
		require.NoError(f, w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(content))}))
		_, err := io.Copy(w, bytes.NewReader(content))
		require.NoError(f, err)
	}
	require.NoError(f, w.Close())
	return out.Bytes()
}
