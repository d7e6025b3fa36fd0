package e2e_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/image"
	registrytypes "github.com/docker/docker/api/types/registry"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/e2e/kit"
)

// registry is an image registry of a test's own, which lets in one user.
type registry struct {
	p       *project
	address string
	stop    func()
}

// The one user of a registry, and what its file of passwords says of them.
const (
	user, password = "ann", "open sesame"
	passwords      = "ann:$2a$04$yln0QYVP61uZ65M77zdwBOO167XfC2RtnqG7tv9dEFZF9kFd2FE/W"
)

// newRegistry starts a registry, and has tend log in there as docker does.
func newRegistry(p *project) *registry {
	p.t.Helper()
	address, err := kit.FreeAddress()
	require.NoError(p.t, err)
	r := &registry{p: p, address: address}
	p.write("registry/passwords", passwords+"\n")
	p.write("registry/config.yml", fmt.Sprintf("version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: %s}, delete: {enabled: true}}\n"+
		"http: {addr: %s, secret: test}\nauth: {htpasswd: {realm: test, path: %s}}\n", p.path("registry/data"), address, p.path("registry/passwords")))
	login := base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
	p.write("docker/config.json", fmt.Sprintf(`{"auths": {%q: {"auth": %q}}}`, address, login))
	p.environment = append(p.environment, "DOCKER_CONFIG="+p.path("docker"))
	r.start()
	return r
}

// start starts the registry, and waits until it asks for a login.
func (r *registry) start() {
	r.p.t.Helper()
	cmd := exec.CommandContext(r.p.t.Context(), "docker-registry", "serve", r.p.path("registry/config.yml"))
	log, err := os.OpenFile(r.p.path("registry/log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	require.NoError(r.p.t, err)
	cmd.Stdout, cmd.Stderr = log, log
	require.NoError(r.p.t, cmd.Start())
	ended := false
	r.stop = func() {
		if !ended {
			ended = true
			_ = cmd.Process.Kill() // it may have ended
			_ = cmd.Wait()         // killed
			_ = log.Close()
		}
	}
	r.p.t.Cleanup(func() { r.stop() })
	r.p.await(func() error {
		answer, err := http.Get("http://" + r.address + "/v2/")
		if err != nil {
			return err
		}
		if err := answer.Body.Close(); err != nil || answer.StatusCode != http.StatusUnauthorized {
			return fmt.Errorf("the registry answers %s: %w", answer.Status, err)
		}
		return nil
	})
}

// publish makes an image and has the registry know it under a name, and nobody else.
func (r *registry) publish(name, dockerfile string) {
	r.p.t.Helper()
	repository, tag, _ := strings.Cut(name, ":")
	ref, ctx := r.address+"/"+repository+":"+strings.ToLower(rand.Text()), r.p.t.Context()
	// Else the engine could remove, as one that nobody has, what another test has just pulled.
	r.p.write("build/Dockerfile", dockerfile+"LABEL test="+r.p.name+"\n")
	require.NoError(r.p.t, buildImage(ref, map[string]string{"Dockerfile": r.p.path("build/Dockerfile")}, nil))
	auth, err := registrytypes.EncodeAuthConfig(registrytypes.AuthConfig{Username: user, Password: password, ServerAddress: r.address})
	require.NoError(r.p.t, err)
	pushed, err := docker.ImagePush(ctx, ref, image.PushOptions{RegistryAuth: auth})
	require.NoError(r.p.t, err)
	out, err := io.ReadAll(pushed)
	require.NoError(r.p.t, err)
	require.NoError(r.p.t, pushed.Close())
	require.NotContains(r.p.t, string(out), "errorDetail")
	// The name is given to it in the registry, as nobody has built it here.
	_, pushedAs, _ := strings.Cut(ref, repository+":")
	manifest, _ := r.manifest(http.MethodGet, repository, pushedAs, imageManifest, nil)
	r.manifest(http.MethodPut, repository, tag, imageManifest, manifest)
	_, err = docker.ImageRemove(ctx, ref, image.RemoveOptions{Force: true})
	require.NoError(r.p.t, err)
}

// The manifest of one image, and the list of those for several platforms.
const (
	imageManifest = "application/vnd.docker.distribution.manifest.v2+json"
	manifestList  = "application/vnd.docker.distribution.manifest.list.v2+json"
)

// manifest reads the manifest of a name or a digest, has a name stand for one, or deletes
// one. It returns the digest, too.
func (r *registry) manifest(method, repository, tag, kind string, content []byte) (read []byte, digest string) {
	r.p.t.Helper()
	request, err := http.NewRequestWithContext(r.p.t.Context(), method, fmt.Sprintf("http://%s/v2/%s/manifests/%s", r.address, repository, tag), bytes.NewReader(content))
	require.NoError(r.p.t, err)
	request.SetBasicAuth(user, password)
	request.Header.Set("Accept", kind)
	request.Header.Set("Content-Type", kind)
	answer, err := http.DefaultClient.Do(request)
	require.NoError(r.p.t, err)
	defer answer.Body.Close()
	read, err = io.ReadAll(answer.Body)
	require.NoError(r.p.t, err)
	require.Less(r.p.t, answer.StatusCode, 300, "%s", read)
	return read, answer.Header.Get("Docker-Content-Digest")
}

// front serves the registry at another address, with TLS by an authority that the machine
// knows for it, or without, and has tend log in there. The answers can be changed.
func (r *registry) front(start func(http.Handler) *httptest.Server, change func(*http.Response) error) (address string) {
	r.p.t.Helper()
	upstream, err := url.Parse("http://" + r.address)
	require.NoError(r.p.t, err)
	proxy := &httputil.ReverseProxy{ModifyResponse: change, Rewrite: func(request *httputil.ProxyRequest) {
		request.SetURL(upstream)
		request.SetXForwarded()
		request.Out.Host = request.In.Host // to which the registry leads its clients
	}}
	server := start(proxy)
	r.p.t.Cleanup(server.Close)
	address = server.Listener.Addr().String()
	if certificate := server.Certificate(); certificate != nil {
		folder := filepath.Join("/etc/docker/certs.d", address)
		require.NoError(r.p.t, os.MkdirAll(folder, 0o755))
		r.p.t.Cleanup(func() { require.NoError(r.p.t, os.RemoveAll(folder)) })
		require.NoError(r.p.t, os.WriteFile(filepath.Join(folder, "ca.crt"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw}), 0o600))
	}
	login := base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
	r.p.write("docker/config.json", fmt.Sprintf(`{"auths": {%q: {"auth": %q}}}`, address, login))
	removeImages(r.p.t, address)
	return address
}

// removeImages removes the registry's images from the engine at the test's end.
func (r *registry) removeImages() { removeImages(r.p.t, r.address) }

func removeImages(t *testing.T, address string) {
	t.Cleanup(func() {
		ctx := context.Background()
		all, err := docker.ImageList(ctx, image.ListOptions{All: true})
		require.NoError(t, err)
		for _, i := range all {
			for _, name := range append(i.RepoTags, i.RepoDigests...) {
				if strings.HasPrefix(name, address) {
					_, _ = docker.ImageRemove(ctx, name, image.RemoveOptions{Force: true}) // its other name may be gone with it
				}
			}
		}
	})
}

// version is a Dockerfile of the program probe, with settings of its own.
func version(settings ...string) string {
	return "FROM " + probe + "\nENV " + strings.Join(settings, " ") + "\n"
}

const followedWeb = `
services:
  web:
    image: %[1]s/shop/web:1
    pull_policy: every_1s
    deploy: {replicas: 2}
    ports: ["%[2]s:8080"]
    healthcheck: {test: [CMD, /probe, health], interval: 1s, timeout: 10s, retries: 3, start_period: 30s}
  plain:
    image: %[1]s/shop/plain:1
`

func TestAnotherImageInTheRegistryIsRolledOut(t *testing.T) {
	p := newProject(t, files{"specs/web.yaml": specOf("progressDeadlineSeconds: 20")})
	r := newRegistry(p)
	address, err := kit.FreeAddress()
	require.NoError(t, err)
	p.write("compose.yaml", fmt.Sprintf(followedWeb, r.address, address))
	r.publish("shop/web:1", version("VERSION=1"))
	r.publish("shop/plain:1", version("VERSION=1"))
	r.removeImages()
	tend := p.run()
	tend.awaitEvent("web", "RolloutComplete")
	c := ask(t, address)
	serves := func(service, version string) {
		t.Helper()
		p.await(func() error {
			for _, w := range p.replicas(service) {
				if !w.ready() || w.env("VERSION") != version {
					return fmt.Errorf("%s has version %s", w.Name, w.env("VERSION"))
				}
			}
			return nil
		})
	}

	t.Log("a new digest is rolled out")
	r.publish("shop/web:1", version("VERSION=2"))
	serves("web", "2")
	p.mustTend("wait", "web")
	before := p.identities()
	p.compose("up", "-d")
	p.assertSame(before, "docker compose up -d changed something")

	t.Log("one that never becomes ready is taken back, and not tried again")
	r.publish("shop/web:1", version("VERSION=3", "HEALTH=never"))
	tend.awaitEvent("web", "RolledBack")
	serves("web", "2")
	before = p.identities()

	t.Log("nor is anything changed while the registry is away, and tend begins anew")
	r.stop()
	tend.awaitEvent("", "RegistryFailed", r.address)
	tend.end(syscall.SIGKILL)
	tend = p.run()
	tend.awaitEvent("", "RegistryFailed", r.address)
	p.assertSame(before, "something changed without a registry")

	t.Log("the next digest is tried")
	r.start()
	r.publish("shop/web:1", version("VERSION=4"))
	serves("web", "4")
	c.end(t)

	t.Log("and one that a person pulls")
	r.publish("shop/plain:1", version("VERSION=2"))
	p.mustTend("pull", "plain")
	serves("plain", "2")
	images := p.mustTend("get", "images")
	assert.Regexp(t, r.address+`/shop/plain:1 +plain +yes +[0-9a-f]{12} +- +-\n`, images)
	assert.Regexp(t, r.address+`/shop/web:1 +web +yes +([0-9a-f]{12}) +[0-9a-f]{12} +`, images)
	assert.NotZero(t, p.tend("pull", "none").code)
	history := p.mustTend("rollout", "history", "web")
	assert.Contains(t, history, r.address+"/shop/web@sha256:")
}

var away = flag.Duration("registry.away", 15*time.Second, "for how long the registry is away in TestARegistryThatIsAwayChangesNothing")

// made are the requests to the engine that tend has counted, by their operation.
func (p *project) made() map[string]string {
	p.t.Helper()
	all := map[string]string{}
	counted := regexp.MustCompile(`tend_engine_request_duration_seconds_count\{code="(\w+)",operation="(\w+)"\} (\d+)`)
	for _, m := range counted.FindAllStringSubmatch(p.mustTend("get", "--raw", "/metrics"), -1) {
		all[m[2]+" "+m[1]] = m[3]
	}
	require.NotEmpty(p.t, all)
	return all
}

func TestARegistryThatIsAwayChangesNothing(t *testing.T) {
	p := newProject(t, nil)
	r := newRegistry(p)
	address, err := kit.FreeAddress()
	require.NoError(t, err)
	p.write("compose.yaml", fmt.Sprintf(followedWeb, r.address, address))
	r.publish("shop/web:1", version("VERSION=1"))
	r.publish("shop/plain:1", version("VERSION=1"))
	r.removeImages()
	tend := p.run()
	p.awaitReady("web", 2)
	p.awaitReady("plain", 1)
	p.mustTend("wait", "web", "plain")
	before, made := p.identities(), p.made()

	tend.forget()
	r.stop()
	asked := 0
	for began := time.Now(); time.Since(began) < *away; time.Sleep(time.Second) {
		require.NoError(t, get(t.Context(), http.DefaultClient, address))
		asked++
	}
	p.assertSame(before, "something changed without a registry")
	told := tend.events()[tend.forgotten:]
	require.Len(t, told, 1, "it is told once")
	assert.Equal(t, "RegistryFailed", told[0].Reason)
	after := p.made()
	for _, operation := range slices.Sorted(maps.Keys(after)) {
		if after[operation] == made[operation] {
			continue
		}
		t.Logf("%s: %s requests, %s before", operation, after[operation], made[operation])
		assert.Regexp(t, "^(ask_registry|container_stats|inspect_[a-z]+|list_[a-z]+) ", operation)
	}
	t.Logf("away for %s: %d requests to web, none failed", *away, asked)

	t.Log("what was published meanwhile is found, no later than tend asks again")
	r.start()
	r.publish("shop/web:1", version("VERSION=2"))
	within, cancel := kit.Patience(t.Context(), 5*time.Minute+patience)
	defer cancel()
	require.NoError(t, kit.Await(within, func() error {
		for _, w := range p.replicas("web") {
			if !w.ready() || w.env("VERSION") != "2" {
				return fmt.Errorf("%s has version %s", w.Name, w.env("VERSION"))
			}
		}
		return nil
	}))
}

const followedImage = "services:\n  web: {image: %q, pull_policy: every_1s}\n"

// pulls counts the pulls of an image that the controller has told of.
func (c *process) pulls(ref string) (n int) {
	for _, e := range c.events() {
		if e.Reason == "Pulled" && strings.Contains(e.Message, ref) {
			n++
		}
	}
	return n
}

// awaitAsked waits until a registry was asked twice more.
func (p *project) awaitAsked() {
	p.t.Helper()
	asked := func() string { return p.made()["ask_registry ok"] }
	for range 2 {
		before := asked()
		p.await(func() error {
			if asked() == before {
				return errors.New("the registry is not asked")
			}
			return nil
		})
	}
}

// An image for several platforms has the digest of its list, here and in the registry, which
// speaks TLS and wants a login.
func TestAnImageForSeveralPlatformsIsFollowed(t *testing.T) {
	p := newProject(t, nil)
	r := newRegistry(p)
	r.removeImages()
	ref := r.front(httptest.NewTLSServer, nil) + "/shop/web:1"
	p.write("compose.yaml", fmt.Sprintf(followedImage, ref))
	list := func(v string) {
		t.Helper()
		r.publish("shop/web:of-"+v, version("VERSION="+v))
		image, digest := r.manifest(http.MethodGet, "shop/web", "of-"+v, imageManifest, nil)
		var manifests []map[string]any
		for _, platform := range []string{"s390x", runtime.GOARCH} {
			manifests = append(manifests, map[string]any{
				"mediaType": imageManifest, "size": len(image), "digest": digest, "platform": map[string]any{"os": "linux", "architecture": platform},
			})
		}
		content, err := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": manifestList, "manifests": manifests})
		require.NoError(t, err)
		r.manifest(http.MethodPut, "shop/web", "1", manifestList, content)
	}
	list("1")
	tend := p.run()
	p.awaitEnv("web", 1, "VERSION", "1")
	p.awaitAsked()
	list("2")
	p.awaitEnv("web", 1, "VERSION", "2")
	p.awaitAsked()
	assert.Equal(t, 2, tend.pulls(ref), "each list is pulled once")
	_, digest := r.manifest(http.MethodHead, "shop/web", "1", manifestList, nil)
	assert.Contains(t, p.replica("web").Config.Image, digest)

	t.Log("a tag that is deleted changes nothing")
	before := p.identities()
	r.manifest(http.MethodDelete, "shop/web", digest, manifestList, nil)
	tend.awaitEvent("", "RegistryFailed", ref, "404")
	p.assertSame(before, "something changed")
	tend.end(syscall.SIGKILL)
	p.run().awaitEvent("", "RegistryFailed", ref, "404")
	p.assertSame(before, "something changed")
}

// A registry that tells of a digest and has another one under the name has it pulled once,
// and what was pulled is what runs.
func TestARegistryThatLiesIsNotPulledFromInALoop(t *testing.T) {
	p := newProject(t, nil)
	r := newRegistry(p)
	r.removeImages()
	var lies atomic.Bool
	address := r.front(httptest.NewServer, func(answer *http.Response) error {
		if lies.Load() && answer.Request.Method == http.MethodHead && strings.Contains(answer.Request.UserAgent(), "go-containerregistry") {
			answer.Header.Set("Docker-Content-Digest", "sha256:"+strings.Repeat("1", 64))
		}
		return nil
	})
	r.publish("shop/web:1", version("VERSION=1"))
	ref := address + "/shop/web:1"
	p.write("compose.yaml", fmt.Sprintf(followedImage, ref))
	tend := p.run()
	p.awaitEnv("web", 1, "VERSION", "1")
	before := p.identities()
	lies.Store(true)
	p.awaitTold("111111111111", "get", "images")
	p.awaitAsked()
	assert.Equal(t, 2, tend.pulls(ref), "it is pulled once for what was told")
	p.assertSame(before, "something changed")
	lies.Store(false)
	r.publish("shop/web:1", version("VERSION=2"))
	p.awaitEnv("web", 1, "VERSION", "2")
}

func TestAControllerInAContainerHasTheLogins(t *testing.T) {
	p := newProject(t, nil)
	r := newRegistry(p)
	r.removeImages()
	p.write("compose.yaml", fmt.Sprintf("services:\n  plain:\n    image: %s/shop/plain:1\n", r.address))
	r.publish("shop/plain:1", version("VERSION=1"))
	login := p.read("docker/config.json")

	t.Log("a login that only a helper has is refused, before anything is started")
	p.write("bin/docker-credential-test", fmt.Sprintf("#!/bin/sh\necho '{\"Username\": %q, \"Secret\": %q}'\n", user, password))
	require.NoError(t, os.Chmod(p.path("bin/docker-credential-test"), 0o755))
	path := "PATH=" + p.path("bin") + ":" + os.Getenv("PATH")
	p.environment = append(p.environment, path)
	p.write("docker/config.json", fmt.Sprintf(`{"credHelpers": {%q: "test"}}`, r.address))
	up := p.tend("up", "--image", tendImage)
	assert.Equal(t, 1, up.code)
	assert.Contains(t, up.errOut, "docker-credential-test")
	assert.Contains(t, up.errOut, "use tend run")
	assert.Empty(t, p.replicas("tend"))
	p.mustTend("pull", "plain") // which asks the helper itself

	t.Log("one that is written down reaches the controller, and no other user")
	p.write("docker/config.json", login)
	up = p.tend("up", "--image", tendImage)
	require.Zero(t, up.code, "%s", up)
	assert.Equal(t, "1", p.replica("plain").env("VERSION"))
	info, err := os.Stat(p.path(".tend/docker/config.json"))
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	for _, variable := range p.replica("tend").Config.Env {
		assert.NotContains(t, variable, password)
	}

	t.Log("a login that is no more is taken away")
	p.write("docker/config.json", "{}")
	up = p.tend("up", "--image", tendImage)
	require.Zero(t, up.code, "%s", up)
	assert.NoFileExists(t, p.path(".tend/docker/config.json"))
}

const prunedWeb = `
services:
  web:
    image: %s/shop/web:1
    pull_policy: every_1s
    x-tend: {keepImages: 1}
`

func TestOldImagesArePrunedWhereThatIsAskedFor(t *testing.T) {
	p := newProject(t, files{"specs/web.yaml": specOf("revisionHistoryLimit: 1")})
	r := newRegistry(p)
	r.removeImages()
	p.write("compose.yaml", fmt.Sprintf(prunedWeb, r.address))
	r.publish("shop/web:1", version("VERSION=1"))
	tend := p.run()
	ids := map[string]string{}
	for _, v := range []string{"1", "2", "3", "4"} {
		r.publish("shop/web:1", version("VERSION="+v))
		ids[v] = p.awaitEnv("web", 1, "VERSION", v)[0].Image
		p.mustTend("wait", "web")
	}

	t.Log("what is neither in use nor in the history is gone")
	tend.awaitEvent("", "ImageRemoved", r.address+"/shop/web")
	p.await(func() error {
		if _, err := docker.ImageInspect(t.Context(), ids["1"]); !errdefs.IsNotFound(err) {
			return fmt.Errorf("the image of version 1 is here: %w", err)
		}
		return nil
	})

	t.Log("what the history has can be gone back to")
	for _, v := range []string{"2", "3", "4"} {
		_, err := docker.ImageInspect(t.Context(), ids[v])
		require.NoError(t, err, "version %s", v)
	}
	r.stop()
	p.mustTend("rollout", "undo", "web")
	p.awaitEnv("web", 1, "VERSION", "3")
}
