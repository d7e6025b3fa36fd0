package terminal

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/charmbracelet/colorprofile"
	"github.com/charmbracelet/x/ansi"
	"golang.org/x/term"
)

// Mark is how far the thing is that a row stands for.
type Mark int

// The marks.
const (
	// Working: something happens, or is waited for.
	Working Mark = iota
	Done
	// Failed: it does not go on by itself.
	Failed
)

// Row is one thing of a block.
type Row struct {
	// Name names it, State is how it is in a word or two, and Text says more.
	Name, State, Text string
	Mark              Mark
}

// Block is what goes on, drawn in place at the end of a terminal: a line for each thing,
// with the time that it has taken. Lines that stay stand above it.
type Block struct {
	out   io.Writer
	size  func() (width, height int)
	plain bool // without colours
	now   func() time.Time

	mu    sync.Mutex
	began time.Time
	title string
	rows  []*timed
	drawn int // how many lines are on the screen
	stop  chan struct{}
	done  sync.WaitGroup
}

// timed is a row with the time that it takes.
type timed struct {
	Row
	began, ended time.Time
}

// redraw is how often the times go on.
const redraw = 100 * time.Millisecond

// CanDraw reports whether a file is a terminal on which lines can be drawn in place.
func CanDraw(f *os.File) bool { return Is(f) && os.Getenv("TERM") != "dumb" }

// NewBlock returns an empty block on a terminal, which is drawn until it is closed.
func NewBlock(f *os.File, title string) *Block {
	b := newBlock(f, title, colorprofile.Detect(f, os.Environ()) <= colorprofile.ASCII, time.Now)
	b.size = func() (int, int) {
		if width, height, err := term.GetSize(int(f.Fd())); err == nil && width > 0 && height > 0 {
			return width, height
		}
		return 80, 24
	}
	b.done.Go(func() {
		ticks := time.NewTicker(redraw)
		defer ticks.Stop()
		for {
			select {
			case <-b.stop:
				return
			case <-ticks.C:
				b.mu.Lock()
				b.draw("")
				b.mu.Unlock()
			}
		}
	})
	return b
}

func newBlock(out io.Writer, title string, plain bool, now func() time.Time) *Block {
	return &Block{
		out: out, title: title, plain: plain, now: now, began: now(), stop: make(chan struct{}),
		size: func() (int, int) { return 80, 24 },
	}
}

// Set puts a row in the place of the one of its name, or at the end.
func (b *Block) Set(r Row) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	i := slices.IndexFunc(b.rows, func(have *timed) bool { return have.Name == r.Name })
	if i < 0 {
		i, b.rows = len(b.rows), append(b.rows, &timed{began: now})
	}
	row := b.rows[i]
	switch {
	case r.Mark == Working && row.Mark != Working:
		row.began, row.ended = now, time.Time{}
	case r.Mark != Working && row.ended.IsZero():
		row.ended = now
	}
	row.Row = r
	b.draw("")
}

// Print writes a line that stays.
func (b *Block) Print(line string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.draw(line + "\n")
}

// Close draws all rows a last time, and leaves them there.
func (b *Block) Close() {
	close(b.stop)
	b.done.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.draw("")
}

// draw writes text that stays, and the block below it, in the place of the block that is
// there.
func (b *Block) draw(text string) {
	if text == "" && len(b.rows) == 0 {
		return
	}
	var out strings.Builder
	if b.drawn > 0 {
		fmt.Fprintf(&out, "\x1b[%dA\r\x1b[J", b.drawn)
	}
	out.WriteString(text)
	width, height := b.size()
	lines := b.lines(width, height)
	for _, line := range lines {
		out.WriteString(line + "\n")
	}
	b.drawn = len(lines)
	_, _ = io.WriteString(b.out, out.String()) // a terminal that is gone shows nothing
}

// lines are the lines of the block: of all rows, or where they are too many of those that
// are not done.
func (b *Block) lines(width, height int) []string {
	if len(b.rows) == 0 {
		return nil
	}
	now, done, longest := b.now(), 0, 0
	for _, r := range b.rows {
		if r.Mark == Done {
			done++
		}
		longest = max(longest, Width(r.Name))
	}
	shown, more := slices.Clone(b.rows), 0
	if room := max(1, height-3); len(shown) > room {
		slices.SortStableFunc(shown, func(x, y *timed) int { return cmp.Compare(b.last(x), b.last(y)) })
		shown, more = shown[:room-1], len(shown)-room+1
	}
	title := fmt.Sprintf("[+] %s %d/%d", b.title, done, len(b.rows))
	lines := []string{b.line(Fit(title, width-9), elapsed(now.Sub(b.began)), width)}
	for _, r := range shown {
		lines = append(lines, b.row(r, min(longest, max(10, width/3)), width, now))
	}
	if more > 0 {
		lines = append(lines, b.paint(2, Cut(fmt.Sprintf(" … and %d more", more), width)))
	}
	return lines
}

// last is 1 for a row that may be left out.
func (b *Block) last(r *timed) int {
	if r.Mark == Done {
		return 1
	}
	return 0
}

// spinner turns while something is under way.
var spinner = []string{"⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"}

func (b *Block) row(r *timed, names, width int, now time.Time) string {
	end, mark, color := r.ended, "✔", 32
	switch r.Mark {
	case Working:
		end, color = now, 33
		mark = spinner[int(now.Sub(b.began)/redraw)%len(spinner)]
	case Failed:
		mark, color = "✖", 31
	}
	state := Fit(Line(r.State), min(14, max(0, width-names-16)))
	text := Fit(" "+Line(r.Text), max(0, width-names-Width(state)-12))
	return b.line(" "+b.paint(color, mark)+" "+Fit(Line(r.Name), names)+" "+b.paint(color, state)+b.paint(2, text), elapsed(end.Sub(r.began)), width)
}

// line is a line with a time at its right end.
func (b *Block) line(text, time string, width int) string {
	return Cut(text+strings.Repeat(" ", max(1, width-Width(text)-len(time)-1))+b.paint(34, time), width-1)
}

// paint gives text a colour of the terminal's own, which is readable on its background.
func (b *Block) paint(code int, text string) string {
	if b.plain {
		return text
	}
	return fmt.Sprintf("\x1b[%dm%s%s", code, text, ansi.ResetStyle)
}

// elapsed is a duration as docker compose shows it.
func elapsed(d time.Duration) string {
	if d = max(0, d); d >= time.Minute {
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	}
	return fmt.Sprintf("%.1fs", d.Seconds())
}
