package e2e_test

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/tendhq/tend/api"
)

// TestTheShop does what make up does, with this repository's own compose.yaml
// and specs under another project's name and on ports of its own.
func TestTheShop(t *testing.T) {
	p := newProject(t, files{
		"compose.yaml": readRepository(t, "compose.yaml"),
		"compose.override.yaml": `services:
  tend: {image: "${TEND_IMAGE}", ports: !override ["127.0.0.1::7070"], volumes: ["${SOCKET}:/var/run/docker.sock"]}
  gateway: {ports: !override ["127.0.0.1::8080"]}
`,
	})
	for _, name := range []string{"postgres_password", "jwt_secret", "redis_password"} {
		p.write("deploy/secrets/"+name, rand.Text()+rand.Text())
	}
	counts := map[string]int{"redis-cache": 1}
	specs, err := filepath.Glob(filepath.Join(repository, "specs", "*.yaml"))
	require.NoError(t, err)
	for _, path := range specs {
		name := filepath.Join("specs", filepath.Base(path))
		content := readRepository(t, name)
		p.write(name, content)
		var spec struct {
			Metadata struct{ Name string }
			Spec     struct{ Replicas int }
		}
		require.NoError(t, yaml.Unmarshal([]byte(content), &spec))
		counts[spec.Metadata.Name] = spec.Spec.Replicas
	}
	require.Len(t, counts, 10, "%v", counts)
	socket, group := engineSocket(t)
	p.write(".env", p.read(".env")+fmt.Sprintf("TEND_PROJECT_DIRECTORY=%s\nTEND_UID=65532\nTEND_GID=65532\nDOCKER_GID=%s\nSOCKET=%s\n", p.dir, group, socket))

	up := p.tend("up", "--timeout", "4m")
	require.Zero(t, up.code, "%s", up)
	// Ready by tend's probes, which count instead of the containers' health checks.
	var kept api.List[api.Workload]
	require.NoError(t, json.Unmarshal([]byte(p.mustTend("get", "workloads", "-o", "json")), &kept))
	for _, w := range kept.Items {
		assert.Equal(t, counts[w.Metadata.Name], w.Status.ReadyReplicas, w.Metadata.Name)
		assert.Len(t, p.replicas(w.Metadata.Name), counts[w.Metadata.Name])
	}
	require.Len(t, kept.Items, len(counts))
	gateway := "http://" + p.published("gateway", "8080/tcp")

	var customer struct{ UserID, Token string }
	call(t, gateway+"/api/users/register", "", `{"email":"ada@example.com","password":"correct horse","firstName":"Ada","lastName":"Lovelace"}`, http.StatusCreated, &customer)
	var order struct {
		OrderID, Status, PaymentID string
		Total                      json.Number
	}
	call(t, gateway+"/api/orders", customer.Token, `{"items":[{"productId":"espresso-cup","quantity":2}]}`, http.StatusCreated, &order)
	assert.Equal(t, "confirmed", order.Status)
	var payment struct{ OrderID, Status string }
	call(t, gateway+"/api/payments/"+order.PaymentID, customer.Token, "", http.StatusOK, &payment)
	assert.Equal(t, order.OrderID, payment.OrderID)
	assert.Equal(t, "paid", payment.Status)

	t.Log("the readme's three things to try")
	userSpec := "specs/user-service.yaml"
	n := counts["user-service"]
	p.edit(userSpec, fmt.Sprintf("replicas: %d", n), fmt.Sprintf("replicas: %d", n+2))
	users := p.awaitReady("user-service", n+2)
	kill(t, users[0])
	p.awaitOtherThan(users[0], "user-service", n+2)
	p.mustTend("apply")
	call(t, gateway+"/api/users/"+customer.UserID, customer.Token, "", http.StatusOK, &struct{}{})

	p.mustTend("down", "-v")
	assert.Empty(t, p.replicas(""))
	assert.Empty(t, p.leftovers())
}

func readRepository(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(repository, name))
	require.NoError(t, err)
	return string(content)
}

// published is the host's address of a port of a service's one container.
func (p *project) published(service, port string) string {
	p.t.Helper()
	for name, bindings := range p.replica(service).NetworkSettings.Ports {
		if string(name) == port && len(bindings) > 0 {
			return bindings[0].HostIP + ":" + bindings[0].HostPort
		}
	}
	require.Fail(p.t, "the port is not published", "%s of %s", port, service)
	return ""
}

// call sends a request, with a body if there is one, and reads the answer.
func call(t *testing.T, url, token, body string, status int, answer any) {
	t.Helper()
	method := http.MethodGet
	if body != "" {
		method = http.MethodPost
	}
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	require.NoError(t, err)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Idempotency-Key", rand.Text())
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	got, err := client.Do(r)
	require.NoError(t, err)
	defer got.Body.Close()
	var content bytes.Buffer
	_, err = content.ReadFrom(got.Body)
	require.NoError(t, err)
	require.Equal(t, status, got.StatusCode, "%s: %s", url, &content)
	require.NoError(t, json.Unmarshal(content.Bytes(), answer))
}
