package kit_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/e2e/kit"
)

func TestAwaitTellsWhyItEndedAndWhatItSawLast(t *testing.T) {
	no := errors.New("no replica runs")
	ctx, cancel := kit.Patience(t.Context(), time.Millisecond)
	defer cancel()
	err := kit.Await(ctx, func() error { return no })
	require.ErrorIs(t, err, no)
	assert.EqualError(t, err, "not done after 1ms: no replica runs")

	ended, end := context.WithCancelCause(t.Context())
	err = kit.Await(ended, func() error { end(errors.New("it has ended")); return no })
	assert.EqualError(t, err, "it has ended: no replica runs")

	looks := 0
	require.NoError(t, kit.Await(t.Context(), func() error {
		if looks++; looks < 2 {
			return no
		}
		return nil
	}))
}

func TestAShopIsACopyThatIsFitted(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, ".env"), []byte("KEPT=1\n"), 0o644))
	require.NoError(t, kit.Shop{Repository: "../..", Dir: dir, Project: "mine", Override: "services: {}\n", Profiles: []string{"observability", "rabbitmq"}, Fit: func(service, spec string) string {
		if service == "order-service" {
			spec = kit.Set(spec, "replicas", 7)
		}
		return kit.Set(spec, "timeoutSeconds", 9)
	}}.Write(t.Context()))
	original, err := kit.Specs("../..")
	require.NoError(t, err)
	specs, err := kit.Specs(dir)
	require.NoError(t, err)
	require.Len(t, specs, len(original))
	for service, spec := range specs {
		want := kit.Replicas(original[service])
		if service == "order-service" {
			want = 7
		}
		assert.NotZero(t, want, service)
		assert.Equal(t, want, kit.Replicas(spec), service)
	}
	assert.Equal(t, 2, strings.Count(specs["order-service"], "\n    timeoutSeconds: 9\n"), "%s", specs["order-service"])
	env, err := os.ReadFile(filepath.Join(dir, ".env"))
	require.NoError(t, err)
	for _, line := range []string{"KEPT=1\n", "COMPOSE_PROFILES=observability,rabbitmq\n", "COMPOSE_PROJECT_NAME=mine\n", "TEND_PROJECT_DIRECTORY=" + dir + "\n"} {
		assert.Contains(t, string(env), line)
	}
	for _, name := range []string{"compose.yaml", "compose.override.yaml", "deploy/secrets/redis_password", "deploy/rabbitmq/shop.conf", "deploy/observability/prometheus.yml"} {
		assert.FileExists(t, filepath.Join(dir, name))
	}
}

func TestAShopHasNoSpecsOfProfilesThatAreOff(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, kit.Shop{Repository: "../..", Dir: dir, Project: "mine", Override: "services: {}\n"}.Write(t.Context()))
	specs, err := kit.Specs(dir)
	require.NoError(t, err)
	assert.Contains(t, specs, "gateway")
	assert.NotContains(t, specs, "prometheus")
}
