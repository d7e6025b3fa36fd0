package cases

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/docker/docker/api/types/image"

	"github.com/tendhq/tend/e2e/kit"
)

// registry is an image registry on loopback, which asks for no login.
type registry struct {
	address string
	engine  imagePusher
	cmd     *exec.Cmd
	dir     string
}

// imagePusher is the engine, which pushes and removes images.
type imagePusher interface {
	ImageTag(ctx context.Context, source, target string) error
	ImagePush(ctx context.Context, ref string, o image.PushOptions) (io.ReadCloser, error)
	ImageRemove(ctx context.Context, ref string, o image.RemoveOptions) ([]image.DeleteResponse, error)
}

// startRegistry starts Debian's docker-registry. The caller stops it.
func startRegistry(ctx context.Context, engine imagePusher) (r *registry, err error) {
	r = &registry{engine: engine}
	if r.address, err = kit.FreeAddress(); err != nil {
		return nil, err
	}
	if r.dir, err = os.MkdirTemp("", "registry-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.stop())
		}
	}()
	config := fmt.Sprintf("version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: %s}}\nhttp: {addr: %s, secret: demo}\n", filepath.Join(r.dir, "data"), r.address)
	if err := os.WriteFile(filepath.Join(r.dir, "config.yml"), []byte(config), 0o600); err != nil {
		return nil, err
	}
	r.cmd = exec.CommandContext(ctx, "docker-registry", "serve", filepath.Join(r.dir, "config.yml"))
	if err := r.cmd.Start(); err != nil {
		return nil, fmt.Errorf("%w; deploy/setup.sh --test installs it", err)
	}
	return r, kit.Await(ctx, func() error { return kit.Get(ctx, http.DefaultClient, "http://"+r.address+"/v2/") })
}

// stop ends the registry, and removes what it held.
func (r *registry) stop() error {
	if r.cmd != nil && r.cmd.Process != nil {
		_ = r.cmd.Process.Kill() // it may have ended
		_ = r.cmd.Wait()         // killed
	}
	return os.RemoveAll(r.dir)
}

// publish has a name of the registry stand for an image of the engine. Here nobody has an
// image of that name, so that only the registry tells of another one.
func (r *registry) publish(ctx context.Context, from, repository, tag string) (err error) {
	const passing = "passing"
	ref := r.address + "/" + repository + ":" + passing
	if err := r.engine.ImageTag(ctx, from, ref); err != nil {
		return err
	}
	defer func() {
		_, removed := r.engine.ImageRemove(context.WithoutCancel(ctx), ref, image.RemoveOptions{})
		err = errors.Join(err, removed)
	}()
	nobody := base64.URLEncoding.EncodeToString([]byte("{}"))
	answer, err := r.engine.ImagePush(ctx, ref, image.PushOptions{RegistryAuth: nobody})
	if err != nil {
		return err
	}
	out, err := io.ReadAll(answer)
	if err := errors.Join(err, answer.Close()); err != nil {
		return err
	}
	if bytes.Contains(out, []byte("errorDetail")) {
		return fmt.Errorf("push %s: %s", ref, out)
	}
	manifest, err := r.manifest(ctx, http.MethodGet, repository, passing, nil)
	if err != nil {
		return err
	}
	_, err = r.manifest(ctx, http.MethodPut, repository, tag, manifest)
	return err
}

// manifest reads the manifest of a name, or has the name stand for one.
func (r *registry) manifest(ctx context.Context, method, repository, tag string, content []byte) ([]byte, error) {
	const kind = "application/vnd.docker.distribution.manifest.v2+json"
	request, err := http.NewRequestWithContext(ctx, method, "http://"+r.address+"/v2/"+repository+"/manifests/"+tag, bytes.NewReader(content))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", kind)
	request.Header.Set("Content-Type", kind)
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	content, err = io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode >= http.StatusMultipleChoices {
		err = fmt.Errorf("%s %s: %s %s", method, request.URL, answer.Status, content)
	}
	return content, err
}
