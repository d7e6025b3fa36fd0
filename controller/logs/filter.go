package logs

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tidwall/gjson"
)

// Level is how grave a line is.
type Level int

// The levels, gravest last. Any is of a line that does not tell.
const (
	Any Level = iota
	Debug
	Info
	Warn
	Error
)

// levels are the levels by what programs call them, in small letters.
var levels = map[string]Level{
	"trace": Debug, "debug": Debug, "info": Info, "notice": Info, "warn": Warn, "warning": Warn,
	"error": Error, "critical": Error, "dpanic": Error, "panic": Error, "fatal": Error,
}

// Levels are those that ParseLevel reads.
var Levels = []string{"debug", "info", "warn", "error"}

// ParseLevel reads a level that lines can be selected by.
func ParseLevel(text string) (Level, error) {
	if !slices.Contains(Levels, text) {
		return Any, fmt.Errorf("a level is one of %s, and not %q", strings.Join(Levels, ", "), text)
	}
	return levels[text], nil
}

// Field is a value that a line has to have.
type Field struct {
	// Names are the field's names, as programs differ; one is enough.
	Names []string
	// Value is a string's content, or any other value as JSON writes it.
	Value string
}

// CorrelationID is the field of what was done for one request, in all services.
func CorrelationID(id string) Field {
	return Field{Names: []string{"correlationId", "correlation_id"}, Value: id}
}

// Filter selects lines that are JSON objects by their fields. The zero value selects every
// line, JSON or not.
type Filter struct {
	// Level is the least level.
	Level  Level
	Fields []Field
}

// Selects reports whether a line passes.
func (f Filter) Selects(text string) bool {
	if f.Level == Any && len(f.Fields) == 0 {
		return true
	}
	// To read a line as JSON takes ten times as long as to see that a value is not in it.
	for _, field := range f.Fields {
		if literal(field.Value) && !strings.Contains(text, field.Value) {
			return false
		}
	}
	if !strings.HasPrefix(text, "{") || !mayReach(text, f.Level) || !gjson.Valid(text) {
		return false
	}
	level, missing := Any, slices.Clone(f.Fields)
	gjson.Parse(text).ForEach(func(name, value gjson.Result) bool {
		if name.Str == "level" {
			level = levels[strings.ToLower(value.Str)]
		}
		missing = slices.DeleteFunc(missing, func(field Field) bool {
			return slices.Contains(field.Names, name.Str) && content(value) == field.Value
		})
		return true
	})
	return len(missing) == 0 && level >= f.Level
}

// mayReach reports whether some field of a JSON object, at whatever depth, may be a level
// that is grave enough.
func mayReach(text string, least Level) bool {
	for least > Any {
		_, after, ok := strings.Cut(text, `"level"`)
		if !ok {
			return false
		}
		_, value, _ := strings.Cut(after, `"`)
		value, _, _ = strings.Cut(value, `"`)
		if levels[strings.ToLower(value)] >= least {
			return true
		}
		text = after
	}
	return true
}

// literal reports whether a value stands in JSON as it is: nobody escapes these characters.
func literal(value string) bool {
	return strings.IndexFunc(value, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("-_.: ", r)
	}) < 0
}

// content is a string's content, or any other value as it is written.
func content(value gjson.Result) string {
	if value.Type == gjson.String {
		return value.Str
	}
	return value.Raw
}

// ParseTime reads a time, or how long before now it was.
func ParseTime(text string, now time.Time) (time.Time, error) {
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		return now.Add(-ago), nil
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return at, fmt.Errorf("a duration as 10m, or a time as 2006-01-02T15:04:05Z, and not %q", text)
	}
	return at, nil
}
