package image

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func filesOf(t *testing.T, archive []byte) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	for r := tar.NewReader(bytes.NewReader(archive)); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		require.NoError(t, err)
		files[header.Name], err = io.ReadAll(r)
		require.NoError(t, err)
	}
}

func TestTheArchiveIsWhole(t *testing.T) {
	executable := []byte("not really")
	i, err := New(bytes.NewReader(executable), int64(len(executable)))
	require.NoError(t, err)
	var archive bytes.Buffer
	n, err := i.WriteTo(&archive)
	require.NoError(t, err)
	assert.EqualValues(t, archive.Len(), n)

	files := filesOf(t, archive.Bytes())
	var parts []contents
	require.NoError(t, json.Unmarshal(files["manifest.json"], &parts))
	assert.Equal(t, []string{i.Name}, parts[0].RepoTags)
	text := files[parts[0].Config]
	sum := sha256.Sum256(text)
	assert.Equal(t, i.ID, "sha256:"+hex.EncodeToString(sum[:]))
	var c config
	require.NoError(t, json.Unmarshal(text, &c))
	layer := files[parts[0].Layers[0]]
	sum = sha256.Sum256(layer)
	assert.Equal(t, []string{"sha256:" + hex.EncodeToString(sum[:])}, c.RootFS.DiffIDs)
	assert.Equal(t, executable, filesOf(t, layer)["tend"])
}

func TestTheSameExecutableMakesTheSameImage(t *testing.T) {
	ids := map[string]bool{}
	for _, text := range []string{"one", "one", "two"} {
		i, err := New(bytes.NewReader([]byte(text)), int64(len(text)))
		require.NoError(t, err)
		ids[i.ID] = true
	}
	assert.Len(t, ids, 2)
}
