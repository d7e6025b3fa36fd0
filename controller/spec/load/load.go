// Package load reads a project: compose.yaml through compose-go, with specs/*.yaml
// merged over it, defaulted, validated and hashed.
package load

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/consts"
	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	"go.yaml.in/yaml/v3"

	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/controller/spec/keys"
	"github.com/tendhq/tend/controller/spec/syntax"
)

// Options select the project to load, as the flags of docker compose do.
type Options struct {
	// ProjectDirectory is where relative paths start; empty means the folder
	// of the first Compose file.
	ProjectDirectory string
	// Files are the Compose files in merge order; empty means COMPOSE_FILE, or
	// compose.yaml in the project directory or the nearest folder above it. "-" is read
	// from Stdin.
	Files []string
	// Stdin returns the Compose file that is named "-". It is called at each load, and
	// returns the same each time; nil means that there is none.
	Stdin func(context.Context) ([]byte, error)
	// Name is the project name; empty means COMPOSE_PROJECT_NAME, the name in
	// the Compose files, or that of the project directory.
	Name string
	// EnvFiles replace the project directory's .env file.
	EnvFiles []string
	// Profiles are the active ones; empty means COMPOSE_PROFILES.
	Profiles []string
	// Overlay is the content of one more Compose file, merged last. It adds
	// the controller's own service to projects that do not write it.
	Overlay []byte
	// Policy bounds what the project may ask for.
	Policy spec.Policy
	// IngressImage is the image of the ingresses that hold host ports. Where it is empty
	// there are none, and containers publish their ports themselves; NoIngress says why, for
	// the mistakes that follow from it.
	IngressImage, NoIngress string

	// Adapt changes a valid project to suit another kind of engine, and returns an error for
	// each key that this engine cannot honour. It may be nil.
	Adapt func(*spec.Project, Places) spec.Errors

	// Drafts stand in place of the files of their paths, to try them out.
	Drafts []Draft
}

// Places are where a project is written.
type Places struct {
	// Key returns an Error at the deepest key of a path in the Compose model that is
	// written.
	Key func(path ...string) *spec.Error
	// Field returns an Error at a field of a service's spec, and reports whether that is
	// written; where it is not, the Error is at the spec, and nil where there is none.
	Field func(service string, path ...string) (e *spec.Error, written bool)
}

// WithDraft returns options with one more draft, in place of an earlier one of its path.
func (o Options) WithDraft(d Draft) Options {
	others := slices.DeleteFunc(slices.Clone(o.Drafts), func(other Draft) bool { return other.Path == d.Path })
	o.Drafts = append(others, d)
	return o
}

// Draft is a Compose file or a spec file with its content as it would be.
type Draft struct {
	Path    string
	Content []byte
}

// Project reads a project: its Compose files through compose-go, and specs/*.yaml
// beside the first of them merged over it. Where what was written is wrong, it returns
// spec.Errors with every mistake found, and no project.
func Project(ctx context.Context, o Options) (*spec.Project, error) {
	project, _, err := WithInputs(ctx, o)
	return project, err
}

// WithInputs is Project, and also returns the files that the project was read from. On
// an error it returns those that are known by then.
func WithInputs(ctx context.Context, o Options) (*spec.Project, *Inputs, error) {
	options, workingDir, in, err := discover(o)
	if err != nil {
		return nil, in, err
	}
	l := loading{options: options, drafts: o.Drafts, noIngress: o.IngressImage == "", whyNoIngress: o.NoIngress, workingDir: workingDir, inputs: in, named: map[string]spec.Error{}, lengths: lengths{}}
	project, err := l.run(ctx, o)
	return project, in, err
}

// Discover returns the files that a project will be read from, without those that are
// known only once others were read.
func Discover(o Options) (*Inputs, error) {
	_, _, in, err := discover(o)
	return in, err
}

// Folder returns the project's folder, without reading its files.
func Folder(o Options) (string, error) {
	_, folder, _, err := discover(o)
	return folder, err
}

// discover finds the Compose files. in holds all files that may be read, without those
// that the Compose files name.
func discover(o Options) (options *cli.ProjectOptions, workingDir string, in *Inputs, err error) {
	in = newInputs()
	in.add(slices.DeleteFunc(slices.Clone(o.Files), isStdin)...)
	in.add(o.EnvFiles...)
	options, err = composeOptions(o)
	if err != nil {
		in.addDiscoverable(o, o.ProjectDirectory, o.Files)
		refused := new(spec.Error)
		if e := envFileError(err, os.LookupEnv); e != nil {
			refused = e
		} else if !errors.As(err, &refused) {
			refused.Message = err.Error()
		}
		return nil, "", in, spec.Errors{refused}
	}
	workingDir, err = options.GetWorkingDir()
	if err != nil {
		return nil, "", in, spec.Errors{{Message: err.Error()}}
	}
	in.addDiscoverable(o, workingDir, options.ConfigPaths)
	if options.Environment["PWD"] == "" {
		options.Environment["PWD"] = workingDir // no shell has set it, as in a container
	}
	if len(options.ConfigPaths) == 0 {
		return nil, "", in, spec.Errors{{File: workingDir,
			Message: "there is no compose.yaml in this folder or above it",
			Hint:    "go to the project's folder, or name it with --project-directory or -f"}}
	}
	folder := workingDir
	if first := options.ConfigPaths[0]; !isStdin(first) {
		first, err := filepath.Abs(first)
		if err != nil {
			return nil, "", in, spec.Errors{{File: first, Message: err.Error()}}
		}
		folder, in.Compose = filepath.Dir(first), first
	}
	in.Specs = filepath.Join(folder, "specs")
	return options, workingDir, in, nil
}

// composeOptions collects the options as docker compose's own command line does, in its
// order: https://github.com/docker/compose/blob/v2.40.3/cmd/compose/compose.go
func composeOptions(o Options) (*cli.ProjectOptions, error) {
	return cli.NewProjectOptions(o.Files,
		cli.WithWorkingDirectory(o.ProjectDirectory),
		cli.WithOsEnv,
		cli.WithEnvFiles(o.EnvFiles...),
		checkEnvFiles,
		cli.WithDotEnv,
		cli.WithConfigFileEnv,
		cli.WithDefaultConfigPath,
		cli.WithEnvFiles(o.EnvFiles...),
		checkEnvFiles,
		cli.WithDotEnv,
		cli.WithName(o.Name),
	)
}

// checkEnvFiles refuses env files before compose-go opens them.
func checkEnvFiles(o *cli.ProjectOptions) error {
	known := lengths{}
	for _, path := range o.EnvFiles {
		if err := checkNamed(path); err != nil {
			return fileError(path, err)
		}
		if problem := known.checkEnvFile(path, os.LookupEnv); problem != nil {
			return problem
		}
	}
	return nil
}

// loading is the state while one project is read.
type loading struct {
	options    *cli.ProjectOptions
	drafts     []Draft
	workingDir string
	inputs     *Inputs
	sources    sources
	documents  []*document
	// shared are the volumes that several containers may write to, by Compose key.
	shared map[string]bool
	// named holds, for each file that a Compose file names, the place where it is
	// named.
	named map[string]spec.Error
	// lengths are of the variables in the env files that Compose files name.
	lengths lengths
	// noIngress is true where containers publish all ports themselves.
	noIngress    bool
	whyNoIngress string
}

func (l *loading) run(ctx context.Context, o Options) (*spec.Project, error) {
	var problems spec.Errors
	files := make([]types.ConfigFile, len(l.options.ConfigPaths))
	configFiles := make([]string, len(files))
	for i, path := range l.options.ConfigPaths {
		read := l.readCompose
		if isStdin(path) {
			read = func(path string) ([]byte, []*yaml.Node, spec.Errors) { return readStdin(ctx, o, path) }
		} else {
			var err error
			if path, err = filepath.Abs(path); err != nil {
				return nil, spec.Errors{{File: path, Message: err.Error()}}
			}
		}
		content, roots, errs := read(path)
		problems = append(problems, errs...)
		configFiles[i] = path
		files[i] = types.ConfigFile{Filename: path, Content: content}
		for _, root := range roots {
			l.sources = append(l.sources, source{file: path, root: root})
		}
	}
	if len(problems) == 0 {
		problems = l.readReferenced()
	}

	specFiles, errs := l.readSpecs()
	problems = append(problems, errs...)
	problems = append(problems, l.checkNames()...)
	problems = append(problems, l.readTemplates()...)
	if err := problems.OrNil(); err != nil {
		return nil, err
	}

	templates := map[string]*yaml.Node{}
	for _, d := range l.documents {
		if d.template != nil {
			templates[d.name] = d.template
			l.sources = append(l.sources, source{file: d.file, root: d.template, at: []string{"services", d.name}})
		}
	}
	for _, s := range l.sources {
		problems = append(problems, keys.Unknown(s.file, s.root, s.at...)...)
	}
	problems = append(problems, l.checkChains()...)
	problems = append(problems, l.checkGrowth()...)
	if err := problems.OrNil(); err != nil {
		return nil, err
	}
	if len(templates) > 0 {
		content, err := yaml.Marshal(map[string]any{"services": templates})
		if err != nil {
			return nil, fmt.Errorf("write the templates for compose-go: %w", err)
		}
		files = append(files, types.ConfigFile{Filename: l.inputs.Specs, Content: content})
	}

	if len(o.Overlay) > 0 {
		files = append(files, types.ConfigFile{Filename: "overlay", Content: o.Overlay})
	}

	composed, err := l.compose(ctx, files, o.Profiles)
	if err != nil {
		return nil, l.explain(err)
	}
	composed.ComposeFiles = configFiles
	project, err := l.project(composed, o, specFiles)
	if problems := (spec.Errors{}); errors.As(err, &problems) {
		l.conceal(problems)
	}
	return project, err
}

// compose has compose-go interpolate, merge, validate and resolve the files.
func (l *loading) compose(ctx context.Context, files []types.ConfigFile, profiles []string) (_ *types.Project, err error) {
	defer func() {
		// compose-go relies on the types of some values before it checks them.
		if r := recover(); r != nil {
			err = fmt.Errorf("a value has another type than the Compose specification wants: %v", r)
		}
	}()
	environment := l.options.Environment
	if len(profiles) == 0 {
		for profile := range strings.SplitSeq(environment[consts.ComposeProfiles], ",") {
			profiles = append(profiles, strings.TrimSpace(profile))
		}
	}
	details := types.ConfigDetails{WorkingDir: l.workingDir, ConfigFiles: files, Environment: environment}
	options := []func(*loader.Options){
		loader.WithProfiles(profiles),
		l.projectName,
		func(o *loader.Options) { o.SkipResolveEnvironment = true },
	}
	project := loadValid(ctx, details, options...)
	if project == nil {
		if project, err = loader.LoadWithContext(ctx, details, options...); err != nil {
			return nil, err
		}
	}
	// It is a step of its own, as in docker compose, so that env_file is out of the
	// hash and label_file is in it.
	return project.WithServicesEnvironmentResolved(true)
}

// projectName sets the name where no Compose file does, by Compose's order of
// precedence: flag, COMPOSE_PROJECT_NAME, the files, the folder.
func (l *loading) projectName(o *loader.Options) {
	if name := l.options.Name; name != "" {
		o.SetProjectName(name, true)
		return
	}
	if name := l.options.Environment[consts.ComposeProjectName]; name != "" {
		o.SetProjectName(name, true)
		return
	}
	o.SetProjectName(loader.NormalizeProjectName(filepath.Base(l.workingDir)), false)
}

// readCompose reads one Compose file for compose-go and for the positions of
// errors.
func (l *loading) readCompose(path string) ([]byte, []*yaml.Node, spec.Errors) {
	l.inputs.add(path)
	content, err := l.readOrDraft(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil, spec.Errors{{File: path, Message: "the file does not exist",
			Hint: "put it back, or name another one with -f"}}
	}
	if err != nil {
		return nil, nil, spec.Errors{fileError(path, err)}
	}
	roots, problems := syntax.Parse(path, content)
	return content, roots, problems
}

// readOrDraft returns the draft of a file, or else its content.
func (l *loading) readOrDraft(path string) ([]byte, error) {
	for _, d := range l.drafts {
		if d.Path == path {
			return d.Content, nil
		}
	}
	return readRegular(anywhere{}, path)
}

// isStdin reports whether a Compose file's name stands for the standard input.
func isStdin(path string) bool { return path == "-" }

// readStdin reads the Compose file that comes from the standard input.
func readStdin(ctx context.Context, o Options, path string) ([]byte, []*yaml.Node, spec.Errors) {
	if o.Stdin == nil {
		return nil, nil, spec.Errors{{File: path, Message: "there is no standard input here", Hint: "write the Compose file down, and name it with -f"}}
	}
	content, err := o.Stdin(ctx)
	if err != nil {
		return nil, nil, spec.Errors{{File: path, Message: err.Error(), Hint: "pipe a Compose file into it, or name one with -f"}}
	}
	roots, problems := syntax.Parse(path, content)
	return content, roots, problems
}

const (
	// listedServices is how many services a hint lists. guessedServices is for how many
	// unknown ones a likely name is looked for, as each is compared with all.
	listedServices  = 20
	guessedServices = 100
)

// checkNames finds specs for services that do not exist and services with two
// specs. Services of included files are known too.
func (l *loading) checkNames() (problems spec.Errors) {
	services := l.sources.services()
	if len(services) == 0 {
		return nil // a mistake in compose.yaml has its own message
	}
	known := map[string]bool{}
	for _, name := range services {
		known[name] = true
	}
	unknown := 0
	first := map[string]*document{}
	for _, d := range l.documents {
		if d.name == "" {
			continue
		}
		e := d.problem("metadata", "name")
		if before := first[d.name]; before != nil {
			at := before.problem("metadata", "name")
			e.Message = fmt.Sprintf("service %q has a spec already, at %s:%d", d.name, at.File, at.Line)
			e.Hint = "keep one of the two"
			problems = append(problems, e)
			continue
		}
		first[d.name] = d
		if !known[d.name] {
			unknown++
			e.Message = fmt.Sprintf("there is no service %q in the Compose files", d.name)
			e.Hint = "name a service of them"
			if len(services) <= listedServices {
				e.Hint += ": " + strings.Join(services, ", ")
			}
			if unknown <= guessedServices {
				if meant := syntax.Nearest(d.name, services); meant != "" {
					e.Hint = "did you mean " + strconv.Quote(meant) + "?"
				}
			}
			problems = append(problems, e)
		}
	}
	return problems
}
