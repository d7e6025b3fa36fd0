// Package syntax reads YAML as nodes with their places, and bounds what it reads.
package syntax

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/tendhq/tend/controller/spec"
)

// These bound what is read, so that no file takes the controller's memory or time. They
// are far above what people write.
const (
	// MaxFileSize is how many bytes of a file are read.
	MaxFileSize  = 1 << 20
	maxDocuments = 1000
	maxNodes     = 1 << 16 // in all documents of a file, their aliases expanded
	maxDepth     = 100     // in one document, likewise
)

// Parse returns the root nodes of the documents in a file; empty documents
// are left out. Duplicate keys, alias bombs and aliases that contain
// themselves are errors.
func Parse(file string, content []byte) ([]*yaml.Node, spec.Errors) {
	if len(content) > MaxFileSize {
		return nil, spec.Errors{{File: file,
			Message: fmt.Sprintf("the file has %d bytes, more than the %d that are read", len(content), MaxFileSize),
			Hint:    "split it"}}
	}
	var roots []*yaml.Node
	values := 0
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	for n := 0; ; n++ {
		var document yaml.Node
		err := decoder.Decode(&document)
		if errors.Is(err, io.EOF) {
			return roots, nil
		}
		if err != nil {
			return nil, spec.Errors{syntaxError(file, content, err)}
		}
		if n == maxDocuments {
			return nil, spec.Errors{{File: file, Line: document.Line, Column: document.Column,
				Message: fmt.Sprintf("the file has more than %d documents", maxDocuments),
				Hint:    "split it"}}
		}
		root := document.Content[0]
		if root.Kind == yaml.ScalarNode && root.ShortTag() == "!!null" {
			continue
		}
		size, e := boundExtent(root, maxNodes-values)
		if e != nil {
			e.File = file
			return nil, spec.Errors{e}
		}
		values += size
		if e := duplicateKeys(file, root); len(e) > 0 {
			return nil, e
		}
		if e := wrongTags(file, root); len(e) > 0 {
			return nil, e
		}
		roots = append(roots, root)
	}
}

var (
	lineInMessage = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)
	unknownAnchor = regexp.MustCompile(`^yaml: unknown anchor '(.*)' referenced$`)
	// inBytes matches the errors of the YAML library's reader, which have no place. Any
	// other one without a line is of the first.
	inBytes = regexp.MustCompile(`^(?:control characters|incomplete|invalid|input error)`)
)

// unexpected begins the errors of the YAML library's parser, which counts lines from 0
// and leaves out the first; its scanner counts from 1.
const unexpected = "did not find expected"

// syntaxError returns an Error at the place of an error of the YAML library, which
// gives its line only in the text and counts a tab from the line before.
func syntaxError(file string, content []byte, err error) *spec.Error {
	e := &spec.Error{File: file, Message: "not valid YAML: " + err.Error()}
	if m := unknownAnchor.FindStringSubmatch(err.Error()); m != nil {
		before, _, _ := strings.Cut(string(content), "*"+m[1])
		e.Line, e.Column = 1+strings.Count(before, "\n"), 1+utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:])
		e.Message, e.Hint = "an alias names an anchor that is not written before it", "write the anchor, or quote a value that begins with *"
		return e
	}
	m := lineInMessage.FindStringSubmatch(err.Error())
	if m == nil {
		return e
	}
	e.Message = "not valid YAML: " + strings.TrimPrefix(err.Error(), m[0])
	if e.Line, _ = strconv.Atoi(m[1]); e.Line == 0 && !inBytes.MatchString(strings.TrimPrefix(err.Error(), m[0])) {
		e.Line = 1
	}
	lines := strings.Split(string(content), "\n")
	if strings.HasPrefix(err.Error()[len(m[0]):], unexpected) {
		e.Line = min(e.Line+1, len(lines))
	}
	if e.Line > 0 && e.Line <= len(lines) {
		line := lines[e.Line-1]
		e.Column = len(line) - len(strings.TrimLeft(line, " \t")) + 1
	}
	return e
}

// extent is how many values a node has, with itself, and how deep they are nested.
type extent struct{ values, depth int }

// boundExtent refuses a document that has more values than may still come, too deep ones,
// or infinitely many, once its aliases are expanded. It returns how many it has.
func boundExtent(root *yaml.Node, most int) (values int, _ *spec.Error) {
	open := extent{values: -1} // of a node whose content is being counted
	extents := map[*yaml.Node]extent{}
	var measure func(n *yaml.Node) (extent, *spec.Error)
	measure = func(n *yaml.Node) (extent, *spec.Error) {
		if n.Kind == yaml.AliasNode {
			if extents[n.Alias] == open {
				return open, &spec.Error{Line: n.Line, Column: n.Column,
					Message: fmt.Sprintf("the anchor %q contains itself", n.Value),
					Hint:    "take the alias out of what the anchor names"}
			}
			n = n.Alias
		}
		if e, seen := extents[n]; seen {
			return e, nil
		}
		extents[n] = open
		sum := extent{1, 1}
		for _, child := range n.Content {
			e, err := measure(child)
			if err != nil {
				return open, err
			}
			if sum.values += e.values; sum.values > most {
				return open, &spec.Error{Line: child.Line, Column: child.Column,
					Message: fmt.Sprintf("with its aliases expanded the file has more than %d values", maxNodes),
					Hint:    "use fewer aliases"}
			}
			if sum.depth = max(sum.depth, e.depth+1); sum.depth > maxDepth {
				return open, &spec.Error{Line: child.Line, Column: child.Column,
					Message: fmt.Sprintf("with its aliases expanded the document is nested deeper than %d values", maxDepth),
					Hint:    "nest it less"}
			}
		}
		extents[n] = sum
		return sum, nil
	}
	all, err := measure(root)
	return all.values, err
}

// duplicateKeys finds keys written twice in one mapping.
func duplicateKeys(file string, n *yaml.Node) (found spec.Errors) {
	if n.Kind == yaml.MappingNode {
		lines := map[string]int{}
		for i := 0; i < len(n.Content); i += 2 {
			key := n.Content[i]
			if line, seen := lines[key.Value]; seen {
				found = append(found, &spec.Error{File: file, Line: key.Line, Column: key.Column,
					Message: fmt.Sprintf("the key %q was given before, in line %d", key.Value, line),
					Hint:    "keep one of the two"})
			}
			lines[key.Value] = key.Line
		}
	}
	for _, child := range n.Content {
		found = append(found, duplicateKeys(file, child)...)
	}
	return found
}

// wrongTags finds scalars that are not of the type that a tag gives them, and merge keys
// without a mapping. The YAML library would quote the value.
func wrongTags(file string, n *yaml.Node) (found spec.Errors) {
	var value any
	if n.Kind == yaml.ScalarNode && n.Style&yaml.TaggedStyle != 0 && n.Decode(&value) != nil {
		found = append(found, &spec.Error{File: file, Line: n.Line, Column: n.Column,
			Message: "the value is not of its type, " + n.ShortTag(),
			Hint:    "write a value of this type, or leave the tag out"})
	}
	for i, child := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 0 && child.ShortTag() == "!!merge" && Dereference(n.Content[i+1]).Kind == yaml.ScalarNode {
			found = append(found, &spec.Error{File: file, Line: child.Line, Column: child.Column,
				Message: "<< is followed by what is not a mapping", Hint: "write an alias of a mapping, as *name"})
		}
		found = append(found, wrongTags(file, child)...)
	}
	return found
}

// Pairs yields the keys and values of a mapping, and after them those merged in with
// "<<". It yields nothing for another node.
func Pairs(n *yaml.Node) func(yield func(key, value *yaml.Node) bool) {
	return func(yield func(key, value *yaml.Node) bool) {
		if n = Dereference(n); n == nil || n.Kind != yaml.MappingNode {
			return
		}
		var merged []*yaml.Node
		for i := 0; i < len(n.Content); i += 2 {
			key, value := n.Content[i], n.Content[i+1]
			if key.ShortTag() == "!!merge" {
				merged = append(merged, value)
			} else if !yield(key, value) {
				return
			}
		}
		for _, m := range merged {
			sources := []*yaml.Node{m}
			if m = Dereference(m); m.Kind == yaml.SequenceNode {
				sources = m.Content
			}
			for _, source := range sources {
				for key, value := range Pairs(source) {
					if !yield(key, value) {
						return
					}
				}
			}
		}
	}
}

// Entry returns the key and the value at a key of a mapping, or at an index of a
// sequence (key and value are the same then), or nil. In a sequence that stands for a
// mapping, as "- NAME=value", the name is the index.
func Entry(n *yaml.Node, name string) (key, value *yaml.Node) {
	n = Dereference(n)
	if n == nil {
		return nil, nil
	}
	if n.Kind == yaml.SequenceNode {
		if i, err := strconv.Atoi(name); err == nil && i >= 0 && i < len(n.Content) {
			return n.Content[i], n.Content[i]
		}
		for _, item := range n.Content {
			if v := item.Value; v == name || strings.HasPrefix(v, name+"=") {
				return item, item
			}
		}
		return nil, nil
	}
	for k, v := range Pairs(n) {
		if k.Value == name {
			return k, v
		}
	}
	return nil, nil
}

// Dereference returns the node that an alias stands for, and any other node itself.
func Dereference(n *yaml.Node) *yaml.Node {
	for n != nil && n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}
