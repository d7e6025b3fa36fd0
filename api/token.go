package api

import (
	"crypto/rand"
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

// tokenSize is the token's length in bytes; the file holds it in hexadecimal.
const tokenSize = 32

const tokenFile = "token"

// Token returns the token in the file "token" of the data directory, which
// must exist. It makes the token when it is missing.
func Token(dataDir string) (string, error) {
	token, err := readToken(dataDir)
	if errors.Is(err, fs.ErrNotExist) {
		if err = makeToken(filepath.Join(dataDir, tokenFile)); err == nil {
			token, err = readToken(dataDir)
		}
	}
	if err != nil {
		return "", fmt.Errorf("the API's token: %w", err)
	}
	return token, nil
}

func readToken(dataDir string) (string, error) {
	f, err := datadir.OpenFile(dataDir, tokenFile, os.O_RDONLY)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }() // nothing was written
	path := f.Name()
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return "", fmt.Errorf("%s can be read by others: chmod 600 it, or remove it to have a new one made", path)
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

// makeToken makes the file whole or not at all, and leaves one alone that
// somebody else made meanwhile.
func makeToken(path string) error {
	raw := make([]byte, tokenSize)
	_, _ = rand.Read(raw)                                   // never fails
	f, err := os.CreateTemp(filepath.Dir(path), ".token-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(hex.EncodeToString(raw) + "\n")
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}
