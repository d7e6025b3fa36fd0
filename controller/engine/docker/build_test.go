package docker_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/engine"
)

// A Docker command line that has buildx builds, with this engine's own builder; what it says
// is passed on, and the end of that is why a build has failed.
func TestBuildxBuildsWhereItIsInstalled(t *testing.T) {
	c := newCreator(t)
	folder := t.TempDir()
	const command = "#!/bin/sh\n[ \"$2\" = version ] && exit 0\necho \"$1 $2 in $BUILDX_BUILDER at $DOCKER_HOST\" >&2\ncat >&2\necho 'no such stage: run' >&2\nexit 1\n"
	require.NoError(t, os.WriteFile(filepath.Join(folder, "docker"), []byte(command), 0o700))
	t.Setenv("PATH", folder+":"+os.Getenv("PATH"))
	var said []string
	err := c.engine.Build(t.Context(), engine.BuildSpec{Ref: "shop-web", Config: types.BuildConfig{
		Context: "/src", DockerfileInline: "FROM scratch\n", Target: "run", Secrets: []types.ServiceSecretConfig{{Source: "s"}},
	}}, func(line string) { said = append(said, line) })
	require.ErrorContains(t, err, "build image shop-web")
	require.ErrorContains(t, err, "no such stage: run")
	assert.Regexp(t, "^buildx build in default at (unix|tcp)://", said[0])
	assert.Equal(t, []string{"FROM scratch", "no such stage: run"}, said[1:])
}

func TestWithoutBuildxWhatNeedsItIsRefusedAndNotLeftOut(t *testing.T) {
	c := newCreator(t)
	t.Setenv("PATH", t.TempDir())
	err := c.engine.Build(t.Context(), engine.BuildSpec{Ref: "shop-web", Config: types.BuildConfig{
		Context: t.TempDir(), Dockerfile: "Dockerfile", Secrets: []types.ServiceSecretConfig{{Source: "s"}},
	}}, func(string) {})
	require.ErrorContains(t, err, "build.secrets needs BuildKit: install docker buildx")
	assert.Equal(t, engine.Invalid, engine.ClassOf(err))
}
