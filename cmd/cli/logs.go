package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/spec"
)

func newLogs(f *flags) *cobra.Command {
	var follow bool
	var tail int
	c := &cobra.Command{
		Use:   "logs WORKLOAD",
		Short: "Show the output of a workload's replicas",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			ctx := c.Context()
			if tail < 0 {
				return usage(c, fmt.Errorf("--tail takes a number of lines, and not %d", tail))
			}
			project, err := f.load(ctx)
			if err != nil {
				return err
			}
			e, err := f.connect(ctx)
			if err != nil {
				return err
			}
			defer e.Close()
			l := &logs{engine: e, project: project.Name, workload: args[0], out: c.OutOrStdout(),
				options: engine.LogOptions{Follow: follow, Timestamps: true, Tail: tail}}
			containers, err := l.containers(ctx)
			if err != nil {
				return err
			}
			if _, written := project.Workloads[l.workload]; !written && len(containers) == 0 {
				return fmt.Errorf("there is no workload %q, and no container of it", l.workload)
			}
			if follow {
				return l.follow(ctx)
			}
			return l.print(ctx, containers)
		},
	}
	c.Flags().StringArrayVar(&f.spec.Files, "file", nil, "Compose file, or - for the standard input; may be given more than once (before the command also as -f)")
	c.Flags().BoolVarP(&follow, "follow", "f", false, "go on with what they write, also of new replicas, until interrupted")
	c.Flags().IntVar(&tail, "tail", 0, "how many of each replica's last lines to show (default: all)")
	return c
}

// logs shows the output of a workload's containers.
type logs struct {
	engine            engine.Engine
	project, workload string
	options           engine.LogOptions
	out               io.Writer
}

// logLine is a line that a container wrote.
type logLine struct {
	at         time.Time
	name, text string
}

func (l *logs) containers(ctx context.Context) ([]engine.Container, error) {
	all, err := l.engine.Containers(ctx, l.project)
	if err != nil {
		return nil, err
	}
	var ours []engine.Container
	for _, c := range all {
		if spec.WorkloadOf(c.Labels) == l.workload {
			ours = append(ours, c)
		}
	}
	return ours, nil
}

// read sends the lines of a container, in the order in which it wrote them.
func (l *logs) read(ctx context.Context, c engine.Container, lines chan<- logLine) error {
	emit := func(text string) error {
		stamp, text, _ := strings.Cut(text, " ")
		at, err := time.Parse(time.RFC3339Nano, stamp)
		if err != nil {
			return fmt.Errorf("read the log of %s: %w", c.Name, err)
		}
		select {
		case lines <- logLine{at: at, name: strings.TrimPrefix(c.Name, "/"), text: text}:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	stdout, stderr := &lineWriter{emit: emit}, &lineWriter{emit: emit}
	err := l.engine.Logs(ctx, c.ID, l.options, stdout, stderr)
	if err != nil && engine.ClassOf(err) == engine.NotFound {
		return nil // it has been removed
	}
	for _, w := range []*lineWriter{stdout, stderr} {
		if err == nil && len(w.rest) > 0 {
			err = emit(string(w.rest))
		}
	}
	return err
}

// print prints what the containers have written until now, merged by time.
func (l *logs) print(ctx context.Context, containers []engine.Container) error {
	reading, ctx := errgroup.WithContext(ctx)
	sources := make([]chan logLine, len(containers))
	for i, c := range containers {
		sources[i] = make(chan logLine)
		reading.Go(func() error {
			defer close(sources[i])
			return l.read(ctx, c, sources[i])
		})
	}
	heads := make([]*logLine, len(sources))
	next := func(i int) {
		heads[i] = nil
		if line, ok := <-sources[i]; ok {
			heads[i] = &line
		}
	}
	for i := range sources {
		next(i)
	}
	for {
		first := -1
		for i, h := range heads {
			if h != nil && (first < 0 || h.at.Before(heads[first].at)) {
				first = i
			}
		}
		if first < 0 {
			return reading.Wait()
		}
		l.write(*heads[first])
		next(first)
	}
}

// follow shows what the containers write as it comes, and those that start meanwhile.
func (l *logs) follow(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	reading, reads := errgroup.WithContext(ctx)
	defer func() { cancel(); _ = reading.Wait() }()
	events, ended, err := l.engine.Events(ctx, l.project)
	if err != nil {
		return err
	}
	containers, err := l.containers(ctx)
	if err != nil {
		return err
	}
	lines := make(chan logLine)
	shown := map[string]time.Time{} // the last line's, by container
	read := func(c engine.Container) {
		reading.Go(func() error { return l.read(reads, c, lines) })
	}
	for _, c := range containers {
		read(c)
	}
	for {
		select {
		case line := <-lines:
			// A container that was started again repeats what it wrote before.
			if line.at.After(shown[line.name]) {
				shown[line.name] = line.at
				l.write(line)
			}
		case e, ok := <-events:
			if !ok {
				return ended()
			}
			if e.Action == "start" && spec.WorkloadOf(e.Labels) == l.workload {
				c, err := l.engine.Container(ctx, e.ContainerID)
				if err == nil { // else it is gone again
					read(c)
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

func (l *logs) write(line logLine) {
	fmt.Fprintf(l.out, "%s | %s\n", line.name, line.text)
}

// lineWriter passes on whole lines.
type lineWriter struct {
	emit func(string) error
	rest []byte
}

func (w *lineWriter) Write(p []byte) (int, error) {
	w.rest = append(w.rest, p...)
	for {
		line, rest, ok := bytes.Cut(w.rest, []byte("\n"))
		if !ok {
			return len(p), nil
		}
		w.rest = rest
		if err := w.emit(string(line)); err != nil {
			return 0, err
		}
	}
}
