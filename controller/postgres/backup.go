package postgres

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"syscall"
	"time"

	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/state/datadir"
)

// Dump is a finished backup.
type Dump struct {
	// Path is the file's path, Size its size in bytes.
	Path string
	Size int64
}

// Dir is the folder of a workload's dumps in tend's data directory.
func Dir(dataDir, workload string) string { return filepath.Join(dataDir, folder(workload)) }

func folder(workload string) string { return filepath.Join("backups", workload) }

// The names of dumps sort by age. An unfinished one begins with a dot.
const (
	dumpTime = "20060102T150405.000Z"
	dumpExt  = ".dump"
)

var (
	dumpName    = regexp.MustCompile(`^\d{8}T\d{6}\.\d{3}Z\.dump$`)
	partialName = regexp.MustCompile(`^\.\d{8}T\d{6}\.\d{3}Z\.dump\.partial-`)
)

// Backup dumps the database POSTGRES_DB of a running server to a file in the
// workload's folder of the data directory, which it makes where it is missing. It then removes the oldest dumps there, so that keep of them
// are left. The file is in pg_dump's custom format and readable by its owner only. It
// gets its name once it is on the disk and pg_restore has read it from there to its end.
//
// progress is called with how many bytes have been dumped.
//
// Roles, tablespaces, settings of the server and other databases are not in it.
func Backup(ctx context.Context, e engine.Engine, containerID, dataDir, workload string, keep int, progress func(bytes int64)) (Dump, error) {
	dir := Dir(dataDir, workload)
	dump, err := backupInto(ctx, e, containerID, dataDir, workload, keep, progress)
	if err != nil {
		return Dump{}, fmt.Errorf("back up to %s: %w%s", dir, err, remedy(err, dir))
	}
	return dump, nil
}

func backupInto(ctx context.Context, e engine.Engine, id, dataDir, workload string, keep int, progress func(int64)) (Dump, error) {
	dir, err := datadir.OpenFolder(dataDir, folder(workload))
	if err != nil {
		return Dump{}, err
	}
	defer func() { _ = dir.Close() }() // backup has synced it
	name, size, err := backup(ctx, e, id, dir, progress)
	if err != nil {
		return Dump{}, err
	}
	return Dump{Path: filepath.Join(Dir(dataDir, workload), name), Size: size}, prune(dir, keep)
}

func backup(ctx context.Context, e engine.Engine, id string, dir *os.Root, progress func(int64)) (name string, size int64, err error) {
	if err := removePartial(dir); err != nil {
		return "", 0, err
	}
	name = time.Now().UTC().Format(dumpTime) + dumpExt
	partial := "." + name + ".partial-" + rand.Text()
	file, err := dir.OpenFile(partial, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", 0, err
	}
	defer func() {
		_ = file.Close()
		if err != nil {
			_ = dir.Remove(partial)
		}
	}()
	// The file does not count as a leftover until the kernel frees the lock, at the end
	// of this process at the latest.
	if err := lock(file, true); err != nil {
		return "", 0, err
	}
	if err := run(ctx, e, id, `exec pg_dump --format=custom --no-password`, nil, &counter{file: file, progress: progress}); err != nil {
		return "", 0, fmt.Errorf("dump the database: %w", err)
	}
	if err := file.Sync(); err != nil {
		return "", 0, err
	}
	size, err = file.Seek(0, io.SeekCurrent)
	if err != nil {
		return "", 0, err
	}
	if err := verify(ctx, e, id, file); err != nil {
		return "", 0, err
	}
	if err := dir.Rename(partial, name); err != nil {
		return "", 0, err
	}
	return name, size, syncDir(dir)
}

// verify has the pg_restore in a container read a dump to its end. With --list it would
// read the table of contents only, which comes first.
func verify(ctx context.Context, e engine.Engine, id string, dump io.ReadSeeker) error {
	if _, err := dump.Seek(0, io.SeekStart); err != nil {
		return err
	}
	if err := run(ctx, e, id, `exec pg_restore --format=custom --file=/dev/null`, dump, nil); err != nil {
		return fmt.Errorf("the dump cannot be read back: %w", err)
	}
	return nil
}

// removePartial removes the files that killed processes have left.
func removePartial(dir *os.Root) error {
	entries, err := fs.ReadDir(dir.FS(), ".")
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if !partialName.MatchString(entry.Name()) {
			continue
		}
		file, err := dir.Open(entry.Name())
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		// A file whose lock another process holds is being written.
		if err = lock(file, false); err == nil {
			err = dir.Remove(entry.Name())
		}
		_ = file.Close()
		if err != nil && !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

// prune removes all dumps but the newest.
func prune(dir *os.Root, keep int) error {
	entries, err := fs.ReadDir(dir.FS(), ".") // sorted by name, and so by age
	if err != nil {
		return err
	}
	dumps := finished(entries)
	for _, old := range dumps[:max(0, len(dumps)-max(keep, 1))] {
		err := dir.Remove(old.Name())
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

func finished(entries []os.DirEntry) []os.DirEntry {
	return slices.DeleteFunc(entries, func(e os.DirEntry) bool { return !dumpName.MatchString(e.Name()) })
}

// Last is when the last backup of a workload was begun; zero where there is none.
func Last(dataDir, workload string) (time.Time, error) {
	entries, err := os.ReadDir(Dir(dataDir, workload)) // sorted by name, and so by age
	dumps := finished(entries)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(dumps) == 0 {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, err
	}
	return time.Parse(dumpTime+dumpExt, dumps[len(dumps)-1].Name())
}

// syncDir puts the names in a folder on the disk.
func syncDir(dir *os.Root) error {
	d, err := dir.Open(".")
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// remedy returns what to do about an error of the file system.
func remedy(err error, dir string) string {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return "; free some space there, or keep fewer backups (backup.keep)"
	case errors.Is(err, syscall.EROFS), errors.Is(err, os.ErrPermission), errors.Is(err, syscall.ENOTDIR):
		return "; tend must be able to write in " + dir + ": mend that, or name another data directory with --data-dir"
	default:
		return ""
	}
}

// Checkpoint has a running server write out what it holds in memory, so that it shuts
// down fast.
func Checkpoint(ctx context.Context, e engine.Engine, containerID string) error {
	err := run(ctx, e, containerID, `exec psql --no-psqlrc --no-password --quiet --set=ON_ERROR_STOP=1 --command=CHECKPOINT`, nil, nil)
	if err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	return nil
}

const restoreScript = `exec pg_restore --format=custom --clean --if-exists --single-transaction --exit-on-error \
	--no-password --dbname="$PGDATABASE"`

// Restore brings the database POSTGRES_DB of a running server to the content of a dump,
// in one transaction: all of it or nothing. What else is in the database stays. Restore
// waits for sessions that use its tables.
func Restore(ctx context.Context, e engine.Engine, containerID, path string) error {
	failed := func(err error) error { return fmt.Errorf("restore %s: %w; nothing was changed", path, err) }
	file, err := os.Open(path)
	if err != nil {
		return failed(err)
	}
	defer file.Close()
	if err := verify(ctx, e, containerID, file); err != nil {
		return failed(err)
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return failed(err)
	}
	err = run(ctx, e, containerID, restoreScript, file, nil)
	if lost := new(engine.Error); errors.As(err, &lost) && lost.Class == engine.Unknown {
		return fmt.Errorf("restore %s: %w; it may have been carried out all the same: look at the data", path, err)
	}
	if err != nil {
		return failed(err)
	}
	return nil
}

// counter writes to a file and tells how much that is by now.
type counter struct {
	file     *os.File
	bytes    int64
	progress func(int64)
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.file.Write(p)
	c.bytes += int64(n)
	c.progress(c.bytes)
	return n, err
}
