package terminal

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// screen is a terminal that knows what a block writes: it moves up, and erases.
type screen struct{ lines []string }

var up = regexp.MustCompile(`^\x1b\[(\d+)A\r\x1b\[J`)

func (s *screen) Write(p []byte) (int, error) {
	text := string(p)
	if m := up.FindStringSubmatch(text); m != nil {
		n, err := strconv.Atoi(m[1])
		if err != nil {
			return 0, err
		}
		s.lines, text = s.lines[:len(s.lines)-n], text[len(m[0]):]
	}
	for line := range strings.SplitSeq(strings.TrimSuffix(text, "\n"), "\n") {
		s.lines = append(s.lines, strings.TrimRight(ansi.Strip(line), " "))
	}
	return len(p), nil
}

// played is a block on a screen of some size, with a clock that the test sets.
func played(width, height int) (*Block, *screen, *time.Time) {
	s, now := &screen{}, time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	b := newBlock(s, "shop", false, func() time.Time { return now })
	b.size = func() (int, int) { return width, height }
	return b, s, &now
}

func TestRowsAreDrawnInPlaceWithTheirTimes(t *testing.T) {
	b, s, now := played(60, 24)
	b.Set(Row{Name: "web", State: "Moving 0/3", Text: "Created shop-web-1"})
	b.Set(Row{Name: "database", State: "Waiting 0/1", Text: "for its volume"})
	*now = now.Add(2500 * time.Millisecond)
	b.Set(Row{Name: "database", State: "Converged 1/1", Mark: Done})
	b.Print("12:00:02 ! web Unhealthy shop-web-1")
	*now = now.Add(90 * time.Second)
	b.Set(Row{Name: "web", State: "Stalled 0/3", Text: "shop-web-1 exited", Mark: Failed})
	*now = now.Add(time.Second)
	b.Close()
	assert.Equal(t, []string{
		"12:00:02 ! web Unhealthy shop-web-1",
		"[+] shop 1/2                                          1m33s",
		" ✖ web      Stalled 0/3    shop-web-1 exited          1m32s",
		" ✔ database Converged 1/1                              2.5s",
	}, s.lines)
}

func TestARowThatGoesOnCountsAnew(t *testing.T) {
	b, s, now := played(60, 24)
	b.Set(Row{Name: "web", State: "Converged", Mark: Done})
	*now = now.Add(time.Hour)
	b.Set(Row{Name: "web", State: "Moving"})
	*now = now.Add(3 * time.Second)
	b.Set(Row{Name: "web", State: "Converged", Mark: Done})
	assert.Contains(t, s.lines[1], "3.0s")
}

func TestABlockFitsItsTerminal(t *testing.T) {
	for width := 20; width < 200; width += 9 {
		for _, height := range []int{4, 10, 50} {
			b, s, _ := played(width, height)
			for i := range 30 {
				b.Set(Row{Name: fmt.Sprintf("workload-with-a-name-%d", i), State: "Moving 10/12", Text: strings.Repeat("it has a long story ", 10), Mark: Mark(i % 3)})
			}
			require.LessOrEqual(t, len(s.lines), height)
			for _, line := range s.lines {
				require.Less(t, Width(line), width, line)
			}
		}
	}
}

func TestWhatIsDoneIsLeftOutFirst(t *testing.T) {
	b, s, _ := played(80, 8)
	for i := range 10 {
		b.Set(Row{Name: fmt.Sprintf("w%d", i), State: "Converged", Mark: Done})
	}
	b.Set(Row{Name: "late", State: "Moving"})
	assert.Contains(t, s.lines[1], "late")
	assert.Equal(t, " … and 7 more", s.lines[len(s.lines)-1])
}

func TestWhatContainersPrintCommandsNoTerminal(t *testing.T) {
	b, s, _ := played(80, 24)
	b.Set(Row{Name: "web", State: "Moving", Text: "exited: \x1b[2J\nboo"})
	assert.Contains(t, s.lines[1], `exited: \u001b[2J boo`)
}
