// Command bench measures the same work done by tend and by its peers, in turns
// on one engine, and writes docs/benchmarks.md. It judges nothing but its own
// correctness: a target that is missed is reported, and the exit code stays 0.
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
	"strings"
	"syscall"
	"time"

	"github.com/docker/docker/client"

	"github.com/tendhq/tend/e2e/kit"
)

const (
	// few and many are the replica counts that the scaling goes between.
	few, many = 2, 30
	// maxRounds keeps the kills, four in a round of one project, from hitting a replica
	// a second time: tend would back off.
	maxRounds = many / 4
	// settle is the pause before each timed step, in which the engine ends what
	// the step before has left it to do.
	settle = 500 * time.Millisecond
	// stepTimeout bounds one step.
	stepTimeout = 10 * time.Minute
	// cleanUpTimeout bounds the removal of what the benchmark has made.
	cleanUpTimeout = 10 * time.Minute
)

// suites are the parts of the benchmark. Each makes what it needs.
var suites = []struct {
	name    string
	measure func(*bench, context.Context) error
}{
	{"converge", (*bench).converge},
	{"rollout", (*bench).rollout},
	{"repair", (*bench).repair},
	{"load", (*bench).load},
	{"scale", (*bench).scale},
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	var names []string
	for _, s := range suites {
		names = append(names, s.name)
	}
	rounds := flag.Int("rounds", 5, "how often to scale by each contender; what else is repeated follows from it")
	only := flag.String("only", "", "measure one `suite` anew, and take the others from before: "+strings.Join(names, ", "))
	timeout := flag.Duration("timeout", 50*time.Minute, "when to give up")
	output := flag.String("output", "../docs/benchmarks.md", "file to write the report to")
	results := flag.String("results", "results", "folder of what each suite has measured, from which the report is made")
	programs := flag.String("programs", "../build/bin", "folder of the programs tend, gateway and docker-compose")
	flag.Parse()
	if *rounds < 1 || *rounds > maxRounds {
		return fmt.Errorf("-rounds must be between 1 and %d", maxRounds)
	}
	if *only != "" && !slices.Contains(names, *only) {
		return fmt.Errorf("-only must be one of %s", strings.Join(names, ", "))
	}
	ctx, cancel := kit.Patience(ctx, *timeout)
	defer cancel()

	bin, err := filepath.Abs(*programs)
	if err != nil {
		return err
	}
	cli, err := client.NewClientWithOpts(client.FromEnv, client.WithAPIVersionNegotiation())
	if err != nil {
		return err
	}
	defer cli.Close()
	b := &bench{cli: cli, bin: bin, rounds: *rounds, results: *results}
	if err := b.run(ctx, *only); err != nil {
		return err
	}
	page, err := readResults(*results)
	if err != nil {
		return err
	}
	progress("writing %s", *output)
	return page.write(*output)
}

// bench is what the suites share.
type bench struct {
	cli     *client.Client
	bin     string // folder of the programs
	dir     string // folder for whatever is written
	results string // folder of the results
	rounds  int
	watch   *watch
	report  *report // of the suite that is measured
}

// run measures, and takes everything away again.
func (b *bench) run(ctx context.Context, only string) (err error) {
	if b.dir, err = os.MkdirTemp("", prefix); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.dir)) }()
	// Programs in containers, which are other users, read what stands here.
	if err := os.Chmod(b.dir, 0o755); err != nil {
		return err
	}
	// Of a run that was killed. Old engines may never again remove a network
	// that they lost count on; it is used as it is.
	if err := removeContainers(ctx, b.cli); err != nil {
		return err
	}
	if err := removeRest(ctx, b.cli); err != nil {
		progress("left by a run before, and kept: %v", err)
	}
	b.watch = startWatch(ctx, b.cli)
	defer b.watch.close()
	defer func() { err = errors.Join(err, b.cleanUp(ctx, removeImages)) }()
	progress("building the image of the replicas")
	if err := buildService(ctx, b.cli, b.dir); err != nil {
		return err
	}
	for _, s := range suites {
		if only != "" && only != s.name {
			continue
		}
		facts, err := gatherFacts(ctx, b.cli, b.bin)
		if err != nil {
			return err
		}
		b.report = &report{Suite: s.name, Rounds: b.rounds, Facts: facts}
		err = s.measure(b, ctx)
		progress("cleaning up")
		if err := errors.Join(err, b.cleanUp(ctx, removeContainers, removeRest)); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		b.report.print(os.Stdout)
		if err := b.report.save(b.results); err != nil {
			return err
		}
	}
	return nil
}

// cleanUp removes something, also when the benchmark was interrupted.
func (b *bench) cleanUp(ctx context.Context, steps ...func(context.Context, *client.Client) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUpTimeout)
	defer cancel()
	var errs []error
	for _, step := range steps {
		errs = append(errs, step(ctx, b.cli))
	}
	return errors.Join(errs...)
}

// folder makes a folder for a contender.
func (b *bench) folder(name string) (string, error) {
	dir := filepath.Join(b.dir, name)
	return dir, os.Mkdir(dir, 0o755)
}

// within gives a step its time.
func within(ctx context.Context, step func(context.Context) error) error {
	ctx, cancel := kit.Patience(ctx, stepTimeout)
	defer cancel()
	return step(ctx)
}

// turn begins each round with another one, so that nobody always comes after
// the same.
func turn[T any](s []T, round int) []T {
	n := round % len(s)
	return slices.Concat(s[n:], s[:n])
}

func progress(format string, args ...any) {
	fmt.Printf(format+"\n", args...)
}
