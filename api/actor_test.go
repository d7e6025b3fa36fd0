package api

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/tendhq/tend/controller/spec/load"
)

// Each change has an actor in its event and in the log, however it came.
func TestAChangeTellsWhoAskedForIt(t *testing.T) {
	core, logs := observer.New(zap.InfoLevel)
	c := config(published())
	c.Log = zap.New(core)
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "compose.yaml"), []byte("services: {web: {image: \"web:1\"}}"), 0o600))
	c.Spec = load.Options{ProjectDirectory: dir}
	h := New(c)
	socket, err := ListenUnix(dir)
	require.NoError(t, err)
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	start(t, h, socket, tcp)
	a := newAuthority(t)
	_, secured := overTLS(t, h, a, zap.NewNop(), true)
	const web = "/api/v1/workloads/web/"
	send := func(c *http.Client, url string) int {
		method, body := http.MethodPost, ""
		if filepath.Base(url) == "scale" {
			method, body = http.MethodPut, `{"replicas": 4}`
		}
		r := request(t, method, url, body)
		answer, err := c.Do(r)
		require.NoError(t, err)
		require.NoError(t, answer.Body.Close())
		return answer.StatusCode
	}

	own := fmt.Sprintf("uid %d", os.Getuid())
	const token, certificate = "admin token", "ci (admin token)"
	client := a.client("ci")
	client.Transport = bearer(tokenOf(t, Admin), client.Transport)
	before := c.Store.Snapshot().LastEvent()
	assert.Equal(t, http.StatusOK, send(onUnix(t, dir), "http://tend"+web+"rollout/pause"))
	assert.Equal(t, http.StatusOK, send(withToken(tokenOf(t, Admin)), "http://"+tcp.Addr().String()+web+"rollout/resume"))
	assert.Equal(t, http.StatusOK, send(client, "https://"+secured+web+"rollout/restart"))
	assert.Equal(t, http.StatusOK, send(onUnix(t, dir), "http://tend"+web+"rollout/undo"))
	assert.Equal(t, http.StatusOK, send(withToken(tokenOf(t, Admin)), "http://"+tcp.Addr().String()+web+"scale"))
	assert.Equal(t, http.StatusForbidden, send(withToken(tokenOf(t, Reader)), "http://"+tcp.Addr().String()+web+"scale"))
	assert.Equal(t, http.StatusUnauthorized, send(withToken("none"), "http://"+tcp.Addr().String()+web+"scale"))

	told := map[string]string{}
	for _, e := range c.Store.Snapshot().Events(before) {
		assert.Equal(t, "web", e.Workload)
		told[e.Reason] = e.Actor
	}
	assert.Equal(t, map[string]string{"RolloutPaused": own, "RolloutResumed": token, "RolloutRestarted": certificate, "RolloutUndone": own, "Scaled": token}, told)
	assert.Contains(t, get(t, onUnix(t, dir), "http://tend/api/v1/events").body, `"actor":"ci (admin token)"`)

	type line struct {
		actor, peer, method, path string
		status                    int64
	}
	var lines []line
	for _, entry := range logs.FilterMessage("request").All() {
		f := entry.ContextMap()
		lines = append(lines, line{f["actor"].(string), f["peer"].(string), f["method"].(string), f["path"].(string), f["status"].(int64)})
	}
	assert.Equal(t, []line{
		{own, own, "POST", web + "rollout/pause", 200},
		{token, loopback, "POST", web + "rollout/resume", 200},
		{certificate, loopback, "POST", web + "rollout/restart", 200},
		{own, own, "POST", web + "rollout/undo", 200},
		{token, loopback, "PUT", web + "scale", 200},
		{"read token", loopback, "PUT", web + "scale", 403},
		{"", loopback, "PUT", web + "scale", 401},
	}, lines)
}
