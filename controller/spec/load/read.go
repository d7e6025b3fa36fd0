package load

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/controller/spec/syntax"
)

// opener opens files: in a folder (*os.Root), or anywhere.
type opener interface {
	Stat(path string) (os.FileInfo, error)
	Open(path string) (*os.File, error)
}

type anywhere struct{}

func (anywhere) Stat(path string) (os.FileInfo, error) { return os.Stat(path) }
func (anywhere) Open(path string) (*os.File, error)    { return os.Open(path) }

// readRegular reads a regular file of at most syntax.MaxFileSize. It follows a symbolic
// link.
func readRegular(from opener, path string) ([]byte, error) {
	info, err := from.Stat(path)
	if err == nil {
		err = checkRegular(info)
	}
	if err != nil {
		return nil, err
	}
	f, err := from.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()                           // nothing was written
	return io.ReadAll(io.LimitReader(f, syntax.MaxFileSize+1)) // it may have grown since
}

// refusedFile is why a file is not opened, and what to do about it.
type refusedFile struct{ message, hint string }

func (r *refusedFile) Error() string { return r.message }

// checkRegular refuses a file before it is opened. Opening a named pipe would wait
// until somebody writes to it, and a device may have no end.
func checkRegular(info os.FileInfo) error {
	kinds := map[fs.FileMode]string{
		fs.ModeDir: "a folder", fs.ModeNamedPipe: "a named pipe", fs.ModeSocket: "a socket",
		fs.ModeDevice: "a device", fs.ModeDevice | fs.ModeCharDevice: "a device",
	}
	switch mode := info.Mode(); {
	case !mode.IsRegular():
		kind := kinds[mode.Type()]
		if kind == "" {
			kind = mode.String()
		}
		return &refusedFile{fmt.Sprintf("it is not a regular file, but %s", kind), "write what it is to say into a file"}
	case info.Size() > syntax.MaxFileSize:
		return tooLarge(info.Size())
	}
	return nil
}

func tooLarge(size int64) *refusedFile {
	return &refusedFile{fmt.Sprintf("the file has %d bytes, more than the %d that are read", size, syntax.MaxFileSize), "split it"}
}

// checkNamed refuses a file that compose-go would read. It leaves a missing file and a
// folder to compose-go; /dev/null is an empty file.
func checkNamed(path string) error {
	info, err := os.Stat(path)
	if err != nil || info.IsDir() || path == os.DevNull {
		return nil //nolint:nilerr // compose-go reports it
	}
	return checkRegular(info)
}

// fileError is the Error of a file that cannot be read.
func fileError(path string, err error) *spec.Error {
	e := &spec.Error{File: path, Message: err.Error()}
	var refused *refusedFile
	var failed *fs.PathError
	switch {
	case errors.As(err, &refused):
		e.Hint = refused.hint
	case errors.As(err, &failed):
		e.Message = failed.Err.Error() // without the path, which comes before it
	}
	return e
}
