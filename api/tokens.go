package api

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/tendhq/tend/state/datadir"
)

// Role is what a caller may do.
type Role string

// The roles. Each has a token, which is named after it.
const (
	// Reader may ask for everything and change nothing.
	Reader Role = "read"
	// Admin may also change what people can ask for.
	Admin Role = "admin"
)

// Roles are all roles.
var Roles = []Role{Reader, Admin}

// tokenFolder is the folder of the data directory that holds the tokens. Only tend's
// user may enter it.
const tokenFolder = "tokens"

// tokenSize is a token's length in bytes; its file holds it in hexadecimal.
const tokenSize = 32

// TokenFile is the name of a role's token in the data directory.
func TokenFile(role Role) string { return filepath.Join(tokenFolder, string(role)) }

// actor is the name of who shows the role's token.
func (role Role) actor() string { return string(role) + " token" }

// mode is the mode of the token's file. The one to read with is mounted into containers,
// which run as other users; the folder keeps it from those of the host.
func (role Role) mode() fs.FileMode {
	if role == Reader {
		return 0o644
	}
	return 0o600
}

// MakeTokens makes the tokens that are missing in a data directory, and fails where one
// cannot be used. It is for the process that has the right to act.
func MakeTokens(dataDir string) error {
	folder, err := datadir.OpenFolder(dataDir, tokenFolder)
	if err != nil {
		return err
	}
	defer func() { _ = folder.Close() }() // nothing was written through it
	info, err := folder.Stat(".")
	if err != nil {
		return err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("%s can be entered by others: chmod 700 it", filepath.Join(dataDir, tokenFolder))
	}
	for _, role := range Roles {
		_, err := readToken(dataDir, role)
		if errors.Is(err, fs.ErrNotExist) {
			err = makeToken(folder, role)
		}
		if err != nil {
			return fmt.Errorf("the API's %s token: %w", role, err)
		}
	}
	return nil
}

// makeToken makes the file whole or not at all.
func makeToken(folder *os.Root, role Role) error {
	partial := ".partial-" + rand.Text()
	f, err := folder.OpenFile(partial, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(newToken())
	if err = errors.Join(err, f.Chmod(role.mode()), f.Close()); err == nil {
		err = folder.Rename(partial, string(role))
	}
	if err != nil {
		return errors.Join(err, folder.Remove(partial))
	}
	return nil
}

// newToken is a file's content.
func newToken() string {
	raw := make([]byte, tokenSize)
	_, _ = rand.Read(raw) // never fails
	return hex.EncodeToString(raw) + "\n"
}

// RotateToken replaces a role's token by another one, from the next request on. It
// writes into the same file, which may be mounted, and leaves the file's owner as it is.
func RotateToken(dataDir string, role Role) error {
	_, err := readToken(dataDir, role)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no %s token: tend run makes it when it starts", role)
	}
	if err == nil {
		err = overwriteToken(dataDir, role)
	}
	if err != nil {
		return fmt.Errorf("rotate the API's %s token: %w", role, err)
	}
	return nil
}

// overwriteToken needs no truncation, as all tokens are of one length.
func overwriteToken(dataDir string, role Role) error {
	f, err := datadir.OpenFile(dataDir, TokenFile(role), os.O_WRONLY)
	if err != nil {
		return err
	}
	_, err = f.WriteAt([]byte(newToken()), 0)
	return errors.Join(err, f.Sync(), f.Close())
}

func readToken(dataDir string, role Role) (string, error) {
	f, err := datadir.OpenFile(dataDir, TokenFile(role), os.O_RDONLY)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }() // nothing was written
	path := filepath.Join(dataDir, TokenFile(role))
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	if mode := role.mode(); info.Mode().Perm()&^mode != 0 {
		return "", fmt.Errorf("%s can be read or written by others: chmod %o it, or remove it to have a new one made", path, mode)
	}
	text, err := io.ReadAll(io.LimitReader(f, 1024))
	if err != nil {
		return "", err
	}
	token := strings.TrimSpace(string(text))
	if raw, err := hex.DecodeString(token); err != nil || len(raw) != tokenSize {
		return "", fmt.Errorf("%s holds no token: remove it to have a new one made", path)
	}
	return token, nil
}

// roleOf returns the role whose token was given, or "" where it is no token. It reads
// the files each time, so that a rotated token counts at once. Hashes are compared, so
// that the time it takes depends on no token. A file that cannot be read is no token,
// and the error.
func roleOf(dataDir, given string) (role Role, err error) {
	asked := sha256.Sum256([]byte(given))
	for _, r := range Roles {
		token, failed := readToken(dataDir, r)
		sum := sha256.Sum256([]byte(token))
		if same := subtle.ConstantTimeCompare(asked[:], sum[:]) == 1; same && failed == nil {
			role = r
		}
		err = errors.Join(err, failed)
	}
	return role, err
}
