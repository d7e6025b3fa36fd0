//go:build linux

package cli

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/tendhq/tend/state/datadir"
)

// loginFolder is where a controller in a container finds its logins at registries, in the
// data directory: Docker's own configuration often has a mode that only its owner can read.
const loginFolder = "docker"

// writeLogins writes the logins that a controller in a container is to have, and takes away
// those of an earlier one.
func writeLogins(dataDir string, logins []byte) error {
	if logins == nil {
		return os.RemoveAll(filepath.Join(dataDir, loginFolder))
	}
	folder, err := datadir.OpenFolder(dataDir, loginFolder)
	if err != nil {
		return err
	}
	defer func() { _ = folder.Close() }() // the file has been written
	const name, partial = "config.json", ".config.json.partial"
	err = folder.WriteFile(partial, logins, 0o600)
	if err == nil {
		err = folder.Rename(partial, name)
	}
	if err != nil {
		return fmt.Errorf("write the logins at registries: %w", err)
	}
	return nil
}

// authorities are mounts of the certificates of those whom this machine trusts, where they
// are: the controller's image has none, and asks registries by TLS. The first one is where
// Go looks on Debian, Fedora and openSUSE, in turn; the other one is the engine's own.
func authorities() (mounts []string) {
	mount := func(path string) bool {
		if _, err := os.Stat(path); err != nil {
			return false
		}
		mounts = append(mounts, path+":"+path+":ro")
		return true
	}
	for _, bundle := range []string{"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem"} {
		if mount(bundle) {
			break
		}
	}
	mount("/etc/docker/certs.d")
	return mounts
}
