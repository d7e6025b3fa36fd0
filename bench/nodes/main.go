// Nodes measures how long the update of a service with many replicas takes on a Swarm of five
// machines, by tend, docker stack deploy and docker service update in turns. It judges
// nothing.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/swarm"

	"github.com/tendhq/tend/e2e/kit"
)

const (
	image = "tend-bench/probe:1"
	// updateTimeout bounds an update.
	updateTimeout = 10 * time.Minute
)

// compose is the project, at a version. Its tasks have no virtual address, for which a kernel
// needs IPVS.
const compose = `version: "3.8"
services:
  web:
    image: ` + image + `
    environment: {VERSION: "%d"}
    stop_grace_period: 2s
    deploy: {replicas: %d, endpoint_mode: dnsrr, update_config: {parallelism: %d, order: start-first}}
`

type bench struct {
	replicas, parallelism, rounds int
	tend                          string
	dir                           string
	leader                        *kit.Node
}

// way is one that an update is made by.
type way struct {
	name    string
	service string
	// update brings the service to a version, which is 1 at first.
	update func(ctx context.Context, version int) error
	took   []time.Duration
}

func main() {
	var b bench
	flag.IntVar(&b.replicas, "replicas", 30, "how many replicas the service has")
	flag.IntVar(&b.parallelism, "parallelism", 5, "how many are updated at a time")
	flag.IntVar(&b.rounds, "rounds", 5, "how often each updates")
	flag.StringVar(&b.tend, "tend", "build/bin/tend", "the program, in the repository")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := b.run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "nodes:", err)
		os.Exit(1)
	}
}

func (b *bench) run(ctx context.Context) (err error) {
	repository, err := filepath.Abs("..")
	if err != nil {
		return err
	}
	b.tend = filepath.Join(repository, b.tend)
	// The path of a socket must be short.
	if b.dir, err = os.MkdirTemp("", "tend"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.dir)) }()
	machines, err := kit.NewSwarm(ctx, b.dir, 3, 2)
	defer func() { err = errors.Join(err, machines.Stop()) }()
	if err != nil {
		return err
	}
	for _, n := range machines.Nodes {
		if _, err := kit.ImportProbe(ctx, n.Client, repository, image); err != nil {
			return err
		}
	}
	if b.leader, err = machines.Leader(ctx); err != nil {
		return err
	}
	ways := []*way{
		{name: "tend apply --engine swarm", service: "kept_web", update: b.apply},
		{name: "docker stack deploy", service: "stack_web", update: b.stack},
		{name: "docker service update", service: "alone", update: b.service},
	}
	for version := 1; version <= b.rounds+1; version++ {
		for i := range ways {
			w := ways[(i+version)%len(ways)]
			took, err := b.measure(ctx, w, version)
			if err != nil {
				return fmt.Errorf("%s: %w", w.name, err)
			}
			fmt.Fprintf(os.Stderr, "version %d by %s: %s\n", version, w.name, took.Round(100*time.Millisecond))
			if version > 1 { // the first is no update
				w.took = append(w.took, took)
			}
		}
	}
	fmt.Printf("%d replicas on five machines, %d at a time and start-first, %d updates each\n\n| by | median | least – most |\n|---|---|---|\n", b.replicas, b.parallelism, b.rounds)
	for _, w := range ways {
		slices.Sort(w.took)
		seconds := func(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }
		fmt.Printf("| `%s` | %s | %s – %s |\n", w.name, seconds(w.took[len(w.took)/2]), seconds(w.took[0]), seconds(w.took[len(w.took)-1]))
	}
	return nil
}

// measure returns how long it takes from the command on until all replicas are of a version
// and Swarm says that the update is complete.
func (b *bench) measure(ctx context.Context, w *way, version int) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, updateTimeout)
	defer cancel()
	began := time.Now()
	if err := w.update(ctx, version); err != nil {
		return 0, err
	}
	for {
		done, err := b.complete(ctx, w.service, version)
		if err != nil || done {
			return time.Since(began), err
		}
		if err := kit.Pause(ctx, 100*time.Millisecond); err != nil {
			return 0, err
		}
	}
}

func (b *bench) complete(ctx context.Context, service string, version int) (bool, error) {
	s, _, err := b.leader.ServiceInspectWithRaw(ctx, service, swarm.ServiceInspectOptions{})
	if err != nil {
		return false, err
	}
	if version > 1 && (s.UpdateStatus == nil || s.UpdateStatus.State != swarm.UpdateStateCompleted) {
		return false, nil
	}
	tasks, err := b.leader.TaskList(ctx, swarm.TaskListOptions{Filters: filters.NewArgs(filters.Arg("service", s.ID), filters.Arg("desired-state", "running"))})
	current := 0
	for _, t := range tasks {
		if t.Status.State == swarm.TaskStateRunning && slices.Contains(t.Spec.ContainerSpec.Env, fmt.Sprintf("VERSION=%d", version)) {
			current++
		}
	}
	return current == b.replicas && len(tasks) == b.replicas, err
}

// apply has tend update its project.
func (b *bench) apply(ctx context.Context, version int) error {
	file, err := b.write("kept", version)
	if err != nil {
		return err
	}
	return b.command(ctx, b.tend, "--host", b.leader.DaemonHost(), "--engine", "swarm", "--file", file, "--project-name", "kept", "apply")
}

func (b *bench) stack(ctx context.Context, version int) error {
	file, err := b.write("stack", version)
	if err != nil {
		return err
	}
	return b.command(ctx, "docker", "--host", b.leader.DaemonHost(), "stack", "deploy", "--compose-file", file, "stack")
}

func (b *bench) service(ctx context.Context, version int) error {
	docker := func(args ...string) error {
		return b.command(ctx, "docker", append([]string{"--host", b.leader.DaemonHost(), "service"}, args...)...)
	}
	if version == 1 {
		return docker("create", "--detach", "--name", "alone", "--env", "VERSION=1", "--replicas", fmt.Sprint(b.replicas), "--endpoint-mode", "dnsrr",
			"--stop-grace-period", "2s", "--update-parallelism", fmt.Sprint(b.parallelism), "--update-order", "start-first", "--no-resolve-image", image)
	}
	return docker("update", "--detach", "--env-add", fmt.Sprintf("VERSION=%d", version), "--no-resolve-image", "alone")
}

// write writes the project of a name at a version, and returns its file.
func (b *bench) write(name string, version int) (string, error) {
	file := filepath.Join(b.dir, name, "compose.yaml")
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return "", err
	}
	return file, os.WriteFile(file, fmt.Appendf(nil, compose, version, b.replicas, b.parallelism), 0o600)
}

func (b *bench) command(ctx context.Context, program string, args ...string) error {
	if output, err := exec.CommandContext(ctx, program, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, output)
	}
	return nil
}
