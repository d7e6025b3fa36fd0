// Chaos runs the shop under tend on an engine of its own, breaks both in every
// way a machine does, and checks from outside what must hold all the same:
// through the engine's events, through the requests that tend sends to it, and
// through a ledger of the writes that the shop acknowledged. It exits 1 with
// the seed and the last of the journal when something did not hold.
//
// The engine, tend and all containers run in namespaces of their own (network,
// mount, PID), from which the machine's engine cannot be reached, and end when
// the program ends, however it ends.
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
)

type options struct {
	// duration is for how long rounds begin, once the shop runs. Each makes
	// faults for at most round; then the shop has to converge.
	duration, round time.Duration
	seed            uint64
	rate            float64
	repository      string
	tend            string
	// inside is the folder of a run, in the process within the namespaces.
	inside string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintf(os.Stderr, "chaos: %v\n", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	var o options
	flag.DurationVar(&o.duration, "duration", 5*time.Minute, "begin rounds for this `time`")
	flag.DurationVar(&o.round, "round", 4*time.Minute, "make faults in a round for this `time`, before the shop has to converge")
	flag.Uint64Var(&o.seed, "seed", 0, "`seed` of the choice of faults (default: a random one)")
	flag.Float64Var(&o.rate, "rate", 4, "`requests` per second")
	flag.StringVar(&o.repository, "repository", ".", "the shop's `folder`; its images have been built")
	flag.StringVar(&o.tend, "tend", "build/bin/tend", "the `program` under test")
	flag.StringVar(&o.inside, "inside", "", "for the program's own use")
	flag.Parse()
	if flag.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flag.Arg(0))
	}
	if o.duration <= 0 || o.round <= 0 || o.rate <= 0 {
		return errors.New("durations and the rate must be more than 0")
	}
	for o.seed == 0 {
		o.seed = uint64(rand.Uint32())
	}
	if o.inside != "" {
		return inside(ctx, o)
	}
	for _, path := range []*string{&o.repository, &o.tend} {
		absolute, err := filepath.Abs(*path)
		if err != nil {
			return err
		}
		*path = absolute
	}
	return outside(ctx, o)
}
