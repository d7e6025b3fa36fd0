package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strings"
	"text/template"
	"time"

	"github.com/docker/docker/client"

	"github.com/tendhq/tend/bench/document"
)

//go:embed report.md.tmpl
var reportText string

// report is what all cases came to, and what the figures depend on.
type report struct {
	Date, Machine, Engine string
	Requests              int
	Rows                  []row
}

func newReport(ctx context.Context, engine *client.Client, o options) (report, error) {
	info, err := engine.Info(ctx)
	if err != nil {
		return report{}, fmt.Errorf("no container engine answers: %w", err)
	}
	return report{
		Date:    time.Now().Format(time.DateOnly),
		Machine: document.Machine(info),
		Engine:  "Docker Engine " + info.ServerVersion, Requests: o.requests,
	}, nil
}

func (r report) render() (string, error) {
	var b strings.Builder
	cell := func(r row, kind string) string {
		t := r.Counts[kind]
		text := fmt.Sprintf("%s, %d failed", document.Thousands(int(t.Requests.Load())), t.Failed.Load())
		if cut := t.Cut.Load(); cut > 0 {
			text += fmt.Sprintf(", %d cut", cut)
		}
		return text
	}
	t, err := template.New("report").Funcs(template.FuncMap{"thousands": document.Thousands, "cell": cell, "title": func(r row) string { return r.Case.title }}).Parse(reportText)
	if err != nil {
		return "", err
	}
	err = t.Execute(&b, struct {
		report
		Kinds []kind
	}{r, kinds})
	return b.String(), err
}

// failure names the cases in which a request failed that must not.
func (r report) failure() (err error) {
	for _, row := range r.Rows {
		for _, k := range kinds {
			t := row.Counts[k.name]
			if !row.Case.costs && (t.Failed.Load() > 0 || t.Cut.Load() > 0 && !row.Case.cuts) {
				err = errors.Join(err, fmt.Errorf("%s: %s: %d failed, %d cut: %v", row.Case.title, k.name, t.Failed.Load(), t.Cut.Load(), t.first.Load()))
			}
		}
	}
	return err
}

// Name is the kind's, in the report.
func (k kind) Name() string { return k.name }
