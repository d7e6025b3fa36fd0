package load

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/compose-spec/compose-go/v2/dotenv"

	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/controller/spec/syntax"
)

// compose-go knows the format raw of an env_file only by name; docker compose brings
// the parser.
func init() { dotenv.RegisterFormat("raw", parseRaw) }

// parseRaw reads an env file into variables, as docker run --env-file does: a value is
// all that comes after the first "=", and a name alone takes its value from the
// environment. An error never holds the line, which may be a secret.
func parseRaw(r io.Reader, path string, variables map[string]string, lookUp func(name string) (string, bool)) error {
	scanner := bufio.NewScanner(r)
	scanner.Buffer(nil, syntax.MaxFileSize)
	number := 1
	for ; scanner.Scan(); number++ {
		line := scanner.Text()
		if number == 1 {
			line = strings.TrimPrefix(line, "\ufeff")
		}
		indent := len(line)
		line = strings.TrimLeftFunc(line, unicode.IsSpace)
		indent -= len(line)
		if line == "" || line[0] == '#' {
			continue
		}
		name, value, written := strings.Cut(line, "=")
		problem := &spec.Error{File: path, Line: number, Column: indent + 1, Hint: "write NAME=value"}
		switch {
		case !utf8.ValidString(line):
			problem.Message = "the line is not UTF-8"
			return problem
		case name == "":
			problem.Message = "there is no name before the ="
			return problem
		case strings.ContainsAny(name, " \t"):
			problem.Message = "there is a space in the name"
			return problem
		case !written:
			if value, written = lookUp(name); !written {
				continue
			}
		}
		variables[name] = value
	}
	if err := scanner.Err(); err != nil {
		return &spec.Error{File: path, Line: number, Message: fmt.Sprintf("the line cannot be read: %v", err)}
	}
	return nil
}
