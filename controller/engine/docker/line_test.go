package docker_test

import (
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/docker/docker/api/types"
	"github.com/stretchr/testify/require"
)

// line is a socket that leads to the engine and can be cut.
type line struct {
	t    *testing.T
	path string
	dial func(context.Context) (net.Conn, error)

	mu       sync.Mutex
	listener net.Listener
	open     map[net.Conn]bool
	running  sync.WaitGroup
}

func newLine(t *testing.T, dial func(context.Context) (net.Conn, error)) *line {
	t.Helper()
	// The path of a socket must be short: t.TempDir holds the test's name.
	folder, err := os.MkdirTemp("", "tend")
	require.NoError(t, err)
	l := &line{t: t, path: filepath.Join(folder, "docker.sock"), dial: dial, open: map[net.Conn]bool{}}
	l.Mend()
	t.Cleanup(func() {
		l.Cut()
		require.NoError(t, os.RemoveAll(folder))
	})
	return l
}

// Mend makes the engine reachable.
func (l *line) Mend() {
	l.t.Helper()
	listener, err := net.Listen("unix", l.path)
	require.NoError(l.t, err)
	l.mu.Lock()
	l.listener = listener
	l.mu.Unlock()
	l.running.Go(func() {
		for {
			from, err := listener.Accept()
			if err != nil {
				return // cut
			}
			l.running.Go(func() { l.forward(from) })
		}
	})
}

// Refuse ends only the listening, as an engine does that begins to shut down.
func (l *line) Refuse() {
	l.mu.Lock()
	defer l.mu.Unlock()
	_ = l.listener.Close()
}

// Cut makes the engine unreachable, and ends what is under way.
func (l *line) Cut() {
	l.mu.Lock()
	if l.listener != nil {
		_ = l.listener.Close()
	}
	l.listener = nil
	for c := range l.open {
		_ = c.Close()
	}
	l.mu.Unlock()
	l.running.Wait()
}

func (l *line) forward(from net.Conn) {
	to, err := l.dial(context.Background())
	if err != nil {
		_ = from.Close()
		return
	}
	l.mu.Lock()
	cut := l.listener == nil
	l.open[from], l.open[to] = true, true
	l.mu.Unlock()
	var back sync.WaitGroup
	if !cut {
		back.Go(func() {
			_, _ = io.Copy(from, to)
			_ = from.Close()
		})
		_, _ = io.Copy(to, from)
		// The client may have closed its half only.
		if half, ok := to.(types.CloseWriter); ok {
			_ = half.CloseWrite()
		}
	}
	back.Wait()
	_, _ = from.Close(), to.Close()
	l.mu.Lock()
	delete(l.open, from)
	delete(l.open, to)
	l.mu.Unlock()
}
