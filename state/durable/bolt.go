package durable

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"syscall"
	"time"

	bolt "go.etcd.io/bbolt"
	boltErrors "go.etcd.io/bbolt/errors"

	"github.com/tendhq/tend/state/datadir"
)

// FileName is the name of the file in the data directory.
const FileName = "state.db"

// openTimeout is how long to wait for another process that has the file open. That is
// only a person's tool, as one controller acts at a time.
const openTimeout = time.Second

var (
	metaBucket = []byte("meta")
	rowsBucket = []byte("rows")
	formatKey  = []byte("format")
	projectKey = []byte("project")
)

// File is a Store in a file of the data directory. Only the user that runs tend
// can read it, as the templates in the history hold the containers' environment.
type File struct {
	path, project string
	db            *bolt.DB
	file          *os.File // db's
}

// NewFile makes a store in a data directory, which must exist. The file is
// opened by its first use, and made where it is missing.
func NewFile(dataDir, project string) *File {
	return &File{path: filepath.Join(dataDir, FileName), project: project}
}

// Load implements Store. A file that does not exist is an empty store.
func (f *File) Load(context.Context) (rows []Row, err error) {
	err = f.use(func() error {
		return f.db.View(func(tx *bolt.Tx) error {
			if err := f.check(tx); err != nil {
				return err
			}
			return tx.Bucket(rowsBucket).ForEach(func(k, v []byte) error {
				row, err := decode(k, v)
				rows = append(rows, row)
				return err
			})
		})
	})
	if err != nil {
		return nil, err
	}
	return rows, nil
}

// Commit implements Store.
func (f *File) Commit(_ context.Context, rows []Row) error {
	return f.update(func(tx *bolt.Tx) error { return put(tx.Bucket(rowsBucket), rows) })
}

// Replace implements Store.
func (f *File) Replace(_ context.Context, rows []Row) error {
	return f.update(func(tx *bolt.Tx) error {
		if err := tx.DeleteBucket(rowsBucket); err != nil {
			return err
		}
		b, err := tx.CreateBucket(rowsBucket)
		if err != nil {
			return err
		}
		return put(b, rows)
	})
}

// SetAside implements Store: the file is renamed.
func (f *File) SetAside(_ context.Context, reason Damage) (string, error) {
	if err := f.Close(); err != nil {
		return "", err
	}
	aside := fmt.Sprintf("%s.%s-%s", f.path, reason, time.Now().UTC().Format(asideTime))
	if err := os.Rename(f.path, aside); err != nil {
		return "", fmt.Errorf("move the state aside: %w", err)
	}
	return aside, syncDir(filepath.Dir(f.path))
}

// Close implements Store. The store may be used again.
func (f *File) Close() error {
	if f.db == nil {
		return nil
	}
	db := f.db
	f.db, f.file = nil, nil
	return db.Close()
}

// update runs a write transaction, unless somebody has removed or replaced the file:
// what is written to a file without a name is gone with the process.
func (f *File) update(change func(*bolt.Tx) error) error {
	if f.db != nil {
		named, err := os.Lstat(f.path)
		opened, openErr := f.file.Stat()
		if err := errors.Join(err, openErr); err != nil || !os.SameFile(named, opened) {
			return errors.Join(fmt.Errorf("%s was removed or replaced", f.path), f.Close())
		}
	}
	return f.use(func() error { return f.db.Update(change) })
}

// use opens the file where it is not open, and calls do. bbolt trusts its input: a
// damaged page makes it panic, or read memory that is not its own. After an error use
// opens the file anew: after a failed fsync nobody knows what is on the disk, whatever
// a read returns.
func (f *File) use(do func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = &DamagedError{Damage: Corrupt, Detail: fmt.Sprint(p)}
			if f.file != nil {
				_ = f.file.Close() // the database may hold its locks for ever
			}
			f.db, f.file = nil, nil
		} else if err != nil {
			err = errors.Join(err, f.Close())
		}
	}()
	if f.db == nil {
		if err := f.open(); err != nil {
			return err
		}
	}
	return do()
}

func (f *File) open() error {
	made := false
	db, err := bolt.Open(f.path, 0o600, &bolt.Options{
		Timeout: openTimeout, FreelistType: bolt.FreelistMapType,
		OpenFile: func(path string, flag int, mode os.FileMode) (file *os.File, err error) {
			_, err = os.Lstat(path)
			made = errors.Is(err, os.ErrNotExist)
			if file, err = datadir.OpenFile(filepath.Dir(path), filepath.Base(path), flag); err == nil {
				err = file.Chmod(mode)
			}
			f.file = file
			return file, err
		},
	})
	switch errno := syscall.Errno(0); {
	case errors.As(err, &errno), errors.As(err, new(*datadir.RefusedError)), errors.Is(err, boltErrors.ErrTimeout):
		return fmt.Errorf("open %s: %w", f.path, err)
	case err != nil:
		return &DamagedError{Damage: Corrupt, Detail: err.Error()}
	}
	f.db = db
	empty := false
	if err := db.View(func(tx *bolt.Tx) error {
		first, _ := tx.Cursor().First()
		empty = first == nil
		return nil
	}); err != nil {
		return err
	}
	if empty { // also where the process that made it died at once
		if err := db.Update(f.prepare); err != nil {
			return err
		}
	}
	if made {
		return syncDir(filepath.Dir(f.path))
	}
	return nil
}

// prepare fills a new file.
func (f *File) prepare(tx *bolt.Tx) error {
	if _, err := tx.CreateBucket(rowsBucket); err != nil {
		return err
	}
	meta, err := tx.CreateBucket(metaBucket)
	if err != nil {
		return err
	}
	return errors.Join(meta.Put(formatKey, []byte(strconv.Itoa(format))), meta.Put(projectKey, []byte(f.project)))
}

// check returns an error where the file is of another format or project.
func (f *File) check(tx *bolt.Tx) error {
	meta := tx.Bucket(metaBucket)
	if meta == nil || tx.Bucket(rowsBucket) == nil {
		return &DamagedError{Damage: Corrupt, Detail: "it lacks what each state file has"}
	}
	found, err := strconv.Atoi(string(meta.Get(formatKey)))
	if err != nil {
		return &DamagedError{Damage: Corrupt, Detail: fmt.Sprintf("its format is %q", meta.Get(formatKey))}
	}
	if err := checkFormat(found); err != nil {
		return err
	}
	if project := string(meta.Get(projectKey)); project != f.project {
		return &DamagedError{Damage: Foreign, Detail: fmt.Sprintf("it is of project %q, and this is %q", project, f.project)}
	}
	return nil
}

// put writes rows to a bucket, in the order that is fast.
func put(b *bolt.Bucket, rows []Row) error {
	rows = slices.SortedFunc(slices.Values(rows), func(a, b Row) int {
		return cmp.Or(cmp.Compare(a.Table, b.Table), cmp.Compare(a.Key, b.Key))
	})
	for _, r := range rows {
		key := []byte(r.Table + "\x00" + r.Key)
		if r.Value == nil {
			if err := b.Delete(key); err != nil {
				return err
			}
		} else if err := b.Put(key, slices.Concat(checksum(key, r.Value), r.Value)); err != nil {
			return err
		}
	}
	return nil
}

// decode reads a row. Each value has a checksum of its own, as bbolt's covers only the
// two meta pages.
func decode(key, v []byte) (Row, error) {
	table, name, ok := bytes.Cut(key, []byte{0})
	if !ok || len(v) < crc32.Size || !bytes.Equal(v[:crc32.Size], checksum(key, v[crc32.Size:])) {
		return Row{}, &DamagedError{Damage: Corrupt, Detail: fmt.Sprintf("the checksum of %q is wrong", key)}
	}
	return Row{Table: string(table), Key: string(name), Value: bytes.Clone(v[crc32.Size:])}, nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(key, value []byte) []byte {
	return binary.BigEndian.AppendUint32(nil, crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, value))
}

// syncDir puts a directory's entries on the disk.
func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
