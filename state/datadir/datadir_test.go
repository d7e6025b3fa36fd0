package datadir

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestADataDirectoryIsOurs(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	_, err := Open(dir)
	require.ErrorIs(t, err, os.ErrNotExist)
	require.NoError(t, Make(dir))
	root, err := Open(dir)
	require.NoError(t, err)
	require.NoError(t, root.Close())
	info, err := os.Stat(dir)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o700), info.Mode().Perm())

	for _, mode := range []os.FileMode{0o770, 0o702} {
		require.NoError(t, os.Chmod(dir, mode))
		_, err = Open(dir)
		assert.ErrorAs(t, err, new(*RefusedError))
		assert.ErrorContains(t, err, "chmod go-w")
	}
	require.NoError(t, os.Chmod(dir, 0o755))
	link := filepath.Join(t.TempDir(), "link")
	require.NoError(t, os.Symlink(dir, link))
	_, err = Open(link)
	assert.ErrorContains(t, err, "symbolic link")
}

func TestAFileThatLeadsElsewhereIsRefused(t *testing.T) {
	for name, plant := range map[string]func(elsewhere, path string) error{
		"a symbolic link out of it":            os.Symlink,
		"a symbolic link to a file of its own": func(_, path string) error { return os.Symlink("mine", path) },
		"a symbolic link to nothing":           func(_, path string) error { return os.Symlink("nothing", path) },
		"a hard link":                          os.Link,
		"a named pipe":                         func(_, path string) error { return syscall.Mkfifo(path, 0o600) },
		"a folder":                             func(_, path string) error { return os.Mkdir(path, 0o700) },
	} {
		t.Run(name, func(t *testing.T) {
			parent := t.TempDir()
			dir, elsewhere := filepath.Join(parent, "data"), filepath.Join(parent, "elsewhere")
			require.NoError(t, os.Mkdir(dir, 0o700))
			for _, path := range []string{elsewhere, filepath.Join(dir, "mine")} {
				require.NoError(t, os.WriteFile(path, []byte("theirs"), 0o644))
			}
			require.NoError(t, plant(elsewhere, filepath.Join(dir, "lock")))
			_, err := OpenFile(dir, "lock", os.O_RDWR|os.O_CREATE)
			assert.ErrorAs(t, err, new(*RefusedError))
			assert.ErrorContains(t, err, filepath.Join(dir, "lock"))
			assert.NoFileExists(t, filepath.Join(dir, "nothing"))
		})
	}
}

func TestAFileIsMadeAndOpenedAgain(t *testing.T) {
	dir := t.TempDir()
	for range 2 {
		f, err := OpenFile(dir, "lock", os.O_RDWR|os.O_CREATE)
		require.NoError(t, err)
		assert.Equal(t, filepath.Join(dir, "lock"), f.Name())
		require.NoError(t, f.Close())
	}
}

func TestAFolderThatLeadsElsewhereIsRefused(t *testing.T) {
	dir, elsewhere := t.TempDir(), t.TempDir()
	require.NoError(t, os.Symlink(elsewhere, filepath.Join(dir, "backups")))
	_, err := OpenFolder(dir, "backups/db")
	assert.ErrorAs(t, err, new(*RefusedError))
	assert.NoDirExists(t, filepath.Join(elsewhere, "db"))

	require.NoError(t, os.Symlink(elsewhere, filepath.Join(dir, "recordings")))
	_, err = OpenFolder(dir, "recordings")
	assert.ErrorContains(t, err, "leads out of the data directory")

	folder, err := OpenFolder(dir, "dumps/of/one")
	require.NoError(t, err)
	require.NoError(t, folder.Close())
	assert.DirExists(t, filepath.Join(dir, "dumps", "of", "one"))
}
