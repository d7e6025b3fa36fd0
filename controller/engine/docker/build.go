package docker

import (
	"archive/tar"
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/docker/api/types/build"
	"github.com/docker/docker/api/types/container"
	"github.com/moby/go-archive"
	"github.com/moby/patternmatcher/ignorefile"

	"github.com/tendhq/tend/controller/engine"
)

// Build builds with docker buildx where that is installed, and otherwise with the classic
// builder, which every engine has.
func (e *Engine) Build(ctx context.Context, b engine.BuildSpec, progress func(string)) error {
	if e.hasBuildx(ctx) {
		return e.Do(ctx, "build image", b.Ref, func(ctx context.Context) error { return e.buildx(ctx, b, progress) })
	}
	if what := needsBuildKit(b.Config); what != "" {
		return &engine.Error{Op: "build image", Object: b.Ref, Class: engine.Invalid,
			Err: fmt.Errorf("build.%s needs BuildKit: install docker buildx, or build the image with it before", what)}
	}
	return e.Do(ctx, "build image", b.Ref, func(ctx context.Context) error { return e.buildClassic(ctx, b, progress) })
}

// hasBuildx reports whether the Docker command line has buildx, and can reach the engine.
func (e *Engine) hasBuildx(ctx context.Context) bool {
	host := e.cli.DaemonHost()
	reachable := strings.HasPrefix(host, "unix://") || strings.HasPrefix(host, "tcp://")
	return reachable && exec.CommandContext(ctx, "docker", "buildx", "version").Run() == nil
}

// needsBuildKit names what a build asks for that the classic builder cannot do; empty
// where it can do all.
func needsBuildKit(c types.BuildConfig) string {
	for _, n := range []struct {
		key   string
		asked bool
	}{
		{"secrets", len(c.Secrets) > 0}, {"ssh", len(c.SSH) > 0}, {"additional_contexts", len(c.AdditionalContexts) > 0},
		{"cache_to", len(c.CacheTo) > 0}, {"entitlements", len(c.Entitlements) > 0}, {"privileged", c.Privileged},
		{"provenance", c.Provenance != ""}, {"sbom", c.SBOM != ""}, {"platforms", len(c.Platforms) > 1},
	} {
		if n.asked {
			return n.key
		}
	}
	return ""
}

// labels are those of a build, and those that are added.
func labels(b engine.BuildSpec) map[string]string {
	all := maps.Clone(map[string]string(b.Config.Labels))
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, b.Labels)
	return all
}

// buildClassic sends the context to the engine, which builds.
func (e *Engine) buildClassic(ctx context.Context, b engine.BuildSpec, progress func(string)) error {
	c := b.Config
	options := build.ImageBuildOptions{
		Tags: append([]string{b.Ref}, c.Tags...), BuildArgs: c.Args, Labels: labels(b), Target: c.Target,
		NoCache: c.NoCache, PullParent: c.Pull, CacheFrom: c.CacheFrom, NetworkMode: c.Network,
		ExtraHosts: c.ExtraHosts.AsList(":"), ShmSize: int64(c.ShmSize), Ulimits: buildLimits(c.Ulimits),
		Isolation: container.Isolation(c.Isolation), Platform: b.Platform, Remove: true, ForceRemove: true,
	}
	if len(c.Platforms) == 1 {
		options.Platform = c.Platforms[0]
	}
	var sent io.ReadCloser
	if isRemote(c.Context) {
		options.RemoteContext, options.Dockerfile = c.Context, c.Dockerfile
	} else {
		var err error
		if sent, options.Dockerfile, err = buildContext(c); err != nil {
			return err
		}
		defer sent.Close()
	}
	response, err := e.cli.ImageBuild(ctx, sent, options)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	return readMessages(response.Body, func(m struct {
		Stream string `json:"stream"`
	}) {
		for line := range strings.Lines(m.Stream) {
			if line = strings.TrimSpace(line); line != "" {
				progress(line)
			}
		}
	})
}

// isRemote reports whether a build's context is a URL, which the engine fetches itself.
func isRemote(context string) bool {
	for _, prefix := range []string{"https://", "http://", "git://", "git@", "ssh://", "github.com/"} {
		if strings.HasPrefix(context, prefix) {
			return true
		}
	}
	return false
}

// buildContext packs the folder of a build, without what its .dockerignore leaves out, and
// returns the name of the Dockerfile in it.
func buildContext(c types.BuildConfig) (context io.ReadCloser, dockerfile string, err error) {
	dockerfile = c.Dockerfile
	if filepath.IsAbs(dockerfile) {
		if dockerfile, err = filepath.Rel(c.Context, dockerfile); err != nil {
			return nil, "", err
		}
	}
	ignored, err := ignoredFiles(c.Context, dockerfile)
	if err != nil {
		return nil, "", err
	}
	inline := c.DockerfileInline
	if inline == "" && strings.HasPrefix(dockerfile, "..") {
		content, err := os.ReadFile(filepath.Join(c.Context, dockerfile))
		if err != nil {
			return nil, "", err
		}
		inline = string(content)
	}
	if inline == "" {
		ignored = append(ignored, "!"+filepath.ToSlash(dockerfile))
	}
	packed, err := archive.TarWithOptions(c.Context, &archive.TarOptions{
		ExcludePatterns: append(ignored, "!.dockerignore"), ChownOpts: &archive.ChownOpts{},
	})
	if err != nil || inline == "" {
		return packed, filepath.ToSlash(dockerfile), err
	}
	const name = ".tend.Dockerfile"
	return archive.ReplaceFileTarWrapper(packed, map[string]archive.TarModifierFunc{
		name: func(string, *tar.Header, io.Reader) (*tar.Header, []byte, error) {
			return &tar.Header{Typeflag: tar.TypeReg, Mode: 0o600}, []byte(inline), nil
		},
	}), name, nil
}

// ignoredFiles are the patterns of the Dockerfile's own ignore file, or else of the
// context's.
func ignoredFiles(context, dockerfile string) ([]string, error) {
	for _, name := range []string{dockerfile + ".dockerignore", ".dockerignore"} {
		f, err := os.Open(filepath.Join(context, name))
		switch {
		case errors.Is(err, os.ErrNotExist):
			continue
		case err != nil:
			return nil, err
		}
		defer f.Close()
		return ignorefile.ReadAll(f)
	}
	return nil, nil
}

func buildLimits(limits map[string]*types.UlimitsConfig) (all []*container.Ulimit) {
	for _, name := range slices.Sorted(maps.Keys(limits)) {
		l := limits[name]
		soft, hard := int64(l.Soft), int64(l.Hard)
		if l.Single != 0 {
			soft, hard = int64(l.Single), int64(l.Single)
		}
		all = append(all, &container.Ulimit{Name: name, Soft: soft, Hard: hard})
	}
	return all
}

// buildx builds with BuildKit, and has the engine keep the image.
func (e *Engine) buildx(ctx context.Context, b engine.BuildSpec, progress func(string)) error {
	cmd := exec.CommandContext(ctx, "docker", append([]string{"buildx", "build"}, buildxArguments(b)...)...)
	cmd.Env = append(os.Environ(), "DOCKER_HOST="+e.cli.DaemonHost(), "BUILDX_BUILDER=default")
	if b.Config.DockerfileInline != "" {
		cmd.Stdin = strings.NewReader(b.Config.DockerfileInline)
	}
	out, err := cmd.StderrPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	var tail engine.Tail
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		_, _ = fmt.Fprintln(&tail, lines.Text()) // a tail takes everything
		progress(lines.Text())
	}
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("%w: %s", err, strings.TrimSpace(tail.String()))
	}
	return lines.Err()
}

// buildxArguments are the arguments of docker buildx build.
func buildxArguments(b engine.BuildSpec) []string {
	c := b.Config
	args := []string{"--progress", "plain", "--load", "--tag", b.Ref}
	add := func(flag string, values ...string) {
		for _, v := range values {
			if v != "" {
				args = append(args, flag, v)
			}
		}
	}
	add("--tag", c.Tags...)
	switch {
	case c.DockerfileInline != "":
		add("--file", "-")
	case filepath.IsAbs(c.Dockerfile) || isRemote(c.Context):
		add("--file", c.Dockerfile)
	default:
		add("--file", filepath.Join(c.Context, c.Dockerfile))
	}
	for _, name := range slices.Sorted(maps.Keys(c.Args)) {
		if value := c.Args[name]; value != nil {
			add("--build-arg", name+"="+*value)
		} else {
			add("--build-arg", name)
		}
	}
	for _, all := range []struct {
		flag string
		of   map[string]string
	}{{"--label", labels(b)}, {"--build-context", c.AdditionalContexts}} {
		for _, name := range slices.Sorted(maps.Keys(all.of)) {
			add(all.flag, name+"="+all.of[name])
		}
	}
	for _, s := range c.Secrets {
		object := b.Secrets[s.Source]
		id := s.Source
		if s.Target != "" {
			id = s.Target
		}
		if object.Environment != "" {
			add("--secret", "id="+id+",env="+object.Environment)
		} else {
			add("--secret", "id="+id+",src="+object.File)
		}
	}
	for _, key := range c.SSH {
		value := key.ID
		if key.Path != "" {
			value += "=" + key.Path
		}
		add("--ssh", value)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Ulimits)) {
		l := c.Ulimits[name]
		if l.Single != 0 {
			add("--ulimit", fmt.Sprintf("%s=%d", name, l.Single))
		} else {
			add("--ulimit", fmt.Sprintf("%s=%d:%d", name, l.Soft, l.Hard))
		}
	}
	add("--add-host", c.ExtraHosts.AsList(":")...)
	add("--cache-from", c.CacheFrom...)
	add("--cache-to", c.CacheTo...)
	add("--allow", c.Entitlements...)
	add("--target", c.Target)
	add("--network", c.Network)
	add("--provenance", c.Provenance)
	add("--sbom", c.SBOM)
	if len(c.Platforms) > 0 {
		add("--platform", strings.Join(c.Platforms, ","))
	} else {
		add("--platform", b.Platform)
	}
	if c.ShmSize > 0 {
		add("--shm-size", fmt.Sprint(int64(c.ShmSize)))
	}
	if c.NoCache {
		args = append(args, "--no-cache")
	}
	if c.Pull {
		args = append(args, "--pull")
	}
	if c.Privileged {
		add("--allow", "security.insecure")
	}
	return append(args, c.Context)
}
