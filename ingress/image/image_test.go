package image

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
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

// program is a program of Go that needs no libraries, or else one that does.
func program(t *testing.T, text string, env ...string) *os.File {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "main.go"), []byte(text), 0o600))
	build := exec.Command("go", "build", "-trimpath", "-o", "program", "main.go")
	build.Dir, build.Env = dir, append(os.Environ(), env...)
	output, err := build.CombinedOutput()
	require.NoError(t, err, string(output))
	file, err := os.Open(filepath.Join(dir, "program"))
	require.NoError(t, err)
	t.Cleanup(func() { _ = file.Close() })
	return file
}

const alone = "CGO_ENABLED=0"

func TestTheArchiveIsWhole(t *testing.T) {
	executable := program(t, "package main; func main() {}", alone)
	content, err := os.ReadFile(executable.Name())
	require.NoError(t, err)
	i, err := New(executable)
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
	assert.Equal(t, content, filesOf(t, layer)["tend"])
}

func TestTheSameExecutableMakesTheSameImage(t *testing.T) {
	ids, names := map[string]bool{}, map[string]bool{}
	for _, text := range []string{"one", "one", "two"} {
		i, err := New(program(t, fmt.Sprintf("package main; func main() { println(%q) }", text), alone))
		require.NoError(t, err)
		ids[i.ID], names[i.Name] = true, true
		name, err := NameOf(i.executable.(*os.File).Name())
		require.NoError(t, err)
		assert.Equal(t, i.Name, name)
	}
	assert.Len(t, ids, 2)
	assert.Len(t, names, 2)
}

func TestWhatCannotRunAloneIsRefused(t *testing.T) {
	_, err := New(program(t, "package main; import \"C\"; func main() {}", "CGO_ENABLED=1"))
	require.ErrorContains(t, err, "CGO_ENABLED=0")
	_, err = New(program(t, "package main; func main() {}", alone, "GOOS=windows"))
	require.ErrorContains(t, err, "none for Linux")
}
