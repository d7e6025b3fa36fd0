// Command bench measures the same work done by bare engine calls, by tend and
// by Docker Compose, in turns on one engine, and writes docs/benchmarks.md. It
// judges nothing but its own correctness: a target that is missed is reported,
// and the exit code stays 0.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/docker/docker/client"
)

const (
	// few and many are the replica counts that the scaling goes between.
	few, many = 2, 30
	// maxRounds keeps the kills, of which there are four in a round of one
	// project, from hitting a replica a second time: tend would back off.
	maxRounds = many / 4
	// cleanUpTimeout bounds the removal of what the benchmark made.
	cleanUpTimeout = 2 * time.Minute
)

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
	rounds := flag.Int("rounds", 5, "how often to scale by each contender; the rest is done twice as often")
	timeout := flag.Duration("timeout", 12*time.Minute, "when to give up")
	output := flag.String("output", "../docs/benchmarks.md", "file to write the report to")
	programs := flag.String("programs", "../build/bin", "folder of the programs tend and docker-compose")
	flag.Parse()
	if *rounds < 1 || *rounds > maxRounds {
		return fmt.Errorf("-rounds must be between 1 and %d", maxRounds)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, *timeout, fmt.Errorf("not done after %s", *timeout))
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
	facts, err := gatherFacts(ctx, cli, bin)
	if err != nil {
		return err
	}
	report, err := measureAll(ctx, cli, bin, *rounds)
	if report == nil {
		return err
	}
	report.Facts = facts
	report.print(os.Stdout)
	progress("writing %s", *output)
	return errors.Join(err, report.write(*output))
}

// measureAll sets up the contenders, measures, and takes everything away again.
// There is a report also where only the last of these failed.
func measureAll(ctx context.Context, cli *client.Client, bin string, rounds int) (r *report, err error) {
	dir, err := os.MkdirTemp("", prefix)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	for _, d := range []string{"tend", "compose"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o700); err != nil {
			return nil, err
		}
	}
	// Of a run that was killed. Old engines may never again remove a network
	// that they lost count on; it is used as it is.
	if err := removeContainers(ctx, cli); err != nil {
		return nil, err
	}
	if err := removeRest(ctx, cli); err != nil {
		progress("left by a run before, and kept: %v", err)
	}
	w := startWatch(ctx, cli)
	defer w.close()
	b := &bench{
		cli: cli, dir: dir, rounds: rounds, watch: w,
		bare:    &bare{cli: cli},
		tend:    &tend{watch: w, program: filepath.Join(bin, "tend"), dir: filepath.Join(dir, "tend")},
		compose: &compose{cli: cli, program: filepath.Join(bin, "docker-compose"), dir: filepath.Join(dir, "compose")},
		report:  &report{Rounds: rounds},
	}
	defer func() {
		progress("cleaning up")
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUpTimeout)
		defer cancel()
		// The controller goes first: it would repair what is taken away.
		err = errors.Join(err, b.tend.stop(), removeContainers(ctx, cli), removeRest(ctx, cli))
	}()
	progress("building the image of the replicas")
	if err := buildImage(ctx, cli, dir); err != nil {
		return nil, err
	}
	if err := b.measure(ctx); err != nil {
		return nil, err
	}
	return b.report, nil
}

func progress(format string, args ...any) {
	fmt.Printf(format+"\n", args...)
}
