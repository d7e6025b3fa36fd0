// Overhead measures what it costs the shop to be watched: two copies of it under tend, one as
// it is delivered and one with the profile observability, each under the same load in turns
// while the containers of the other are paused. It judges nothing. The images of the profile
// have to be there: deploy/setup.sh --observability makes them.
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
	"github.com/tendhq/tend/e2e/load"
)

const (
	// users is how many requests are in flight at most, and writes the share of them that write.
	users, writes = 16, 0.1
	// calm is the share of the throughput at which latency is measured: what waits in a queue
	// for a machine that can do no more says little of what a request costs.
	calm = 0.5
)

type options struct {
	rounds             int
	duration           time.Duration
	repository, output string
}

func main() {
	var o options
	flag.IntVar(&o.rounds, "rounds", 6, "how often each shop is measured")
	flag.DurationVar(&o.duration, "duration", 8*time.Second, "how long each of the two loads of a round takes")
	flag.StringVar(&o.repository, "repository", "..", "the `folder` whose programs and images have been built")
	flag.StringVar(&o.output, "output", "../docs/benchmarks.md", "the `document` whose section on this is to be replaced")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintf(os.Stderr, "overhead: %v\n", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) (err error) {
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
	plain, watched := &shop{name: "plain", engine: engine}, &shop{name: "watched", engine: engine, profiles: []string{"observability"}, variables: "OTEL_EXPORTER_OTLP_ENDPOINT=http://jaeger:4318\n"}
	for _, s := range []*shop{plain, watched} {
		progress("starting the %s shop", s.name)
		defer func() { err = errors.Join(err, s.remove(o)) }()
		if err := s.start(ctx, o); err != nil {
			return fmt.Errorf("the %s shop: %w", s.name, err)
		}
		if err := s.pause(ctx); err != nil {
			return err
		}
	}
	for round := range o.rounds + 1 {
		shops := []*shop{plain, watched}
		if round%2 == 1 {
			slices.Reverse(shops)
		}
		measured := map[*shop]result{}
		for _, s := range shops {
			if measured[s], err = s.measure(ctx, o, r.Rate); err != nil {
				return fmt.Errorf("the %s shop: %w", s.name, err)
			}
			progress("%s: %s", s.name, measured[s])
		}
		if round == 0 { // caches are cold, and the rate is not known
			r.Rate = float64(int(calm * min(measured[plain].throughput, measured[watched].throughput)))
			continue
		}
		r.add(measured[plain], measured[watched])
	}
	text, err := r.render()
	if err != nil {
		return err
	}
	fmt.Println(text)
	return document.ReplaceSection(o.output, text)
}

// result is what a shop did in one round.
type result struct {
	throughput float64       // requests per second, as many as it could answer
	p50, p99   time.Duration // at the calm rate
	// cpu is how long the processes of each service ran for a request, at full throughput.
	cpu map[string]time.Duration
}

// String is a line for a terminal.
func (r result) String() string {
	return fmt.Sprintf("%.0f requests a second, p50 %s, p99 %s", r.throughput, r.p50, r.p99)
}

// measure wakes the shop, loads it, and pauses it again.
func (s *shop) measure(ctx context.Context, o options, rate float64) (r result, err error) {
	if err := s.resume(ctx); err != nil {
		return r, err
	}
	config := load.Config{URL: s.url, Duration: o.duration, Concurrency: users, Writes: writes, Fresh: 0.1}
	before, err := s.cpu(ctx)
	if err != nil {
		return r, err
	}
	full, err := load.Run(ctx, config)
	if err == nil {
		err = full.Err()
	}
	if err != nil {
		return r, err
	}
	if r.cpu, err = s.cpu(ctx); err != nil {
		return r, err
	}
	for service := range r.cpu {
		r.cpu[service] = (r.cpu[service] - before[service]) / time.Duration(full.Requests)
	}
	r.throughput = float64(full.Requests) / full.Elapsed.Seconds()
	if rate > 0 {
		config.Rate = rate
		slow, err := load.Run(ctx, config)
		if err == nil {
			err = slow.Err()
		}
		if err != nil {
			return r, err
		}
		r.p50, r.p99 = slow.Latency.P50, slow.Latency.P99
	}
	return r, s.pause(ctx)
}

func progress(format string, arguments ...any) {
	fmt.Printf("%s %s\n", time.Now().Format(time.TimeOnly), fmt.Sprintf(format, arguments...))
}
