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
	"github.com/tendhq/tend/e2e/cases"
)

//go:embed report.md.tmpl
var reportText string

// report is what all cases came to, and what the figures depend on.
type report struct {
	Date, Machine, Engine string
	// Load is the machine's load average over 15 minutes, at the end.
	Load                  string
	Requests, Concurrency int
	Writes, Fresh         float64
	Results               []cases.Result
}

func newReport(ctx context.Context, engine *client.Client, o options) (report, error) {
	info, err := engine.Info(ctx)
	if err != nil {
		return report{}, fmt.Errorf("no container engine answers: %w", err)
	}
	return report{
		Date:     time.Now().Format(time.DateOnly),
		Machine:  document.Machine(info),
		Engine:   "Docker Engine " + info.ServerVersion,
		Requests: o.requests, Concurrency: o.load.Concurrency, Writes: o.load.Writes, Fresh: o.load.Fresh,
	}, nil
}

// Total is the number of requests, of failed ones, of writes looked up and of
// wrong ones, over all cases.
func (r report) Total() (t struct{ Requests, Failed, Writes, Wrong int }) {
	for _, result := range r.Results {
		t.Requests += result.Report.Requests
		t.Failed += len(result.Report.Failures)
		t.Writes += result.Report.Ledger.Acknowledged
		t.Wrong += len(result.Report.Ledger.Wrong)
	}
	return t
}

// Shopping reports whether some load was of customers who shop.
func (r report) Shopping() bool {
	return slices.ContainsFunc(r.Results, func(of cases.Result) bool { return of.Case.Shopping })
}

// ShoppingWrites is the share of their requests that write.
func (r report) ShoppingWrites() float64 { return max(r.Writes, cases.ShoppingWrites) }

func (r report) render() (string, error) {
	functions := template.FuncMap{"percent": percent, "thousands": document.Thousands, "duration": duration}
	average, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "", err
	}
	r.Load = strings.Fields(string(average))[2]
	text, err := template.New("report").Funcs(functions).Parse(reportText)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	err = text.Execute(&b, r)
	return b.String(), err
}

func percent(share float64) string { return fmt.Sprintf("%.0f %%", share*100) }

// duration writes a latency as people compare it.
func duration(d time.Duration) string {
	if d < time.Second {
		return fmt.Sprintf("%d ms", d.Milliseconds())
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}
