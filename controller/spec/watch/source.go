// Package watch keeps a project as it is on disk: it reads the project again whenever
// one of its files changes.
package watch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/controller/spec/load"
)

// settlePeriod is how long a change that takes something away, or that cannot be read,
// must last before it counts. A file that is being written looks like that for a
// moment.
const settlePeriod = 300 * time.Millisecond

// rewatchPeriod paces the tries to watch a folder after one failed.
const rewatchPeriod = 10 * time.Second

// Source keeps the desired state of a project as it is on disk.
type Source struct {
	options load.Options
	last    *spec.Project // the last valid one; nil before the first
	said    string        // the last error that was passed on, while it still stands
	inputs  *load.Inputs
	demands chan struct{} // calls of Reload
}

// Update is the desired state after a change on disk.
type Update struct {
	// Project is what to keep the project at: the last good one. It is nil
	// only as long as there has been none.
	Project *spec.Project
	// Err is why what is on disk now is not in force: Errors where a person can correct
	// it. It is nil when Project is what is on disk.
	Err error
	// Reloaded is true where Reload asked for it; then nothing may differ.
	Reloaded bool
}

// NewSource returns the source of a project.
func NewSource(o load.Options) *Source {
	return &Source{options: o, inputs: &load.Inputs{}, demands: make(chan struct{}, 1)}
}

// Reload has everything read again now, and passed on even where nothing differs.
func (s *Source) Reload() {
	select {
	case s.demands <- struct{}{}:
	default: // a reload is pending
	}
}

// Run loads the project, watches it, and passes updates to update, one at a time: first
// the project as it is, and then each change, or the same again after Reload. It
// returns nil when ctx ends.
func (s *Source) Run(ctx context.Context, update func(Update)) (err error) {
	w, err := newWatcher()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.close()) }()

	if in, err := load.Discover(s.options); err == nil {
		// A folder that is watched before it is read need not be read again.
		s.inputs = in
		_, _ = w.watch(in) // tried again below
	}
	settled, reloaded := true, false // the state at the start counts at once
	for {
		project, in, err := load.WithInputs(ctx, s.options)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			// A folder that could not be reached may hold the correction.
			maps.Copy(in.Files, s.inputs.Files)
			in.Specs = cmp.Or(in.Specs, s.inputs.Specs)
		}
		s.inputs = in
		added, watchErr := w.watch(in)
		switch {
		case watchErr != nil && s.last == nil:
			return watchErr
		case added:
			continue
		case watchErr != nil:
			err = watchErr
		case err == nil:
			err = s.guard(project)
		}
		again := time.Duration(0)
		switch {
		case !settled && s.doubtful(project, err):
			again = settlePeriod
		case watchErr != nil:
			again = rewatchPeriod
			fallthrough
		default:
			s.accept(project, err, reloaded, update)
		}
		what, err := w.wait(ctx, again, s.demands)
		if err != nil || what == ended {
			return err
		}
		settled, reloaded = what != changed, what == demanded
	}
}

// doubtful reports whether a state may be wrong only for a moment: an error not yet
// passed on, or something that is gone.
func (s *Source) doubtful(project *spec.Project, err error) bool {
	if err != nil {
		return err.Error() != s.said
	}
	if s.last == nil {
		return false
	}
	for name := range s.last.Workloads {
		if project.Workloads[name] == nil {
			return true
		}
	}
	specs := map[string]bool{}
	for _, name := range project.Specs {
		specs[name] = true
	}
	return slices.ContainsFunc(s.last.Specs, func(name string) bool { return !specs[name] })
}

// accept passes on the result of a load, unless it was passed on before and nobody has
// asked for it.
func (s *Source) accept(project *spec.Project, err error, reloaded bool, update func(Update)) {
	said := ""
	if err != nil {
		said, project = err.Error(), s.last
	}
	first := s.last == nil && s.said == ""
	if reflect.DeepEqual(project, s.last) {
		project = s.last
	}
	if !first && !reloaded && said == s.said && project == s.last {
		return
	}
	s.last, s.said = project, said
	update(Update{Project: project, Err: err, Reloaded: reloaded})
}

// guard refuses a project that is valid, and yet most likely an accident that would
// stop what runs.
func (s *Source) guard(project *spec.Project) error {
	if s.last == nil {
		return nil
	}
	if project.Name != s.last.Name || project.WorkingDir != s.last.WorkingDir || project.ConfigFiles[0] != s.last.ConfigFiles[0] {
		return spec.Errors{{
			File: s.last.ConfigFiles[0],
			Message: fmt.Sprintf("this was project %q, but is now %q of %s; what runs is kept as it is",
				s.last.Name, project.Name, project.ConfigFiles[0]),
			Hint: "undo that, or restart tend to accept it",
		}}
	}
	if len(project.Specs) == 0 && len(s.last.Specs) > 0 {
		return spec.Errors{{
			File: s.inputs.Specs,
			Message: fmt.Sprintf("all spec files are gone or empty, and %d specs were in force; they stay in force",
				len(s.last.Specs)),
			Hint: "put a spec back, or restart tend to do without",
		}}
	}
	if gone := s.gone(project); len(gone) > 0 {
		return spec.Errors{{
			File: project.ConfigFiles[0],
			Message: fmt.Sprintf("%d of %d services are gone at once, which would take them down: %s; they stay in force",
				len(gone), len(s.last.Workloads), strings.Join(gone, ", ")),
			Hint: "put them back, take them out one after the other, or restart tend to accept it",
		}}
	}
	return nil
}

// gone names the services in force that the project has lost, where it has lost so many
// at once that it is hardly meant: all of them, or two or more that are more than half.
func (s *Source) gone(project *spec.Project) []string {
	written := slices.Concat(slices.Collect(maps.Keys(project.Workloads)), project.Unmanaged, project.Disabled)
	var gone []string
	for _, name := range slices.Sorted(maps.Keys(s.last.Workloads)) {
		if !slices.Contains(written, name) {
			gone = append(gone, name)
		}
	}
	if len(written) > 0 && (len(gone) < 2 || 2*len(gone) <= len(s.last.Workloads)) {
		return nil
	}
	return gone
}
