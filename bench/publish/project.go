package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"

	apiclient "github.com/tendhq/tend/api/client"
	"github.com/tendhq/tend/e2e/kit"
)

// probeImage is the service's.
const probeImage = "tend-publish/probe:dev"

// patience bounds a round.
const patience = 3 * time.Minute

// compose is the file of the project: the service, its two ports, and its health check.
const compose = `services:
  web:
    image: %[1]s
    scale: %[2]d
    environment: {VERSION: "%[3]d", HEALTH: "%[4]s", ECHO: ":9000"}
    ports:
      - {target: 8080, published: "%[5]s", host_ip: 127.0.0.1, app_protocol: http}
      - "%[6]s:9000"
    healthcheck: {test: [CMD, /probe, health], interval: 1s, timeout: 2s, retries: 2, start_period: 30s}
    stop_grace_period: 5s
%[7]svolumes: {data: {}}
`

// project is the project of a case.
type project struct {
	testCase
	engine *client.Client
	dir    string
	tend   string // the program
	// web and raw are the addresses of the ports.
	web, raw string
	version  int

	mu      sync.Mutex
	process *exec.Cmd
	ended   chan struct{}
}

func (p *project) name() string { return "tend-publish-" + p.testCase.name }

// begin starts the project, and waits until it serves.
func (p *project) begin(ctx context.Context) (err error) {
	if p.web, err = kit.FreeAddress(); err != nil {
		return err
	}
	if p.raw, err = kit.FreeAddress(); err != nil {
		return err
	}
	if p.spec != "" {
		if err := os.Mkdir(filepath.Join(p.dir, "specs"), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(p.dir, "specs", "web.yaml"), []byte(p.spec), 0o644); err != nil {
			return err
		}
	}
	if err := errors.Join(p.save(p.replicas, ""), p.start()); err != nil {
		return err
	}
	return p.await(ctx, p.replicas)
}

// save writes the Compose file.
func (p *project) save(replicas int, health string) error {
	_, port, _ := strings.Cut(p.web, ":")
	text := fmt.Sprintf(compose, probeImage, replicas, p.version, health, port, p.raw, p.compose)
	return kit.Replace(filepath.Join(p.dir, "compose.yaml"), text)
}

// start starts tend.
func (p *project) start() error {
	log, err := os.OpenFile(filepath.Join(p.dir, "tend.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(p.tend, "-p", p.name(), "run")
	cmd.Dir, cmd.Stdout, cmd.Stderr = p.dir, log, log
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // it was killed
		close(ended)
	}()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.process, p.ended = cmd, ended
	return nil
}

// killTend kills tend, and starts it again.
func (p *project) killTend(context.Context) error {
	p.mu.Lock()
	process, ended := p.process, p.ended
	p.mu.Unlock()
	if err := process.Process.Kill(); err != nil {
		return err
	}
	<-ended
	return p.start()
}

// remove takes the project away.
func (p *project) remove(ctx context.Context) error {
	p.mu.Lock()
	process, ended := p.process, p.ended
	p.mu.Unlock()
	if process != nil {
		_ = process.Process.Signal(syscall.SIGTERM) // it may have ended
		<-ended
	}
	down := exec.CommandContext(context.WithoutCancel(ctx), p.tend, "-p", p.name(), "down", "-v")
	down.Dir = p.dir
	if output, err := down.CombinedOutput(); err != nil {
		return fmt.Errorf("tend down: %w\n%s", err, output)
	}
	return nil
}

// containers lists the service's containers, or its ingresses'.
func (p *project) containers(ctx context.Context, ingresses bool) ([]container.InspectResponse, error) {
	return kit.Containers(ctx, p.engine, kit.ProjectLabel+"="+p.name(), kit.ServiceLabel+"=web", kit.OneoffLabel+"="+map[bool]string{true: "True", false: "False"}[ingresses])
}

// await waits until so many replicas of the version that is written run, and no others,
// and tend says that all is as it is written.
func (p *project) await(ctx context.Context, replicas int) error {
	return kit.Await(ctx, func() error {
		all, err := p.containers(ctx, false)
		if err != nil {
			return err
		}
		for _, c := range all {
			if !strings.Contains(strings.Join(c.Config.Env, " "), "VERSION="+strconv.Itoa(p.version)) || !c.State.Running || c.State.Paused {
				return fmt.Errorf("%s is not as it is written", c.Name)
			}
		}
		if len(all) != replicas {
			return fmt.Errorf("there are %d replicas", len(all))
		}
		return p.atRest(ctx, false)
	})
}

// atRest returns why tend is not done yet. rolledBack is how a revision that fails ends.
func (p *project) atRest(ctx context.Context, rolledBack bool) error {
	c, err := apiclient.Dial(filepath.Join(p.dir, ".tend"))
	if err != nil {
		return err
	}
	all, err := c.Workloads(ctx)
	if err != nil {
		return err
	}
	for _, w := range all.Items {
		if w.Metadata.Name == "web" && rolledBack {
			if !kit.RolledBack(w) || w.Status.ObservedGeneration != w.Metadata.Generation || w.Status.ReadyReplicas != p.replicas || w.Status.Replicas != p.replicas {
				return errors.New("the revision has not been rolled back")
			}
			continue
		}
		if !kit.AtRest(w) {
			return fmt.Errorf("%s: %s", w.Metadata.Name, w.Status.Obstacle)
		}
	}
	return nil
}

func (p *project) rollOut(ctx context.Context) error {
	p.version++
	if err := p.save(p.replicas, ""); err != nil {
		return err
	}
	return p.await(ctx, p.replicas)
}

func (p *project) scaleUpAndDown(ctx context.Context) error {
	for _, replicas := range []int{4, p.replicas} {
		if err := p.save(replicas, ""); err != nil {
			return err
		}
		if err := p.await(ctx, replicas); err != nil {
			return err
		}
	}
	return nil
}

// one returns the ID of a replica.
func (p *project) one(ctx context.Context) (string, error) {
	all, err := p.containers(ctx, false)
	if err != nil || len(all) == 0 {
		return "", errors.Join(err, errors.New("no replica runs"))
	}
	return all[0].ID, nil
}

func (p *project) killReplica(ctx context.Context) error {
	id, err := p.one(ctx)
	if err != nil {
		return err
	}
	if err := p.engine.ContainerKill(ctx, id, "KILL"); err != nil {
		return err
	}
	return p.await(ctx, p.replicas)
}

// hangReplica has a replica stop in the middle of what it does.
func (p *project) hangReplica(ctx context.Context) error {
	id, err := p.one(ctx)
	if err != nil {
		return err
	}
	if err := p.engine.ContainerPause(ctx, id); err != nil {
		return err
	}
	return p.await(ctx, p.replicas)
}

// fail writes a revision whose health check fails, and afterwards the one before again.
func (p *project) fail(ctx context.Context) error {
	p.version++
	if err := p.save(p.replicas, "never"); err != nil {
		return err
	}
	p.version--
	if err := kit.Await(ctx, func() error { return p.atRest(ctx, true) }); err != nil {
		return err
	}
	if err := p.save(p.replicas, ""); err != nil {
		return err
	}
	return p.await(ctx, p.replicas)
}

// killProxies kills the processes that carry the traffic in the project's ingresses.
func (p *project) killProxies(ctx context.Context) error {
	all, err := p.containers(ctx, true)
	if err != nil {
		return err
	}
	for _, c := range all {
		if c.Config.Labels[kit.IngressLabel] == "" {
			continue
		}
		top, err := p.engine.ContainerTop(ctx, c.ID, nil)
		if err != nil {
			return err
		}
		for _, process := range top.Processes {
			pid, err := strconv.Atoi(process[1])
			if err != nil || pid == c.State.Pid || !strings.Contains(strings.Join(process, " "), "ingress proxy") {
				continue
			}
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				return err
			}
		}
	}
	return nil
}
