//go:build linux

package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"

	swarmapi "github.com/docker/docker/api/types/swarm"
	"github.com/docker/go-units"
	"github.com/spf13/cobra"

	"github.com/tendhq/tend/cmd/terminal"
	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/postgres"
	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/controller/spec/syntax"
	"github.com/tendhq/tend/controller/swarm"
	"github.com/tendhq/tend/controller/swarm/convert"
)

func newBackup(f *flags) *cobra.Command {
	return &cobra.Command{
		Use:   "backup WORKLOAD",
		Short: "Dump a database to a file in the data directory and check the file; print its path",
		Long: `Dump a running Database to a file in the data directory, check the file, and print its path. On a Swarm a job does so, the
file is in the volume PROJECT_backups of the Database's node, and its name is printed.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if f.engine == swarmEngine {
				return runJob(c, f, args[0], convert.Backup)
			}
			return withDatabase(c.Context(), f, args[0], func(db *database) error {
				return db.backup(c.Context(), f.data(db.project.WorkingDir), c.OutOrStdout(), c.ErrOrStderr())
			})
		},
	}
}

func newRestore(f *flags) *cobra.Command {
	return &cobra.Command{
		Use:   "restore WORKLOAD FILE",
		Short: "Bring a running database back to what a dump holds, all of it or nothing",
		Long: `Bring a running Database back to what a dump holds, all of it or nothing: a restore that fails leaves the data as it was. On
a Swarm FILE is the name of a file that tend backup, or an update, has left on the Database's node.`,
		Args: cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			if f.engine == swarmEngine {
				return runJob(c, f, args[0], func(p *spec.Project, w *spec.Workload, running swarmapi.ServiceSpec, node string) swarmapi.ServiceSpec {
					return convert.Restore(p, w, running, node, args[1])
				})
			}
			return withDatabase(c.Context(), f, args[0], func(db *database) error {
				return db.restore(c.Context(), args[1], c.ErrOrStderr())
			})
		},
	}
}

// database is a Database workload and the container that it runs in.
type database struct {
	engine    engine.Engine
	project   *spec.Project
	workload  *spec.Workload
	container engine.Container
	// block shows what goes on; nil where nothing can be drawn in place.
	block *terminal.Block
}

// at shows how far a step is.
func (db *database) at(state, text string) {
	if db.block != nil {
		db.block.Set(terminal.Row{Name: db.workload.Name, State: state, Text: text})
	}
}

// begin shows that a step is under way, until done is called with how it has ended.
func (db *database) begin(state string) (done func(state string, err error)) {
	if terminal.CanDraw(os.Stderr) {
		db.block = terminal.NewBlock(os.Stderr, db.project.Name)
	}
	db.at(state, "")
	return func(ended string, err error) {
		if db.block == nil {
			return
		}
		r := terminal.Row{Name: db.workload.Name, State: ended, Mark: terminal.Done}
		if err != nil {
			r.State, r.Mark = "Failed", terminal.Failed
		}
		db.block.Set(r)
		db.block.Close()
		db.block = nil
	}
}

// loadDatabase reads the project, and returns the Database of a name.
func (f *flags) loadDatabase(ctx context.Context, name string) (*spec.Project, *spec.Workload, error) {
	project, err := f.load(ctx)
	if err != nil {
		return nil, nil, err
	}
	w, ok := project.Workloads[name]
	if !ok {
		return nil, nil, errors.New(syntax.NoWorkload(name, slices.Collect(maps.Keys(project.Workloads))))
	}
	if w.Kind != spec.Database {
		return nil, nil, fmt.Errorf("%s is %s: only a Database, which a spec makes of a service with kind: Database, can be backed up and restored", name, w.Kind.WithArticle())
	}
	return project, w, nil
}

// runJob has a job on a Swarm do something with a running database.
func runJob(c *cobra.Command, f *flags, name string, job func(_ *spec.Project, _ *spec.Workload, running swarmapi.ServiceSpec, node string) swarmapi.ServiceSpec) error {
	ctx := c.Context()
	project, w, err := f.loadDatabase(ctx, name)
	if err != nil {
		return err
	}
	m, err := f.swarm(ctx)
	if err != nil {
		return err
	}
	defer m.Close()
	all, err := m.Services(ctx, project.Name)
	if err != nil {
		return err
	}
	tasks, err := m.Tasks(ctx, project.Name)
	if err != nil {
		return err
	}
	for _, s := range all {
		if s.Spec.Name != convert.ServiceName(project.Name, name) || spec.OtherFolder(project.WorkingDir, s.Spec.Labels) != "" {
			continue
		}
		for _, t := range tasks {
			if t.ServiceID == s.ID && t.State == swarmapi.TaskStateRunning {
				return swarm.RunJob(ctx, m, job(project, w, s.Spec, t.NodeID), c.OutOrStdout(), c.ErrOrStderr())
			}
		}
	}
	return fmt.Errorf("no task of %s runs: start it with tend apply", name)
}

// withDatabase finds a running database. A controller may go on keeping it
// meanwhile.
func withDatabase(ctx context.Context, f *flags, name string, do func(*database) error) error {
	project, w, err := f.loadDatabase(ctx, name)
	if err != nil {
		return err
	}
	e, err := f.connect(ctx)
	if err != nil {
		return err
	}
	defer e.Close()
	containers, err := e.Containers(ctx, project.Name)
	if err != nil {
		return err
	}
	for _, c := range containers {
		if spec.OtherFolder(project.WorkingDir, c.Labels) == "" && c.Labels[spec.LabelService] == name && c.Labels[spec.LabelOneoff] != "True" && c.State == engine.Running {
			return do(&database{engine: e, project: project, workload: w, container: c})
		}
	}
	return fmt.Errorf("no container of %s runs: start it with tend apply", name)
}

func (db *database) backup(ctx context.Context, dataDir string, out, progress io.Writer) error {
	server, err := postgres.Describe(ctx, db.engine, db.container.ID)
	if err != nil {
		return err
	}
	fmt.Fprintf(progress, "dumping %s (Postgres %s in %s) to %s\n", db.workload.Name, server.Version, db.container.Name, postgres.Dir(dataDir, db.workload.Name))
	done := db.begin("Dumping")
	dump, err := postgres.Backup(ctx, db.engine, db.container.ID, dataDir, db.workload.Name, db.workload.Backup.Keep, func(bytes int64) {
		db.at("Dumping", units.HumanSize(float64(bytes)))
	})
	done("Dumped", err)
	if err != nil {
		return err
	}
	fmt.Fprintf(progress, "read back and kept: %d bytes\n", dump.Size)
	fmt.Fprintln(out, dump.Path)
	return nil
}

func (db *database) restore(ctx context.Context, file string, progress io.Writer) error {
	fmt.Fprintf(progress, "restoring %s into %s\n", file, db.container.Name)
	done := db.begin("Restoring")
	err := postgres.Restore(ctx, db.engine, db.container.ID, file)
	done("Restored", err)
	if err != nil {
		return err
	}
	fmt.Fprintf(progress, "%s is as in %s\n", db.workload.Name, file)
	return nil
}
