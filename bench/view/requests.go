package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// measureGet measures tend get from its start to its end.
func measureGet(ctx context.Context, o options, c *kept) ([]row, error) {
	var times []time.Duration
	for range 40 {
		began := time.Now()
		out, err := exec.CommandContext(ctx, o.tend, "--project-directory", c.dir, "--data-dir", c.dir, "get", "workloads").CombinedOutput()
		if err != nil {
			return nil, fmt.Errorf("tend get: %w\n%s", err, out)
		}
		times = append(times, time.Since(began))
	}
	return []row{{
		What: "`tend get workloads`", Details: fmt.Sprintf("%s, %d times", c.size, len(times)), Target: "≤ 40 ms",
		Seen: spread(times), Met: quantile(0.5, times) <= 40*time.Millisecond,
	}}, nil
}

const (
	// listRate is how many lists are asked for in a second, on listConnections connections.
	listRate        = 2000
	listConnections = 8
)

// measureLists measures how long a reconcile takes, from a replica's death until its start
// is asked for, while nobody asks the API and while many do, in turn: what else the machine
// does then weighs on both.
func measureLists(ctx context.Context, _ options, c *kept) ([]row, error) {
	const rounds, deaths = 7, 20
	var usual, busy []time.Duration
	var answered atomic.Int64
	var asked, used time.Duration
	for range rounds {
		took, err := obey[[]time.Duration](c, order{Do: doReconcile, N: deaths})
		if err != nil {
			return nil, err
		}
		usual = append(usual, took...)
		before, err := c.usage()
		if err != nil {
			return nil, err
		}
		asking, stop := context.WithCancel(ctx)
		var group errgroup.Group
		began := time.Now()
		for range listConnections {
			group.Go(func() error { return askLists(asking, c.address, &answered) })
		}
		took, err = obey[[]time.Duration](c, order{Do: doReconcile, N: deaths})
		stop()
		err = errors.Join(err, group.Wait())
		asked += time.Since(began)
		after, failed := c.usage()
		if err := errors.Join(err, failed); err != nil {
			return nil, err
		}
		busy, used = append(busy, took...), used+after.CPU-before.CPU
	}
	rate, share := float64(answered.Load())/asked.Seconds(), used.Seconds()/asked.Seconds()
	median, of := quantile(0.5, busy), quantile(0.5, usual)
	return []row{
		{
			What: "Lists of workloads that the API answers", Details: fmt.Sprintf("%s, %d asked for a second, on %d connections", c.size, listRate, listConnections),
			Target: "2,000 a second on one core", Seen: fmt.Sprintf("%.0f a second, with %s of a core", rate, percent(share)), Met: rate >= 0.99*listRate && share <= 1,
		},
		{
			What: "A reconcile meanwhile", Details: fmt.Sprintf("from a death until the start is asked for, median of %d, in %d turns", len(busy), rounds),
			Target: "within 10 % of its usual time", Seen: fmt.Sprintf("%s, usually %s", milliseconds(median), milliseconds(of)), Met: median <= of*11/10,
		},
	}, nil
}

// askLists asks for lists at its part of the rate, on one connection, until ctx ends. It
// takes as little as it can: what it takes is not the controller's.
func askLists(ctx context.Context, address string, answered *atomic.Int64) error {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	answers := bufio.NewReaderSize(conn, 256<<10)
	each := time.Second * listConnections / listRate
	for due := time.Now(); ctx.Err() == nil; due = due.Add(each) {
		time.Sleep(time.Until(due))
		if _, err := fmt.Fprintf(conn, "GET /api/v1/workloads HTTP/1.1\r\nHost: %s\r\n\r\n", address); err != nil {
			return err
		}
		answer, err := http.ReadResponse(answers, nil)
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, answer.Body)
		if err := errors.Join(err, answer.Body.Close()); err != nil {
			return err
		}
		if answer.StatusCode != http.StatusOK {
			return fmt.Errorf("the list is answered with %s", answer.Status)
		}
		answered.Add(1)
	}
	return nil
}

// streams is how many are open at once.
const streams = 500

// measureStreams measures how long after a replica's death each of many streams tells of
// it, and what they hold.
func measureStreams(ctx context.Context, o options, c *kept) ([]row, error) {
	before, err := c.usage()
	if err != nil {
		return nil, err
	}
	reading, stop := context.WithCancel(ctx)
	defer stop()
	var mu sync.Mutex
	var seen []change
	var begun, ended sync.WaitGroup
	failed := make(chan error, streams)
	for range streams {
		begun.Add(1)
		ended.Go(func() {
			first := sync.OnceFunc(begun.Done)
			defer first()
			err := follow(reading, c.address, first, func(replica string) {
				mu.Lock()
				defer mu.Unlock()
				seen = append(seen, change{Replica: replica, At: time.Now()})
			})
			if reading.Err() == nil {
				failed <- err
			}
		})
	}
	begun.Wait()
	during, err := c.usage()
	if err != nil {
		return nil, err
	}
	// Each death is an event on each stream.
	changes, err := obey[[]change](c, order{Do: doChurn, Rate: 2, For: o.duration})
	if err != nil {
		return nil, err
	}
	stop()
	ended.Wait()
	select {
	case err := <-failed:
		return nil, fmt.Errorf("a stream has ended: %w", err)
	default:
	}
	died := map[string]time.Time{}
	for _, change := range changes {
		if !change.Ready {
			died[change.Replica] = change.At
		}
	}
	var times []time.Duration
	for _, s := range seen {
		if at, ok := died[s.Replica]; ok {
			times = append(times, s.At.Sub(at))
		}
	}
	all := len(died) * streams
	return []row{{
		What: fmt.Sprintf("%d event streams at once", streams), Details: fmt.Sprintf("%s, %d deaths, each told on each stream", c.size, len(died)), Target: "all are served",
		Seen: fmt.Sprintf("%d of %d events told, %s after the death; %.0f MiB held before, %.0f MiB with them", len(times), all, spread(times), mebibytes(before.Held), mebibytes(during.Held)),
		Met:  len(times) == all,
	}}, nil
}

// follow reads a stream of events, and tells who was started again, until ctx ends; begun
// is called once the stream stands.
func follow(ctx context.Context, address string, begun func(), told func(replica string)) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/api/v1/events?limit=1", nil)
	if err != nil {
		return err
	}
	r.Header.Set("Accept", "text/event-stream")
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	answer, err := (&http.Client{Transport: transport}).Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("the stream is answered with %s", answer.Status)
	}
	lines := bufio.NewScanner(answer.Body)
	for lines.Scan() {
		begun()
		if found := restarted.FindStringSubmatch(lines.Text()); found != nil {
			told(found[1])
		}
	}
	return lines.Err()
}
