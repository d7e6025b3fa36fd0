// Mutate measures what a package's tests are worth: it changes the package in
// one place at a time, as a slip would, and counts the changes (mutants) that
// the tests notice. Those that they do not are listed.
//
// It is our own because the kept tools take a statement's coverage for that of
// its condition, and so never touch the condition of a case: there the planner
// decides. And all mutants are compiled at once, each behind a switch, which
// makes an hour minutes.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

func main() {
	threshold := flag.Float64("threshold", 0, "exit 1 when fewer than this `percentage` of the mutants is killed")
	workers := flag.Int("j", runtime.NumCPU(), "`mutants` tested at a time")
	only := flag.String("only", "", "mutate only what stands in `FILE[:LINE][,...]`")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: mutate [flags] DIRECTORY [ARGUMENT OF THE TESTS ...]")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() == 0 {
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	killed, err := run(ctx, flag.Arg(0), flag.Args()[1:], *only, *workers)
	if err == nil && killed < *threshold {
		err = fmt.Errorf("%.1f %% of the mutants are killed, and %.1f %% should be", killed, *threshold)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutate:", err)
		os.Exit(1)
	}
}

// run returns the percentage of mutants that were killed.
func run(ctx context.Context, dir string, args []string, only string, workers int) (float64, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return 0, err
	}
	p, err := instrument(ctx, dir)
	if err != nil {
		return 0, err
	}
	suite, err := build(ctx, dir, p.files, args)
	if err != nil {
		return 0, err
	}
	defer suite.remove()

	var chosen []int
	for id, m := range p.mutants {
		stands := func(place string) bool { return strings.HasPrefix(m.position+":", place+":") }
		if only == "" || slices.ContainsFunc(strings.Split(only, ","), stands) {
			chosen = append(chosen, id)
		}
	}
	if len(chosen) == 0 {
		return 0, fmt.Errorf("there is nothing to mutate in %s", filepath.Join(dir, only))
	}
	var done, killed atomic.Int64
	queue := make(chan int)
	var working sync.WaitGroup
	for range workers {
		working.Go(func() {
			for id := range queue {
				if suite.kills(ctx, id) {
					killed.Add(1)
				} else {
					fmt.Printf("lived: %s: %s\n", p.mutants[id].position, p.mutants[id].change)
				}
				if n := int(done.Add(1)); n%50 == 0 || n == len(chosen) {
					fmt.Fprintf(os.Stderr, "%d of %d mutants tested, %d killed\n", n, len(chosen), killed.Load())
				}
			}
		})
	}
	for _, id := range chosen {
		if ctx.Err() == nil {
			queue <- id
		}
	}
	close(queue)
	working.Wait()
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	percentage := 100 * float64(killed.Load()) / float64(len(chosen))
	fmt.Printf("%d mutants, %d killed: %.1f %%\n", len(chosen), killed.Load(), percentage)
	return percentage, nil
}
