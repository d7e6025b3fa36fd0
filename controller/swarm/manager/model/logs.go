package model

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/tendhq/tend/controller/engine"
)

// Logs writes the output of a service's tasks.
func (s *Swarm) Logs(ctx context.Context, service string, o engine.LogOptions, stdout, _ io.Writer) error {
	err := s.do(ctx, OpLogs, service, func() error {
		if s.services[service] == nil {
			return failure(engine.NotFound, "service %s not found", service)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return s.write(ctx, o, stdout, func(t *task) bool { return t.ServiceID == service }, false)
}

// TaskLogs writes the output of a task.
func (s *Swarm) TaskLogs(ctx context.Context, id string, o engine.LogOptions, stdout, _ io.Writer) error {
	of := func(t *task) bool { return t.ID == id }
	err := s.do(ctx, OpTaskLogs, id, func() error {
		for _, t := range s.tasks {
			if of(t) {
				return nil
			}
		}
		return failure(engine.NotFound, "task %s not found", id)
	})
	if err != nil {
		return err
	}
	return s.write(ctx, o, stdout, of, true)
}

// write writes the output of tasks and, where it is followed, what comes after it.
func (s *Swarm) write(ctx context.Context, o engine.LogOptions, stdout io.Writer, of func(*task) bool, one bool) error {
	written := map[string]int{}
	first := true
	for {
		text, more, open := s.unwritten(o, of, written, first)
		first = false
		if _, err := io.WriteString(stdout, text); err != nil {
			return &engine.Error{Op: string(OpLogs), Class: engine.Unknown, Err: err}
		}
		if !o.Follow || one && !open {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-more:
		}
	}
}

// unwritten is the output that was not written yet, a channel that is closed when there is
// more, and whether a task may still write any.
func (s *Swarm) unwritten(o engine.LogOptions, of func(*task) bool, written map[string]int, first bool) (text string, more <-chan struct{}, open bool) {
	s.agenda.Lock()
	defer s.agenda.Unlock()
	for _, t := range s.tasks {
		if !of(t) {
			continue
		}
		open = open || !t.ended()
		from := written[t.ID]
		if first && o.Tail > 0 {
			from = max(0, len(t.log)-o.Tail)
		}
		for _, l := range t.log[from:] {
			if l.at.Before(o.Since) {
				continue
			}
			if o.Timestamps {
				text += l.at.UTC().Format(time.RFC3339Nano) + " "
			}
			text += fmt.Sprintln(l.text)
		}
		written[t.ID] = len(t.log)
	}
	return text, s.logged, open
}
