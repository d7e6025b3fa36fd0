//go:build linux

package cli

import (
	"bufio"
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestCommandsEscapeWhatGoesToATerminalOnly(t *testing.T) {
	screen, terminal := openTerminal(t)
	reader, pipe, err := os.Pipe()
	require.NoError(t, err)
	t.Cleanup(func() { _, _ = reader.Close(), pipe.Close() })
	for _, c := range []struct {
		written, read *os.File
		want          string
	}{
		{terminal, screen, `\u001b[2J`},
		{pipe, reader, "\x1b[2J"},
	} {
		stdout, stderr := os.Stdout, os.Stderr
		os.Stdout, os.Stderr = c.written, c.written
		root, narrator := New("1"), newLineNarrator(os.Stderr)
		os.Stdout, os.Stderr = stdout, stderr
		lines := bufio.NewReader(c.read)
		for _, sub := range root.Commands() {
			fmt.Fprintln(sub.OutOrStdout(), "\x1b[2J")
			fmt.Fprintln(sub.ErrOrStderr(), "\x1b[2J")
			for range 2 {
				line, err := lines.ReadString('\n')
				require.NoError(t, err)
				assert.Contains(t, line, c.want, sub.Name())
			}
		}
		narrator.say("\x1b[2J")
		line, err := lines.ReadString('\n')
		require.NoError(t, err)
		assert.Contains(t, line, c.want)
	}
}

// openTerminal makes a terminal, and what shows what is written to it.
func openTerminal(t *testing.T) (screen, terminal *os.File) {
	t.Helper()
	screen, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	require.NoError(t, err)
	require.NoError(t, unix.IoctlSetPointerInt(int(screen.Fd()), unix.TIOCSPTLCK, 0))
	number, err := unix.IoctlGetInt(int(screen.Fd()), unix.TIOCGPTN)
	require.NoError(t, err)
	terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	t.Cleanup(func() { _, _ = screen.Close(), terminal.Close() })
	return screen, terminal
}
