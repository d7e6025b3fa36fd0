// Package image makes the image of an ingress from tend's own executable, so that it
// takes no registry and is of the same version as the tend that speaks to it.
package image

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"time"
)

// repository is the image's name; its tag follows from its content.
const repository = "tend/ingress"

const (
	// user is nobody in particular.
	user = 65532
	// stateDir is the one folder that it may write to.
	stateDir = "state"
)

// Image is an image that can be loaded into an engine.
type Image struct {
	// ID is the digest of its configuration: the engine's ID of it, except in containerd's
	// image store, which newer engines have. The same executable makes the same image.
	ID string
	// Name is its name with a tag.
	Name string

	executable io.ReaderAt
	size       int64
	config     []byte
}

// config is an image's configuration, as in the OCI image specification and Docker's.
type config struct {
	Created      time.Time `json:"created"`
	Architecture string    `json:"architecture"`
	OS           string    `json:"os"`
	Config       defaults  `json:"config"`
	RootFS       rootFS    `json:"rootfs"`
}

type defaults struct {
	User        string
	Entrypoint  []string
	StopSignal  string
	Healthcheck healthcheck
}

type healthcheck struct {
	Test                           []string
	Interval, Timeout, StartPeriod time.Duration
	Retries                        int
}

type rootFS struct {
	Type    string   `json:"type"`
	DiffIDs []string `json:"diff_ids"`
}

// contents names the parts of an archive that an engine can load.
type contents struct {
	Config   string
	RepoTags []string
	Layers   []string
}

// NameOf returns the name of the image around the executable in a file.
func NameOf(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	return Name(file)
}

// Name returns the name, with a tag, of the image around an executable. The tag follows
// from the executable's build ID, which is quick to read: programs that differ have
// different ones.
func Name(executable io.ReaderAt) (string, error) {
	file, err := elf.NewFile(executable)
	if err != nil {
		return "", fmt.Errorf("the image of the ingress is made from tend's own program, which is none for Linux: %w", err)
	}
	for _, p := range file.Progs {
		if p.Type == elf.PT_INTERP {
			return "", errors.New("the image of the ingress is made from tend's own program, which needs libraries beside it: build it with CGO_ENABLED=0")
		}
	}
	note := file.Section(".note.go.buildid")
	if note == nil {
		return "", errors.New("the image of the ingress is made from tend's own program, which has no build ID: build it without -buildid")
	}
	id, err := note.Data()
	if err != nil {
		return "", fmt.Errorf("read the build ID of tend's own program: %w", err)
	}
	sum := sha256.Sum256(id)
	return repository + ":" + hex.EncodeToString(sum[:6]), nil
}

// New returns the image around an executable, which must need nothing beside it.
func New(executable *os.File) (*Image, error) {
	name, err := Name(executable)
	if err != nil {
		return nil, err
	}
	info, err := executable.Stat()
	if err != nil {
		return nil, err
	}
	i := &Image{Name: name, executable: executable, size: info.Size()}
	layer := sha256.New()
	if err := i.writeLayer(layer); err != nil {
		return nil, fmt.Errorf("make the image of the ingress: %w", err)
	}
	i.config, err = json.Marshal(config{
		Created:      time.Unix(0, 0).UTC(),
		Architecture: runtime.GOARCH,
		OS:           "linux",
		Config: defaults{
			User:       fmt.Sprintf("%d:%d", user, user),
			Entrypoint: []string{"/tend", "ingress"},
			StopSignal: "SIGTERM",
			Healthcheck: healthcheck{
				Test:     []string{"CMD", "/tend", "ingress", "health"},
				Interval: 30 * time.Second, Timeout: 10 * time.Second, StartPeriod: 10 * time.Second, Retries: 3,
			},
		},
		RootFS: rootFS{Type: "layers", DiffIDs: []string{"sha256:" + hex.EncodeToString(layer.Sum(nil))}},
	})
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(i.config)
	i.ID = "sha256:" + hex.EncodeToString(sum[:])
	return i, nil
}

// WriteTo writes the archive that an engine can load.
func (i *Image) WriteTo(w io.Writer) (int64, error) {
	counted := &countingWriter{to: w}
	name := i.ID[len("sha256:"):] + ".json"
	index, err := json.Marshal([]contents{{Config: name, RepoTags: []string{i.Name}, Layers: []string{"layer.tar"}}})
	if err != nil {
		return 0, err
	}
	size := &countingWriter{to: io.Discard}
	if err := i.writeLayer(size); err != nil {
		return 0, err
	}
	archive := tar.NewWriter(counted)
	if err := writeFile(archive, "manifest.json", bytes.NewReader(index), int64(len(index)), 0o644); err != nil {
		return counted.n, err
	}
	if err := writeFile(archive, name, bytes.NewReader(i.config), int64(len(i.config)), 0o644); err != nil {
		return counted.n, err
	}
	if err := archive.WriteHeader(&tar.Header{Name: "layer.tar", Mode: 0o644, Size: size.n}); err != nil {
		return counted.n, err
	}
	if err := i.writeLayer(archive); err != nil {
		return counted.n, err
	}
	return counted.n, archive.Close()
}

// writeLayer writes the image's files.
func (i *Image) writeLayer(w io.Writer) error {
	layer := tar.NewWriter(w)
	if err := layer.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: stateDir + "/", Mode: 0o700, Uid: user, Gid: user}); err != nil {
		return err
	}
	if err := writeFile(layer, "tend", io.NewSectionReader(i.executable, 0, i.size), i.size, 0o755); err != nil {
		return err
	}
	return layer.Close()
}

func writeFile(archive *tar.Writer, name string, content io.Reader, size, mode int64) error {
	if err := archive.WriteHeader(&tar.Header{Name: name, Mode: mode, Size: size}); err != nil {
		return err
	}
	_, err := io.Copy(archive, content)
	return err
}

type countingWriter struct {
	to io.Writer
	n  int64
}

func (w *countingWriter) Write(p []byte) (int, error) {
	n, err := w.to.Write(p)
	w.n += int64(n)
	return n, err
}
