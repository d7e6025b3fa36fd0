package client

import (
	"context"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/tendhq/tend/api"
	"github.com/tendhq/tend/state"
)

// overTCP serves an empty project on loopback, and returns its URL and its tokens.
func overTCP(t *testing.T) (server string, token func(api.Role) string) {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o700))
	require.NoError(t, api.MakeTokens(dir))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- api.Serve(ctx, api.New(api.Config{
			Store: state.New(func([]state.Change) {}), Ready: func() error { return nil }, Metrics: http.NotFoundHandler(),
			Project: "shop", Version: "test", Log: zap.NewNop(), DataDir: dir,
		}), zap.NewNop(), l)
	}()
	t.Cleanup(func() { cancel(); assert.NoError(t, <-done) })
	return "http://" + l.Addr().String(), func(r api.Role) string {
		text, err := os.ReadFile(filepath.Join(dir, "tokens", string(r)))
		require.NoError(t, err)
		return strings.TrimSpace(string(text))
	}
}

func TestATokenSaysWhatAClientMayDo(t *testing.T) {
	server, token := overTCP(t)
	for _, role := range api.Roles {
		c, err := Connect(server+"/", token(role))
		require.NoError(t, err)
		session, err := c.Session(t.Context())
		require.NoError(t, err)
		assert.Equal(t, string(role), session.Role)
	}
	c, err := Connect(server, token(api.Reader))
	require.NoError(t, err)
	_, err = c.Pause(t.Context(), "web")
	var p *api.Problem
	require.ErrorAs(t, err, &p)
	assert.Equal(t, http.StatusForbidden, p.Status)
	for _, wrong := range []string{"", "wrong"} {
		c, err := Connect(server, wrong)
		require.NoError(t, err)
		_, err = c.Workloads(t.Context())
		var p *api.Problem
		require.ErrorAs(t, err, &p)
		assert.Equal(t, http.StatusUnauthorized, p.Status)
	}
}

func TestAServerIsAURL(t *testing.T) {
	for _, wrong := range []string{"", "host:7070", "ftp://host", "https://", "https://host/path", "https://host?x=1", "http://%"} {
		_, err := Connect(wrong, "")
		assert.ErrorContains(t, err, "https://host:7070", wrong)
	}
}
