package document

import (
	"os"
	"path/filepath"
	"testing"
)

func TestOnlyTheSectionOfTheDocumentIsReplaced(t *testing.T) {
	for _, test := range []struct{ name, before, after string }{
		{"no document", "", "# Reliability\n\n## B\n\nnew\n"},
		{"no such section", "# R\n\n## A\n\na\n", "# R\n\n## A\n\na\n\n## B\n\nnew\n"},
		{"the last", "# R\n\n## B\n\nold\nolder\n", "# R\n\n## B\n\nnew\n"},
		{"in the middle", "# R\n\n## B\n\nold\n\n## C\n\nc\n", "# R\n\n## B\n\nnew\n\n## C\n\nc\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "reliability.md")
			if test.before != "" {
				if err := os.WriteFile(file, []byte(test.before), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if err := ReplaceSection(file, "## B\n\nnew\n"); err != nil {
				t.Fatal(err)
			}
			got, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != test.after {
				t.Errorf("got\n%s\nwant\n%s", got, test.after)
			}
		})
	}
}

func TestASectionIsReadAsItWasWritten(t *testing.T) {
	file := filepath.Join(t.TempDir(), "page.md")
	if got, err := Section(file, "## B"); got != "" || err != nil {
		t.Errorf("of no document: %q, %v", got, err)
	}
	for _, before := range []string{"# P\n\n## A\n\na\n", "# P\n\n## B\n\nold\n\n## C\n\nc\n"} {
		if err := os.WriteFile(file, []byte(before), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := ReplaceSection(file, "## B\n\nnew\n"); err != nil {
			t.Fatal(err)
		}
		if got, err := Section(file, "## B"); got != "## B\n\nnew\n" || err != nil {
			t.Errorf("after %q: %q, %v", before, got, err)
		}
		if got, err := Section(file, "## D"); got != "" || err != nil {
			t.Errorf("of a section that there is not: %q, %v", got, err)
		}
	}
}
