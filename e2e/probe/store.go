package main

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
)

// store keeps numbered rows in a folder, each on the disk before it is
// acknowledged. It locks nothing, as many programs do: two at once on one folder
// write over one another's rows, unless each row is a file of its own.
type store struct {
	dir     string
	perFile bool

	mu   sync.Mutex
	file *os.File
	end  int64 // where this process takes the file to end
}

// recordSize is the length of a row in the file: its number, a checksum, a newline.
const recordSize = 20 + 1 + 8 + 1

func openStore(dir string, perFile bool) (*store, error) {
	s := &store{dir: dir, perFile: perFile}
	if perFile {
		return s, nil
	}
	file, err := os.OpenFile(filepath.Join(dir, "rows"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	size, err := file.Seek(0, io.SeekEnd)
	s.file, s.end = file, size-size%recordSize // what was cut off was never acknowledged
	return s, err
}

func record(n int) []byte {
	number := fmt.Sprintf("%020d", n)
	return fmt.Appendf(nil, "%s %08x\n", number, crc32.ChecksumIEEE([]byte(number)))
}

// add has a row on the disk when it returns no error.
func (s *store) add(n int) error {
	if s.perFile {
		return s.addFile(n)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.file.WriteAt(record(n), s.end); err != nil {
		return err
	}
	s.end += recordSize
	return s.file.Sync()
}

func (s *store) addFile(n int) error {
	name := filepath.Join(s.dir, "row-"+strconv.Itoa(n))
	file, err := os.Create(name + ".new")
	if err != nil {
		return err
	}
	_, err = file.Write(record(n))
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	if err := os.Rename(name+".new", name); err != nil {
		return err
	}
	folder, err := os.Open(s.dir)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// content is all records, as they are on the disk.
func (s *store) content() ([]byte, error) {
	if !s.perFile {
		return os.ReadFile(s.file.Name())
	}
	files, err := filepath.Glob(filepath.Join(s.dir, "row-*"))
	if err != nil {
		return nil, err
	}
	var all bytes.Buffer
	for _, file := range files {
		if strings.HasSuffix(file, ".new") {
			continue
		}
		content, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		all.Write(content)
	}
	return all.Bytes(), nil
}

// ServeHTTP acknowledges POST /rows/N with 204, and answers GET /rows with a line
// for each record: its number, or "damaged".
func (s *store) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var err error
	if r.Method == http.MethodPost {
		var n int
		if n, err = strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/rows/")); err == nil {
			err = s.add(n)
		}
		if err == nil {
			w.WriteHeader(http.StatusNoContent)
			return
		}
	} else {
		var content []byte
		if content, err = s.content(); err == nil {
			list(w, content)
			return
		}
	}
	http.Error(w, err.Error(), http.StatusInternalServerError)
}

func list(w io.Writer, content []byte) {
	for len(content) > 0 {
		row := content[:min(recordSize, len(content))]
		content = content[len(row):]
		n, _ := strconv.Atoi(string(row[:min(20, len(row))]))
		if !bytes.Equal(row, record(n)) {
			fmt.Fprintln(w, "damaged")
			continue
		}
		fmt.Fprintln(w, n)
	}
}
