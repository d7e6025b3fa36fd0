//go:build linux

package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tendhq/tend/cmd/terminal"
	"github.com/tendhq/tend/controller"
	"github.com/tendhq/tend/controller/app"
	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/migrate"
	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/controller/swarm"
	"github.com/tendhq/tend/controller/swarm/convert"
	"github.com/tendhq/tend/state/durable"
)

// migration is what the flags of migrate say.
type migration struct {
	to      string
	volumes []string
	yes     bool
	dryRun  bool
}

func newMigrate(f *flags) *cobra.Command {
	var o migration
	c := &cobra.Command{
		Use:   "migrate",
		Short: "Move the running project to the Swarm that its engine manages, or back",
		Long: `Move the running project to the Swarm that its engine manages, or back.

What writes nowhere is ready on the one side before it ends on the other. What alone writes to a volume ends first, and
moves only where you have said so of the volume: with --volume, with --yes, or on a terminal when you are asked. No data
are copied, as the volume stays where it is.

It ends with 1 where something has stayed, and says why. Run again, it goes on from what there is, also after it was
killed.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if side := migrate.Side(o.to); side != migrate.Docker && side != migrate.Swarm {
				return usage(c, fmt.Errorf("say where it is to move: --to swarm, or --to docker"))
			}
			return move(c.Context(), f, o)
		},
	}
	s := c.Flags()
	s.StringVar(&o.to, "to", "", "what is to keep the project: swarm, the Docker Swarm that the engine manages, or docker, the engine")
	s.StringArrayVar(&o.volumes, "volume", nil, "volume that may move with the services that mount it, by its name in compose.yaml or the engine; may be given more than once")
	s.BoolVarP(&o.yes, "yes", "y", false, "let all volumes move")
	s.BoolVar(&o.dryRun, "dry-run", false, "say what would be done, and do nothing")
	return c
}

// on returns the flags as if an engine had been named.
func (f *flags) on(side migrate.Side) *flags {
	other := *f
	other.engine, other.spec.Adapt, other.timeout = string(side), nil, convergeTimeout
	if side == migrate.Swarm {
		other.spec.Adapt = convert.Adapt
	}
	return &other
}

// move moves the project. Everything that can be refused is, before anything is changed.
func move(ctx context.Context, f *flags, asked migration) (err error) {
	to := migrate.Side(asked.to)
	onDocker, onSwarm := f.on(migrate.Docker), f.on(migrate.Swarm)
	if url, err := f.database(); url != "" || err != nil {
		return errors.Join(err, errors.New("what a database keeps is of one engine: move without --database-url, and name it to the tend that keeps the project then"))
	}
	services, err := onSwarm.load(ctx)
	if err != nil {
		return err
	}
	project, e, err := onDocker.open(ctx)
	if err != nil {
		return err
	}
	defer e.Close()
	m, err := onSwarm.swarm(ctx)
	if err != nil {
		return err
	}
	defer m.Close()
	info, err := e.Info(ctx)
	if err != nil {
		return err
	}
	tell := newLineNarrator(os.Stderr)
	o := migrate.Options{
		To: to, Docker: project, Swarm: services, Engine: e, Manager: m, Node: info.Node,
		Folders: onDocker.options(project).Folders, DataDir: onDocker.data(project.WorkingDir), Say: tell.say,
	}
	if err := checkMove(ctx, f, o); err != nil {
		return err
	}
	containers, err := e.Containers(ctx, project.Name)
	if err != nil {
		return err
	}
	if o.Stays, err = asked.consent(migrate.Volumes(services, containers)); err != nil {
		return err
	}
	for _, line := range migrate.Outline(o) {
		fmt.Println(line)
	}
	if asked.dryRun {
		return nil
	}
	kept, err := stopController(ctx, e, onDocker, project)
	if err != nil {
		return err
	}
	err = carryOut(ctx, o, onDocker, onSwarm, tell)
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("not all of project %s has moved, and nobody keeps it until tend migrate is run again, this way or back", project.Name)
	case err != nil:
		return err
	}
	if kept == "" {
		tell.say("project %s has moved: tend run or tend up --engine %s keeps it", project.Name, to)
		return nil
	}
	return up(ctx, f.on(to), kept, false, false)
}

// checkMove returns everything that is in the way of a move.
func checkMove(ctx context.Context, f *flags, o migrate.Options) error {
	foreign, err := swarm.Foreign(ctx, o.Manager, o.Docker.Name, o.Folders)
	if err != nil {
		return err
	}
	problems, err := migrate.Check(ctx, o)
	if err != nil {
		return err
	}
	if foreign != "" {
		problems = append(problems, foreign)
	}
	var refusals []error
	for _, p := range problems {
		refusals = append(refusals, errors.New(p))
	}
	if len(refusals) > 0 {
		return fmt.Errorf("nothing of project %s is moved:\n%w", o.Docker.Name, errors.Join(refusals...))
	}
	return refuseForeigners(ctx, o.Engine, f, o.Docker)
}

// consent asks which volumes may move, and says of each workload that may not why.
func (asked migration) consent(volumes []migrate.Volume) (stays map[string]string, err error) {
	for _, name := range asked.volumes {
		if !slices.ContainsFunc(volumes, func(v migrate.Volume) bool { return v.Name == name || v.Key == name }) {
			return nil, fmt.Errorf("no service mounts a volume %s", name)
		}
	}
	answers := bufio.NewScanner(os.Stdin)
	return migrate.Stays(volumes, func(v migrate.Volume) bool {
		switch {
		case asked.yes, slices.Contains(asked.volumes, v.Name), slices.Contains(asked.volumes, v.Key):
			return true
		case asked.dryRun, !terminal.Is(os.Stdin), !terminal.Is(os.Stderr):
			return false
		}
		fmt.Fprintf(terminal.Writer(os.Stderr), "May the volume %s move (%s)? [y/N] ", v.Name, v)
		return answers.Scan() && strings.EqualFold(strings.TrimSpace(answers.Text()), "y")
	}), nil
}

// stopController stops the controller that tend up has started, and returns its image; empty
// where there is none. Its container stays until another one takes its place.
func stopController(ctx context.Context, e engine.Engine, f *flags, p *spec.Project) (image string, err error) {
	containers, err := controllers(ctx, e, f, p)
	if err != nil {
		return "", err
	}
	for _, c := range containers {
		if err := e.Stop(ctx, c.ID, controllerGrace); err != nil {
			return "", fmt.Errorf("stop the controller's container %s: %w", c.Name, err)
		}
		image = c.Image
	}
	return image, nil
}

// carryOut moves a project while nobody else may act on it, on either side.
func carryOut(ctx context.Context, o migrate.Options, onDocker, onSwarm *flags, tell *narrator) (err error) {
	var rights []*app.Right
	defer func() {
		for _, r := range rights {
			err = errors.Join(err, r.Release())
		}
	}()
	for _, f := range []*flags{onDocker, onSwarm} {
		r, err := f.take(ctx, o.Docker)
		if err != nil {
			return err
		}
		rights = append(rights, r)
		var stop func()
		ctx, stop = durable.Guard(ctx, r)
		defer stop()
	}
	containers, services := onDocker.options(o.Docker), onSwarm.options(o.Swarm)
	containers.Log, containers.OnEvent = tell.log, tell.event
	services.Manager, services.Log, services.OnEvent, services.Volumes = o.Manager, tell.log, tell.event, map[string]string{}
	for volume := range o.Swarm.Volumes {
		services.Volumes[volume] = o.Node
	}
	o.NewContainers = func(e engine.Engine) *controller.Controller {
		containers.Engine = e
		return app.New(containers, rights[0])
	}
	o.Services = app.NewOnSwarm(services, rights[1])
	o.Engine = engine.Fence(o.Engine, rights[0].Check)
	stay, err := migrate.Move(ctx, o)
	if err != nil || len(stay) == 0 {
		return err
	}
	var reasons []error
	for _, name := range slices.Sorted(maps.Keys(stay)) {
		reasons = append(reasons, fmt.Errorf("%s: %s", name, stay[name]))
	}
	return fmt.Errorf("not all of project %s has moved, and nobody keeps it until tend migrate has, this way or back:\n%w", o.Docker.Name, errors.Join(reasons...))
}
