// Command ingress measures tend's ingress beside HAProxy, nginx, Docker's own proxy and
// no proxy at all, in turns in one run, on loopback addresses. It prints what it
// measured and judges nothing.
//
// haproxy, nginx with its stream module, and docker-proxy are taken from PATH, and
// Caddy is the one in the shop's gateway; those that are missing are left out.
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
)

type options struct {
	tend        string
	gateway     string
	rounds      int
	duration    time.Duration
	connections int
	only        string
	contender   string
}

func main() {
	if len(os.Args) == 3 && os.Args[1] == "backend" {
		serve(os.Args[2])
		return
	}
	var o options
	flag.StringVar(&o.tend, "tend", "../build/bin/tend", "the `executable` of tend")
	flag.StringVar(&o.gateway, "gateway", "../build/bin/gateway", "the `executable` of the shop's gateway, which is Caddy")
	flag.IntVar(&o.rounds, "rounds", 3, "how often each is measured; the median counts")
	flag.DurationVar(&o.duration, "duration", 3*time.Second, "how long each measurement takes")
	flag.IntVar(&o.connections, "connections", 9900, "how many connections are open for the measurement of memory")
	flag.StringVar(&o.only, "only", "", "measure one `kind` alone: "+strings.Join(kindNames(), ", "))
	flag.StringVar(&o.contender, "contender", "", "measure one `contender` alone")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintf(os.Stderr, "ingress: %v\n", err)
		stop()
		os.Exit(1)
	}
}

// kinds are what is measured.
var kinds = []struct {
	name, title string
	protocol    string
	measure     func(options, target) (result, error)
}{
	{"connections", "TCP: a connection for each exchange of 64 bytes", "tcp", measureConnections},
	{"messages", "TCP: exchanges of 64 bytes on 64 connections", "tcp", measureMessages},
	{"stream", "TCP: 4 downloads", "tcp", measureStream},
	{"tcp-memory", "TCP: open connections", "tcp", measureOpenTCP},
	{"requests", "HTTP: requests for 1 KiB on 64 connections", "http", measureRequests},
	{"fresh", "HTTP: a connection for each request for 1 KiB", "http", measureFresh},
	{"http-memory", "HTTP: open connections, one request each", "http", measureOpenHTTP},
}

func kindNames() (names []string) {
	for _, k := range kinds {
		names = append(names, k.name)
	}
	return names
}

func run(ctx context.Context, o options) error {
	if o.only != "" && !slices.Contains(kindNames(), o.only) {
		return fmt.Errorf("-only must be one of %s", strings.Join(kindNames(), ", "))
	}
	dir, err := os.MkdirTemp("", "tend-ingress-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	for _, program := range []*string{&o.tend, &o.gateway} {
		if *program, err = filepath.Abs(*program); err != nil {
			return err
		}
	}
	backend, stopBackend, err := startBackend()
	if err != nil {
		return err
	}
	defer stopBackend()
	for _, k := range kinds {
		if o.only != "" && k.name != o.only {
			continue
		}
		results := map[string][]result{}
		var names []string
		for round := range o.rounds {
			found := available(o, k.protocol)
			for i := range found {
				c := found[(i+round)%len(found)] // nobody always comes after the same
				if ctx.Err() != nil {
					return ctx.Err()
				}
				r, err := measureOne(o, dir, backend, c, k.protocol, k.measure)
				if err != nil { // it has too few descriptors for so many connections, say
					fmt.Fprintf(os.Stderr, "%s, %s: %v\n", c.name, k.name, err)
					continue
				}
				if results[c.name] == nil {
					names = append(names, c.name)
				}
				results[c.name] = append(results[c.name], r)
			}
		}
		fmt.Printf("\n%s\n\n", k.title)
		printTable(names, results)
	}
	return nil
}

// target is a contender that runs.
type target struct {
	address string
	pids    []int
}

func measureOne(o options, dir string, backend []string, c contender, protocol string, measure func(options, target) (result, error)) (result, error) {
	dir, err := os.MkdirTemp(dir, c.name)
	if err != nil {
		return result{}, err
	}
	t, stop, err := c.start(o, dir, protocol, backend)
	if err != nil {
		return result{}, err
	}
	defer stop()
	return measure(o, t)
}
