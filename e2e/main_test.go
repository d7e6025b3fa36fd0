// Package e2e_test tests tend as a person uses it: the program, its files, a
// Docker Engine and Docker Compose, and nothing of tend's insides.
//
// Every test has a project of its own, so that they run side by side; what a
// project leaves is removed when its test ends, however it ends.
package e2e_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/docker/docker/api/types/build"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"
	"go.uber.org/goleak"
)

// What all tests share; setUp sets it before the first one.
var (
	// tend is the program under test, compose Docker Compose.
	tend, compose string
	// docker is the engine.
	docker engine
	// probe and newProbe are two images of the program probe, which probeProgram is.
	probe, newProbe string
	probeProgram    string
	// tendImage is the image of the program under test.
	tendImage string
)

const repository = ".."

func TestMain(m *testing.M) {
	flag.Parse()
	// The tests mostly wait for containers: more of them than cores can run.
	if !given("test.parallel") {
		_ = flag.Set("test.parallel", "5")
	}
	os.Exit(run(m))
}

func given(name string) (found bool) {
	flag.Visit(func(f *flag.Flag) { found = found || f.Name == name })
	return found
}

func run(m *testing.M) (code int) {
	dir, err := os.MkdirTemp("", "tend-e2e-")
	if err == nil {
		defer os.RemoveAll(dir)
		if err = setUp(dir); docker.Client != nil {
			defer tearDown()
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code = m.Run()
	_ = docker.Close()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

func setUp(dir string) error {
	var err error
	if compose, err = filepath.Abs(filepath.Join(repository, "build", "bin", "docker-compose")); err != nil {
		return err
	}
	if _, err := os.Stat(compose); err != nil {
		return fmt.Errorf("%s is missing: run make test, which builds it first", compose)
	}
	cli, err := client.NewClientWithOpts(client.FromEnv, client.WithAPIVersionNegotiation())
	if err != nil {
		return err
	}
	docker = engine{cli}
	if _, err := docker.Ping(context.Background()); err != nil {
		return fmt.Errorf("these tests need a running Docker Engine: %w", err)
	}
	tend = filepath.Join(dir, "tend")
	probeProgram = filepath.Join(dir, "probe")
	if err := errors.Join(goBuild(tend, "./cmd/tend"), goBuild(probeProgram, "./e2e/probe")); err != nil {
		return err
	}
	tag := fmt.Sprint(os.Getpid())
	probe, newProbe, tendImage = "tend-e2e/probe:"+tag, "tend-e2e/probe:"+tag+"-new", "tend-e2e/tend:"+tag
	return errors.Join(
		importProbe(probeProgram, probe, "LABEL version=1"),
		importProbe(probeProgram, newProbe, "LABEL version=2"),
		buildTendImage(),
	)
}

func tearDown() {
	for _, ref := range []string{probe, newProbe, tendImage} {
		if _, err := docker.ImageRemove(context.Background(), ref, image.RemoveOptions{Force: true}); err != nil && ref != "" {
			fmt.Fprintln(os.Stderr, err)
		}
	}
}

func goBuild(binary, of string) error {
	cmd := exec.Command("go", "build", "-C", repository, "-trimpath", "-ldflags=-s -w", "-o", binary, of)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", of, err, out)
	}
	return nil
}

// importProbe makes an image that holds the program probe alone.
func importProbe(binary, ref, label string) error {
	root, err := archive(map[string]string{"probe": binary})
	if err != nil {
		return err
	}
	body, err := docker.ImageImport(context.Background(), image.ImportSource{Source: root, SourceName: "-"}, ref,
		image.ImportOptions{Changes: []string{`ENTRYPOINT ["/probe"]`, label}})
	if err != nil {
		return fmt.Errorf("import %s: %w", ref, err)
	}
	defer body.Close()
	_, err = io.Copy(io.Discard, body)
	return err
}

// buildTendImage builds the image of the program under test as make does.
func buildTendImage() error {
	binary := "tend"
	return buildImage(tendImage, map[string]string{"Dockerfile": filepath.Join(repository, "Dockerfile"), "build/bin/tend": tend},
		map[string]*string{"BINARY": &binary})
}

// buildImage builds an image from files, by their names in its context.
func buildImage(ref string, files map[string]string, args map[string]*string) error {
	source, err := archive(files)
	if err != nil {
		return err
	}
	built, err := docker.ImageBuild(context.Background(), source, build.ImageBuildOptions{
		Tags: []string{ref}, BuildArgs: args, NetworkMode: "none", Remove: true, ForceRemove: true,
	})
	if err != nil {
		return fmt.Errorf("build %s: %w", ref, err)
	}
	defer built.Body.Close()
	out, err := io.ReadAll(built.Body)
	if err != nil {
		return err
	}
	if _, err := docker.ImageInspect(context.Background(), ref); err != nil {
		return fmt.Errorf("build %s: %w\n%s", ref, err, out)
	}
	return nil
}

// archive is a tar of files, by their names in it.
func archive(files map[string]string) (io.Reader, error) {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for name, path := range files {
		content, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(content))}); err != nil {
			return nil, err
		}
		if _, err := w.Write(content); err != nil {
			return nil, err
		}
	}
	return &out, w.Close()
}
