package watch

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"
	"github.com/charmbracelet/x/ansi"
	"github.com/charmbracelet/x/vt"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/core"
)

// canvas is a painter on an emulated terminal.
type canvas struct {
	*painter
	t        *testing.T
	terminal *vt.Emulator
	written  *bytes.Buffer // since the last look
}

func newCanvas(t *testing.T, width, height int) *canvas {
	c := &canvas{t: t, terminal: vt.NewEmulator(width, height), written: &bytes.Buffer{}}
	t.Cleanup(func() { _ = c.terminal.Close() })
	c.painter = &painter{out: c, colors: colorprofile.TrueColor}
	return c
}

// Write is what reaches the terminal.
func (c *canvas) Write(p []byte) (int, error) {
	c.written.Write(p)
	return c.terminal.Write(p)
}

// shows compares what the terminal shows with a frame, colours and all.
func (c *canvas) shows(frame string, width, height int) {
	c.t.Helper()
	fresh := newCanvas(c.t, width, height)
	_, err := fresh.terminal.Write([]byte(strings.ReplaceAll(frame, "\n", "\r\n")))
	require.NoError(c.t, err)
	require.Equal(c.t, fresh.terminal.String(), c.terminal.String())
	for y := range height {
		for x := range width {
			want, got := fresh.terminal.CellAt(x, y), c.terminal.CellAt(x, y)
			if want.Content == " " { // whose foreground is nothing to see
				want.Style.Fg, want.Style.Attrs = got.Style.Fg, got.Style.Attrs
			}
			if !want.Style.Equal(&got.Style) {
				require.Equal(c.t, want.Style, got.Style, "column %d of line %d", x, y)
			}
		}
	}
	c.written.Reset()
}

func TestTheTerminalShowsEachFrame(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	width, height := 100, 30
	c := newCanvas(t, width, height)
	s := newScreen(t, width, height, shop()...)
	_, err := c.painter.Write([]byte(ansi.SetModeAltScreenSaveCursor))
	require.NoError(t, err)
	keys := []string{"up", "down", "left", "right", "s", "?", "enter", "2", "3", "4", "esc", "tab", "/", "o", "x", "n"}
	for range 200 {
		switch random.IntN(10) {
		case 0:
			width, height = 40+random.IntN(120), 10+random.IntN(40)
			c.terminal.Resize(width, height)
			s.send(tea.WindowSizeMsg{Width: width, Height: height})
		case 1:
			s.send(changesMsg{replicas: []replicaChange{{Replica: replica("web", 1+random.IntN(9), phases[random.IntN(len(phases))], after)}}})
		case 2, 3:
			s.send(changesMsg{events: shop()[1].(changesMsg).events[:1+random.IntN(3)]})
		case 4: // bubbletea has something to say to the terminal
			_, err := c.painter.Write([]byte("\x1b[H\x1b[2J\x1b[31m" + ansi.SetWindowTitle("tend shop")))
			require.NoError(t, err)
		case 5:
			c.hear([]tea.Msg{
				tea.ModeReportMsg{Mode: ansi.ModeSynchronizedOutput, Value: ansi.ModeReset},
				tea.ModeReportMsg{Mode: ansi.ModeUnicodeCore, Value: ansi.ModeSet},
			}[random.IntN(2)])
		default:
			s.press(keys[random.IntN(len(keys))])
		}
		c.paint(s.model.Frame(), width, height)
		c.shows(s.model.Frame(), width, height)
	}
}

func TestOnlyWhatHasChangedIsWritten(t *testing.T) {
	c := newCanvas(t, 100, 30)
	s := newScreen(t, 100, 30, shop()...)
	_, err := c.painter.Write([]byte(ansi.SetModeAltScreenSaveCursor))
	require.NoError(t, err)
	c.paint(s.model.Frame(), 100, 30)
	c.shows(s.model.Frame(), 100, 30)
	c.paint(s.model.Frame(), 100, 30)
	assert.Empty(t, c.written.String(), "nothing has changed")
	s.send(changesMsg{replicas: []replicaChange{{Replica: replica("web", 1, core.PhaseDraining, after)}}})
	c.paint(s.model.Frame(), 100, 30)
	assert.Less(t, c.written.Len(), 1000, fmt.Sprintf("%q", c.written.String()))
	c.shows(s.model.Frame(), 100, 30)
}

func TestNothingIsDrawnOutsideTheAlternateScreen(t *testing.T) {
	c := newCanvas(t, 100, 30)
	c.paint("before", 100, 30)
	assert.Empty(t, c.written.String())
	_, err := c.painter.Write([]byte(ansi.SetModeAltScreenSaveCursor))
	require.NoError(t, err)
	assert.Contains(t, c.written.String(), "before")
	c.written.Reset()
	_, err = c.painter.Write([]byte(ansi.ResetModeAltScreenSaveCursor))
	require.NoError(t, err)
	c.paint("after", 100, 30)
	assert.Equal(t, ansi.ResetModeAltScreenSaveCursor, c.written.String())
}
