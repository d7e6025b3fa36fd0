package execute

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/state/datadir"
)

// files returns the secrets and configs for a container of a workload. Under a policy
// each file among them is a copy in the data directory: the engine resolves a mount's
// path again at each start of the container, and would follow a link that somebody has
// put in the place of a file of the project.
func (x *Executor) files(p *spec.Project, w *spec.Workload) (types.Secrets, types.Configs, error) {
	if !p.Policy.Bounds() {
		return p.Secrets, p.Configs, nil
	}
	secrets, configs := types.Secrets{}, types.Configs{}
	var failed error
	for _, s := range w.Template.Secrets {
		o, err := x.copied(p, types.FileObjectConfig(p.Secrets[s.Source]))
		secrets[s.Source], failed = types.SecretConfig(o), errors.Join(failed, err)
	}
	for _, c := range w.Template.Configs {
		o, err := x.copied(p, types.FileObjectConfig(p.Configs[c.Source]))
		configs[c.Source], failed = types.ConfigObjConfig(o), errors.Join(failed, err)
	}
	if failed != nil {
		return nil, nil, &engine.Error{Op: "read the secrets and configs", Object: w.Name, Class: engine.Invalid, Err: failed}
	}
	return secrets, configs, nil
}

// copied is a secret or config with its file copied to the data directory.
func (x *Executor) copied(p *spec.Project, o types.FileObjectConfig) (types.FileObjectConfig, error) {
	if o.File == "" {
		return o, nil
	}
	from, err := p.OpenFile(o.File)
	if err != nil {
		return o, err
	}
	defer func() { _ = from.Close() }() // nothing was written
	o.File, err = keep(from, x.dataDir)
	if err != nil {
		return o, fmt.Errorf("copy %s to the data directory: %w", from.Name(), err)
	}
	return o, nil
}

// keep copies a file to the folder "files" of a data directory, under the hash of its
// content, and returns the path. Whichever user a container has may read it; the folder
// keeps it from those of the host.
func keep(from io.Reader, dataDir string) (path string, err error) {
	dataDir, err = filepath.Abs(dataDir) // for the engine
	if err != nil {
		return "", err
	}
	const folder = "files"
	root, err := datadir.OpenFolder(dataDir, folder)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	partial := ".partial-" + rand.Text()
	file, err := root.OpenFile(partial, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return "", err
	}
	hash := sha256.New()
	_, err = io.Copy(io.MultiWriter(file, hash), from)
	if err = errors.Join(err, file.Chmod(0o444), file.Close()); err != nil {
		return "", errors.Join(err, root.Remove(partial))
	}
	name := hex.EncodeToString(hash.Sum(nil))
	if err := root.Rename(partial, name); err != nil {
		return "", errors.Join(err, root.Remove(partial))
	}
	return filepath.Join(dataDir, folder, name), nil
}
