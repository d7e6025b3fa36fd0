package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/go-chi/chi/v5"
	"go.uber.org/zap"

	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/logs"
)

const (
	// defaultTail and maxTail bound how many lines of each replica are read.
	defaultTail = 100
	maxTail     = 10_000
	// logTimeout bounds how long the log lines that exist are read for one request.
	logTimeout = time.Minute
)

// parseLogQuery reads which lines are asked for.
func parseLogQuery(r *http.Request) (o logs.Options, err error) {
	values := r.URL.Query()
	o.Tail = defaultTail
	if tail := values.Get("tail"); tail != "" {
		n, err := strconv.ParseUint(tail, 10, 31)
		if err != nil || n < 1 || n > maxTail {
			return o, problem(http.StatusBadRequest, fmt.Sprintf("tail is a number of lines, from 1 to %d, and not %q", maxTail, tail))
		}
		o.Tail = int(n)
	}
	since := values.Get("since")
	if id := r.Header.Get("Last-Event-ID"); id != "" && wantsStream(r) {
		at, err := time.Parse(time.RFC3339Nano, id)
		if err != nil {
			return o, problem(http.StatusBadRequest, fmt.Sprintf("Last-Event-ID is the time of a line, and not %q", id))
		}
		o.Since = at.Add(time.Nanosecond)
		return o, nil
	}
	if since == "" {
		return o, nil
	}
	o.Since, err = parseSince(since)
	return o, err
}

// parseSince reads a time, or how long ago it was.
func parseSince(text string) (time.Time, error) {
	at, err := logs.ParseTime(text, time.Now())
	if err != nil {
		return at, problem(http.StatusBadRequest, "since is "+err.Error())
	}
	return at, nil
}

// logs sends the log lines of a workload's replicas, oldest first, or streams them and
// those that follow.
func (s *server) logs(w http.ResponseWriter, r *http.Request) {
	name := chi.URLParam(r, "name")
	snap := s.Store.Snapshot()
	if _, ok := snap.Workload(name); !ok && len(snap.Replicas(name)) == 0 {
		fail(w, noWorkload(snap, name))
		return
	}
	o, err := parseLogQuery(r)
	if err != nil {
		fail(w, err)
		return
	}
	release, ok := s.hold(w, r)
	if !ok {
		return
	}
	defer release()
	if wantsStream(r) {
		s.followLogs(w, r, name, o)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), logTimeout)
	defer cancel()
	list := &listWriter{w: w, rc: http.NewResponseController(w)}
	err = s.Controller.Logs(ctx, name, false, o, func(l logs.Line) error { return list.add(toLine(l)) })
	if err == nil {
		err = list.end()
	}
	if err != nil {
		if !list.begun {
			fail(w, engineProblem(err))
			return
		}
		panic(http.ErrAbortHandler) // so that half a list is not taken for a whole one
	}
}

// followLogs streams lines until the reader or the engine goes away.
func (s *server) followLogs(w http.ResponseWriter, r *http.Request, name string, o logs.Options) {
	ctx, cancel := context.WithCancel(r.Context())
	lines, ended := make(chan logs.Line), make(chan struct{})
	go func() {
		defer close(ended)
		err := s.Controller.Logs(ctx, name, true, o, func(l logs.Line) error {
			select {
			case lines <- l:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
		if err != nil && ctx.Err() == nil {
			s.Log.Warn("logs are not followed any more", zap.String("workload", name), zap.Error(err))
		}
	}()
	defer func() {
		cancel()
		<-ended
	}()
	out := newStream(w)
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		var err error
		select {
		case l := <-lines:
			if err = out.send(l.At.UTC().Format(time.RFC3339Nano), encode(toLine(l))); err == nil {
				err = out.flush()
			}
		case <-beat.C:
			err = out.beat()
		case <-ended:
			return
		}
		if err != nil {
			return
		}
	}
}

func toLine(l logs.Line) LogLine {
	return LogLine{Time: l.At.UTC(), Replica: l.Replica, Text: l.Text}
}

// engineProblem says why the engine did not do what was asked.
func engineProblem(err error) *Problem {
	switch engine.ClassOf(err) {
	case engine.NotFound:
		return problem(http.StatusNotFound, "it is gone: "+err.Error())
	case engine.Conflict:
		return problem(http.StatusConflict, err.Error())
	}
	return problem(http.StatusBadGateway, "the engine did not do it: "+err.Error())
}

// listWriter writes a List item by item, as it may be long.
type listWriter struct {
	w     http.ResponseWriter
	rc    *http.ResponseController
	begun bool
}

func (l *listWriter) add(item any) error {
	before := ","
	if !l.begun {
		before = l.head()
	}
	_ = l.rc.SetWriteDeadline(time.Now().Add(sendTimeout))
	_, err := l.w.Write(append([]byte(before), encode(item)...))
	return err
}

// head is what comes before the first item.
func (l *listWriter) head() string {
	l.begun = true
	l.w.Header().Set("Content-Type", "application/json")
	meta, err := json.Marshal(typeMeta(ListKind))
	if err != nil {
		panic(fmt.Sprintf("api: %v", err)) // a programming error
	}
	return string(meta[:len(meta)-1]) + `,"items":[`
}

func (l *listWriter) end() error {
	text := "]}\n"
	if !l.begun {
		text = l.head() + text
	}
	_, err := l.w.Write([]byte(text))
	return err
}
