// Package terminal is what all who write to a terminal share: text that cannot command it,
// and text that fits.
package terminal

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/charmbracelet/colorprofile"
	"github.com/charmbracelet/x/ansi"
	"golang.org/x/term"
)

// Is reports whether a file is a terminal.
func Is(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }

// Writer returns where a command writes: a file itself, or for a terminal what escapes
// control characters. What containers print would otherwise command the terminal.
func Writer(f *os.File) io.Writer {
	if Is(f) {
		return escaper{f}
	}
	return f
}

// Styled returns where colours may be written that leads to the same place as a writer, and
// whether they can be shown there. What is written there is not escaped: see [Line].
func Styled(w io.Writer) (out io.Writer, colours bool) {
	e, ok := w.(escaper)
	if !ok {
		return w, false
	}
	return e.out, colorprofile.Detect(e.out, os.Environ()) > colorprofile.ASCII
}

// escaper writes text with its control characters as \u001b, as in JSON, which so stays
// what it was; bytes that are no UTF-8 become \x9b. Line ends and tabs stay. Each write
// is of whole characters.
type escaper struct{ out io.Writer }

func (e escaper) Write(p []byte) (int, error) {
	if _, err := e.out.Write(escape(p)); err != nil {
		return 0, err
	}
	return len(p), nil
}

func escape(p []byte) []byte {
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
	return safe
}

// Line returns text as one line that cannot command a terminal.
func Line(text string) string {
	plain := func(r rune) bool { return r >= ' ' && r < 0x7f }
	if strings.IndexFunc(text, func(r rune) bool { return !plain(r) }) < 0 {
		return text
	}
	text = strings.NewReplacer("\r\n", " ", "\n", " ", "\t", " ").Replace(text)
	return string(escape([]byte(text)))
}

// Fit returns a line that is exactly so many columns wide, cut or padded; where it is cut,
// it ends in an ellipsis.
func Fit(text string, width int) string {
	text = Cut(text, width)
	return text + strings.Repeat(" ", max(0, width-Width(text)))
}

// Cut returns a line that is at most so many columns wide; where it is cut, it ends in an
// ellipsis.
func Cut(text string, width int) string {
	if Width(text) <= width {
		return text
	}
	return ansi.Truncate(text, max(0, width), "…")
}

// Width returns how many columns a line takes.
func Width(text string) int {
	for i := range len(text) {
		if text[i] < ' ' || text[i] >= 0x7f {
			return ansi.StringWidth(text)
		}
	}
	return len(text)
}

// Wrap breaks a line at spaces into lines of at most so many columns.
func Wrap(text string, width int) []string {
	return strings.Split(ansi.Wrap(text, max(1, width), ""), "\n")
}
