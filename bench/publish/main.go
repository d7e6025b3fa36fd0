// Publish changes and breaks a project of a plain Compose file, one service with one
// published port, while clients of four kinds use that port, and reports how many of
// their requests failed. It exits 1 when one did that must not.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/docker/docker/client"

	"github.com/tendhq/tend/bench/document"
	"github.com/tendhq/tend/e2e/kit"
)

type options struct {
	// requests is how many each kind of client makes in each case at least.
	requests           int
	repository, output string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintf(os.Stderr, "publish: %v\n", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context) (err error) {
	var o options
	flag.IntVar(&o.requests, "requests", 100_000, "`requests` that each kind of client makes in each case")
	flag.StringVar(&o.repository, "repository", "..", "the `folder` whose programs have been built")
	flag.StringVar(&o.output, "output", "", "the `document` whose section on published ports is to be replaced")
	flag.Parse()
	chosen := cases
	if names := flag.Args(); len(names) > 0 {
		chosen = slices.DeleteFunc(slices.Clone(cases), func(c testCase) bool { return !slices.Contains(names, c.name) })
	}
	if o.repository, err = filepath.Abs(o.repository); err != nil {
		return err
	}
	engine, err := client.NewClientWithOpts(client.FromEnv, client.WithAPIVersionNegotiation())
	if err != nil {
		return err
	}
	defer engine.Close()
	r, err := newReport(ctx, engine, o)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "tend-publish-")
	if err != nil {
		return err
	}
	progress("what each project did is in %s", dir)
	remove, err := kit.ImportProbe(ctx, engine, o.repository, probeImage)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()
	for _, c := range chosen {
		row, err := c.run(ctx, engine, o, dir)
		r.Rows = append(r.Rows, row)
		progress("%s", row)
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
	}
	text, err := r.render()
	if err != nil {
		return err
	}
	fmt.Println(text)
	if o.output != "" {
		err = document.ReplaceSection(o.output, text)
	}
	return errors.Join(err, r.failure())
}

func progress(format string, arguments ...any) {
	fmt.Printf("%s %s\n", time.Now().Format(time.TimeOnly), fmt.Sprintf(format, arguments...))
}
