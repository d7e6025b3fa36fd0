package docker_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/engine/docker"
)

// The engine is played, as a real one has to be killed at the right moment.
func TestAContainerWhoseNameItsNetworksHeldIsRemovedWithTheEndpoints(t *testing.T) {
	for failure, want := range map[string][]string{
		"": {"DELETE /containers/id"},
		"failed to set up container networking: endpoint with name web-1 already exists in network front": {
			"DELETE /containers/id", `POST /networks/front/disconnect {"Container":"web-1","Force":true}`,
		},
	} {
		var asked []string
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Api-Version", "1.41")
			if r.Method == http.MethodGet {
				fmt.Fprintf(w, `{"Id": "id", "Name": "/web-1", "State": {"Error": %q}, "NetworkSettings": {"Networks": {"front": {}}}}`, failure)
				return
			}
			if r.URL.Path == "/_ping" {
				return
			}
			body, err := io.ReadAll(r.Body)
			assert.NoError(t, err)
			call := r.Method + " " + regexp.MustCompile(`^/v[0-9.]+`).ReplaceAllString(r.URL.Path, "")
			if len(body) > 0 {
				call += " " + string(regexp.MustCompile(`\s+$`).ReplaceAll(body, nil))
			}
			asked = append(asked, call)
		}))
		e, err := docker.New("tcp://" + server.Listener.Addr().String())
		require.NoError(t, err)
		require.NoError(t, e.Remove(t.Context(), "id", false))
		require.NoError(t, e.Close())
		server.Close()
		assert.Equal(t, want, asked)
	}
}
