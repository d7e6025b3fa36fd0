package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/spf13/pflag"

	"github.com/tendhq/tend/api/client"
	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/engine/docker"
	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/controller/spec/load"
)

// These variables name the database where no flag does.
const (
	databaseEnv     = "TEND_DATABASE_URL"
	databaseFileEnv = "TEND_DATABASE_URL_FILE"
)

// flags are the flags that every command takes, with docker compose's names.
type flags struct {
	version string // the program's
	// program is the file of tend itself, which ingresses run; empty where they cannot,
	// and programErr is why.
	program    string
	programErr error
	spec       load.Options
	host       string
	// engine is what keeps the project.
	engine string
	// server is the URL of a controller elsewhere, and tokenFile holds the token that it
	// is asked with.
	server, tokenFile string
	dataDir           string
	// databaseURL is the value of --database-url; see database for the other places.
	databaseURL string
	timeout     time.Duration
	// takeOver are folders whose containers are to become the project's, and
	// removeOrphans has orphans removed.
	takeOver      []string
	removeOrphans bool
}

func (f *flags) register(s *pflag.FlagSet) {
	s.StringVar(&f.spec.ProjectDirectory, "project-directory", "", "project directory (default: that of the first Compose file)")
	s.StringArrayVarP(&f.spec.Files, "file", "f", nil, "Compose file, or - for the standard input; may be given more than once")
	f.spec.Stdin = readOnce(os.Stdin)
	s.StringVarP(&f.spec.Name, "project-name", "p", "", "project name")
	s.StringArrayVar(&f.spec.EnvFiles, "env-file", envFiles(), "environment file instead of .env; may be given more than once (default: those of COMPOSE_ENV_FILES, with commas between them)")
	s.StringArrayVar(&f.spec.Profiles, "profile", nil, "profile to activate; may be given more than once")
	s.Var(&f.spec.Policy, "policy", "what containers may be created with, after the Pod Security Standards of Kubernetes: privileged, baseline or restricted (default: privileged, as Compose)")
	s.StringVarP(&f.host, "host", "H", "", "engine to use, as unix:///path, tcp://host:port or ssh://user@host (default: DOCKER_HOST, or the current context of docker)")
	s.StringVar(&f.engine, "engine", dockerEngine, "what keeps the project: docker, the engine of --host; swarm, the Docker Swarm that it manages; or model, for run alone, which is in memory and runs nothing, to learn with")
	s.StringVar(&f.server, "server", "", "URL of the controller to ask, as https://host:7070, with a token (default: that of the project, by its socket)")
	s.StringVar(&f.tokenFile, "token-file", "", "file of the token that --server is asked with")
	s.StringVar(&f.databaseURL, "database-url", "", "Postgres database that keeps what survives a restart and says which tend acts (default: "+databaseEnv+", or the content of the file "+databaseFileEnv+"; without any, the data directory)")
	s.StringVar(&f.dataDir, "data-dir", "", "data directory (default: .tend in the project directory)")
}

// envFiles are the files that COMPOSE_ENV_FILES names, as docker compose reads it.
func envFiles() []string {
	return strings.FieldsFunc(os.Getenv("COMPOSE_ENV_FILES"), func(r rune) bool { return r == ',' })
}

// maxInput is how many bytes of the standard input are read: more than a Compose file
// may have.
const maxInput = 16 << 20

// readOnce returns a function that reads a file to its end at the first call, and
// returns the same content at each. The read may never end, as from a terminal, so only
// the wait for it ends with the context.
func readOnce(file io.Reader) func(context.Context) ([]byte, error) {
	var content []byte
	var failed error
	read := make(chan struct{})
	start := sync.OnceFunc(func() {
		go func() {
			defer close(read)
			content, failed = io.ReadAll(io.LimitReader(file, maxInput))
		}()
	})
	return func(ctx context.Context) ([]byte, error) {
		start()
		select {
		case <-read:
			return content, failed
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// convergeTimeout is how long commands wait for convergence where nothing else is said.
const convergeTimeout = 10 * time.Minute

// waits adds --timeout to a command that waits for convergence.
func (f *flags) waits(s *pflag.FlagSet) {
	s.DurationVar(&f.timeout, "timeout", convergeTimeout, "how long to wait until the project has converged")
}

// bound ends a context once the time of --timeout is over.
func (f *flags) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, f.timeout, fmt.Errorf("not done after %s", f.timeout))
}

// load reads the project.
func (f *flags) load(ctx context.Context) (*spec.Project, error) {
	return load.Project(ctx, f.spec)
}

// data is the data directory of the project in a folder. That of a Swarm is within that of
// the machine: what is remembered of containers says nothing of services.
func (f *flags) data(folder string) string {
	if f.engine == swarmEngine {
		return filepath.Join(f.machineData(folder), swarmEngine)
	}
	return f.machineData(folder)
}

// machineData is the data directory of the project on this machine.
func (f *flags) machineData(folder string) string {
	return cmp.Or(f.dataDir, filepath.Join(folder, ".tend"))
}

// database is the URL of the database for tend's own state; empty where there is none.
func (f *flags) database() (string, error) {
	if f.databaseURL != "" {
		return f.databaseURL, nil
	}
	if path := os.Getenv(databaseFileEnv); path != "" {
		content, err := os.ReadFile(path) //nolint:gosec // whoever runs tend names it
		if err != nil {
			return "", fmt.Errorf("%s: %w", databaseFileEnv, err)
		}
		return strings.TrimSpace(string(content)), nil
	}
	return os.Getenv(databaseEnv), nil
}

// dial makes a client of the controller. It reads no file of the project, so that one
// that is not valid keeps nobody from asking what runs.
func (f *flags) dial() (*client.Client, error) {
	c, err := f.find()
	if err != nil {
		return nil, err
	}
	return c.As(f.version), nil
}

// find makes a client of the controller that --server names, or of the project's.
func (f *flags) find() (*client.Client, error) {
	if f.server != "" {
		return f.connectTo()
	}
	if runtime.GOOS != "linux" {
		return nil, errors.New("a controller runs on Linux: name the one to ask with --server, and the file of its token with --token-file")
	}
	folder, err := load.Folder(f.spec)
	if err != nil {
		return nil, err
	}
	return client.Dial(f.data(folder))
}

// connectTo makes a client of the controller that --server names.
func (f *flags) connectTo() (*client.Client, error) {
	token := ""
	if f.tokenFile != "" {
		content, err := os.ReadFile(f.tokenFile) //nolint:gosec // whoever runs tend names it
		if err != nil {
			return nil, fmt.Errorf("read the token: %w", err)
		}
		token = strings.TrimSpace(string(content))
	}
	return client.Connect(f.server, token)
}

// open reads the project, and makes a client of its engine as connect does.
func (f *flags) open(ctx context.Context) (*spec.Project, *docker.Engine, error) {
	project, err := f.load(ctx)
	if err != nil {
		return nil, nil, err
	}
	e, err := f.connect(ctx)
	return project, e, err
}

// connect makes a client of the engine, and fails where the engine does not answer, or
// speaks no API that tend speaks.
func (f *flags) connect(ctx context.Context) (*docker.Engine, error) {
	e, err := docker.New(f.host)
	if err != nil {
		return nil, err
	}
	err = e.Check(ctx)
	if err == nil {
		return e, nil
	}
	_ = e.Close()
	if engine.ClassOf(err) == engine.Invalid {
		return nil, err
	}
	return nil, fmt.Errorf("no container engine answers: %w; start one, or name it with --host, DOCKER_HOST or docker context use", err)
}
