// Package recorder is a flight recorder: it writes down plans and all that they
// depended on, in files of the data directory that are bounded in size, for tend replay
// to compute them again.
package recorder

import (
	"bufio"
	"cmp"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"reflect"
	"slices"
	"time"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/plan"
	"github.com/tendhq/tend/controller/spec"
)

// format is the version of what is written.
const format = 1

// header is the first line of a recording.
type header struct {
	Format int
}

// Record is one plan and all that it depended on, without what may be secret.
type Record struct {
	Input plan.Input
	Plan  plan.Plan
}

// line is a Record as it is written. The time stands alone, so that two inputs that
// differ only in time are the same bytes.
type line struct {
	At    time.Time
	Input json.RawMessage
	Plan  plan.Plan
}

// newLine returns the line of a record.
func newLine(r Record) (line, error) {
	in := redact(r.Input)
	in.Now = time.Time{}
	content, err := json.Marshal(in)
	return line{At: r.Input.Now, Input: content, Plan: r.Plan}, err
}

// record returns the record of a line.
func (l line) record() (Record, error) {
	r := Record{Plan: l.Plan}
	err := json.Unmarshal(l.Input, &r.Input)
	r.Input.Now = l.At
	return r, err
}

// redact removes from an input what the planner does not read, which is all that may be
// secret: environments, commands, and the passwords of probes.
func redact(in plan.Input) plan.Input {
	in.Spec = redactSpec(in.Spec)
	history := map[string]*spec.Workload{}
	for revision, w := range in.History {
		history[revision] = redactSpec(w)
	}
	in.History = history
	return in
}

func redactSpec(w *spec.Workload) *spec.Workload {
	if w == nil {
		return nil
	}
	c := *w
	c.Template, c.Probes = types.ServiceConfig{}, spec.Probes{}
	c.PreRollout = slices.Clone(w.PreRollout)
	for i := range c.PreRollout {
		c.PreRollout[i].Command = nil
	}
	return &c
}

// Decision is the part of a plan that is decided, without the words for it and without
// what follows from the input alone.
type Decision struct {
	// Actions have no causes. Endpoints are the IDs of the published replicas.
	Actions   []core.Action
	Endpoints []string
	// The rest is of the rollout record.
	Revision, Stable, Failed string
	Complete                 bool
}

// Decide is the decision of a plan.
func Decide(p plan.Plan) Decision {
	d := Decision{Revision: p.Rollout.Revision, Stable: p.Rollout.Stable, Failed: p.Rollout.Failed, Complete: p.Rollout.Complete}
	for _, a := range p.Actions {
		a.Cause, a.Spec, a.Command = "", nil, nil
		if a.Kind == core.CreateReplica {
			a.Object = "" // its number tells
		}
		d.Actions = append(d.Actions, a)
	}
	for _, e := range p.Endpoints {
		d.Endpoints = append(d.Endpoints, e.ID)
	}
	return d
}

// Read reads a recording. It reads one that was cut off, as by a crash, to where it
// ends. The error is about a file that is not a recording.
func Read(r io.Reader) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		zip, err := gzip.NewReader(r)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return
		}
		if err != nil {
			yield(Record{}, fmt.Errorf("it is no recording: %w", err))
			return
		}
		lines := json.NewDecoder(bufio.NewReader(zip))
		var h header
		if err := lines.Decode(&h); err != nil && !cut(err) || err == nil && h.Format != format {
			yield(Record{}, cmp.Or(err, fmt.Errorf("it is of format %d, this tend reads %d", h.Format, format)))
			return
		}
		for {
			var l line
			if err := lines.Decode(&l); err != nil {
				if !cut(err) {
					yield(Record{}, err)
				}
				return
			}
			if rec, err := l.record(); !yield(rec, err) || err != nil {
				return
			}
		}
	}
}

// cut reports whether an error is the end of a recording, complete or not.
func cut(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }

// Writer writes a recording.
type Writer struct {
	zip *gzip.Writer
	out *json.Encoder
}

// NewWriter begins a recording.
func NewWriter(w io.Writer) (*Writer, error) {
	// In a rollout of many replicas the default level would take a fifth of tend's
	// time.
	zip, err := gzip.NewWriterLevel(w, gzip.BestSpeed)
	if err != nil {
		return nil, err
	}
	out := json.NewEncoder(zip)
	return &Writer{zip: zip, out: out}, out.Encode(header{Format: format})
}

// Write adds a plan.
func (w *Writer) Write(r Record) error {
	l, err := newLine(r)
	if err != nil {
		return err
	}
	return w.out.Encode(l)
}

// Flush writes to the file what is buffered.
func (w *Writer) Flush() error { return w.zip.Flush() }

// Close ends the recording.
func (w *Writer) Close() error { return w.zip.Close() }

// Difference is a plan that is decided otherwise now.
type Difference struct {
	At       time.Time
	Workload string
	// Recorded is the plan of then, Now the plan of today's planner.
	Recorded, Now plan.Plan
}

// Replay computes a recorded plan again; ok is false where the decision is the same.
func Replay(r Record) (d Difference, ok bool) {
	now := plan.Compute(r.Input)
	return Difference{At: r.Input.Now, Workload: r.Input.Workload, Recorded: r.Plan, Now: now}, !same(Decide(r.Plan), Decide(now))
}

// same compares two decisions, also where an empty list is nil in only one of them.
func same(a, b Decision) bool {
	return slices.EqualFunc(a.Actions, b.Actions, func(a, b core.Action) bool { return reflect.DeepEqual(a, b) }) && slices.Equal(a.Endpoints, b.Endpoints) &&
		a.Revision == b.Revision && a.Stable == b.Stable && a.Failed == b.Failed && a.Complete == b.Complete
}
