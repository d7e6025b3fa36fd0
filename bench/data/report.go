package main

import (
	"context"
	_ "embed"
	"errors"
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

// report is what all trials came to, and what the figures depend on.
type report struct {
	Date, Machine, Engine string
	Seed                  uint64
	Duration              time.Duration
	Load                  string
	Trials                []trial
}

func newReport(ctx context.Context, engine *client.Client, o options) (report, error) {
	info, err := engine.Info(ctx)
	if err != nil {
		return report{}, fmt.Errorf("no container engine answers: %w", err)
	}
	return report{
		Date:    time.Now().Format(time.DateOnly),
		Machine: document.Machine(info),
		Engine:  "Docker Engine " + info.ServerVersion, Seed: o.seed, Duration: o.duration,
	}, nil
}

// figures are what the copies under one peer came to.
type figures struct{ Changes, Acknowledged, Lost, Violations int }

func (f *figures) add(o outcome) {
	f.Changes += o.Changes
	f.Acknowledged += o.Acknowledged
	f.Lost += o.Lost
	f.Violations += len(o.Violations)
}

// row is what all trials of one kind of project came to.
type row struct {
	Title         string
	Trials        int
	Tend, Compose figures
}

func (r *row) add(t trial) {
	r.Trials++
	r.Tend.add(t.Tend)
	r.Compose.add(t.Compose)
}

// Rows are those of the kinds that were tried, and Total is their sum.
func (r report) Rows() (rows []row) {
	for _, k := range kinds() {
		sum := row{Title: k.Title}
		for _, t := range r.Trials {
			if t.Kind.Name == k.Name {
				sum.add(t)
			}
		}
		if sum.Trials > 0 {
			rows = append(rows, sum)
		}
	}
	return rows
}

// Total is the sum of all rows.
func (r report) Total() row {
	sum := row{Title: "all"}
	for _, t := range r.Trials {
		sum.add(t)
	}
	return sum
}

// seen is how often something was seen that must never be.
type seen struct {
	What          string
	Tend, Compose int
}

// Seen are the violations, counted by kind.
func (r report) Seen() (all []seen) {
	for _, what := range []string{twoOnOne, volumeGone, foreignHarm, takenDown, notBack, damaged, unreadable} {
		s := seen{What: what}
		for _, t := range r.Trials {
			s.Tend += count(t.Tend, what)
			s.Compose += count(t.Compose, what)
		}
		if s.Tend+s.Compose > 0 {
			all = append(all, s)
		}
	}
	return all
}

func count(o outcome, what string) (n int) {
	for _, v := range o.Violations {
		if v.What == what {
			n++
		}
	}
	return n
}

// Changes are the names of the changes that a trial makes.
func (r report) Changes() (names []string) {
	for _, c := range changes {
		names = append(names, c.name)
	}
	return names
}

// failure is what tend did that must not be, and what could not be tried.
func (r report) failure() error {
	var folders []string
	var errs []error
	for _, t := range r.Trials {
		if !t.Tend.sound() {
			folders = append(folders, t.Folder)
		}
		errs = append(errs, t.Tend.Err, t.Compose.Err)
	}
	if len(folders) > 0 {
		slices.Sort(folders)
		errs = append(errs, fmt.Errorf("seed %d: tend failed in %d of %d trials; their logs are in\n%s", r.Seed, len(folders), len(r.Trials), strings.Join(folders, "\n")))
	}
	return errors.Join(errs...)
}

func (r report) render() (string, error) {
	average, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "", err
	}
	r.Load = strings.Fields(string(average))[2]
	functions := template.FuncMap{"thousands": document.Thousands, "join": strings.Join}
	text, err := template.New("report").Funcs(functions).Parse(reportText)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	err = text.Execute(&b, r)
	return b.String(), err
}

// More is how many updates a trial has besides one of each change.
func (r report) More() int { return moreUpdates }

// Patience is how long a copy has to be as it is written.
func (r report) Patience() time.Duration { return patience }
