package kubernetes

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Stream is all objects as one stream of YAML documents.
func (r Result) Stream() ([]byte, error) {
	var out bytes.Buffer
	for i, o := range r.Objects {
		text, err := encode(o.fields)
		if err != nil {
			return nil, err
		}
		if i > 0 {
			out.WriteString("---\n")
		}
		out.Write(text)
	}
	return out.Bytes(), nil
}

func encode(o object) ([]byte, error) {
	var out bytes.Buffer
	e := yaml.NewEncoder(&out)
	e.SetIndent(2)
	if err := e.Encode(quoted(o)); err != nil {
		return nil, fmt.Errorf("write an object of Kubernetes: %w", err)
	}
	return out.Bytes(), nil
}

// blankLine finds a line that begins a text with a blank, or has nothing but blanks.
var blankLine = regexp.MustCompile(`\A\s|(?m:^[ \t]+$)`)

// quoted is a value with its texts that have blank lines in quotes: readers of YAML take the
// indentation of such a line for another one than the writer means.
func quoted(v any) any {
	switch v := v.(type) {
	case string:
		if strings.Contains(v, "\n") && blankLine.MatchString(v) {
			return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: v, Style: yaml.DoubleQuotedStyle}
		}
	case object:
		return quotedFields(v)
	case map[string]string:
		return quotedFields(v)
	case []object:
		return quotedItems(v)
	case []string:
		return quotedItems(v)
	}
	return v
}

func quotedFields[V any](fields map[string]V) map[string]any {
	out := map[string]any{}
	for name, v := range fields {
		out[name] = quoted(v)
	}
	return out
}

func quotedItems[V any](items []V) []any {
	out := make([]any, len(items))
	for i, v := range items {
		out[i] = quoted(v)
	}
	return out
}
