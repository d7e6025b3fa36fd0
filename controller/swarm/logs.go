package swarm

import (
	"bytes"
	"context"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/logs"
	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/controller/swarm/manager"
)

// ReadLogs emits what the tasks of a workload have written, or those of all where it is
// empty, those of hooks included, merged by time; and with follow what they write from then
// on, also those to come, until ctx ends.
func ReadLogs(ctx context.Context, m manager.Manager, project, workload string, follow bool, o logs.Options, emit func(logs.Line) error) error {
	began := time.Now()
	tasks, err := m.Tasks(ctx, project)
	if err != nil {
		return err
	}
	services, err := m.Services(ctx, project)
	if err != nil {
		return err
	}
	nodes, err := m.Nodes(ctx)
	if err != nil {
		return err
	}
	var all []logs.Line
	for _, t := range tasks {
		if workload != "" && workloadOf(t) != workload || t.ContainerID == "" {
			continue
		}
		var out bytes.Buffer
		err := m.TaskLogs(ctx, t.ID, engine.LogOptions{Tail: o.Tail, Since: o.Since, Timestamps: true}, &out, &out)
		if err != nil && engine.ClassOf(err) != engine.NotFound {
			return err
		}
		all = append(all, lines(taskName(t, project, services, nodes), out.Bytes(), o)...)
	}
	slices.SortStableFunc(all, func(a, b logs.Line) int { return a.At.Compare(b.At) })
	for _, line := range all {
		if err := emit(line); err != nil {
			return err
		}
	}
	if !follow {
		return nil
	}
	return followLogs(ctx, m, services, workload, began, o, emit)
}

// followLogs emits what the services of a workload write since a time.
func followLogs(ctx context.Context, m manager.Manager, services []manager.Service, workload string, since time.Time, o logs.Options, emit func(logs.Line) error) error {
	var mu sync.Mutex
	following, ctx := errgroup.WithContext(ctx)
	for _, s := range services {
		if workload != "" && s.Spec.Labels[spec.LabelService] != workload {
			continue
		}
		w := &lineWriter{emit: func(text []byte) error {
			mu.Lock()
			defer mu.Unlock()
			for _, line := range lines(s.Spec.Name, text, o) {
				if err := emit(line); err != nil {
					return err
				}
			}
			return nil
		}}
		following.Go(func() error {
			return m.Logs(ctx, s.ID, engine.LogOptions{Follow: true, Since: since, Timestamps: true}, w, w)
		})
	}
	return following.Wait()
}

// lineWriter passes whole lines on.
type lineWriter struct {
	rest []byte
	emit func([]byte) error
}

func (w *lineWriter) Write(p []byte) (int, error) {
	w.rest = append(w.rest, p...)
	if end := bytes.LastIndexByte(w.rest, '\n'); end >= 0 {
		text := w.rest[:end+1]
		w.rest = bytes.Clone(w.rest[end+1:])
		if err := w.emit(text); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

// lines are the lines of an output with times that are within the options.
func lines(replica string, output []byte, o logs.Options) (all []logs.Line) {
	for text := range bytes.Lines(output) {
		stamp, rest, _ := bytes.Cut(bytes.TrimRight(text, "\r\n"), []byte(" "))
		at, err := time.Parse(time.RFC3339Nano, string(stamp))
		line := logs.Line{At: at, Replica: replica, Text: string(rest)}
		if err != nil || !o.Until.IsZero() && at.After(o.Until) || !o.Filter.Selects(line.Text) {
			continue
		}
		all = append(all, line)
	}
	return all
}
