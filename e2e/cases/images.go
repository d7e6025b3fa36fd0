package cases

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/docker/docker/api/types/build"
	"github.com/docker/docker/api/types/image"
)

// services are the shop's stateless ones, databases those with data, and parts whatever
// else customers depend on, with them.
var (
	services  = []string{"user-service", "product-service", "order-service", "payment-service"}
	databases = []string{"user-db", "product-db", "order-db", "payment-db"}
	parts     = append([]string{"gateway", "web", "notification-service", "redis-cache", "redis-events", rabbitMQ}, services...)
)

// rabbitMQ carries the events in a copy that has its profile.
const rabbitMQ = "rabbitmq"

const postgresImage = "postgres:15-bookworm"

// image names one of the shop's own images.
func (s *Shop) image(name, tag string) string { return s.project + "/" + name + ":" + tag }

// buildImages gives the shop's images names of their own, and builds those of
// the bad releases and of the databases' updates on top of them.
func (s *Shop) buildImages(ctx context.Context, repository string) error {
	for _, name := range append([]string{"gateway"}, services...) {
		if err := s.engine.ImageTag(ctx, "shop/"+name+":1.0.0", s.image(name, "1")); err != nil {
			return fmt.Errorf("%w; make images builds it", err)
		}
	}
	if err := s.engine.ImageTag(ctx, "shop/user-service:"+nextVersion, s.image("user-service", nextVersion)); err != nil {
		return fmt.Errorf("%w; make images builds it", err)
	}
	if err := s.engine.ImageTag(ctx, "tend/tend:dev", s.image("tend", "1")); err != nil {
		return fmt.Errorf("%w; make images builds it", err)
	}
	faulty, err := buildFaulty(ctx, repository)
	if err != nil {
		return err
	}
	for _, name := range services {
		dockerfile := "FROM " + s.image(name, "1") + "\nCOPY faulty /faulty\n"
		if err := s.build(ctx, s.image(name, "faulty"), dockerfile, faulty); err != nil {
			return err
		}
	}
	return s.build(ctx, s.image("postgres", "next"), "FROM "+postgresImage+"\nLABEL tend.cases=next\n", nil)
}

func buildFaulty(ctx context.Context, repository string) ([]byte, error) {
	dir, err := os.MkdirTemp("", "faulty-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	program := filepath.Join(dir, "faulty")
	compile := exec.CommandContext(ctx, "go", "build", "-C", repository, "-trimpath", "-ldflags", "-s -w", "-o", program, "./e2e/cases/faulty")
	compile.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := compile.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build faulty: %w\n%s", err, output)
	}
	return os.ReadFile(program)
}

// build builds an image from a Dockerfile, and the program faulty unless that is nil.
func (s *Shop) build(ctx context.Context, tag, dockerfile string, faulty []byte) error {
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for name, content := range map[string][]byte{"Dockerfile": []byte(dockerfile), "faulty": faulty} {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(content))}); err != nil {
			return err
		}
		if _, err := w.Write(content); err != nil {
			return err
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	response, err := s.engine.ImageBuild(ctx, &archive, build.ImageBuildOptions{Tags: []string{tag}, Remove: true, ForceRemove: true})
	if err != nil {
		return fmt.Errorf("build %s: %w", tag, err)
	}
	defer response.Body.Close()
	output, err := io.ReadAll(response.Body)
	if err != nil {
		return fmt.Errorf("build %s: %w", tag, err)
	}
	if _, err := s.engine.ImageInspect(ctx, tag); err != nil {
		return fmt.Errorf("build %s: %w\n%s", tag, err, output)
	}
	return nil
}

// removeImages removes the shop's own names of images, and what has no other.
func (s *Shop) removeImages(ctx context.Context) error {
	refs := []string{s.image("tend", "1"), s.image("gateway", "1"), s.image("postgres", "next"), s.image("user-service", nextVersion)}
	for _, name := range services {
		refs = append(refs, s.image(name, "faulty"), s.image(name, "1"))
	}
	var errs []error
	for _, ref := range refs {
		if _, err := s.engine.ImageInspect(ctx, ref); err != nil {
			continue // it was not made
		}
		_, err := s.engine.ImageRemove(ctx, ref, image.RemoveOptions{})
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
