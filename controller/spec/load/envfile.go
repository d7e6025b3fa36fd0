package load

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/compose-spec/compose-go/v2/dotenv"
	"github.com/compose-spec/compose-go/v2/template"

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

var (
	// unreadable begins compose-go's error of an env file that is not written as one.
	unreadable = regexp.MustCompile(`^failed to read (.+?): (?:line \d+: |required variable |Invalid template: )`)
	variable   = regexp.MustCompile(`^(?:export\s+)?([\pL\pN_.\-\[\]]+)[ \t]*[=:]`)
)

// envFileError is the Error of an env file that compose-go could not parse, or nil for
// another error. compose-go quotes the line, which may be a secret, and counts lines to
// the end of a value; so the file is read again, and only the name is said.
func envFileError(err error, lookUp dotenv.LookupFn) *spec.Error {
	m := unreadable.FindStringSubmatch(err.Error())
	if m == nil {
		return nil
	}
	e := &spec.Error{File: m[1], Message: "it is not an env file", Hint: "write lines as NAME=value"}
	content, err := readRegular(anywhere{}, e.File)
	if err != nil {
		return e
	}
	text := strings.TrimPrefix(string(content), "\ufeff")
	variables := map[string]string{}
	for at, statement := range statements(text) {
		read, err := dotenv.UnmarshalWithLookup(statement, func(name string) (string, bool) {
			if value, ok := lookUp(name); ok {
				return value, true
			}
			value, ok := variables[name]
			return value, ok
		})
		if err != nil {
			e.Line, e.Column = lineColumn(text, at)
			e.Message, e.Hint = statementProblem(statement, err)
			return e
		}
		for name, value := range read {
			variables[name] = value
		}
	}
	return e
}

// lineColumn returns the line and the column of a byte in a text.
func lineColumn(text string, at int) (line, column int) {
	before := text[:at]
	return 1 + strings.Count(before, "\n"), 1 + utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:])
}

// statementProblem names what is wrong in a statement of an env file, and what to do.
func statementProblem(statement string, err error) (message, hint string) {
	m := variable.FindStringSubmatch(statement)
	if m == nil {
		return "the name before the = has a character that no name has", "write NAME=value"
	}
	if required := new(template.MissingRequiredError); errors.As(err, &required) {
		written := strings.Contains(statement, "?"+required.Reason)
		return fmt.Sprintf("in the value of %s: %s", m[1], requiredMessage(required, written)), "set it"
	}
	if errors.As(err, new(*template.InvalidTemplateError)) {
		return fmt.Sprintf("a variable in the value of %s is not written as ${NAME}", m[1]), "write $$ for a $ that is meant as it is, or put the value in single quotes"
	}
	return fmt.Sprintf("the value of %s begins with a quote and does not end with one", m[1]), "end it with the same quote"
}

// requiredMessage names a required variable, with the message that its author wrote; one
// that was itself filled in from variables is left out.
func requiredMessage(required *template.MissingRequiredError, written bool) string {
	if !written {
		return (&template.MissingRequiredError{Variable: required.Variable}).Error()
	}
	return required.Error()
}

// statements yields the statements of an env file with the byte that each begins at, as
// compose-go divides it: a value in quotes may have several lines.
func statements(text string) func(yield func(at int, statement string) bool) {
	return func(yield func(int, string) bool) {
		for at := 0; at < len(text); {
			rest := text[at:]
			switch {
			case unicode.IsSpace(rune(rest[0])):
				at++
				continue
			case rest[0] == '#':
				at += lineEnd(rest)
				continue
			}
			end := statementEnd(rest)
			if !yield(at, rest[:end]) {
				return
			}
			at += end
		}
	}
}

// statementEnd is where the statement that a text begins with ends.
func statementEnd(text string) int {
	assign := strings.IndexAny(text, "=:\n")
	if assign < 0 || text[assign] == '\n' {
		return lineEnd(text)
	}
	value := strings.TrimLeft(text[assign+1:], " \t\r\v\f")
	start := len(text) - len(value)
	if value == "" || value[0] != '"' && value[0] != '\'' {
		return start + lineEnd(value)
	}
	for i := 1; i < len(value); i++ {
		switch value[i] {
		case '\\':
			i++
		case value[0]:
			return start + i + 1
		}
	}
	return len(text)
}

// lineEnd is where the first line of a text ends, its line end included.
func lineEnd(text string) int {
	line, _, more := strings.Cut(text, "\n")
	if more {
		return len(line) + 1
	}
	return len(line)
}
