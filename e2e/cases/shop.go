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
	"os"
	"os/exec"
	"path/filepath"
	"slices"
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
  tend: {image: %[1]s/tend:1}
  gateway: {image: %[1]s/gateway:1, ports: !override ["%[2]s:8080"]}
  user-service: {image: %[1]s/user-service:1}
  product-service: {image: %[1]s/product-service:1}
  order-service: {image: %[1]s/order-service:1}
  payment-service: {image: %[1]s/payment-service:1}
`

// Start brings up a copy of a repository's shop, whose images have been built, as the
// Compose project of the given name, with profiles of its compose.yaml. The caller removes
// it, also after an error.
func Start(ctx context.Context, engine *docker.Client, repository, program, project string, profiles ...string) (*Shop, error) {
	s := &Shop{project: project, program: program, engine: engine}
	var err error
	if s.dir, err = os.MkdirTemp("", project+"-"); err != nil {
		return s, err
	}
	address, err := kit.FreeAddress()
	if err != nil {
		return s, err
	}
	s.URL = "http://" + address
	if slices.Contains(profiles, rabbitMQ) {
		variables := fmt.Sprintf("EVENT_BUS=%[1]s\nEVENT_BUS_HOST=%[1]s\n", rabbitMQ)
		if err := os.WriteFile(filepath.Join(s.dir, ".env"), []byte(variables), 0o644); err != nil {
			return s, err
		}
	}
	files := kit.Shop{Repository: repository, Dir: s.dir, Project: project, Profiles: profiles, Override: fmt.Sprintf(override, project, address)}
	if err := files.Write(ctx); err != nil {
		return s, fmt.Errorf("copy the shop: %w", err)
	}
	if s.specs, err = kit.Specs(s.dir); err != nil {
		return s, err
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

// Dir is the folder of the shop's Compose file and specs.
func (s *Shop) Dir() string { return s.dir }

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
	file := kit.SpecFile(s.dir, service)
	if current, err := os.ReadFile(file); err == nil && string(current) == content {
		return nil
	}
	return kit.Replace(file, content)
}

// write saves a service's spec: that of the repository with another number of
// replicas, and with a template (Compose keys in YAML's flow form).
func (s *Shop) write(service string, replicas int, template string) error {
	return s.save(service, kit.Set(s.specs[service], "replicas", replicas)+"  template: {"+template+"}\n")
}

// nextRevision is a template that makes a revision nobody has seen before.
func (s *Shop) nextRevision() string {
	return fmt.Sprintf("environment: {CASES_REVISION: %q}", fmt.Sprint(s.revision.Add(1)))
}
