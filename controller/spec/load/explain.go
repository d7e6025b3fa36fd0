package load

import (
	"context"
	"errors"
	"io/fs"
	"regexp"
	"strings"
	"sync"

	"github.com/compose-spec/compose-go/v2/template"

	"github.com/tendhq/tend/controller/spec"
)

// described is an error of compose-go by its text.
type described struct {
	text    *regexp.Regexp
	path    []string
	message string
	hint    string
}

// places maps errors of compose-go, which name their place only in their text, to a
// place in the Compose model and a hint. The first match counts; $1 and $2 are the
// groups that matched. message, where it is set, replaces the text, also with $1 and
// $2. The table is made when it is needed, as most programs that load a project meet no
// error.
var places = sync.OnceValue(func() []described {
	return []described{
		{regexp.MustCompile(`^invalid interpolation format for (\S+)\. `), []string{"$1"},
			"a variable in $1 is not written as $${NAME}", "write $$ for a $ that is meant as it is"},
		{regexp.MustCompile(`^error while interpolating (\S+): failed to cast to expected type: invalid boolean`), []string{"$1"},
			"$1 must be a boolean", "write true or false"},
		{regexp.MustCompile(`^error while interpolating (\S+): failed to cast to expected type: `), []string{"$1"},
			"$1 must be a number", "write a number"},
		{regexp.MustCompile(`^dependency cycle detected: (\S+) -> (\S+)`),
			[]string{"services", "$1", "depends_on", "$2"}, "", "remove one of these dependencies"},
		{regexp.MustCompile(`^service "([^"]+)" depends on undefined service "([^"]+)"`),
			[]string{"services", "$1", "depends_on", "$2"}, "", "define it, activate its profile with --profile, or set required: false"},
		{regexp.MustCompile(`^service "([^"]+)" refers to undefined (?:build )?(network|volume|secret|config|model) `),
			[]string{"services", "$1", "${2}s"}, "", "define it at the top level"},
		{regexp.MustCompile(`^service "([^"]+)" has neither an image nor a build context`),
			[]string{"services", "$1"}, "", "add image"},
		{regexp.MustCompile(`^services\.\S+: can't set container_name and (\S+) as container name must be unique`),
			[]string{"services", "$1", "container_name"}, "several replicas cannot all have one container_name",
			"remove container_name (replicas are found by the service's name), or run one replica"},
		{regexp.MustCompile(`^(secret|config) "([^"]+)" `), []string{"${1}s", "$2"}, "", ""},
		{regexp.MustCompile(`(?:^|[ :'])(services|networks|volumes|secrets|configs)((?:\.[^\s:,'\[\]]+|\[[^\]]+\])+)`),
			[]string{"$1", "$2"}, "", ""},
		{regexp.MustCompile(`service "?([^" ]+)"? `), []string{"services", "$1"}, "", ""},
		{regexp.MustCompile(`^([a-z]+) must be `), []string{"$1"}, "", ""},
	}
})

var (
	// wrapping matches the words that compose-go puts before its messages, which only
	// repeat the place.
	wrapping      = regexp.MustCompile(`^(?:validating [^:]+: |decoding failed due to the following error\(s\): )|: invalid compose project$`)
	unknownFormat = regexp.MustCompile(`^unsupported env_file format "(.+)"$`)
	missingFile   = regexp.MustCompile(`^(env|label) file (.+) not found`)
)

// explain finds the place of an error of compose-go.
func (l *loading) explain(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	var own *spec.Error
	if errors.As(err, &own) {
		return spec.Errors{own}
	}
	if e := envFileError(err, l.options.Environment.Resolve); e != nil {
		return spec.Errors{e}
	}
	text := strings.Join(strings.Fields(err.Error()), " ")
	if required := new(template.MissingRequiredError); errors.As(err, &required) {
		written := l.sources.containing("?"+required.Reason) != nil
		text = strings.ReplaceAll(text, required.Error(), requiredMessage(required, written))
	}
	text = wrapping.ReplaceAllString(text, "")
	e := l.place(err, text)
	if e.File == "" {
		e.File = l.options.ConfigPaths[0]
	}
	if e.Message == "" {
		e.Message = text
	}
	problems := spec.Errors{e}
	l.conceal(problems)
	return problems
}

func (l *loading) place(err error, text string) *spec.Error {
	var missing *fs.PathError
	if m := missingFile.FindStringSubmatch(text); m != nil {
		e := l.named[m[2]]
		e.Hint = "create it"
		if m[1] == "env" {
			e.Hint = "create it, or set required: false"
		}
		return &e
	}
	if m := unknownFormat.FindStringSubmatch(text); m != nil {
		if e := l.sources.containing(m[1]); e != nil {
			e.Hint = "write raw, or leave it out"
			return e
		}
	}
	if errors.As(err, &missing) {
		e := l.named[missing.Path]
		return &e
	}
	for _, p := range places() {
		match := p.text.FindStringSubmatchIndex(text)
		if match == nil {
			continue
		}
		var path []string
		for _, step := range p.path {
			step = string(p.text.ExpandString(nil, step, text, match))
			path = append(path, strings.FieldsFunc(step, func(r rune) bool { return strings.ContainsRune(".[]", r) })...)
		}
		e := l.sources.locate(path...)
		e.Message, e.Hint = string(p.text.ExpandString(nil, p.message, text, match)), p.hint
		return e
	}
	// Some messages end with the wrong value, or a part of it.
	if i := strings.LastIndex(text, ": "); i > 0 {
		if e := l.sources.containing(text[i+2:]); e != nil {
			return e
		}
	}
	return l.sources.locate()
}
