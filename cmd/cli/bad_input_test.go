//go:build linux

package cli

import (
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/api"
	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/spec"
)

// asking are the commands that ask the controller about a workload.
var asking = [][]string{
	{"describe", "wep"}, {"explain", "wep"}, {"events", "wep"}, {"get", "replicas", "wep"},
	{"rollout", "status", "wep"}, {"rollout", "history", "wep"}, {"rollout", "undo", "wep"},
	{"rollout", "pause", "wep"}, {"rollout", "resume", "wep"}, {"rollout", "restart", "wep"}, {"wait", "wep"},
}

func TestAWorkloadThatThereIsNotIsThoughtOf(t *testing.T) {
	w := newWorld(t, "name: shop\nservices:\n  web: {image: web:1}\n")
	w.keep("web", func(*spec.Workload, *core.Status) {})
	for _, args := range append(asking, []string{"scale", "wep", "--replicas", "3"}) {
		_, err := w.tend(args...)
		if assert.Error(t, err, args) {
			assert.Contains(t, err.Error(), `did you mean "web"`, args)
		}
	}
}

func TestEachCommandSaysThatNoControllerRuns(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "compose.yaml"), []byte("name: shop\nservices:\n  web: {image: web:1}\n"), 0o600))
	w := &world{t: t, dir: dir}
	for _, args := range append(asking, []string{"get", "workloads"}, []string{"get", "images"}, []string{"get", "--raw", "/metrics"},
		[]string{"events"}, []string{"endpoints"}, []string{"kill", "shop-web-1"}, []string{"watch", "--once"}, []string{"dashboard"}) {
		_, err := w.tend(args...)
		if assert.Error(t, err, args) {
			assert.Contains(t, err.Error(), "no controller is running for this project: start one with `tend up`", args)
		}
	}
}

func TestWatchSaysWhatToDoWhereThereIsNoTerminal(t *testing.T) {
	_, err := watched(t).tend("watch")
	assert.ErrorContains(t, err, "tend watch needs a terminal")
	assert.ErrorContains(t, err, "--once")
}

// A controller that knows less than this program, or asks for more, is named with its
// version; one of the same version is not.
func TestAControllerOfAnotherVersionIsNamed(t *testing.T) {
	for version, named := range map[string]bool{"0.9.0": true, "9.0.0": true, "test": false} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set(api.VersionHeader, version)
			http.Error(w, `{"detail": "there is no such path here"}`, http.StatusNotFound)
		}))
		_, err := (&world{t: t, dir: t.TempDir()}).tend("--server", s.URL, "get", "workloads")
		s.Close()
		require.ErrorContains(t, err, "there is no such path here")
		assert.Equal(t, named, assert.ObjectsAreEqual("there is no such path here; the controller is tend "+version+", and this is tend test", err.Error()), err)
	}
}

func TestATokenThatDoesNotDoIsExplained(t *testing.T) {
	w := newWorld(t, "name: shop\nservices:\n  web: {image: web:1}\n")
	w.keep("web", func(*spec.Workload, *core.Status) {})
	data := filepath.Join(w.dir, ".tend")
	require.NoError(t, api.MakeTokens(data))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	w.serve(l)
	wrong := filepath.Join(w.dir, "wrong")
	require.NoError(t, os.WriteFile(wrong, []byte("c0ffee\n"), 0o600))
	server := "http://" + l.Addr().String()
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"missing":      {[]string{"--server", server, "get", "workloads"}, "Authorization: Bearer TOKEN"},
		"wrong":        {[]string{"--server", server, "--token-file", wrong, "get", "workloads"}, "Authorization: Bearer TOKEN"},
		"no such file": {[]string{"--server", server, "--token-file", wrong + "er", "get", "workloads"}, "read the token"},
		"read-only":    {[]string{"--server", server, "--token-file", filepath.Join(data, api.TokenFile(api.Reader)), "rollout", "pause", "web"}, "the read token changes nothing"},
	} {
		_, err := w.tend(test.args...)
		if assert.Error(t, err, name) {
			assert.Contains(t, err.Error(), test.want, name)
		}
	}
}

func TestWhatASwarmCannotDoIsSaid(t *testing.T) {
	dir := t.TempDir()
	compose := filepath.Join(dir, "compose.yaml")
	require.NoError(t, os.WriteFile(compose, []byte("name: shop\nservices:\n  web:\n    image: web:1\n    privileged: true\n    build: .\n"), 0o600))
	w := &world{t: t, dir: dir}
	for _, args := range [][]string{{"up"}, {"apply"}, {"diff"}, {"down"}, {"run"}, {"validate"}} {
		out, err := w.tend(append([]string{"--engine", "swarm"}, args...)...)
		require.Error(t, err, args)
		said := out + err.Error()
		assert.Contains(t, said, "compose.yaml:5:5: privileged is not supported on a Swarm", args)
		assert.Contains(t, said, "compose.yaml:6:5: build is not supported on a Swarm", args)
	}
	for _, args := range [][]string{{"build"}, {"pull"}, {"release"}, {"kill", "web"}, {"doctor"}} {
		_, err := w.tend(append([]string{"--engine", "swarm"}, args...)...)
		assert.ErrorContains(t, err, args[0]+" does not work on a Swarm", args)
	}
	_, err := w.tend("--engine", "model", "apply")
	assert.ErrorContains(t, err, "only run keeps a project in memory")
	_, err = w.tend("--engine", "swarm", "down", "-v")
	assert.ErrorContains(t, err, "does not reach volumes")
}
