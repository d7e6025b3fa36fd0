// Logs measures how long it takes to find a few lines in a gigabyte of them, by tend logs and
// by docker compose logs with grep, in turns over the same containers. It judges nothing.
package main

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"text/template"
	"time"

	"github.com/docker/docker/client"

	"github.com/tendhq/tend/bench/document"
)

//go:embed report.md.tmpl
var reportText string

const (
	// writers is how many containers have written.
	writers = 4
	// startTimeout bounds the writing.
	startTimeout = 5 * time.Minute
)

// compose is a project whose containers write their share of the logs, as the shop's services
// do, and end.
const compose = `name: tend-logs
services:
  writer:
    image: redis:7-bookworm
    network_mode: none
    restart: "no"
    logging: {driver: json-file}
    deploy: {replicas: %d}
    entrypoint: [perl, -e]
    command:
      - |
        my $$left = %d;
        for (my $$i = 0; $$left > 0; $$i++) {
          my $$level = $$i %% 10000 ? "info" : "error";
          my $$line = sprintf('{"level":"%%s","time":"2026-01-02T15:04:05.678Z","service":"order-service","msg":"request","method":"GET","path":"/api/orders/%%08d","status":200,"durationMs":12.5,"requestId":"%%016x","correlationId":"%%016x"}' . "\n", $$level, $$i, $$i, $$i / 10);
          print $$line;
          $$left -= length $$line;
        }
`

type options struct {
	megabytes, rounds  int
	programs, document string
}

func main() {
	var o options
	flag.IntVar(&o.megabytes, "megabytes", 1000, "how much is written by all containers together")
	flag.IntVar(&o.rounds, "rounds", 3, "how often each of them looks")
	flag.StringVar(&o.programs, "programs", "../build/bin", "`folder` of the programs tend and docker-compose")
	flag.StringVar(&o.document, "output", "../docs/benchmarks.md", "the `document` whose section on this is to be replaced")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintf(os.Stderr, "logs: %v\n", err)
		stop()
		os.Exit(1)
	}
}

// look is a way to find lines: a command of the shell.
type look struct {
	What, Command string
	took          []time.Duration
}

// Median and Range are as shown in the table.
func (l *look) Median() string { return seconds(slices.Sorted(slices.Values(l.took))[len(l.took)/2]) }

// Code is the command in a cell of the table.
func (l *look) Code() string { return "`" + strings.ReplaceAll(l.Command, "|", `\|`) + "`" }

// Range is from the least to the most.
func (l *look) Range() string {
	return seconds(slices.Min(l.took)) + " – " + seconds(slices.Max(l.took))
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }

// report is what was measured, and what it depends on.
type report struct {
	Date, Machine, Load        string
	Megabytes, Writers, Rounds int
	Looks                      []*look
}

func run(ctx context.Context, o options) (err error) {
	engine, err := client.NewClientWithOpts(client.FromEnv, client.WithAPIVersionNegotiation())
	if err != nil {
		return err
	}
	defer engine.Close()
	info, err := engine.Info(ctx)
	if err != nil {
		return fmt.Errorf("no container engine answers: %w", err)
	}
	average, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return err
	}
	if o.programs, err = filepath.Abs(o.programs); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "tend-logs-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	text := fmt.Sprintf(compose, writers, o.megabytes*1_000_000/writers)
	if err := os.WriteFile(filepath.Join(dir, "compose.yaml"), []byte(text), 0o644); err != nil {
		return err
	}
	shell := func(ctx context.Context, command string) (string, error) {
		cmd := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", command)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "PATH="+o.programs+":"+os.Getenv("PATH"))
		var told bytes.Buffer
		cmd.Stderr = &told
		found, err := cmd.Output()
		if err != nil {
			err = fmt.Errorf("%s: %w\n%s", command, err, &told)
		}
		return string(found), err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), startTimeout)
		defer cancel()
		_, failed := shell(ctx, "docker-compose down --timeout 0")
		err = errors.Join(err, failed)
	}()
	fmt.Println("writing")
	if _, err := shell(ctx, "docker-compose up --detach && docker-compose wait writer"); err != nil {
		return err
	}
	r := report{
		Date: time.Now().Format(time.DateOnly), Machine: document.Machine(info), Load: strings.Fields(string(average))[0],
		Megabytes: o.megabytes, Writers: writers, Rounds: o.rounds,
		Looks: []*look{
			{What: "lines of the level error", Command: `tend logs --level error`},
			{What: "the same", Command: `docker-compose logs --no-color | grep '"level":"error"'`},
			{What: "lines of one request", Command: `tend logs --correlation-id 00000000000003e8`},
			{What: "the same", Command: `docker-compose logs --no-color | grep '"correlationId":"00000000000003e8"'`},
		},
	}
	for range o.rounds {
		lines := -1
		for i, l := range r.Looks {
			began := time.Now()
			found, err := shell(ctx, l.Command)
			if err != nil {
				return err
			}
			l.took = append(l.took, time.Since(began))
			n := strings.Count(found, "\n")
			fmt.Printf("%s: %d lines, %s\n", l.Command, n, l.took[len(l.took)-1])
			if i%2 == 1 && n != lines {
				return fmt.Errorf("%s found %d lines, and tend logs %d", l.Command, n, lines)
			}
			lines = n
		}
	}
	t, err := template.New("report").Parse(reportText)
	if err != nil {
		return err
	}
	var b strings.Builder
	if err := t.Execute(&b, r); err != nil {
		return err
	}
	fmt.Println(b.String())
	return document.ReplaceSection(o.document, b.String())
}
