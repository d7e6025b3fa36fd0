package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/charmbracelet/x/vt"
	"github.com/creack/pty"
)

// screen is tend watch in a terminal, whose output an emulator reads: what counts is the
// cell that a person sees.
type screen struct {
	cmd    *exec.Cmd
	file   *os.File
	ended  chan struct{}
	frames int // how often something was drawn

	mu       sync.Mutex
	emulator *vt.Emulator
	cells    map[string]position // of the tiles, by replica
	ready    map[string]bool
	seen     []change
}

type position struct{ x, y int }

func openScreen(ctx context.Context, o options, c *kept, width, height int) (*screen, error) {
	s := &screen{ended: make(chan struct{}), emulator: vt.NewEmulator(width, height)}
	s.cmd = exec.CommandContext(ctx, o.tend, "--project-directory", c.dir, "--data-dir", c.dir, "watch")
	s.cmd.Env = append(os.Environ(), "TERM=xterm-256color", "COLORTERM=truecolor")
	var err error
	if s.file, err = pty.StartWithSize(s.cmd, &pty.Winsize{Cols: uint16(width), Rows: uint16(height)}); err != nil {
		return nil, err
	}
	go func() { _, _ = io.Copy(s.file, s.emulator) }() // what a terminal answers when it is asked; ends with it
	go s.read()
	return s, nil
}

// read draws what the program writes, and notes which tiles that has changed.
func (s *screen) read() {
	defer close(s.ended)
	buffer := make([]byte, 64<<10)
	for {
		n, err := s.file.Read(buffer)
		if err != nil {
			return
		}
		s.mu.Lock()
		_, _ = s.emulator.Write(buffer[:n]) // never fails
		s.frames++
		now := time.Now()
		for replica, at := range s.cells {
			if ready := s.at(at) == "R"; ready != s.ready[replica] {
				s.ready[replica] = ready
				s.seen = append(s.seen, change{Replica: replica, Ready: ready, At: now})
			}
		}
		s.mu.Unlock()
	}
}

// at is what the screen has in a cell. The mutex is held.
func (s *screen) at(p position) string {
	if c := s.emulator.CellAt(p.x, p.y); c != nil {
		return c.Content
	}
	return ""
}

// line is a row of the screen, a cell after the other. The mutex is held.
func (s *screen) line(y int) (cells []string) {
	for x := range s.emulator.Width() {
		cells = append(cells, s.at(position{x, y}))
	}
	return cells
}

// find waits until the screen shows a tile for each replica of so many workloads, and
// notes where.
func (s *screen) find(ctx context.Context, workloads, replicas int) error {
	for began := time.Now(); time.Since(began) < time.Minute; time.Sleep(50 * time.Millisecond) {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		s.mu.Lock()
		found := map[string]position{}
		column := -1
		for y := range s.emulator.Height() {
			cells := s.line(y)
			for x := range len(cells) - len("REPLICAS") {
				if strings.Join(cells[x:x+len("REPLICAS")], "") == "REPLICAS" {
					column = x
				}
			}
			if column < 0 || !strings.HasPrefix(cells[2]+cells[3]+cells[4], "web") {
				continue
			}
			for i := range replicas {
				// A tile is three cells and a gap, with the letter in the middle.
				if p := (position{column + 1 + 4*i, y}); s.at(p) == "R" {
					found[fmt.Sprintf("view-%s-%d", strings.Join(cells[2:8], ""), i+1)] = p
				}
			}
		}
		if len(found) == workloads*replicas {
			s.cells, s.ready = found, map[string]bool{}
			for replica := range found {
				s.ready[replica] = true
			}
			s.mu.Unlock()
			return nil
		}
		s.mu.Unlock()
	}
	return fmt.Errorf("the screen does not show the replicas:\n%s", s.text())
}

func (s *screen) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.emulator.String()
}

func (s *screen) drawn() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.frames
}

// cpu is what the program has taken so far.
func (s *screen) cpu() (time.Duration, error) { return cpuOf(s.cmd.Process.Pid) }

// close ends the program.
func (s *screen) close() error {
	err := s.cmd.Process.Signal(syscall.SIGTERM)
	waited := s.cmd.Wait()
	<-s.ended
	var exit *exec.ExitError
	if errors.As(waited, &exit) {
		waited = nil // by the signal
	}
	return errors.Join(err, waited, s.emulator.Close(), s.file.Close())
}

// measureWatch measures from a change at the engine until the tile on the screen has
// changed. The screen is high enough for all.
func measureWatch(ctx context.Context, o options, c *kept) (rows []row, err error) {
	s, err := openScreen(ctx, o, c, 200, 200)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if err := s.find(ctx, c.workloads, c.replicas/c.workloads); err != nil {
		return nil, err
	}
	changes, err := c.churn(o.duration)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return []row{onScreen("A change at the engine → on the screen, `tend watch`", c.size, changes, s.seen)}, nil
}

// onScreen is the row of changes that were seen.
func onScreen(what string, s size, changes, seen []change) row {
	times, unseen := delays(changes, seen)
	text := spread(times)
	if unseen > 0 {
		text += fmt.Sprintf("; %d of %d never seen", unseen, len(changes))
	}
	return row{
		What: what, Details: fmt.Sprintf("%s, %d changes, %d a second", s, len(changes), changeRate), Target: "p95 < 150 ms", Seen: text,
		Met: unseen == 0 && quantile(0.95, times) < 150*time.Millisecond,
	}
}

// measureScreen measures what tend watch takes to show a large project that changes.
func measureScreen(ctx context.Context, o options, c *kept) (rows []row, err error) {
	s, err := openScreen(ctx, o, c, 200, 60)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if err := s.await(ctx, fmt.Sprintf("%d workloads", c.workloads)); err != nil {
		return nil, err
	}
	churned := make(chan error, 1)
	go func() {
		_, err := c.churn(o.duration)
		churned <- err
	}()
	time.Sleep(time.Second) // until changes come
	before, err := s.cpu()
	if err != nil {
		return nil, err
	}
	frames, began := s.drawn(), time.Now()
	time.Sleep(o.duration - 2*time.Second)
	took := time.Since(began)
	frames = s.drawn() - frames
	after, failed := s.cpu()
	if err := errors.Join(failed, <-churned); err != nil {
		return nil, err
	}
	share := (after - before).Seconds() / took.Seconds()
	return []row{{
		What: "CPU of `tend watch`", Details: fmt.Sprintf("%s, %d changes a second, a screen of 200×60, drawn %.0f times a second", c.size, changeRate, float64(frames)/took.Seconds()),
		Target: "< 5 % of a core, at 10 frames a second", Seen: percent(share), Met: share < 0.05,
	}}, nil
}

// await waits until the screen shows a text.
func (s *screen) await(ctx context.Context, text string) error {
	for began := time.Now(); time.Since(began) < time.Minute; time.Sleep(50 * time.Millisecond) {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if strings.Contains(s.text(), text) {
			return nil
		}
	}
	return fmt.Errorf("the screen does not show %q:\n%s", text, s.text())
}
