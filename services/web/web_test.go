package web

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// What is served was built from the sources beside it; build.mjs writes down which.
func TestThePagesAreOfTheseSources(t *testing.T) {
	paths := []string{"build.mjs", "package.json", "package-lock.json", "tsconfig.json"}
	err := filepath.WalkDir("src", func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			paths = append(paths, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(paths)
	whole := sha256.New()
	for _, path := range paths {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(whole, "%s\n%x\n", path, sha256.Sum256(content))
	}
	built, err := os.ReadFile("dist/SOURCES")
	if err != nil {
		t.Fatal(err)
	}
	if strings.TrimSpace(string(built)) != hex.EncodeToString(whole.Sum(nil)) {
		t.Error("the sources of the pages were changed; run make web")
	}
}
