package cli

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/plan"
	"github.com/tendhq/tend/controller/recorder"
)

func newReplay(f *flags) *cobra.Command {
	r := &replay{}
	c := &cobra.Command{
		Use:   "replay [FILE...]",
		Short: "Plan again what was recorded, and show what would be decided otherwise now; exit code 1 where something would",
		Long: `Plan again what was recorded, in the data directory or in files, and show what would be decided otherwise now.

It ends with 1 where something would.`,
		RunE: func(c *cobra.Command, files []string) error {
			if len(files) == 0 {
				project, err := f.load(c.Context())
				if err != nil {
					return err
				}
				if files, err = recorder.Files(f.data(project.WorkingDir)); err != nil {
					return err
				}
			}
			r.out = c.OutOrStdout()
			return r.files(files)
		},
	}
	c.Flags().StringVar(&r.workload, "workload", "", "only the plans of this workload")
	c.Flags().StringVar(&r.output, "output", "", "write the recording anew to this file, with what is decided now")
	return c
}

// replay plans recordings again.
type replay struct {
	workload, output string
	out              io.Writer
	written          *recorder.Writer // nil without output

	plans, different int
	workloads        map[string]bool
	first, last      time.Time
}

func (r *replay) files(paths []string) (err error) {
	r.workloads = map[string]bool{}
	if r.output != "" {
		file, err := os.OpenFile(r.output, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		if r.written, err = recorder.NewWriter(file); err != nil {
			return errors.Join(err, file.Close())
		}
		defer func() { err = errors.Join(err, r.written.Close(), file.Close()) }()
	}
	for _, path := range paths {
		if err := r.file(path); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	if r.plans == 0 {
		return errors.New("no plan was recorded there: name a recording, or a data directory in which tend run was at work")
	}
	fmt.Fprintf(r.out, "%d plans of %d workloads from %s to %s: %d would be decided otherwise now\n",
		r.plans, len(r.workloads), r.first.Format(time.DateTime), r.last.Format(time.DateTime), r.different)
	if r.different > 0 && r.written == nil {
		return &exitError{code: exitFailed}
	}
	return nil
}

func (r *replay) file(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	for rec, err := range recorder.Read(file) {
		if err != nil {
			return err
		}
		if r.workload != "" && rec.Input.Workload != r.workload {
			continue
		}
		if err := r.record(rec); err != nil {
			return err
		}
	}
	return nil
}

func (r *replay) record(rec recorder.Record) error {
	r.plans++
	r.workloads[rec.Input.Workload] = true
	if r.first.IsZero() {
		r.first = rec.Input.Now
	}
	r.last = rec.Input.Now
	d, differs := recorder.Replay(rec)
	if differs {
		r.different++
		r.show(d)
	}
	if r.written == nil {
		return nil
	}
	rec.Plan = d.Now
	return r.written.Write(rec)
}

// show prints a difference: the decisions that are gone, and those that are new.
func (r *replay) show(d recorder.Difference) {
	fmt.Fprintf(r.out, "%s %s\n", d.At.Format("2006-01-02 15:04:05.000"), d.Workload)
	before, now := decisions(d.Recorded), decisions(d.Now)
	tell := func(mark string, all, others []decision) {
		for _, one := range all {
			if !slices.ContainsFunc(others, func(other decision) bool { return other.what == one.what }) {
				fmt.Fprintf(r.out, "  %s %s%s\n", mark, one.what, one.why)
			}
		}
	}
	tell("-", before, now)
	tell("+", now, before)
}

// decision is one decision of a plan, in words. why does not count when two are
// compared.
type decision struct{ what, why string }

func decisions(p plan.Plan) (all []decision) {
	add := func(why, format string, args ...any) {
		all = append(all, decision{what: fmt.Sprintf(format, args...), why: why})
	}
	for i, a := range p.Actions {
		object := a.Object
		if a.Kind == core.CreateReplica {
			object = fmt.Sprintf("replica %d of revision %s", a.Number, short(a.Revision))
		}
		if a.Grace > 0 {
			object += fmt.Sprintf(" with a grace of %s", a.Grace)
		}
		add(": "+a.Cause, "action %d: %s %s", i+1, a.Kind, object)
	}
	d := recorder.Decide(p)
	add("", "rollout: revision %s, stable %s, failed %s, complete %t", named(d.Revision), named(d.Stable), named(d.Failed), d.Complete)
	for _, e := range p.Endpoints {
		add("", "endpoint: %s", e.Replica)
	}
	return all
}

func named(revision string) string { return cmp.Or(short(revision), "none") }
