package docker_test

import (
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/engine/docker"
)

// registryServer answers as a registry with one image, shop/web:1, to one user.
func registryServer(digest string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, password, _ := r.BasicAuth()
		switch {
		case name != "ann" || password != "secret":
			w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			w.WriteHeader(http.StatusUnauthorized)
		case r.URL.Path == "/v2/":
		case r.URL.Path == "/v2/shop/web/manifests/1" && r.Method == http.MethodHead:
			w.Header().Set("Content-Type", "application/vnd.docker.distribution.manifest.v2+json")
			w.Header().Set("Docker-Content-Digest", digest)
			w.Header().Set("Content-Length", "100")
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	})
}

// A registry is asked for a manifest's head only, with the login of Docker's configuration,
// and trusted as the engine trusts it.
func TestARegistryIsAskedForADigest(t *testing.T) {
	config := newDockerConfig(t)
	c := newCreator(t)
	const digest = "sha256:cc90b46583e87dcb5f9ca081dc35959b647658b4d0c895bf9028a026d5e00cf5"
	for name, server := range map[string]*httptest.Server{
		"plain": httptest.NewServer(registryServer(digest)), "TLS": httptest.NewTLSServer(registryServer(digest)),
	} {
		t.Run(name, func(t *testing.T) {
			defer server.Close()
			_, address, _ := strings.Cut(server.URL, "//")
			if certificate := server.Certificate(); certificate != nil {
				folder := filepath.Join("/etc/docker/certs.d", address)
				require.NoError(t, os.MkdirAll(folder, 0o755))
				defer os.RemoveAll(folder)
				require.NoError(t, os.WriteFile(filepath.Join(folder, "ca.crt"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw}), 0o600))
			}
			config.write("{}", "config.json")
			_, err := c.engine.Digest(t.Context(), address+"/shop/web:1")
			require.ErrorContains(t, err, "401")

			login := base64.StdEncoding.EncodeToString([]byte("ann:secret"))
			config.write(fmt.Sprintf(`{"auths": {%q: {"auth": %q}}}`, address, login), "config.json")
			found, err := c.engine.Digest(t.Context(), address+"/shop/web:1")
			require.NoError(t, err)
			assert.Equal(t, digest, found)
			_, err = c.engine.Digest(t.Context(), address+"/shop/web:2")
			assert.Equal(t, engine.NotFound, engine.ClassOf(err), "%v", err)

			config.helper(fmt.Sprintf(`case $registry in %s) echo '{"Username":"ann","Secret":"secret"}';; *) echo 'credentials not found in native keychain'; exit 1;; esac`, address))
			config.write(fmt.Sprintf(`{"credHelpers": {%q: "x"}}`, address), "config.json")
			found, err = c.engine.Digest(t.Context(), address+"/shop/web:1")
			require.NoError(t, err)
			assert.Equal(t, digest, found, "a credential helper has the login")
		})
	}
}

func TestARegistrySaysHowLongToLeaveItAlone(t *testing.T) {
	newDockerConfig(t)
	c := newCreator(t)
	for header, want := range map[string]time.Duration{
		"600": 10 * time.Minute, "": 0, "soon": 0, "9999999": 24 * time.Hour,
		time.Now().Add(time.Hour).UTC().Format(http.TimeFormat): time.Hour,
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodHead {
				w.Header().Set("Retry-After", header)
				w.WriteHeader(http.StatusTooManyRequests)
			}
		}))
		_, address, _ := strings.Cut(server.URL, "//")
		_, err := c.engine.Digest(t.Context(), address+"/shop/web:1")
		server.Close()
		require.ErrorContains(t, err, "429")
		assert.InDelta(t, want, engine.RetryAfterOf(err), float64(10*time.Second), header)
	}
}

func TestTheLoginsAreThoseThatAreWrittenDown(t *testing.T) {
	config := newDockerConfig(t)
	images := []string{"example.test/web:1", "web:1"}
	logins, err := docker.Logins(images)
	require.NoError(t, err)
	assert.Nil(t, logins, "there is no configuration")

	login := base64.StdEncoding.EncodeToString([]byte("ann:secret"))
	config.write(fmt.Sprintf(`{"auths": {"example.test": {"auth": %q}}, "HttpHeaders": {"X": "y"}, "currentContext": "far"}`, login), "config.json")
	logins, err = docker.Logins(images)
	require.NoError(t, err)
	assert.JSONEq(t, fmt.Sprintf(`{"auths": {"example.test": {"auth": %q}}}`, login), string(logins), "the logins, and nothing else")

	t.Log("a helper that knows the registry cannot be asked from elsewhere")
	config.helper(`case $registry in example.test) echo '{"Username":"ann","Secret":"hidden"}';; *) echo 'credentials not found in native keychain'; exit 1;; esac`)
	config.write(`{"credsStore": "x"}`, "config.json")
	_, err = docker.Logins(images)
	require.ErrorContains(t, err, "the login for the image example.test/web:1 is kept by docker-credential-x")
	assert.NotContains(t, err.Error(), "hidden")
	_, err = docker.Logins([]string{"web:1"})
	require.NoError(t, err, "the helper does not know that one")
}
