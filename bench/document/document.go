// Package document writes what was measured into a document.
package document

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/docker/docker/api/types/system"
)

// Thousands writes a number with its digits in groups.
func Thousands(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", Thousands(n/1000), n%1000)
}

// ReplaceSection puts text in the place of the document's section that has the
// same heading, or at its end.
func ReplaceSection(file, text string) error {
	content, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		content, err = []byte("# Reliability\n\n"), nil
	}
	if err != nil {
		return err
	}
	heading, _, _ := strings.Cut(text, "\n")
	before, rest, found := strings.Cut(string(content), heading+"\n")
	after := ""
	if !found {
		before = strings.TrimRight(before, "\n") + "\n\n"
	} else if _, next, more := strings.Cut(rest, "\n## "); more {
		after = "\n## " + next
	}
	return os.WriteFile(file, []byte(before+strings.TrimRight(text, "\n")+"\n"+after), 0o644)
}

// Section returns the document's section with a heading, or "" where there is none.
func Section(file, heading string) (string, error) {
	content, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	_, section, found := strings.Cut(string(content), heading+"\n")
	if err != nil || !found {
		return "", err
	}
	section, _, _ = strings.Cut(section, "\n## ")
	return heading + "\n" + section, nil
}

// Machine describes the machine of an engine, as a heading of what was measured there.
func Machine(info system.Info) string {
	return fmt.Sprintf("%d cores, %.0f GiB of memory, %s, kernel %s", info.NCPU, float64(info.MemTotal)/(1<<30), info.OperatingSystem, info.KernelVersion)
}
