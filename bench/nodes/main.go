// Nodes measures how long the update of a service with many replicas takes on a Swarm of five
// machines, by tend, docker stack deploy and docker service update in turns; with -load, how
// many requests through a gateway are lost meanwhile, by the first two. It judges nothing.
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
	// keptPort and stackPort are where the gateways are, on node5.
	keptPort, stackPort = 8081, 8082
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

// behindGateway is the project under load: what is asked of the gateway, at a port of node5, is
// passed on to a replica of web.
const behindGateway = compose + `    healthcheck: {test: [CMD, /probe, health], interval: 1s, start_period: 30s}
  gateway:
    image: ` + image + `
    environment: {PROXY: "web:8080"}
    ports: [{target: 8080, published: %d, mode: host}]
    deploy: {endpoint_mode: dnsrr, placement: {constraints: ["node.hostname==node5"]}}
`

// afterUpdate is how long requests go on after an update.
const afterUpdate = 3 * time.Second

type bench struct {
	replicas, parallelism, rounds int
	load                          bool
	machines                      *kit.Swarm
	tend                          string
	dir                           string
	leader                        *kit.Node
}

// way is one that an update is made by.
type way struct {
	name    string
	service string
	// port is where the gateway is, on node5.
	port int
	// update brings the service to a version, which is 1 at first.
	update func(ctx context.Context, version int) error
	took   []time.Duration
	// answered and lost count requests while it updated.
	answered, lost int
}

func main() {
	var b bench
	flag.IntVar(&b.replicas, "replicas", 30, "how many replicas the service has")
	flag.IntVar(&b.parallelism, "parallelism", 5, "how many are updated at a time")
	flag.IntVar(&b.rounds, "rounds", 5, "how often each updates")
	flag.BoolVar(&b.load, "load", false, "count the requests that are lost through a gateway")
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
	b.machines, err = kit.NewSwarm(ctx, b.dir, 3, 2)
	defer func() { err = errors.Join(err, b.machines.Stop()) }()
	if err != nil {
		return err
	}
	for _, n := range b.machines.Nodes {
		if _, err := kit.ImportProbe(ctx, n.Client, repository, image); err != nil {
			return err
		}
	}
	if b.leader, err = b.machines.Leader(ctx); err != nil {
		return err
	}
	ways := []*way{
		{name: "tend apply --engine swarm", service: "kept_web", port: keptPort, update: b.apply},
		{name: "docker stack deploy", service: "stack_web", port: stackPort, update: b.stack},
		{name: "docker service update", service: "alone", update: b.service},
	}
	if b.load {
		ways = ways[:2]
	}
	for version := 1; version <= b.rounds+1; version++ {
		for i := range ways {
			w := ways[(i+version)%len(ways)]
			if err := b.update(ctx, w, version); err != nil {
				return fmt.Errorf("%s: %w", w.name, err)
			}
		}
	}
	b.report(ways)
	return nil
}

// update updates by one way, and notes what is measured of it.
func (b *bench) update(ctx context.Context, w *way, version int) error {
	if version == 1 || !b.load { // the first is no update
		took, err := b.measure(ctx, w, version)
		if version > 1 {
			w.took = append(w.took, took)
		}
		return err
	}
	clients, err := b.machines.Ask(ctx, fmt.Sprintf("http://%s:%d/peer/env", b.machines.Nodes[4].Addr, w.port))
	if err != nil {
		return err
	}
	defer clients.Stop()
	took, err := b.measure(ctx, w, version)
	if err == nil {
		err = kit.Pause(ctx, afterUpdate)
	}
	seen := clients.Seen()
	for _, l := range seen.Lost {
		fmt.Fprintf(os.Stderr, "version %d by %s: lost at %s\n", version, w.name, l)
	}
	w.took, w.answered, w.lost = append(w.took, took), w.answered+seen.Answered, w.lost+len(seen.Lost)
	return err
}

// report prints a table.
func (b *bench) report(ways []*way) {
	fmt.Printf("%d replicas on five machines, %d at a time and start-first, %d updates each\n\n| by | median | least – most |", b.replicas, b.parallelism, b.rounds)
	if b.load {
		fmt.Print(" requests | lost |")
	}
	fmt.Print("\n|---|---|---|")
	if b.load {
		fmt.Print("--:|--:|")
	}
	fmt.Println()
	for _, w := range ways {
		slices.Sort(w.took)
		seconds := func(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }
		fmt.Printf("| `%s` | %s | %s – %s |", w.name, seconds(w.took[len(w.took)/2]), seconds(w.took[0]), seconds(w.took[len(w.took)-1]))
		if b.load {
			fmt.Printf(" %d | %d |", w.answered+w.lost, w.lost)
		}
		fmt.Println()
	}
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
	file, err := b.write("kept", version, keptPort)
	if err != nil {
		return err
	}
	return b.command(ctx, b.tend, "--host", b.leader.DaemonHost(), "--engine", "swarm", "--file", file, "--project-name", "kept", "apply")
}

func (b *bench) stack(ctx context.Context, version int) error {
	file, err := b.write("stack", version, stackPort)
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

// write writes the project of a name at a version, with its gateway at a port where it has one,
// and returns its file.
func (b *bench) write(name string, version, port int) (string, error) {
	file := filepath.Join(b.dir, name, "compose.yaml")
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return "", err
	}
	content := fmt.Appendf(nil, compose, version, b.replicas, b.parallelism)
	if b.load {
		content = fmt.Appendf(nil, behindGateway, version, b.replicas, b.parallelism, port)
	}
	return file, os.WriteFile(file, content, 0o600)
}

func (b *bench) command(ctx context.Context, program string, args ...string) error {
	if output, err := exec.CommandContext(ctx, program, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, output)
	}
	return nil
}
