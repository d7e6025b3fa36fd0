//go:build linux

package cli

import (
	"bytes"
	"encoding/json"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/api"
	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/spec"
)

var dashboardLink = regexp.MustCompile(`http://tend\.localhost:(\d+)/#code=(\S+)`)

func TestTheDashboardLetsOneBrowserIn(t *testing.T) {
	for flag, role := range map[string]api.Role{"--port=0": api.Admin, "--read-only": api.Reader} {
		w := newWorld(t, "name: shop\nservices: {web: {image: \"web:1\"}}\n")
		require.NoError(t, api.MakeTokens(filepath.Join(w.dir, ".tend")))
		w.keep("web", func(*spec.Workload, *core.Status) {})
		out, stop := w.start("dashboard", flag)
		eventually(t, func() bool { return dashboardLink.MatchString(out.String()) }, "no link is shown")
		found := dashboardLink.FindStringSubmatch(out.String())
		jar, err := cookiejar.New(nil)
		require.NoError(t, err)
		at := &url.URL{Scheme: "http", Host: net.JoinHostPort("127.0.0.1", found[1])}
		client := http.Client{Jar: jar, Transport: &http.Transport{DisableKeepAlives: true}}
		ask := func(method, path, body string) int {
			r, err := http.NewRequestWithContext(t.Context(), method, at.JoinPath(path).String(), strings.NewReader(body))
			require.NoError(t, err)
			if body != "" {
				r.Header.Set("Content-Type", "application/json")
			}
			answer, err := client.Do(r)
			require.NoError(t, err)
			defer answer.Body.Close()
			var text bytes.Buffer
			_, err = text.ReadFrom(answer.Body)
			require.NoError(t, err)
			if strings.HasSuffix(path, "session") && answer.StatusCode == http.StatusOK {
				var s api.Session
				require.NoError(t, json.Unmarshal(text.Bytes(), &s))
				assert.Equal(t, string(role), s.Role)
			}
			return answer.StatusCode
		}
		assert.Equal(t, http.StatusOK, ask(http.MethodGet, "/", ""))
		assert.Equal(t, http.StatusUnauthorized, ask(http.MethodGet, "/api/v1/workloads", ""), "who comes through it is not its user")
		code := `{"code": "` + found[2] + `"}`
		require.Equal(t, http.StatusOK, ask(http.MethodPost, "/api/v1/session", code))
		assert.Equal(t, http.StatusOK, ask(http.MethodGet, "/api/v1/workloads", ""))
		pause := map[api.Role]int{api.Admin: http.StatusOK, api.Reader: http.StatusForbidden}[role]
		assert.Equal(t, pause, ask(http.MethodPost, "/api/v1/workloads/web/rollout/pause", ""))
		assert.Equal(t, http.StatusForbidden, ask(http.MethodPost, "/api/v1/session", code), "the link is used up")
		require.NoError(t, stop())
		assert.NotContains(t, out.String(), "error")
	}
}

func TestADashboardNeedsAController(t *testing.T) {
	w := newWorld(t, "name: shop\nservices: {web: {image: \"web:1\"}}\n")
	w.dir = t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(w.dir, "compose.yaml"), []byte("services: {web: {image: x}}"), 0o600))
	_, err := w.tend("dashboard")
	assert.ErrorContains(t, err, "no controller is running")
}
