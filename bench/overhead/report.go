package main

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"slices"
	"strings"
	"text/template"
	"time"

	"github.com/docker/docker/client"

	"github.com/tendhq/tend/bench/document"
)

//go:embed report.md.tmpl
var reportText string

// report is all that was measured, and what the figures depend on.
type report struct {
	Date, Machine, Load string
	Rounds, Users       int
	Duration            time.Duration
	Rate                float64 // at which latency is measured

	plain, watched []result
}

func newReport(ctx context.Context, engine *client.Client, o options) (*report, error) {
	info, err := engine.Info(ctx)
	if err != nil {
		return nil, fmt.Errorf("no container engine answers: %w", err)
	}
	load, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return nil, err
	}
	return &report{
		Date: time.Now().Format(time.DateOnly), Load: strings.Fields(string(load))[0], Machine: document.Machine(info),
		Rounds: o.rounds, Users: users, Duration: o.duration,
	}, nil
}

func (r *report) add(plain, watched result) {
	r.plain, r.watched = append(r.plain, plain), append(r.watched, watched)
}

// row is one figure of both shops.
type row struct{ What, Plain, Watched, Costs, Promised, Verdict string }

// Rows are the table's.
func (r *report) Rows() []row {
	milliseconds := func(v float64) string { return fmt.Sprintf("%.1f ms", v) }
	// What only the watched shop has watches.
	own := func(of result) (ms float64) {
		for service := range r.plain[0].cpu {
			ms += of.cpu[service].Seconds() * 1000
		}
		return ms
	}
	watching := row{What: "CPU for a request: what watches", Watched: milliseconds(r.watching(own))}
	return []row{
		r.row("requests a second, as many as it can answer", func(of result) float64 { return of.throughput }, func(v float64) string { return fmt.Sprintf("%.0f", v) }, -1, 5),
		r.row(fmt.Sprintf("p50 at %.0f requests a second", r.Rate), func(of result) float64 { return of.p50.Seconds() * 1000 }, milliseconds, 1, 0),
		r.row(fmt.Sprintf("p99 at %.0f requests a second", r.Rate), func(of result) float64 { return of.p99.Seconds() * 1000 }, milliseconds, 1, 3),
		r.row("CPU for a request: the shop and its tend", own, milliseconds, 1, 0),
		watching,
	}
}

// watching returns the median of what a request costs beyond what the shop itself takes.
func (r *report) watching(own func(result) float64) float64 {
	var all []float64
	for _, of := range r.watched {
		total := 0.0
		for _, cpu := range of.cpu {
			total += cpu.Seconds() * 1000
		}
		all = append(all, total-own(of))
	}
	return median(all)
}

// row compares a figure. worse is 1 where more of it is worse, and -1 where less is; promised
// is what it may cost, in per cent, and 0 where nothing was promised.
func (r *report) row(what string, figure func(result) float64, format func(float64) string, worse, promised float64) row {
	var plain, watched, costs []float64
	for i := range r.plain {
		p, w := figure(r.plain[i]), figure(r.watched[i])
		plain, watched, costs = append(plain, p), append(watched, w), append(costs, worse*100*(w/p-1))
	}
	slices.Sort(costs)
	made := row{What: what, Plain: format(median(plain)), Watched: format(median(watched)),
		Costs: fmt.Sprintf("%.1f %% (%.1f – %.1f)", median(costs), costs[0], costs[len(costs)-1])}
	if promised > 0 {
		made.Promised, made.Verdict = fmt.Sprintf("< %.0f %%", promised), "NOT MET"
		if median(costs) < promised {
			made.Verdict = "met"
		}
	}
	return made
}

// median of an even number of values is the mean of the two in the middle.
func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

func (r *report) render() (string, error) {
	t, err := template.New("report").Parse(reportText)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	err = t.Execute(&b, r)
	return b.String(), err
}
