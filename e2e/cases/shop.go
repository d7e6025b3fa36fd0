// Package cases disturbs the shop in every way that must not lose a request: it
// brings up a copy of the shop under a name of its own, puts it under load, and
// meanwhile updates, scales, kills, cuts off and hangs parts of it, tend included.
//
// It stands in tend's own module because the end-to-end tests run some of the
// cases briefly; the command that runs all of them at length is bench/cases.
package cases

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"time"

	docker "github.com/docker/docker/client"

	"github.com/tendhq/tend/api/client"
	"github.com/tendhq/tend/e2e/kit"
)

// cleanUpTimeout bounds the removal of a shop.
const cleanUpTimeout = 3 * time.Minute

// Shop is a copy of the shop that runs under tend.
type Shop struct {
	// URL is the gateway's.
	URL string

	project string
	dir     string
	program string // tend
	engine  *docker.Client
	// controller speaks to tend.
	controller *client.Client
	// specs are the contents of the spec files, by service, as they are in the
	// repository.
	specs map[string]string
	// revision numbers the revisions that the cases write.
	revision atomic.Int64
}

// override takes from the copy what would collide with the shop of make up.
// The gateway's port is a fixed one, as Docker would give it another after each
// restart. The images are the shop's of now, under names of its own: whoever
// builds new ones meanwhile changes nothing here.
const override = `services:
  tend: {image: %[1]s/tend:1, ports: !override ["127.0.0.1::7070"]}
  gateway: {image: %[1]s/gateway:1, ports: !override ["%[2]s:8080"]}
  user-service: {image: %[1]s/user-service:1}
  product-service: {image: %[1]s/product-service:1}
  order-service: {image: %[1]s/order-service:1}
  payment-service: {image: %[1]s/payment-service:1}
`

// Start brings up a copy of the shop of a repository, whose images have been
// built, as the Compose project of the given name. The caller removes it, also
// after an error.
func Start(ctx context.Context, engine *docker.Client, repository, program, project string) (*Shop, error) {
	s := &Shop{project: project, program: program, engine: engine, specs: map[string]string{}}
	var err error
	if s.dir, err = os.MkdirTemp("", project+"-"); err != nil {
		return s, err
	}
	if err := s.copyFiles(repository); err != nil {
		return s, fmt.Errorf("copy the shop: %w", err)
	}
	if err := s.buildImages(ctx, repository); err != nil {
		return s, fmt.Errorf("prepare the shop's images: %w", err)
	}
	if err := s.command(ctx, "up"); err != nil {
		return s, err
	}
	s.controller, err = client.Dial(filepath.Join(s.dir, ".tend"))
	return s, err
}

// copyFiles copies what makes the shop, and has .env say where the copy is.
func (s *Shop) copyFiles(repository string) error {
	for _, name := range []string{"specs", "deploy/secrets"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(s.dir, name)), 0o755); err != nil {
			return err
		}
		if err := os.CopyFS(filepath.Join(s.dir, name), os.DirFS(filepath.Join(repository, name))); err != nil {
			return err
		}
	}
	address, err := kit.FreeAddress()
	if err != nil {
		return err
	}
	s.URL = "http://" + address
	compose, err := os.ReadFile(filepath.Join(repository, "compose.yaml"))
	if err != nil {
		return err
	}
	// What holds of this machine stands in the repository's own .env.
	env, err := os.ReadFile(filepath.Join(repository, ".env"))
	if err != nil {
		return fmt.Errorf("%w; make setup writes it", err)
	}
	env = fmt.Appendf(env, "COMPOSE_PROJECT_NAME=%s\nTEND_PROJECT_DIRECTORY=%s\n", s.project, s.dir)
	if err := errors.Join(
		os.WriteFile(filepath.Join(s.dir, "compose.yaml"), compose, 0o644),
		os.WriteFile(filepath.Join(s.dir, "compose.override.yaml"), fmt.Appendf(nil, override, s.project, address), 0o644),
		os.WriteFile(filepath.Join(s.dir, ".env"), env, 0o644),
	); err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(s.dir, "specs", "*.yaml"))
	if err != nil {
		return err
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		s.specs[strings.TrimSuffix(filepath.Base(file), ".yaml")] = string(content)
	}
	return s.openToController(repository)
}

// openToController lets tend's user, who is another one in its container, read
// the copy, and keeps everyone else out of the secrets.
func (s *Shop) openToController(repository string) error {
	if err := os.Chmod(s.dir, 0o755); err != nil {
		return err
	}
	return filepath.WalkDir(filepath.Join(repository, "deploy", "secrets"), func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(repository, path)
		if err != nil {
			return err
		}
		return copyOwner(path, filepath.Join(s.dir, relative))
	})
}

// Remove takes away all that belongs to the shop. It does so also after ctx has ended.
func (s *Shop) Remove(ctx context.Context) error {
	if s.dir == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUpTimeout)
	defer cancel()
	return errors.Join(s.command(ctx, "down", "-v"), s.removeImages(ctx), os.RemoveAll(s.dir))
}

// command runs a command of tend. Its output is shown only when it fails.
func (s *Shop) command(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, s.program, append([]string{"--project-directory", s.dir}, args...)...)
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("tend %s: %w\n%s", strings.Join(args, " "), err, &output)
	}
	return nil
}

// Restore writes all specs as they were and waits until the shop is as they say.
func (s *Shop) Restore(ctx context.Context) error {
	for service, content := range s.specs {
		if err := s.save(service, content); err != nil {
			return err
		}
	}
	return s.awaitConverged(ctx)
}

// save puts a spec in the place of the one before, as editors do.
func (s *Shop) save(service, content string) error {
	file := filepath.Join(s.dir, "specs", service+".yaml")
	if current, err := os.ReadFile(file); err == nil && string(current) == content {
		return nil
	}
	return kit.Replace(file, content)
}

// replicasOf is how many replicas the repository's spec of a service asks for.
func (s *Shop) replicasOf(service string) (n int) {
	// A spec without the line would fail the first wait for it.
	_, _ = fmt.Sscanf(replicasLine.FindString(s.specs[service]), "  replicas: %d", &n)
	return n
}

var (
	replicasLine = regexp.MustCompile(`(?m)^  replicas: \d+$`)
	deadlineLine = regexp.MustCompile(`(?m)^  progressDeadlineSeconds: \d+$`)
)

// write saves a service's spec: that of the repository with another number of
// replicas, and with a template (Compose keys in YAML's flow form).
func (s *Shop) write(service string, replicas int, template string) error {
	content := replicasLine.ReplaceAllString(s.specs[service], fmt.Sprintf("  replicas: %d", replicas))
	return s.save(service, content+"  template: {"+template+"}\n")
}

// nextRevision is a template that makes a revision nobody has seen before.
func (s *Shop) nextRevision() string {
	return fmt.Sprintf("environment: {CASES_REVISION: %q}", fmt.Sprint(s.revision.Add(1)))
}
