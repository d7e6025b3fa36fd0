package durable_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	bolt "go.etcd.io/bbolt"

	"github.com/tendhq/tend/state/durable"
	"github.com/tendhq/tend/state/durable/durabletest"
)

func TestMemory(t *testing.T) {
	s := &durabletest.Memory{}
	durabletest.Run(t, func() durable.Store { return s })
}

func TestFile(t *testing.T) {
	dir := t.TempDir()
	durabletest.Run(t, func() durable.Store { return durable.NewFile(dir, "p") })
}

var some = []durable.Row{{Table: "rollouts", Key: "web", Value: []byte("remembered")}}

// written is a data directory with a state file.
func written(t *testing.T) (dir, path string) {
	t.Helper()
	dir = t.TempDir()
	f := durable.NewFile(dir, "p")
	require.NoError(t, f.Commit(t.Context(), some))
	require.NoError(t, f.Close())
	return dir, filepath.Join(dir, durable.FileName)
}

func damage(t *testing.T, err error) durable.Damage {
	t.Helper()
	var damaged *durable.DamagedError
	require.ErrorAs(t, err, &damaged)
	return damaged.Damage
}

func TestTheFileIsTheOwnersAlone(t *testing.T) {
	dir, path := written(t)
	mode := func() os.FileMode {
		info, err := os.Stat(path)
		require.NoError(t, err)
		return info.Mode().Perm()
	}
	assert.Equal(t, os.FileMode(0o600), mode())
	require.NoError(t, os.Chmod(path, 0o644)) //nolint:gosec // what somebody else may have done
	f := durable.NewFile(dir, "p")
	_, err := f.Load(t.Context())
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), mode())
	require.NoError(t, f.Close())
}

// Wherever a file is damaged, what is read is what was written, or the damage
// is found; and the store can be used when the file was set aside.
func TestDamageIsFoundOrHarmless(t *testing.T) {
	dir, path := written(t)
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	check := func(t *testing.T, damaged []byte) {
		t.Helper()
		require.NoError(t, os.WriteFile(path, damaged, 0o600))
		f := durable.NewFile(dir, "p")
		rows, err := f.Load(t.Context())
		if err == nil {
			assert.Contains(t, []string{fmt.Sprint(some), "[]"}, fmt.Sprint(rows))
		} else {
			where, err := f.SetAside(t.Context(), damage(t, err))
			require.NoError(t, err)
			kept, err := os.ReadFile(where)
			require.NoError(t, err)
			assert.True(t, bytes.Equal(damaged, kept), "nothing is deleted or changed")
		}
		require.NoError(t, f.Commit(t.Context(), some))
		rows, err = f.Load(t.Context())
		require.NoError(t, err)
		assert.Equal(t, some, rows)
		require.NoError(t, f.Close())
	}
	for size := 0; size < len(content); size += 997 {
		t.Run(fmt.Sprintf("cut after %d bytes", size), func(t *testing.T) { check(t, content[:size]) })
	}
	for _, fill := range []byte{0, 0xff, 0x5a} {
		for page := 0; page < len(content); page += os.Getpagesize() {
			t.Run(fmt.Sprintf("page at %d filled with %#x", page, fill), func(t *testing.T) {
				damaged := append([]byte(nil), content...)
				for i := range os.Getpagesize() {
					damaged[page+i] = fill
				}
				check(t, damaged)
			})
		}
	}
	t.Run("any byte", func(t *testing.T) {
		for at := 0; at < len(content); at += 61 {
			damaged := append([]byte(nil), content...)
			damaged[at] ^= 0x41
			check(t, damaged)
		}
	})
	t.Run("text", func(t *testing.T) { check(t, []byte("this is no database\n")) })
}

func TestAnotherFormatOrProjectIsNotRead(t *testing.T) {
	for value, want := range map[string]durable.Damage{"0": durable.Older, "2": durable.Newer, "x": durable.Corrupt} {
		dir, path := written(t)
		db, err := bolt.Open(path, 0o600, nil)
		require.NoError(t, err)
		require.NoError(t, db.Update(func(tx *bolt.Tx) error { return tx.Bucket([]byte("meta")).Put([]byte("format"), []byte(value)) }))
		require.NoError(t, db.Close())
		f := durable.NewFile(dir, "p")
		_, err = f.Load(t.Context())
		assert.Equal(t, want, damage(t, err))
		require.NoError(t, f.Close())
	}
	dir, _ := written(t)
	f := durable.NewFile(dir, "another")
	_, err := f.Load(t.Context())
	assert.Equal(t, durable.Foreign, damage(t, err))
	require.NoError(t, f.Close())
}

func TestAFileThatVanishesIsWrittenAnew(t *testing.T) {
	dir := t.TempDir()
	f := durable.NewFile(dir, "p")
	require.NoError(t, f.Commit(t.Context(), some))
	require.NoError(t, os.Remove(filepath.Join(dir, durable.FileName)))
	require.ErrorContains(t, f.Commit(t.Context(), nil), "removed or replaced")
	require.NoError(t, f.Replace(t.Context(), some))
	require.NoError(t, f.Close())
	rows, err := durable.NewFile(dir, "p").Load(t.Context())
	require.NoError(t, err)
	assert.Equal(t, some, rows)
}

// A file that is cut while it is open is what a person's mistake looks like to
// the memory that bbolt has mapped.
func TestAFileThatIsCutWhileOpenEndsNothing(t *testing.T) {
	dir := t.TempDir()
	f := durable.NewFile(dir, "p")
	require.NoError(t, f.Commit(t.Context(), some))
	require.NoError(t, os.Truncate(filepath.Join(dir, durable.FileName), 0))
	assert.Equal(t, durable.Corrupt, damage(t, f.Commit(t.Context(), some)))
	_, err := f.SetAside(t.Context(), durable.Corrupt)
	require.NoError(t, err)
	require.NoError(t, f.Replace(t.Context(), some))
	require.NoError(t, f.Close())
}

func TestAFullDiskIsAnErrorAndEndsWithIt(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=256k,mode=700"), "this test mounts a file system: it needs root")
	t.Cleanup(func() { require.NoError(t, syscall.Unmount(dir, 0)) })
	f := durable.NewFile(dir, "p")
	t.Cleanup(func() { require.NoError(t, f.Close()) })
	require.NoError(t, f.Commit(t.Context(), some))
	ballast := filepath.Join(dir, "ballast")
	err := os.WriteFile(ballast, make([]byte, 1<<20), 0o600)
	require.ErrorIs(t, err, syscall.ENOSPC)

	large := []durable.Row{{Table: "t", Key: "large", Value: make([]byte, 100<<10)}}
	err = f.Commit(t.Context(), large)
	require.ErrorIs(t, err, syscall.ENOSPC)
	var damaged *durable.DamagedError
	assert.False(t, errors.As(err, &damaged), "a full disk is no damage: %v", err)
	rows, err := f.Load(t.Context())
	require.NoError(t, err)
	assert.Equal(t, some, rows, "what was there stays")

	require.NoError(t, os.Remove(ballast))
	require.NoError(t, f.Replace(t.Context(), append(large, some...)))
	rows, err = f.Load(t.Context())
	require.NoError(t, err)
	assert.Len(t, rows, 2)
}

func TestADirectoryThatCannotBeWrittenIsAnErrorAndNoDamage(t *testing.T) {
	f := durable.NewFile(filepath.Join(t.TempDir(), "missing"), "p")
	_, err := f.Load(context.Background())
	require.ErrorIs(t, err, os.ErrNotExist)
	var damaged *durable.DamagedError
	assert.False(t, errors.As(err, &damaged))
}

func TestWhatTheDataDirectoryLinksToIsLeftAlone(t *testing.T) {
	for _, name := range []string{"lock", durable.FileName} {
		t.Run(name, func(t *testing.T) {
			dir, elsewhere := t.TempDir(), filepath.Join(t.TempDir(), "elsewhere")
			require.NoError(t, os.WriteFile(elsewhere, []byte("theirs"), 0o644))
			require.NoError(t, os.Symlink(elsewhere, filepath.Join(dir, name)))
			var err error
			if name == "lock" {
				_, err = durable.TakeLock(dir)
			} else {
				_, err = durable.NewFile(dir, "shop").Load(t.Context())
			}
			assert.ErrorContains(t, err, "is not a file of tend's own")
			content, err := os.ReadFile(elsewhere)
			require.NoError(t, err)
			assert.Equal(t, "theirs", string(content))
			info, err := os.Stat(elsewhere)
			require.NoError(t, err)
			assert.Equal(t, os.FileMode(0o644), info.Mode().Perm())
		})
	}
}
