package watch

import (
	"bytes"
	"io"
	"os"
	"strings"
	"sync"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"
	uv "github.com/charmbracelet/ultraviolet"
	"github.com/charmbracelet/x/ansi"
)

// painter draws frames on a terminal that is otherwise bubbletea's, which has its modes, and
// restores it. Bubbletea's own renderer goes through each cell of each frame, which is most
// of what a large screen takes; a painter only looks at the lines that have changed.
type painter struct {
	tty // by which bubbletea knows the terminal's size
	out io.Writer

	mu     sync.Mutex
	screen *uv.TerminalRenderer // nil while it is not known what the terminal shows
	cells  uv.ScreenBuffer
	text   bytes.Buffer // what is to be written
	colors colorprofile.Profile
	method ansi.Method // how the terminal measures text
	whole  bool        // the terminal can show all that changes in one go

	width, height int
	lines, drawn  []string
	alternate     bool // the alternate screen is shown, which is where to draw
}

// Write writes what bubbletea writes, and has the frame stay on the screen.
func (p *painter) Write(text []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n, err := p.out.Write(text)
	if bytes.Contains(text, []byte(ansi.SetModeAltScreenSaveCursor)) {
		p.alternate = true
	}
	if bytes.Contains(text, []byte(ansi.ResetModeAltScreenSaveCursor)) {
		p.alternate = false
	}
	p.screen = nil
	p.draw()
	return n, err
}

// paint shows a frame.
func (p *painter) paint(frame string, width, height int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if width != p.width || height != p.height {
		p.screen = nil
	}
	p.lines, p.width, p.height = strings.Split(frame, "\n"), width, height
	p.draw()
}

// hear learns what the terminal can do from what bubbletea has found out.
func (p *painter) hear(msg tea.Msg) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch msg := msg.(type) {
	case tea.ColorProfileMsg:
		p.colors, p.screen = msg.Profile, nil
	case tea.ModeReportMsg:
		switch {
		case msg.Mode == ansi.ModeSynchronizedOutput && msg.Value == ansi.ModeReset:
			p.whole = true
		case msg.Mode == ansi.ModeUnicodeCore && msg.Value != ansi.ModeNotRecognized && msg.Value != ansi.ModePermanentlyReset:
			p.method, p.screen = ansi.GraphemeWidth, nil
		}
	}
}

// draw draws the lines that are not on the screen yet. The mutex is held.
func (p *painter) draw() {
	if !p.alternate || len(p.lines) == 0 {
		return
	}
	if p.screen == nil {
		p.screen = uv.NewTerminalRenderer(&p.text, os.Environ())
		p.screen.SetColorProfile(p.colors)
		p.screen.SetFullscreen(true)
		p.screen.SetScrollOptim(true)
		p.screen.SetGraphemeWidth(p.method == ansi.GraphemeWidth)
		p.screen.Erase()
		p.cells = uv.NewScreenBuffer(p.width, p.height)
		p.cells.Method = p.method
		p.drawn = make([]string, p.height)
	}
	lines := make([]string, p.height)
	copy(lines, p.lines)
	for y, line := range lines {
		if line != p.drawn[y] {
			uv.NewStyledString(line).Draw(p.cells, uv.Rect(0, y, p.width, 1))
		}
	}
	p.drawn = lines
	p.screen.Render(p.cells.RenderBuffer)
	_ = p.screen.Flush() // into memory
	if p.text.Len() == 0 {
		return
	}
	text := p.text.String()
	p.text.Reset()
	if p.whole {
		text = ansi.SetModeSynchronizedOutput + text + ansi.ResetModeSynchronizedOutput
	}
	_, _ = p.out.Write([]byte(text)) // bubbletea finds out when the terminal is gone
}

// tty is what bubbletea needs of a terminal.
type tty interface {
	io.ReadWriteCloser
	Fd() uintptr
}

// painted is a model whose frames a painter draws.
type painted struct {
	Model
	painter *painter
}

// Update implements tea.Model.
func (p painted) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	p.painter.hear(msg)
	next, cmd := p.Model.Update(msg)
	p.Model = next.(Model) //nolint:forcetypeassert // it returns nothing else
	return p, cmd
}

// View implements tea.Model.
func (p painted) View() tea.View {
	p.painter.paint(p.Frame(), p.width, p.height)
	return p.Model.View()
}
