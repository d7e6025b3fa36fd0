package docker

import (
	"archive/tar"
	"bytes"
	"path"
	"strconv"

	"github.com/compose-spec/compose-go/v2/types"
)

// fileReference is a secret or config of the service, with the file or value that it
// refers to.
type fileReference struct {
	kind      string // "secret" or "config"
	folder    string // where relative targets go
	reference types.FileReferenceConfig
	object    types.FileObjectConfig
}

// file is a secret or config whose content is copied into the container.
type file struct {
	target  string
	archive []byte // tar, to be unpacked at the root
}

func (c *converter) secretFiles() (files []fileReference) {
	for _, s := range c.Service.Secrets {
		files = append(files, fileReference{
			kind: "secret", folder: "/run/secrets",
			reference: types.FileReferenceConfig(s), object: types.FileObjectConfig(c.Secrets[s.Source]),
		})
	}
	return files
}

func (c *converter) configFiles() (files []fileReference) {
	for _, s := range c.Service.Configs {
		files = append(files, fileReference{
			kind: "config", folder: "/",
			reference: types.FileReferenceConfig(s), object: types.FileObjectConfig(c.Configs[s.Source]),
		})
	}
	return files
}

func (f fileReference) target() string {
	switch target := f.reference.Target; {
	case target == "":
		return path.Join(f.folder, f.reference.Source)
	case path.IsAbs(target):
		return target
	default:
		return path.Join(f.folder, target)
	}
}

// copiedFiles archives the secrets and configs whose content compose.yaml or
// the environment holds. Those that are files were mounted.
func (c *converter) copiedFiles(r *createRequest) error {
	for _, f := range append(c.secretFiles(), c.configFiles()...) {
		switch {
		case f.object.File != "":
			continue
		case f.object.Content == "" && f.object.Environment != "":
			return invalid("%s %s: environment variable %s is empty or not set",
				f.kind, f.reference.Source, f.object.Environment)
		case f.object.Content == "":
			return invalid("%s %s has neither a file nor content", f.kind, f.reference.Source)
		case c.Service.ReadOnly:
			return invalid("%s %s: only one with \"file\" can be put into a read-only container",
				f.kind, f.reference.Source)
		}
		archive, err := f.archive()
		if err != nil {
			return err
		}
		r.files = append(r.files, file{target: f.target(), archive: archive})
	}
	return nil
}

// archive is a tar of the one file, readable by all unless it says otherwise.
func (f fileReference) archive() ([]byte, error) {
	mode := types.FileMode(0o444)
	if f.reference.Mode != nil {
		mode = *f.reference.Mode
	}
	uid, err := f.id("uid", f.reference.UID)
	if err != nil {
		return nil, err
	}
	gid, err := f.id("gid", f.reference.GID)
	if err != nil {
		return nil, err
	}
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	header := &tar.Header{
		Name: f.target(), Size: int64(len(f.object.Content)), Mode: int64(mode), Uid: uid, Gid: gid,
	}
	if err := w.WriteHeader(header); err != nil {
		return nil, invalid("%s %s: %w", f.kind, f.reference.Source, err)
	}
	// Writing to memory cannot fail, nor can closing what was filled to its size.
	_, _ = w.Write([]byte(f.object.Content))
	_ = w.Close()
	return archive.Bytes(), nil
}

func (f fileReference) id(key, value string) (int, error) {
	if value == "" {
		return 0, nil
	}
	id, err := strconv.Atoi(value)
	if err != nil {
		return 0, invalid("%s %s: %s %q is not a number", f.kind, f.reference.Source, key, value)
	}
	return id, nil
}
