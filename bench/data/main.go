// Data changes and breaks projects of plain Compose files, without specs, in
// every way that must not lose data, once under `tend run` and once with `docker
// compose up -d` after each change, and reports what came of it. It exits 1 when
// tend lost a row that was acknowledged, or did what must never be done to data.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/docker/docker/client"

	"github.com/tendhq/tend/bench/document"
)

type options struct {
	// duration is for how long trials begin; one that has begun is brought to its end.
	duration time.Duration
	// parallel is how many trials are under way at the same time.
	parallel           int
	seed               uint64
	repository, output string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintf(os.Stderr, "data: %v\n", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	var o options
	flag.DurationVar(&o.duration, "duration", 5*time.Minute, "begin trials for this `time`")
	flag.IntVar(&o.parallel, "parallel", 4, "`trials` at the same time, each of two projects")
	flag.Uint64Var(&o.seed, "seed", 0, "`seed` of the choice of changes (default: a random one)")
	flag.StringVar(&o.repository, "repository", "..", "the `folder` whose programs have been built")
	flag.StringVar(&o.output, "output", "", "the `document` whose section on data is to be replaced")
	flag.Parse()
	chosen, err := kindsNamed(flag.Args()...)
	if err != nil {
		return err
	}
	if o.duration <= 0 || o.parallel <= 0 {
		return errors.New("the duration and the number of trials must be more than 0")
	}
	for o.seed == 0 {
		o.seed = uint64(rand.Uint32())
	}
	if o.repository, err = filepath.Abs(o.repository); err != nil {
		return err
	}
	engine, err := client.NewClientWithOpts(client.FromEnv, client.WithAPIVersionNegotiation())
	if err != nil {
		return err
	}
	defer engine.Close()
	report, err := runTrials(ctx, engine, o, chosen)
	if len(report.Trials) == 0 {
		return err
	}
	text, renderErr := report.render()
	fmt.Println(text)
	if o.output != "" && renderErr == nil && err == nil {
		err = document.ReplaceSection(o.output, text)
	}
	return errors.Join(err, renderErr, report.failure())
}

func progress(format string, arguments ...any) {
	fmt.Printf("%s %s\n", time.Now().Format(time.TimeOnly), fmt.Sprintf(format, arguments...))
}
