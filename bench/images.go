package main

import (
	"archive/tar"
	"bytes"
	"context"
	_ "embed"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/docker/docker/api/types/build"
	"github.com/docker/docker/client"
)

const (
	// imageName is what each replica of a project of the benchmark's own runs.
	imageName = prefix + "service:latest"
	// tendImage is the controller of a shop, made from the program that the other
	// suites run.
	tendImage = prefix + "tend:latest"
	// nginxImage is the proxy before the shop that Compose runs.
	nginxImage = prefix + "nginx:latest"
	// faultyImage is a bad release of the service that is updated: the entrypoint
	// /faulty runs it as e2e/cases/faulty says.
	faultyImage = prefix + "faulty:latest"
)

//go:embed nginx/Dockerfile
var nginxDockerfile []byte

// file is a file that an image is built from.
type file struct {
	name    string
	mode    int64
	content []byte
}

// buildService makes the service's image, from scratch and the program in the
// folder service.
func buildService(ctx context.Context, cli *client.Client, dir string) error {
	program := filepath.Join(dir, "service")
	if err := compile(ctx, ".", "./service", program); err != nil {
		return err
	}
	return buildProgram(ctx, cli, imageName, program)
}

// buildFaulty makes the image of a bad release.
func buildFaulty(ctx context.Context, cli *client.Client, dir string) error {
	program := filepath.Join(dir, "faulty")
	if err := compile(ctx, repository, "./e2e/cases/faulty", program); err != nil {
		return err
	}
	binary, err := os.ReadFile(program)
	if err != nil {
		return err
	}
	return buildImage(ctx, cli, faultyImage,
		file{"Dockerfile", 0o644, []byte("FROM shop/" + updatedService + ":1.0.0\nCOPY faulty /faulty\n")},
		file{"faulty", 0o755, binary})
}

// compile builds a static program of a module.
func compile(ctx context.Context, module, pkg, program string) error {
	build := exec.CommandContext(ctx, "go", "build", "-C", module, "-trimpath", "-ldflags", "-s -w", "-o", program, pkg)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", pkg, err, output)
	}
	return nil
}

// buildProgram makes an image of a static program and nothing else.
func buildProgram(ctx context.Context, cli *client.Client, name, program string) error {
	binary, err := os.ReadFile(program)
	if err != nil {
		return err
	}
	return buildImage(ctx, cli, name,
		file{"Dockerfile", 0o644, []byte("FROM scratch\nCOPY program /program\nENTRYPOINT [\"/program\"]\n")},
		file{"program", 0o755, binary})
}

func buildNginx(ctx context.Context, cli *client.Client) error {
	return buildImage(ctx, cli, nginxImage, file{"Dockerfile", 0o644, nginxDockerfile})
}

// buildImage builds an image in the host's network, which may be all that
// reaches a package mirror.
func buildImage(ctx context.Context, cli *client.Client, name string, files ...file) error {
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for _, f := range files {
		if err := w.WriteHeader(&tar.Header{Name: f.name, Mode: f.mode, Size: int64(len(f.content))}); err != nil {
			return err
		}
		if _, err := w.Write(f.content); err != nil {
			return err
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	proxies := map[string]*string{}
	for _, name := range []string{"http_proxy", "https_proxy", "no_proxy"} {
		if value, ok := os.LookupEnv(name); ok {
			proxies[name] = &value
		}
	}
	response, err := cli.ImageBuild(ctx, &archive, build.ImageBuildOptions{
		Tags: []string{name}, Remove: true, ForceRemove: true, NetworkMode: "host", BuildArgs: proxies,
	})
	if err != nil {
		return fmt.Errorf("build the image %s: %w", name, err)
	}
	defer response.Body.Close()
	output, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if _, err := cli.ImageInspect(ctx, name); err != nil {
		return fmt.Errorf("build the image %s: %w\n%s", name, err, output)
	}
	return nil
}
