// Package docs holds the documents. Its tests hold the repository to them.
package docs

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// vocabulary is the document that lists the words.
const vocabulary = "vocabulary.md"

// The vocabulary's forbidden words do not come back.
func TestForbiddenWordsAreNotUsed(t *testing.T) {
	words := forbidden(t)
	for path, file := range sources(t) {
		for _, w := range words {
			for _, found := range w.find(file) {
				t.Errorf("%s:%d: %q is not a word of %s: use %s", path, found, w.not, vocabulary, w.but)
			}
		}
	}
}

func TestForbiddenWordsAreFound(t *testing.T) {
	const code = "package p\n\n// ready says\n// whether it is.\nvar readyTally, claim int // the backoff\n\nvar backoff = \"the restart loop\"\n"
	file, err := read("x.go", []byte(code))
	require.NoError(t, err)
	for _, test := range []struct {
		word  word
		lines []int
	}{
		{word{not: "says whether", in: "comments"}, []int{3}},
		{word{not: "backoff", in: "prose"}, []int{5}},
		{word{not: "tally", in: "names"}, []int{5}},
		{word{not: "aim", in: "names"}, nil},
		{word{not: "readyTally", in: "names"}, []int{5}},
		{word{not: "restart loop", in: "prose"}, nil},
	} {
		assert.Equal(t, test.lines, test.word.find(file), "%s in %s", test.word.not, test.word.in)
	}
	text, err := read("x.md", []byte("It says whether.\n\n```\na pod's backoff\n```\n\nA restart\nloop, and `backoff`.\n"))
	require.NoError(t, err)
	assert.Nil(t, word{not: "says whether", in: "comments"}.find(text))
	assert.Equal(t, []int{7}, word{not: "restart loop", in: "prose"}.find(text))
	assert.Nil(t, word{not: "backoff", in: "prose"}.find(text), "a key or a name in code")
}

// The decisions are numbered from 1, and each file's title has its number.
func TestDecisionsAreNumberedWithoutAHole(t *testing.T) {
	paths, err := filepath.Glob("adr/*.md")
	require.NoError(t, err)
	require.NotEmpty(t, paths)
	for i, path := range paths {
		assert.True(t, strings.HasPrefix(filepath.Base(path), fmt.Sprintf("%04d-", i+1)), "%s stands where number %d should", path, i+1)
		content, err := os.ReadFile(path)
		require.NoError(t, err)
		assert.True(t, strings.HasPrefix(string(content), fmt.Sprintf("# %d. ", i+1)), "the title of %s", path)
	}
}

// The guide leads to files, to names in them, and to stories that there are.
func TestTheDebuggingGuideNamesWhatExists(t *testing.T) {
	content, err := os.ReadFile("debugging.md")
	require.NoError(t, err)
	files := sources(t)
	all := namesOf(files, func(string) bool { return true })
	exists := func(path string) bool { _, err := os.Stat(path); return err == nil }
	for line := range strings.SplitSeq(string(content), "\n") {
		decided := strings.HasPrefix(line, "- **Decided in**")
		if !decided && !strings.HasPrefix(line, "- **Shown by**") {
			continue
		}
		names := all // in what decides, those of the file that was named last
		for _, match := range code.FindAllStringSubmatch(line, -1) {
			said := match[1]
			switch {
			case filepath.Ext(said) == ".txt":
				assert.True(t, exists("../controller/plan/testdata/stories/"+said), "the story %s", said)
			case filepath.Ext(said) == ".go":
				in := namesOf(files, func(path string) bool { return path == said || strings.HasSuffix(path, "/"+said) })
				assert.NotEmpty(t, in, "the file %s", said)
				if decided {
					names = in
				}
			case strings.Contains(said, "/"):
				assert.True(t, exists("../"+said), "the folder %s", said)
			case identifier.MatchString(said):
				assert.True(t, names[said[strings.LastIndex(said, ".")+1:]], "%s in %s", said, line)
			}
		}
	}
}

// namesOf are the names that the files at some paths declare.
func namesOf(files map[string]file, at func(path string) bool) map[string]bool {
	names := map[string]bool{}
	for path, file := range files {
		for _, n := range file.names {
			if at(path) {
				names[n.text] = true
			}
		}
	}
	return names
}

var (
	code       = regexp.MustCompile("`([^`\n]+)`")
	fenced     = regexp.MustCompile("(?ms)^```.*?^```$")
	identifier = regexp.MustCompile(`^[A-Za-z]+(\.[A-Za-z]+)?$`)
)

// word is a forbidden word, the one to use, and where it is looked for.
type word struct{ not, but, in string }

// forbidden reads the vocabulary's last table.
func forbidden(t *testing.T) (words []word) {
	content, err := os.ReadFile(vocabulary)
	require.NoError(t, err)
	_, table, found := strings.Cut(string(content), "| not | but | in |\n|---|---|---|\n")
	require.True(t, found)
	for _, line := range strings.Split(strings.TrimSpace(table), "\n") {
		cells := strings.Split(strings.Trim(line, "|"), "|")
		require.Len(t, cells, 3, line)
		w := word{strings.TrimSpace(cells[0]), strings.TrimSpace(cells[1]), strings.TrimSpace(cells[2])}
		require.Contains(t, []string{"comments", "prose", "names"}, w.in, line)
		words = append(words, w)
	}
	return words
}

// find returns the lines of a file in which a word is used.
func (w word) find(f file) (lines []int) {
	if w.in == "names" {
		for _, n := range f.names {
			if strings.EqualFold(n.text, w.not) || slices.ContainsFunc(split(n.text), func(part string) bool { return strings.EqualFold(part, w.not) }) {
				lines = append(lines, n.line)
			}
		}
		return lines
	}
	pattern := regexp.MustCompile(`(?i)\b` + strings.ReplaceAll(regexp.QuoteMeta(w.not), " ", `\s+`) + `\b`)
	for _, p := range f.prose {
		if w.in == "comments" && !f.isCode {
			continue
		}
		for _, at := range pattern.FindAllStringIndex(p.text, -1) {
			lines = append(lines, p.line+strings.Count(p.text[:at[0]], "\n"))
		}
	}
	return lines
}

// split divides an identifier into its words.
func split(name string) (parts []string) {
	begin, runes := 0, []rune(name)
	for i := 1; i <= len(runes); i++ {
		if i == len(runes) || unicode.IsUpper(runes[i]) && !unicode.IsUpper(runes[i-1]) || runes[i] == '_' {
			parts = append(parts, strings.Trim(string(runes[begin:i]), "_"))
			begin = i
		}
	}
	return parts
}

// file is what a file says in words.
type file struct {
	isCode bool
	names  []text // the identifiers that it declares
	prose  []text // its comments, or a document's text without code
}

type text struct {
	text string
	line int
}

// sources reads the repository's Go files and documents, by path from its root.
func sources(t *testing.T) map[string]file {
	files := map[string]file{}
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if slices.Contains([]string{".git", ".tend", "build", "testdata"}, d.Name()) {
				return fs.SkipDir
			}
			return nil
		}
		if ext := filepath.Ext(path); ext != ".go" && ext != ".md" || d.Name() == vocabulary || d.Name() == "docs_test.go" {
			return nil
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		path = strings.TrimPrefix(path, "../")
		files[path], err = read(path, content)
		return err
	})
	require.NoError(t, err)
	require.NotEmpty(t, files)
	return files
}

func read(path string, content []byte) (file, error) {
	if filepath.Ext(path) != ".go" {
		prose := fenced.ReplaceAllStringFunc(string(content), func(block string) string { return strings.Repeat("\n", strings.Count(block, "\n")) })
		return file{prose: []text{{code.ReplaceAllString(prose, "`code`"), 1}}}, nil
	}
	set := token.NewFileSet()
	parsed, err := parser.ParseFile(set, path, content, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return file{}, err
	}
	f := file{isCode: true}
	for _, group := range parsed.Comments {
		var lines []string
		for _, c := range group.List {
			lines = append(lines, strings.TrimPrefix(c.Text, "//"))
		}
		f.prose = append(f.prose, text{strings.Join(lines, "\n"), set.Position(group.Pos()).Line})
	}
	note := func(ids ...*ast.Ident) {
		for _, id := range ids {
			f.names = append(f.names, text{id.Name, set.Position(id.Pos()).Line})
		}
	}
	ast.Inspect(parsed, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			note(n.Name)
		case *ast.TypeSpec:
			note(n.Name)
		case *ast.ValueSpec:
			note(n.Names...)
		case *ast.Field:
			note(n.Names...)
		case *ast.AssignStmt:
			for _, e := range n.Lhs {
				if id, ok := e.(*ast.Ident); ok && n.Tok == token.DEFINE {
					note(id)
				}
			}
		}
		return true
	})
	return f, nil
}

// A link to another document leads to a file that there is, and to a heading in it.
func TestLinksLeadSomewhere(t *testing.T) {
	for path := range sources(t) {
		if filepath.Ext(path) != ".md" {
			continue
		}
		content, err := os.ReadFile(filepath.Join("..", path))
		require.NoError(t, err)
		for _, match := range link.FindAllStringSubmatch(fenced.ReplaceAllString(string(content), ""), -1) {
			to, heading, hasHeading := strings.Cut(match[1], "#")
			if strings.Contains(to, ":") {
				continue // elsewhere
			}
			target := filepath.Join("..", path)
			if to != "" {
				target = filepath.Join("..", filepath.Dir(path), to)
			}
			text, err := os.ReadFile(target)
			if filepath.Ext(target) != ".md" {
				_, err = os.Stat(target)
			}
			if assert.NoError(t, err, "%s leads to %s", path, match[1]) && hasHeading && filepath.Ext(target) == ".md" {
				assert.Contains(t, anchors(string(text)), heading, "%s leads to %s", path, match[1])
			}
		}
	}
}

var (
	link    = regexp.MustCompile(`\]\(([^()\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ (.*)$`)
	dropped = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// anchors are the names by which a document's headings can be linked to.
func anchors(document string) (names []string) {
	for _, match := range heading.FindAllStringSubmatch(fenced.ReplaceAllString(document, ""), -1) {
		names = append(names, strings.ReplaceAll(dropped.ReplaceAllString(strings.ToLower(match[1]), ""), " ", "-"))
	}
	return names
}
