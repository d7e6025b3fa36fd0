package kit

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/cli"
)

// Shop describes a copy of this repository's shop: a Compose project in a folder of
// its own.
type Shop struct {
	// Repository is where the shop is, and Dir the folder of the copy, which exists.
	Repository, Dir string
	// Project is the name of the Compose project.
	Project string
	// Override is compose.override.yaml.
	Override string
	// Profiles are the profiles of compose.yaml that the copy has switched on.
	Profiles []string
	// Fit, unless it is nil, returns the spec that the copy has in place of one.
	Fit func(service, spec string) string
}

// setUp copies what compose.yaml mounts, and makes the secrets and .env as
// deploy/setup.sh does.
const setUp = `mkdir -p "$1/deploy"
cp -R deploy/postgres deploy/rabbitmq deploy/observability "$1/deploy/"
. deploy/lib/common.sh
. deploy/lib/project.sh
ensure_secrets "$1"
ensure_env "$1"
set_env "$1/.env" COMPOSE_PROJECT_NAME "$2"
set_env "$1/.env" COMPOSE_PROFILES "$3"
`

// Write writes the files of the copy. Other lines of its .env stay.
func (s Shop) Write(ctx context.Context) error {
	specs, err := Specs(s.Repository)
	if err != nil {
		return err
	}
	compose, err := os.ReadFile(filepath.Join(s.Repository, "compose.yaml"))
	if err != nil {
		return err
	}
	// tend is another user in its container, and reads the folder too.
	errs := []error{os.Chmod(s.Dir, 0o755), os.Mkdir(filepath.Join(s.Dir, "specs"), 0o755)}
	services, err := s.services(ctx)
	if err != nil {
		return err
	}
	for service, spec := range specs {
		if !slices.Contains(services, service) {
			continue
		}
		if s.Fit != nil {
			spec = s.Fit(service, spec)
		}
		errs = append(errs, Replace(SpecFile(s.Dir, service), spec))
	}
	errs = append(errs, Replace(filepath.Join(s.Dir, "compose.yaml"), string(compose)),
		Replace(filepath.Join(s.Dir, "compose.override.yaml"), s.Override))
	if err := errors.Join(errs...); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", setUp, "bash", s.Dir, s.Project, strings.Join(s.Profiles, ","))
	cmd.Dir = s.Repository
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("make the shop's secrets: %w\n%s", err, output)
	}
	return nil
}

// services returns the names of the services that the copy has.
func (s Shop) services(ctx context.Context) ([]string, error) {
	options, err := cli.NewProjectOptions([]string{filepath.Join(s.Repository, "compose.yaml")}, cli.WithProfiles(s.Profiles))
	if err != nil {
		return nil, err
	}
	project, err := options.LoadProject(ctx)
	if err != nil {
		return nil, err
	}
	return project.ServiceNames(), nil
}

// SpecFile returns the path of the spec file of a service in a project's folder.
func SpecFile(dir, service string) string { return filepath.Join(dir, "specs", service+".yaml") }

// Specs reads the spec files of a project's folder, by service.
func Specs(dir string) (map[string]string, error) {
	files, err := filepath.Glob(SpecFile(dir, "*"))
	if err != nil {
		return nil, err
	}
	specs := map[string]string{}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		specs[strings.TrimSuffix(filepath.Base(file), ".yaml")] = string(content)
	}
	return specs, nil
}

// Set returns a spec with another value of a key wherever the key has a line.
func Set(spec, key string, value any) string {
	return regexp.MustCompile(`(?m)^( *`+key+`:) .*$`).ReplaceAllString(spec, fmt.Sprintf("${1} %v", value))
}

// Replicas returns how many replicas a spec of the shop asks for.
func Replicas(spec string) (n int) {
	// A spec without the line would fail the first wait for it.
	_, _ = fmt.Sscanf(regexp.MustCompile(`(?m)^  replicas: .*$`).FindString(spec), "  replicas: %d", &n)
	return n
}
