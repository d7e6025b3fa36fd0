package proxy

import (
	"bytes"
	"net/http"
)

const (
	// maxFields is how many fields a head may have.
	maxFields = 1000
	// maxOptions is how many options Connection may have.
	maxOptions = 100
)

// malformed is the reason why a message is not passed on, with the status that whoever
// has sent it gets if it is a request.
type malformed struct {
	status int
	reason string
}

func (m *malformed) Error() string { return m.reason }

func bad(reason string) error { return &malformed{http.StatusBadRequest, reason} }

// field is one field of a head.
type field struct{ name, value []byte }

// is reports whether it is the field of a name, which is in lower case.
func (f field) is(name string) bool {
	return len(f.name) == len(name) && bytes.EqualFold(f.name, []byte(name))
}

// appendTo appends it as a line.
func (f field) appendTo(to []byte) []byte {
	to = append(to, f.name...)
	to = append(to, ": "...)
	to = append(to, f.value...)
	return append(to, "\r\n"...)
}

// nameLimit is the length of the longest name that the proxy knows.
const nameLimit = len("transfer-encoding")

// known returns the name in lower case if it may be one of those that the proxy knows.
func (f field) known(to *[nameLimit]byte) []byte {
	if len(f.name) > len(to) {
		return nil
	}
	for i, c := range f.name {
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		to[i] = c
	}
	return to[:len(f.name)]
}

// emptied returns the memory of a head for the next one, unless that is a lot.
func emptied(head []byte) []byte {
	if cap(head) > bufferSize {
		return nil
	}
	return head[:0]
}

// cutLine returns the first line without its end, and what follows.
func cutLine(lines []byte) (line, rest []byte) {
	line, rest, _ = bytes.Cut(lines, []byte{'\n'})
	return bytes.TrimSuffix(line, []byte{'\r'}), rest
}

// parseFields appends the fields of lines that end with an empty one.
func parseFields(fields []field, lines []byte) ([]field, error) {
	for {
		line, rest := cutLine(lines)
		if len(line) == 0 {
			return fields, nil
		}
		if len(fields) == maxFields {
			return nil, &malformed{http.StatusRequestHeaderFieldsTooLarge, "too many fields"}
		}
		name, value, found := bytes.Cut(line, []byte{':'})
		if !found || !isToken(name) { // that is also a line that begins with a space, or has one before the colon
			return nil, bad("a line is not a field")
		}
		value = trim(value)
		if !isText(value) {
			return nil, bad("a field has a control character")
		}
		fields = append(fields, field{name, value})
		lines = rest
	}
}

// options appends the options that the Connection fields have (RFC 9110, 7.6.1).
func options(to [][]byte, fields []field) ([][]byte, error) {
	for _, f := range fields {
		if f.is("connection") {
			to = appendElements(to, f.value)
		}
	}
	if len(to) > maxOptions {
		return nil, &malformed{http.StatusRequestHeaderFieldsTooLarge, "Connection is too long"}
	}
	return to, nil
}

// appendElements appends the elements of a list.
func appendElements(to [][]byte, list []byte) [][]byte {
	for found := true; found; {
		var element []byte
		element, list, found = bytes.Cut(list, []byte{','})
		if element = trim(element); len(element) > 0 {
			to = append(to, element)
		}
	}
	return to
}

// names reports whether one of the elements is a name.
func names(elements [][]byte, name []byte) bool {
	for _, e := range elements {
		if bytes.EqualFold(e, name) {
			return true
		}
	}
	return false
}

// trim cuts off the white space around a value.
func trim(value []byte) []byte { return bytes.Trim(value, " \t") }

// isToken reports whether something can be a name (RFC 9110, 5.6.2).
func isToken(name []byte) bool {
	for _, c := range name {
		if !tokens[c] {
			return false
		}
	}
	return len(name) > 0
}

var tokens = charset("!#$%&'*+-.^_`|~" + alphanumeric)

const alphanumeric = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

func charset(of string) (set [256]bool) {
	for _, c := range []byte(of) {
		set[c] = true
	}
	return set
}

// isText reports whether something can be a value: it has no control character but tabs.
func isText(value []byte) bool {
	for _, c := range value {
		if c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// parseLength returns the number that Content-Length has.
func parseLength(value []byte) (int64, bool) {
	if len(value) == 0 || len(value) > 18 {
		return 0, false
	}
	var n int64
	for _, c := range value {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = 10*n + int64(c-'0')
	}
	return n, true
}
