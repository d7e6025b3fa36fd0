// View measures what people and their programs see of a project: how soon a change at the
// engine is on the screen, in tend watch and in the page, what looking costs, and what the
// API can bear. The project is kept by the controller on an engine in memory. It prints
// what it measured and judges nothing.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/tendhq/tend/bench/document"
)

type options struct {
	// tend is the program.
	tend string
	// duration is how long each measurement takes.
	duration time.Duration
	only     string
	output   string
}

func main() {
	if len(os.Args) == 4 && os.Args[1] == hostArgument {
		if err := host(os.Args[2], os.Args[3], os.Stdin, os.Stdout); err != nil {
			fmt.Fprintf(os.Stderr, "view: the controller: %v\n", err)
			os.Exit(1)
		}
		return
	}
	var o options
	flag.StringVar(&o.tend, "tend", "../build/bin/tend", "the `executable` of tend")
	flag.DurationVar(&o.duration, "duration", 8*time.Second, "how long each measurement takes")
	flag.StringVar(&o.only, "only", "", "measure one `kind` alone, and write no document: "+strings.Join(kindNames(), ", "))
	flag.StringVar(&o.output, "output", "../docs/benchmarks.md", "the `document` whose section on what people see is to be replaced")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintf(os.Stderr, "view: %v\n", err)
		stop()
		os.Exit(1)
	}
}

// kinds are what is measured, each with a controller of its own.
var kinds = []struct {
	name    string
	project size
	measure func(context.Context, options, *kept) ([]row, error)
}{
	{"watch", small, measureWatch},
	{"page", small, measurePage},
	{"screen", large, measureScreen},
	{"get", small, measureGet},
	{"lists", small, measureLists},
	{"streams", small, measureStreams},
	{"idle", small, measureIdle},
}

func kindNames() (names []string) {
	for _, k := range kinds {
		names = append(names, k.name)
	}
	return names
}

func run(ctx context.Context, o options) (err error) {
	if o.only != "" && !slices.Contains(kindNames(), o.only) {
		return fmt.Errorf("-only must be one of %s", strings.Join(kindNames(), ", "))
	}
	if o.tend, err = filepath.Abs(o.tend); err != nil {
		return err
	}
	r, err := newReport(o)
	if err != nil {
		return err
	}
	for _, k := range kinds {
		if o.only != "" && k.name != o.only {
			continue
		}
		rows, err := measureWith(ctx, o, k.project, k.measure)
		if err != nil {
			return fmt.Errorf("%s: %w", k.name, err)
		}
		for _, row := range rows {
			fmt.Printf("%s %s | %s | %s | %s\n", time.Now().Format(time.TimeOnly), row.What, row.Details, row.Target, row.Seen)
		}
		r.Rows = append(r.Rows, rows...)
	}
	if o.only != "" {
		return nil
	}
	text, err := r.render()
	if err != nil {
		return err
	}
	return document.ReplaceSection(o.output, text)
}

func measureWith(ctx context.Context, o options, s size, measure func(context.Context, options, *kept) ([]row, error)) (rows []row, err error) {
	c, err := startController(ctx, s)
	if err != nil {
		return nil, err
	}
	defer c.stop()
	return measure(ctx, o, c)
}
