package cli

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"unicode"
	"unicode/utf8"

	"golang.org/x/term"
)

// standard returns where a command writes: a file itself, or for a terminal what escapes
// control characters. What containers print would otherwise command the terminal.
func standard(f *os.File) io.Writer {
	if term.IsTerminal(int(f.Fd())) {
		return escaper{f}
	}
	return f
}

// escaper writes text with its control characters as \u001b, as in JSON, which so stays
// what it was; bytes that are no UTF-8 become \x9b. Line ends and tabs stay. Each write
// is of whole characters.
type escaper struct{ out io.Writer }

func (e escaper) Write(p []byte) (int, error) {
	safe := make([]byte, 0, len(p))
	for at := 0; at < len(p); {
		r, size := utf8.DecodeRune(p[at:])
		switch {
		case r == utf8.RuneError && size == 1:
			safe = fmt.Appendf(safe, `\x%02x`, p[at])
		case r == '\n', r == '\t', bytes.HasPrefix(p[at:], []byte("\r\n")), !unicode.IsControl(r) && !unicode.Is(unicode.Bidi_Control, r):
			safe = append(safe, p[at:at+size]...)
		default:
			safe = fmt.Appendf(safe, `\u%04x`, r)
		}
		at += size
	}
	if _, err := e.out.Write(safe); err != nil {
		return 0, err
	}
	return len(p), nil
}
