// Cases disturbs a copy of the shop in every way that must not lose a request,
// each under load until enough requests have been answered, and reports what
// came of it. It exits 1 when a request failed, when a write is not there exactly
// once, or when the shop did not deal with a disturbance as it should.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/docker/docker/client"

	"github.com/tendhq/tend/bench/document"
	"github.com/tendhq/tend/e2e/cases"
	"github.com/tendhq/tend/e2e/load"
)

// project is the name of the copy.
const project = "tend-cases"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintf(os.Stderr, "cases: %v\n", err)
		stop()
		os.Exit(1)
	}
}

type options struct {
	repository, output string
	requests           int
	load               load.Config
}

func run(ctx context.Context) error {
	var o options
	flag.IntVar(&o.requests, "n", 100_000, "put at least this many `requests` to each case")
	flag.IntVar(&o.load.Concurrency, "c", 16, "requests in flight at most")
	flag.Float64Var(&o.load.Writes, "writes", 0.03, "the `share` of requests that write")
	flag.Float64Var(&o.load.Fresh, "fresh", 0.1, "the `share` of requests on a new connection")
	flag.StringVar(&o.repository, "repository", "..", "the shop's repository, whose images have been built")
	flag.StringVar(&o.output, "output", "", "the `document` whose section on load is to be replaced")
	list := flag.Bool("list", false, "list the cases and exit")
	flag.Parse()
	chosen, err := cases.Named(flag.Args()...)
	if err != nil {
		return err
	}
	if *list {
		for _, c := range chosen {
			fmt.Printf("%-24s %s\n", c.Name, c.Title)
		}
		return nil
	}
	if o.repository, err = filepath.Abs(o.repository); err != nil {
		return err
	}
	engine, err := client.NewClientWithOpts(client.FromEnv, client.WithAPIVersionNegotiation())
	if err != nil {
		return err
	}
	defer engine.Close()
	report, err := runAll(ctx, engine, o, chosen)
	if len(report.Results) > 0 {
		text, renderErr := report.render()
		fmt.Println(text)
		err = errors.Join(err, renderErr)
		if o.output != "" && renderErr == nil {
			err = errors.Join(err, document.ReplaceSection(o.output, text))
		}
	}
	return err
}

// runAll brings up the copy, runs the cases and removes the copy. The report
// holds what was done, also with an error.
func runAll(ctx context.Context, engine *client.Client, o options, chosen []cases.Case) (r report, err error) {
	if r, err = newReport(ctx, engine, o); err != nil {
		return r, err
	}
	var profiles []string
	for _, c := range chosen {
		if c.Profile != "" {
			profiles = append(profiles, c.Profile)
		}
	}
	progress("bringing up a copy of the shop, as project %s", project)
	shop, err := cases.Start(ctx, engine, o.repository, filepath.Join(o.repository, "build", "bin", "tend"), project, profiles...)
	defer func() {
		progress("removing the copy")
		err = errors.Join(err, shop.Remove(ctx))
	}()
	if err != nil {
		return r, err
	}
	var failed []string
	for i, c := range chosen {
		progress("case %d of %d: %s", i+1, len(chosen), c.Title)
		result := shop.Run(ctx, c, o.load, o.requests, func(line string) { progress("%s", line) })
		r.Results = append(r.Results, result)
		if result.Report.Requests > 0 {
			fmt.Print(result.Report)
		}
		if result.Err != nil {
			progress("%s FAILED: %v", c.Name, result.Err)
			failed = append(failed, c.Name)
		}
		if ctx.Err() != nil {
			return r, context.Cause(ctx)
		}
	}
	if len(failed) > 0 {
		return r, fmt.Errorf("%d of %d cases failed: %s", len(failed), len(chosen), strings.Join(failed, ", "))
	}
	return r, nil
}

func progress(format string, arguments ...any) {
	fmt.Printf("%s %s\n", time.Now().Format(time.TimeOnly), fmt.Sprintf(format, arguments...))
}
