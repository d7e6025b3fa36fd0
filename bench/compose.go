package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/docker/docker/client"
)

const composeProject = prefix + "compose"

// compose does the work with docker compose, which a person runs after each
// change of compose.yaml.
type compose struct {
	cli      *client.Client
	program  string
	dir      string
	host     string // the engine, or empty for the default
	revision int
}

func (b *bench) newCompose(folder string) (*compose, error) {
	dir, err := b.folder(folder)
	return &compose{cli: b.cli, program: filepath.Join(b.bin, "docker-compose"), dir: dir}, err
}

func (c *compose) project() string { return composeProject }

func (c *compose) begin(ctx context.Context) error { return c.scale(ctx, 0, few) }

// scale writes the number of replicas into compose.yaml and has Compose put it
// in force.
func (c *compose) scale(ctx context.Context, from, to int) error {
	if err := writeCompose(c.dir, composeProject, to, c.revision); err != nil {
		return err
	}
	if to < from {
		return removeTo(ctx, c.cli, composeProject, to)
	}
	return c.up(ctx)
}

// roll changes what the replicas are made from.
func (c *compose) roll(ctx context.Context) error {
	c.revision++
	return c.scale(ctx, many, many)
}

func (c *compose) settled(context.Context) error { return nil }

func (c *compose) up(ctx context.Context) error {
	return command(ctx, c.dir, c.host, c.program, "up", "--detach")
}

// writeCompose writes compose.yaml. None of the contenders has the engine check
// health.
func writeCompose(dir, project string, replicas, revision int) error {
	content := fmt.Sprintf(`name: %s
services:
  %s:
    image: %s
    pull_policy: never
    environment: {%s: "%d"}
    deploy: {replicas: %d}
`, project, serviceName, imageName, revisionVariable, revision, replicas)
	return os.WriteFile(filepath.Join(dir, "compose.yaml"), []byte(content), 0o600)
}

// command runs a program in a project directory. Its output is shown only when
// it fails.
func command(ctx context.Context, dir, host, program string, args ...string) error {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = dir
	cmd.Env = environment(host)
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w\n%s", filepath.Base(program), strings.Join(args, " "), err, output)
	}
	return nil
}

// environment is this process's environment without the variables that select a
// project, and with the engine at host unless that is empty.
func environment(host string) []string {
	env := slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "COMPOSE_") || host != "" && strings.HasPrefix(v, "DOCKER_HOST=")
	})
	if host != "" {
		env = append(env, "DOCKER_HOST="+host)
	}
	return env
}
