package docker_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/engine/docker"
	"github.com/tendhq/tend/controller/engine/enginetest/process"
)

// engineOf answers as an engine does that speaks the versions oldest to newest of the API.
func engineOf(oldest, newest string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Api-Version", newest)
		version, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/v"), "/")
		if r.URL.Path != "/_ping" && version < oldest { // all have as many digits
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprintf(w, `{"message": "client version %s is too old. Minimum supported API version is %s, please upgrade your client to a newer version"}`, version, oldest)
			return
		}
		fmt.Fprint(w, "[]")
	})
}

func TestAnEngineMustSpeakAnAPIThatTendSpeaks(t *testing.T) {
	for _, c := range []struct{ name, oldest, newest, asked, refusal string }{
		{"the oldest that will do", "1.12", "1.41", "", ""},
		{"newer than tend", "1.40", "1.99", "", ""},
		{"too old", "1.12", "1.40", "", "the newest API of this engine is 1.40, and tend speaks 1.41 to 1.51: upgrade it to Docker Engine 20.10 or newer"},
		{"too new", "1.60", "1.99", "", "this engine is too new; tend speaks API 1.41 to 1.51: upgrade tend (Error response from daemon: client version 1.51 is too old. Minimum supported API version is 1.60"},
		{"asked for another", "1.12", "1.51", "1.30", "DOCKER_API_VERSION asks for API 1.30, and tend speaks 1.41 to 1.51: unset it"},
		{"asked for a newer one than tend's", "1.12", "1.99", "1.60", "DOCKER_API_VERSION asks for API 1.60, and tend speaks 1.41 to 1.51: unset it"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("DOCKER_API_VERSION", c.asked)
			server := httptest.NewServer(engineOf(c.oldest, c.newest))
			defer server.Close()
			host := "tcp://" + server.Listener.Addr().String()
			e, err := docker.New(host)
			require.NoError(t, err)
			defer e.Close()
			err = e.Check(t.Context())
			if c.refusal == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, "ask engine "+host+": "+c.refusal)
			assert.Equal(t, engine.Invalid, engine.ClassOf(err))
			_, err = e.Containers(t.Context(), "shop")
			require.ErrorContains(t, err, c.refusal, "whatever is asked")
		})
	}
}

// dockerConfig is a folder of the Docker command line's, in place of the user's.
type dockerConfig struct {
	t      *testing.T
	folder string
}

func newDockerConfig(t *testing.T) dockerConfig {
	t.Helper()
	c := dockerConfig{t, t.TempDir()}
	t.Setenv("DOCKER_CONFIG", c.folder)
	t.Setenv("DOCKER_HOST", "")
	t.Setenv("DOCKER_CONTEXT", "")
	return c
}

func (c dockerConfig) write(content string, path ...string) {
	c.t.Helper()
	file := filepath.Join(append([]string{c.folder}, path...)...)
	require.NoError(c.t, os.MkdirAll(filepath.Dir(file), 0o700))
	require.NoError(c.t, os.WriteFile(file, []byte(content), 0o600))
}

// helper is a credential helper of Docker's, docker-credential-x, that does something for a
// $registry.
func (c dockerConfig) helper(does string) {
	c.t.Helper()
	c.write("#!/bin/sh\nread registry\n"+does+"\n", "docker-credential-x")
	require.NoError(c.t, os.Chmod(filepath.Join(c.folder, "docker-credential-x"), 0o700))
	c.t.Setenv("PATH", c.folder+":"+os.Getenv("PATH"))
}

// idOf is how the files of a context are named.
func idOf(context string) string {
	id := sha256.Sum256([]byte(context))
	return hex.EncodeToString(id[:])
}

func (c dockerConfig) context(name, host string) {
	c.t.Helper()
	content, err := json.Marshal(map[string]any{"Name": name, "Metadata": map[string]any{},
		"Endpoints": map[string]any{"docker": map[string]any{"Host": host, "SkipTLSVerify": false}}})
	require.NoError(c.t, err)
	c.write(string(content), "contexts", "meta", idOf(name), "meta.json")
}

// The order is the Docker command line's.
func TestTheEngineIsTheOneThatDockerTakes(t *testing.T) {
	c := newDockerConfig(t)
	c.context("rootless", "unix:///run/user/1000/docker.sock")
	c.context("remote", "ssh://user@host")
	c.context("nowhere", "")
	hostOf := func(host string) string {
		e, err := docker.New(host)
		require.NoError(t, err)
		defer e.Close()
		return e.Host()
	}
	const usual = "unix:///var/run/docker.sock"
	assert.Equal(t, usual, hostOf(""), "no configuration")

	c.write(`{"auths": {}}`, "config.json")
	assert.Equal(t, usual, hostOf(""), "no context")
	c.write(`{"currentContext": "rootless"}`, "config.json")
	assert.Equal(t, "unix:///run/user/1000/docker.sock", hostOf(""), "the current context")
	t.Setenv("DOCKER_CONTEXT", "remote")
	assert.Equal(t, "ssh://user@host", hostOf(""), "DOCKER_CONTEXT over the current context")
	t.Setenv("DOCKER_CONTEXT", "default")
	assert.Equal(t, usual, hostOf(""), "default is no context")
	t.Setenv("DOCKER_CONTEXT", "nowhere")
	assert.Equal(t, usual, hostOf(""), "a context without an address")
	t.Setenv("DOCKER_HOST", "tcp://127.0.0.1:2375")
	assert.Equal(t, "tcp://127.0.0.1:2375", hostOf(""), "DOCKER_HOST over any context")
	assert.Equal(t, "unix:///s", hostOf("unix:///s"), "what is asked for over all")
}

func TestAContextThatCannotBeUsedIsAnError(t *testing.T) {
	c := newDockerConfig(t)
	refused := func(says ...string) {
		t.Helper()
		_, err := docker.New("")
		assert.Equal(t, engine.Invalid, engine.ClassOf(err))
		for _, s := range says {
			assert.ErrorContains(t, err, s)
		}
	}
	c.write(`{"currentContext": "gone"}`, "config.json")
	refused(`context "gone": context not found`, "names the context gone", filepath.Join(c.folder, "config.json"), "docker context ls", "--host")
	c.write(`{"currentContext": `, "config.json")
	refused("config.json", "JSON")
	c.write(`{"currentContext": "bad"}`, "config.json")
	c.context("bad", "ssh://user:secret@host")
	refused("names the context bad", "password")
}

// A context has certificates of its own.
func TestAContextIsReachedWithItsCertificates(t *testing.T) {
	server := httptest.NewTLSServer(engineOf("1.12", "1.41"))
	defer server.Close()
	c := newDockerConfig(t)
	c.context("secure", "tcp://"+server.Listener.Addr().String())
	c.write(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})),
		"contexts", "tls", idOf("secure"), "docker", "ca.pem")
	t.Setenv("DOCKER_CONTEXT", "secure")
	e, err := docker.New("")
	require.NoError(t, err)
	defer e.Close()
	require.NoError(t, e.Check(t.Context()))
}

// fakeSSH stands in for ssh: it runs what is to be run on the other machine on this one.
const fakeSSH = `#!/bin/sh
while [ "$1" != -- ]; do shift; done
shift
[ "$1" = elsewhere ] || { read -r request; echo "ssh: cannot find $1" >&2; exit 255; }
shift
exec sh -c "$*"
`

func TestAnEngineIsReachedThroughSSH(t *testing.T) {
	folder := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(folder, "ssh"), []byte(fakeSSH), 0o700))
	c := newCreator(t)
	id, err := c.engine.Create(t.Context(), c.spec(types.ServiceConfig{}))
	require.NoError(t, err)
	require.NoError(t, c.engine.Start(t.Context(), id))
	t.Setenv("PATH", folder+":"+os.Getenv("PATH"))

	e, err := docker.New("ssh://elsewhere")
	require.NoError(t, err)
	defer e.Close()
	require.NoError(t, e.Check(t.Context()))
	found, err := e.Containers(t.Context(), c.project)
	require.NoError(t, err)
	require.Len(t, found, 1)
	assert.Equal(t, id, found[0].ID)
	var out bytes.Buffer
	code, err := e.Exec(t.Context(), id, engine.ExecSpec{Command: []string{process.Program, "exec", "-echo"}, Stdin: strings.NewReader("in"), Stdout: &out})
	require.NoError(t, err)
	assert.Zero(t, code)
	assert.Equal(t, "in", out.String(), "each half of a connection ends for itself")

	absent, err := docker.New("ssh://nowhere")
	require.NoError(t, err)
	defer absent.Close()
	require.ErrorContains(t, absent.Check(t.Context()), "cannot find nowhere")
}
