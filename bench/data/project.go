package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"
	"github.com/docker/docker/client"

	"github.com/tendhq/tend/e2e/kit"
)

const (
	// patience bounds the time until all is as it is written, beyond every
	// back-off that a few faults lead to.
	patience = 90 * time.Second
	// glance is the longest time until the next row is acknowledged.
	glance = 200 * time.Millisecond
	// commandTimeout bounds a command of Compose.
	commandTimeout = 3 * time.Minute
)

// peer is who keeps a project.
type peer string

const (
	tendPeer    peer = "tend"
	composePeer peer = "docker compose up -d"
)

// project is one of the two copies of a trial.
type project struct {
	kind
	peer      peer
	name, dir string
	// bin is where the programs are.
	bin     string
	engine  *client.Client
	judge   *judge
	writer  *writer
	story   *os.File
	setting int
	// tend is its process, where it runs.
	tend  *exec.Cmd
	ended chan struct{}
}

// folder is where the project's files are, and other where those of another
// project of its name are.
func (p *project) folder() string { return filepath.Join(p.dir, "app") }
func (p *project) other() string  { return filepath.Join(p.dir, "other", "app") }

// tell adds a line to the project's story.
func (p *project) tell(format string, arguments ...any) {
	// A lost line is no reason to end a trial.
	_, _ = fmt.Fprintf(p.story, "%s %s\n", time.Now().Format("15:04:05.000"), fmt.Sprintf(format, arguments...))
}

// prepare makes the project's folders and files.
func (p *project) prepare() (err error) {
	if err := errors.Join(os.MkdirAll(p.folder(), 0o755), os.MkdirAll(p.other(), 0o755)); err != nil {
		return err
	}
	if p.story, err = os.Create(filepath.Join(p.dir, "story.log")); err != nil {
		return err
	}
	env := []byte("COMPOSE_PROJECT_NAME=" + p.name + "\n")
	return errors.Join(
		os.WriteFile(filepath.Join(p.folder(), ".env"), env, 0o644),
		os.WriteFile(filepath.Join(p.other(), ".env"), env, 0o644),
		os.WriteFile(filepath.Join(p.folder(), "compose.second.yaml"), []byte(strangerCompose("second")), 0o644),
		os.WriteFile(filepath.Join(p.other(), "compose.yaml"), []byte(strangerCompose("other")), 0o644),
		p.save(p.compose(p.setting)),
	)
}

// save puts a Compose file in the place of the one before, as editors do.
func (p *project) save(content string) error {
	return kit.Replace(filepath.Join(p.folder(), "compose.yaml"), content)
}

// edit gives the setting another value.
func (p *project) edit() error {
	p.setting++
	return p.save(p.compose(p.setting))
}

// command prepares a program whose output goes to a file.
func (p *project) command(ctx context.Context, dir, log string, command ...string) (*exec.Cmd, func(), error) {
	output, err := os.OpenFile(filepath.Join(p.dir, log), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, nil, err
	}
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, output, output
	return cmd, func() { _ = output.Close() }, nil
}

// composeIn runs Compose in a folder.
func (p *project) composeIn(ctx context.Context, dir string, args ...string) error {
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	cmd, done, err := p.command(ctx, dir, "compose.log", append([]string{filepath.Join(p.bin, "docker-compose")}, args...)...)
	if err != nil {
		return err
	}
	defer done()
	err = cmd.Run()
	p.tell("docker compose %s: %v", strings.Join(args, " "), cmd.ProcessState)
	return err
}

// keep has the peer make what is written true: tend does as long as it runs.
func (p *project) keep(ctx context.Context) error {
	if p.peer == composePeer {
		err := p.composeIn(ctx, p.folder(), "up", "-d")
		if ended := new(exec.ExitError); errors.As(err, &ended) {
			return nil // whether all is as it is written is seen at the engine
		}
		return err
	}
	if p.tend != nil {
		return nil
	}
	cmd, done, err := p.command(context.WithoutCancel(ctx), p.folder(), "tend.log", filepath.Join(p.bin, "tend"), "run")
	if err != nil {
		return err
	}
	defer done()
	if err := cmd.Start(); err != nil {
		return err
	}
	p.tell("tend starts")
	p.tend, p.ended = cmd, make(chan struct{})
	go func(ended chan struct{}) { _ = cmd.Wait(); close(ended) }(p.ended)
	return nil
}

// interrupt has the peer begin to make what is written true, and kills it after
// a while.
func (p *project) interrupt(ctx context.Context, after time.Duration) error {
	if p.peer == tendPeer {
		err := errors.Join(p.keep(ctx), kit.Pause(ctx, after))
		p.kill(os.Kill)
		return err
	}
	cmd, done, err := p.command(ctx, p.folder(), "compose.log", filepath.Join(p.bin, "docker-compose"), "up", "-d")
	if err != nil {
		return err
	}
	defer done()
	if err := cmd.Start(); err != nil {
		return err
	}
	err = kit.Pause(ctx, after)
	_ = cmd.Process.Kill() // fails where it has ended already
	_ = cmd.Wait()
	p.tell("docker compose up -d, killed after %s: %v", after, cmd.ProcessState)
	return err
}

// kill ends tend, where it runs.
func (p *project) kill(signal os.Signal) {
	if p.tend == nil {
		return
	}
	_ = p.tend.Process.Signal(signal) // fails where it has ended already
	<-p.ended
	p.tell("tend has ended: %v", p.tend.ProcessState)
	p.tend = nil
}

// running are the containers of the store that run now.
func (p *project) running(ctx context.Context) (all []container.InspectResponse, err error) {
	all, err = kit.Containers(ctx, p.engine, kit.ProjectLabel+"="+p.name, kit.ServiceLabel+"="+service)
	return slices.DeleteFunc(all, func(c container.InspectResponse) bool { return !c.State.Running }), err
}

func (p *project) labelled(more ...string) filters.Args {
	args := filters.NewArgs(filters.Arg("label", kit.ProjectLabel+"="+p.name))
	for _, label := range more {
		args.Add("label", label)
	}
	return args
}

// addresses are those of the store's containers that run now.
func (p *project) addresses(ctx context.Context) (all []string, err error) {
	running, err := p.running(ctx)
	for _, c := range running {
		all = append(all, addressesOf(c)...)
	}
	return all, err
}

// addressesOf are those of a container; one that does not run has none.
func addressesOf(c container.InspectResponse) (all []string) {
	for _, n := range c.NetworkSettings.Networks {
		if n.IPAddress != "" {
			all = append(all, n.IPAddress)
		}
	}
	return all
}

// awaitWritten waits until the store runs as it is written, and acknowledges a
// row.
func (p *project) awaitWritten(ctx context.Context) error {
	ctx, cancel := kit.Patience(ctx, patience)
	defer cancel()
	return kit.Await(ctx, func() error {
		acknowledged := p.writer.count()
		err := p.written(ctx)
		if err == nil {
			err = kit.Pause(ctx, glance)
		}
		if err == nil && p.writer.count() == acknowledged {
			err = fmt.Errorf("no row is acknowledged: %w", p.writer.trouble())
		}
		return err
	})
}

// written returns how what runs differs from what is written.
func (p *project) written(ctx context.Context) error {
	running, err := p.running(ctx)
	if err != nil {
		return err
	}
	if len(running) != p.replicas {
		return fmt.Errorf("%d containers run, and %d are written", len(running), p.replicas)
	}
	for _, c := range running {
		if !slices.Contains(c.Config.Env, fmt.Sprintf("%s=%d", settingName, p.setting)) {
			return fmt.Errorf("%s runs with another setting than is written", c.Name)
		}
		if c.State.Health != nil && c.State.Health.Status != container.Healthy {
			return fmt.Errorf("%s is %s", c.Name, c.State.Health.Status)
		}
	}
	return nil
}

// remove removes all that the project has left.
func (p *project) remove(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commandTimeout)
	defer cancel()
	p.kill(os.Kill)
	containers, err := p.engine.ContainerList(ctx, container.ListOptions{All: true, Filters: p.labelled()})
	errs := []error{err}
	for _, c := range containers {
		errs = append(errs, ignoreGone(p.engine.ContainerRemove(ctx, c.ID, container.RemoveOptions{Force: true, RemoveVolumes: true})))
	}
	networks, err := p.engine.NetworkList(ctx, network.ListOptions{Filters: p.labelled()})
	errs = append(errs, err)
	for _, n := range networks {
		errs = append(errs, ignoreGone(p.engine.NetworkRemove(ctx, n.ID)))
	}
	volumes, err := p.engine.VolumeList(ctx, volume.ListOptions{Filters: p.labelled()})
	errs = append(errs, err)
	names := p.judge.volumes() // an anonymous one has no label
	for _, v := range volumes.Volumes {
		names = append(names, v.Name)
	}
	for _, name := range names {
		errs = append(errs, ignoreGone(p.engine.VolumeRemove(ctx, name, false)))
	}
	return errors.Join(append(errs, p.story.Close(), os.RemoveAll(filepath.Join(p.folder(), "data")))...)
}

func ignoreGone(err error) error {
	if errdefs.IsNotFound(err) {
		return nil
	}
	return err
}

// saveLogs writes the output of all containers there are, for a trial that failed.
func (p *project) saveLogs(ctx context.Context) {
	containers, err := p.engine.ContainerList(ctx, container.ListOptions{All: true, Filters: p.labelled()})
	if err != nil {
		p.tell("the containers' output cannot be saved: %v", err)
	}
	for _, c := range containers {
		cmd, done, err := p.command(ctx, p.dir, strings.TrimPrefix(c.Names[0], "/")+".log", "docker", "logs", "--timestamps", c.ID)
		if err == nil {
			err = cmd.Run()
			done()
		}
		if err != nil {
			p.tell("the output of %s cannot be saved: %v", c.Names[0], err)
		}
	}
}
