package main

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"text/template"
	"time"

	"github.com/tendhq/tend/bench/document"
)

// The names of the contenders in the report.
const (
	bareName    = "bare engine calls"
	tendName    = "tend"
	composeName = "docker compose"
	swarmName   = "docker swarm, start-first"
)

//go:embed report.md.tmpl
var reportText string

// report is what a suite has measured.
type report struct {
	Suite    string
	Rounds   int
	Facts    facts
	Measures []measure
	Requests []requestCount
	Idle     idle
	Targets  []target
	Floors   []floor
	Loads    []loaded
	Scales   []scaled
	// InPlace is how many of the killed replicas tend started again in place.
	InPlace, Kills int
}

// measure is one kind of work.
type measure struct {
	Name   string
	Series []series
}

// series is how long one contender took, each time.
type series struct {
	Name  string
	Times []time.Duration
}

// Median and Range are as shown in the tables.
func (s series) Median() string { return duration(summarize(s.Times).median) }

// Range is from the least to the most.
func (s series) Range() string {
	r := summarize(s.Times)
	return duration(r.min) + " – " + duration(r.max)
}

// LoadRate, LoadUsers and Patience are those of the suite load.
func (*report) LoadRate() int  { return loadRate }
func (*report) LoadUsers() int { return loadUsers }
func (*report) Patience() int  { return patience }

// column is one of the columns in the table of requests.
type column int

const (
	tendScales column = iota
	composeScales
	tendNoop
	composeNoop
	columns
)

// requestCount is how often the engine was asked for something.
type requestCount struct {
	Kind  string
	Times [columns]int
}

// idle is what a controller took that had nothing to do.
type idle struct {
	For            time.Duration
	Requests       int
	CPU            float64 // per cent of one core
	Resident, Peak int64   // bytes
}

// floor is the fewest replicas that ran during the rollouts of one contender.
type floor struct {
	Name    string
	Running int
}

// target is a figure that was promised, and the one that was measured.
type target struct {
	Name, Promised, Measured string
	Met                      bool
}

// Verdict is the last column.
func (t target) Verdict() string {
	if t.Met {
		return "met"
	}
	return "NOT MET"
}

func (r *report) ratio(name string, of, by []time.Duration, limit float64) {
	s := summarize(ratios(of, by))
	r.Targets = append(r.Targets, target{
		Name: name, Promised: fmt.Sprintf("≤ %.2f ×", limit),
		Measured: fmt.Sprintf("%.2f × (%.2f – %.2f)", s.median, s.min, s.max),
		Met:      s.median <= limit,
	})
}

func (r *report) below(name string, measured, limit time.Duration) {
	r.Targets = append(r.Targets, target{
		Name: name, Promised: "< " + duration(limit), Measured: duration(measured), Met: measured < limit,
	})
}

// exactly adds a target that is a number.
func (r *report) exactly(name string, measured, promised int) {
	r.Targets = append(r.Targets, target{
		Name: name, Promised: fmt.Sprint(promised), Measured: fmt.Sprint(measured), Met: measured == promised,
	})
}

// count counts one request.
func (r *report) count(c column, kind string) {
	i, found := slices.BinarySearchFunc(r.Requests, kind, func(a requestCount, kind string) int {
		return strings.Compare(a.Kind, kind)
	})
	if !found {
		r.Requests = slices.Insert(r.Requests, i, requestCount{Kind: kind})
	}
	r.Requests[i].Times[c]++
}

const mebibyte = 1 << 20

// idle adds the targets of an idle controller.
func (r *report) idle() {
	i := r.Idle
	resident := float64(i.Resident) / mebibyte
	r.Targets = append(r.Targets,
		target{
			Name: fmt.Sprintf("idle for %s, engine requests besides the event stream", i.For), Promised: "0",
			Measured: fmt.Sprint(i.Requests), Met: i.Requests == 0,
		},
		target{Name: "idle, of one core", Promised: "< 1 %", Measured: fmt.Sprintf("%.2f %%", i.CPU), Met: i.CPU < 1},
		target{
			Name: "idle, resident memory", Promised: "< 40 MiB",
			Measured: fmt.Sprintf("%.1f MiB (peak %.1f)", resident, float64(i.Peak)/mebibyte), Met: resident < 40,
		})
}

// print writes the tables for a terminal.
func (r *report) print(out io.Writer) {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	defer t.Flush()
	fmt.Fprintln(t)
	for _, m := range r.Measures {
		fmt.Fprintf(t, "%s\tmedian\tleast – most\ttimes\n", m.Name)
		for _, s := range m.Series {
			fmt.Fprintf(t, "  %s\t%s\t%s\t%d\n", s.Name, s.Median(), s.Range(), len(s.Times))
		}
	}
	for _, f := range r.Floors {
		fmt.Fprintf(t, "fewest running meanwhile, %s\t%d\n", f.Name, f.Running)
	}
	for _, l := range r.Loads {
		fmt.Fprintf(t, "%s\trequests\tfailed\tp50\tp99.9\tmost\twrites wrong\n", l.Name)
		for _, row := range l.Rows {
			fmt.Fprintf(t, "  %s\t%d\t%d (%s)\t%s\t%s\t%s\t%d of %d\n", row.Name, row.Requests, row.Failed, row.FailedShare(),
				row.P50(), row.P999(), row.Max(), row.Wrong, row.Acknowledged)
		}
	}
	for _, s := range r.Scales {
		fmt.Fprintf(t, "%d workloads, %d replicas\tread %.0f ms\tknown after %.0f ms\tdeath planned p50 %.2f ms\tp99 %.2f ms\tacted p50 %.2f ms\tp99 %.2f ms\t%.1f plans\t%.0f MiB held\t%.0f MiB resident\n",
			s.Workloads, s.Replicas, s.Load, s.Know, s.PlannedP50, s.PlannedP99, s.ActedP50, s.ActedP99, s.Plans, s.Controller, s.Resident)
	}
	fmt.Fprintf(t, "engine requests\ttend, %d → %d\tcompose, %d → %d\ttend, nothing to do\tcompose, nothing to do\n", few, many, few, many)
	for _, c := range r.Requests {
		fmt.Fprintf(t, "  %s", c.Kind)
		for _, n := range c.Times {
			fmt.Fprintf(t, "\t%d", n)
		}
		fmt.Fprintln(t)
	}
	fmt.Fprintln(t, "target\tpromised\tmeasured\t")
	for _, g := range r.Targets {
		fmt.Fprintf(t, "  %s\t%s\t%s\t%s\n", g.Name, g.Promised, g.Measured, g.Verdict())
	}
}

// save writes what was measured to a folder, for a page to be made from.
func (r *report) save(dir string) error {
	content, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, r.Suite+".json"), append(content, '\n'), 0o644)
}

// page is what all suites have measured, each at its own time.
type page struct {
	report
	Suites []report
}

// readResults puts together what the suites have saved.
func readResults(dir string) (p page, err error) {
	for _, s := range suites {
		content, err := os.ReadFile(filepath.Join(dir, s.name+".json"))
		if errors.Is(err, os.ErrNotExist) {
			return page{}, fmt.Errorf("the report needs every suite, and %s was never measured: %w", s.name, err)
		}
		if err != nil {
			return page{}, err
		}
		var r report
		if err := json.Unmarshal(content, &r); err != nil {
			return page{}, fmt.Errorf("%s: %w; measure it again", s.name, err)
		}
		p.Suites = append(p.Suites, r)
		p.Facts = r.Facts
		p.Measures = append(p.Measures, r.Measures...)
		p.Requests = append(p.Requests, r.Requests...)
		p.Targets = append(p.Targets, r.Targets...)
		p.Floors = append(p.Floors, r.Floors...)
		p.Loads = append(p.Loads, r.Loads...)
		p.Scales = append(p.Scales, r.Scales...)
		p.InPlace, p.Kills = p.InPlace+r.InPlace, p.Kills+r.Kills
	}
	return p, nil
}

// kept are the headings of the sections that are not made from the suites: that of
// bench/ingress is written by hand, and bench/view, bench/overhead and bench/logs write their own.
var kept = []string{"## A published port", "## What people see", "## What it costs to be watched", "## A gigabyte of logs"}

// write writes the page, and leaves in it the sections that it does not make.
func (p page) write(file string) error {
	var sections []string
	for _, heading := range kept {
		section, err := document.Section(file, heading)
		if err != nil {
			return err
		}
		sections = append(sections, section)
	}
	text, err := template.New("report").Parse(reportText)
	if err != nil {
		return err
	}
	var content bytes.Buffer
	if err := text.Execute(&content, &p); err != nil {
		return err
	}
	if err := os.WriteFile(file, content.Bytes(), 0o644); err != nil {
		return err
	}
	for _, section := range sections {
		if section == "" {
			continue
		}
		if err := document.ReplaceSection(file, section); err != nil {
			return err
		}
	}
	return nil
}
