// Package logs reads what containers write, merged by time.
package logs

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/spec"
)

// maxLine bounds a line in bytes. What is beyond it is left out, as a container may never
// end a line.
const maxLine = 1 << 20

// Line is a line that a container wrote.
type Line struct {
	At time.Time
	// Replica is the container's name.
	Replica string
	Text    string
	// left is true where the filter leaves it out: then only its time counts.
	left bool
}

// Options select lines.
type Options struct {
	// Tail is how many of each container's last lines are read; 0 means all.
	Tail int
	// Since leaves out what was written before; zero leaves out nothing.
	Since time.Time
	// Until leaves out what was written after; zero leaves out nothing. What is followed has
	// none.
	Until time.Time
	// Filter selects among the lines that are read.
	Filter Filter
}

// Reader reads the output of the containers of a project.
type Reader struct {
	Engine  engine.Engine
	Project string
	// Workload is the one whose containers are read; empty for all.
	Workload string
	Options  Options
	// Emit takes each line. Its error ends the reading, and is returned.
	Emit func(Line) error
}

// Containers lists the containers that are read.
func (r *Reader) Containers(ctx context.Context) ([]engine.Container, error) {
	all, err := r.Engine.Containers(ctx, r.Project)
	if err != nil {
		return nil, err
	}
	var ours []engine.Container
	for _, c := range all {
		if r.reads(c.Labels) {
			ours = append(ours, c)
		}
	}
	return ours, nil
}

// reads reports whether a container with such labels is read.
func (r *Reader) reads(labels map[string]string) bool {
	return r.Workload == "" || spec.WorkloadOf(labels) == r.Workload
}

// emit emits a line, unless it is left out.
func (r *Reader) emit(l Line) error {
	if l.left {
		return nil
	}
	return r.Emit(l)
}

// Read emits what the containers have written until now, in the order of time.
func (r *Reader) Read(ctx context.Context, containers []engine.Container) error {
	return r.merge(ctx, containers, r.emit)
}

// merge passes on what the containers have written until now, in the order of time.
func (r *Reader) merge(ctx context.Context, containers []engine.Container, emit func(Line) error) error {
	options := engine.LogOptions{Timestamps: true, Tail: r.Options.Tail, Since: r.Options.Since}
	ctx, cancel := context.WithCancel(ctx)
	reading, reads := errgroup.WithContext(ctx)
	defer func() { cancel(); _ = reading.Wait() }()
	sources := make([]chan []Line, len(containers))
	for i, c := range containers {
		sources[i] = make(chan []Line)
		reading.Go(func() error {
			defer close(sources[i])
			return r.read(reads, c, options, sources[i])
		})
	}
	heads := make([][]Line, len(sources)) // the next lines of each container, empty at its end
	for i := range sources {
		heads[i] = <-sources[i]
	}
	for {
		first := -1
		for i, h := range heads {
			if len(h) > 0 && (first < 0 || h[0].At.Before(heads[first][0].At)) {
				first = i
			}
		}
		if first < 0 {
			return reading.Wait()
		}
		line := heads[first][0]
		if until := r.Options.Until; !until.IsZero() && line.At.After(until) {
			return nil // all that follow are later
		}
		if err := emit(line); err != nil {
			return err
		}
		if heads[first] = heads[first][1:]; len(heads[first]) == 0 {
			heads[first] = <-sources[first]
		}
	}
}

// Follow emits what the containers have written as Read does, and then what they write as
// it comes, also of those that start meanwhile, until ctx ends.
func (r *Reader) Follow(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	reading, reads := errgroup.WithContext(ctx)
	defer func() { cancel(); _ = reading.Wait() }()
	events, ended, err := r.Engine.Events(ctx, r.Project)
	if err != nil {
		return err
	}
	containers, err := r.Containers(ctx)
	if err != nil {
		return err
	}
	last := map[string]time.Time{} // the time of each container's last line
	emit := func(line Line) error {
		last[line.Replica] = line.At
		return r.emit(line)
	}
	if err := r.merge(ctx, containers, emit); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	lines := make(chan []Line)
	follow := func(c engine.Container) {
		options := engine.LogOptions{Follow: true, Timestamps: true, Since: r.Options.Since}
		if at, read := last[name(c)]; read {
			options.Since = at
		}
		reading.Go(func() error { return r.read(reads, c, options, lines) })
	}
	for _, c := range containers {
		follow(c)
	}
	for {
		select {
		case some := <-lines:
			for _, line := range some {
				// A container that was started again repeats what it wrote before.
				if !line.At.After(last[line.Replica]) {
					continue
				}
				if err := emit(line); err != nil {
					return err
				}
			}
		case e, ok := <-events:
			if !ok {
				return ended()
			}
			if e.Action == "start" && r.reads(e.Labels) {
				c, err := r.Engine.Container(ctx, e.ContainerID)
				if err == nil { // else it is gone again
					follow(c)
				}
			}
		case <-reads.Done():
			if ctx.Err() != nil {
				return nil // interrupted, which is how this ends
			}
			return reading.Wait()
		}
	}
}

func name(c engine.Container) string { return strings.TrimPrefix(c.Name, "/") }

// read sends the lines of a container, in the order in which it wrote them: those that come
// together are sent together.
func (r *Reader) read(ctx context.Context, c engine.Container, options engine.LogOptions, lines chan<- []Line) error {
	emit := func(texts []string) error {
		some := make([]Line, len(texts))
		for i, text := range texts {
			stamp, text, _ := strings.Cut(text, " ")
			at, err := time.Parse(time.RFC3339Nano, stamp)
			if err != nil {
				return fmt.Errorf("read the log of %s: %w", c.Name, err)
			}
			some[i] = Line{At: at, Replica: name(c), Text: text, left: !r.Options.Filter.Selects(text)}
		}
		select {
		case lines <- some:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	stdout, stderr := &lineWriter{emit: emit}, &lineWriter{emit: emit}
	err := r.Engine.Logs(ctx, c.ID, options, stdout, stderr)
	if err != nil && engine.ClassOf(err) == engine.NotFound {
		return nil // it has been removed
	}
	for _, w := range []*lineWriter{stdout, stderr} {
		if err == nil && len(w.rest) > 0 {
			err = emit([]string{string(w.rest)})
		}
	}
	return err
}

// lineWriter passes on whole lines, those of one write together.
type lineWriter struct {
	emit func([]string) error
	rest []byte
}

func (w *lineWriter) Write(p []byte) (int, error) {
	w.rest = append(w.rest, p...)
	end := bytes.LastIndexByte(w.rest, '\n')
	if end < 0 {
		w.rest = w.rest[:min(len(w.rest), maxLine)]
		return len(p), nil
	}
	lines := strings.Split(string(w.rest[:end]), "\n")
	w.rest = append(w.rest[:0], w.rest[end+1:]...)
	if err := w.emit(lines); err != nil {
		return 0, err
	}
	return len(p), nil
}
