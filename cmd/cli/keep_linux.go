package cli

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tendhq/tend/controller/app"
	"github.com/tendhq/tend/controller/observe"
	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/controller/tracing"
	"github.com/tendhq/tend/ingress/image"
)

// keepers are the commands that keep a project, or look after its data directory.
func keepers(f *flags) []*cobra.Command {
	return []*cobra.Command{
		newUp(f), newRun(f), newApply(f), newDiff(f), newSimulate(f), newBackup(f), newRestore(f), newRelease(f), newMigrate(f), newDown(f), newToken(f), newIngress(f),
	}
}

// findProgram finds out what ingresses run.
func (f *flags) findProgram() {
	path, err := os.Executable()
	if err == nil {
		f.spec.IngressImage, err = image.NameOf(path)
	}
	if err != nil {
		f.programErr, f.spec.NoIngress = err, err.Error()
		return
	}
	f.program = path
}

// owns adds the flags that say which containers are the project's.
func (f *flags) owns(s *pflag.FlagSet) {
	s.StringArrayVar(&f.takeOver, "take-over", nil, "folder whose containers of this project's name are to become this project's: that of a project that was moved or renamed; may be given more than once")
	s.BoolVar(&f.removeOrphans, "remove-orphans", false, "remove containers of services that are not written and that tend has not kept, too")
}

// ownership returns the flags of owns as they were given, for another tend.
func (f *flags) ownership() (args []string) {
	for _, folder := range f.takeOver {
		args = append(args, "--take-over", folder)
	}
	if f.removeOrphans {
		args = append(args, "--remove-orphans")
	}
	return args
}

// sayPorts tells where ports will not be held, as ingresses cannot run.
func (f *flags) sayPorts(p *spec.Project, tell *narrator) {
	published := func(w *spec.Workload) bool { return w.Direct && len(w.FixedHostPorts) > 0 }
	if f.programErr != nil && slices.ContainsFunc(slices.Collect(maps.Values(p.Workloads)), published) {
		tell.say("published ports close while their containers are replaced: %v", f.programErr)
	}
}

// options are the options that a project is kept with.
func (f *flags) options(p *spec.Project) app.Options {
	o := app.Options{
		Project: p, Spec: f.spec, DataDir: f.data(p.WorkingDir), Version: f.version, Executable: f.program,
		Folders: observe.Folders{Project: p.WorkingDir}, RemoveOrphans: f.removeOrphans,
		Collector: os.Getenv(tracing.EndpointVariable),
	}
	for _, folder := range f.takeOver {
		if abs, err := filepath.Abs(folder); err == nil {
			folder = abs
		}
		o.Folders.TakeOver = append(o.Folders.TakeOver, folder)
	}
	return o
}

// take takes the right to act on a project.
func (f *flags) take(ctx context.Context, p *spec.Project) (*app.Right, error) {
	url, err := f.database()
	if err != nil {
		return nil, err
	}
	return app.TakeRight(ctx, f.data(p.WorkingDir), p.Name, url)
}
