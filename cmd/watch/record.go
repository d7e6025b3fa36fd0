package watch

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
	"unicode/utf8"

	tea "charm.land/bubbletea/v2"
)

// recording is a terminal whose output is also written down, as an asciicast v2:
// https://docs.asciinema.org/manual/asciicast/v2/
type recording struct {
	*os.File // the terminal

	mu    sync.Mutex
	out   *os.File
	began time.Time
	rest  []byte // the beginning of a character
	err   error
}

func newRecording(path string, terminal *os.File) (*recording, error) {
	out, err := os.Create(path) //nolint:gosec // whoever runs tend names it
	if err != nil {
		return nil, fmt.Errorf("record: %w", err)
	}
	r := &recording{File: terminal, out: out, began: time.Now()}
	width, height := size(terminal)
	r.write(map[string]any{
		"version": 2, "width": width, "height": height, "timestamp": r.began.Unix(), "title": "tend watch",
		"env": map[string]string{"TERM": os.Getenv("TERM")},
	})
	return r, nil
}

// Write implements io.Writer.
func (r *recording) Write(p []byte) (int, error) {
	r.mu.Lock()
	text := append(r.rest, p...)
	whole := len(text)
	for whole > 0 && whole > len(text)-utf8.UTFMax && !utf8.Valid(text[:whole]) {
		whole--
	}
	r.rest = append([]byte(nil), text[whole:]...)
	r.event("o", string(text[:whole]))
	r.mu.Unlock()
	return r.File.Write(p)
}

// resized notes a new size of the terminal; it changes no message.
func (r *recording) resized(_ tea.Model, msg tea.Msg) tea.Msg {
	if size, ok := msg.(tea.WindowSizeMsg); ok {
		r.mu.Lock()
		r.event("r", fmt.Sprintf("%dx%d", size.Width, size.Height))
		r.mu.Unlock()
	}
	return msg
}

func (r *recording) event(code, data string) {
	if data != "" {
		r.write([]any{time.Since(r.began).Seconds(), code, data})
	}
}

func (r *recording) write(line any) {
	text, err := json.Marshal(line)
	if err == nil {
		_, err = r.out.Write(append(text, '\n'))
	}
	r.err = errors.Join(r.err, err)
}

func (r *recording) close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := errors.Join(r.err, r.out.Close()); err != nil {
		return fmt.Errorf("record: %w", err)
	}
	return nil
}
