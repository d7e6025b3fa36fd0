package cli

import (
	"context"
	"io"
	"strings"
	"testing"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestEnvFilesAreThoseOfTheEnvironmentUntilAFlagNamesOthers(t *testing.T) {
	t.Setenv("COMPOSE_ENV_FILES", "a.env,,b.env")
	parse := func(args ...string) []string {
		f, s := &flags{}, pflag.NewFlagSet("", pflag.ContinueOnError)
		f.register(s)
		require.NoError(t, s.Parse(args))
		return f.spec.EnvFiles
	}
	assert.Equal(t, []string{"a.env", "b.env"}, parse())
	assert.Equal(t, []string{"c.env"}, parse("--env-file", "c.env"))
}

func TestTheStandardInputIsReadOnceAndNotWaitedForWithoutEnd(t *testing.T) {
	input := strings.NewReader("services: {}")
	read := readOnce(input)
	for range 2 {
		content, err := read(t.Context())
		require.NoError(t, err)
		assert.Equal(t, "services: {}", string(content))
	}

	open, end := io.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	read = readOnce(open)
	_, err := read(ctx)
	require.ErrorIs(t, err, context.Canceled)
	require.NoError(t, end.Close()) // the reader is left to its end
}
