// Load puts the shop under load through its gateway, prints what came of it, and
// exits 1 if a request failed or a write is not there exactly once.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/tendhq/tend/e2e/load"
)

func main() {
	var config load.Config
	flag.StringVar(&config.URL, "url", "http://127.0.0.1:8080", "the gateway, on a loopback address")
	flag.IntVar(&config.Requests, "n", 0, "end after this many `requests`")
	flag.DurationVar(&config.Duration, "duration", 0, "end after this `time`")
	flag.Float64Var(&config.Rate, "rate", 0, "requests per second; 0: as many as the concurrency allows")
	flag.IntVar(&config.Concurrency, "c", 16, "requests in flight at most")
	flag.Float64Var(&config.Writes, "writes", 0.3, "the `share` of requests that write")
	flag.Float64Var(&config.Fresh, "fresh", 0.1, "the `share` of requests on a new connection")
	flag.DurationVar(&config.Timeout, "timeout", 0, "how long a request may take (default 1m)")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "load: unexpected argument %q\n", flag.Arg(0))
		os.Exit(2)
	}
	// Without a limit, the load goes on until it is interrupted.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	report, err := load.Run(ctx, config)
	if report.Requests > 0 {
		fmt.Print(report)
	}
	if err == nil {
		err = report.Err()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
