package e2e_test

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/api"
	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/e2e/kit"
)

// newShop writes a copy of the shop, with more in its override, and returns the address of
// its gateway. Its tend is a workload of its own, as with make up.
func newShop(t *testing.T, more string, profiles ...string) (p *project, gateway string) {
	t.Helper()
	p = newProject(t, nil)
	address, err := kit.FreeAddress()
	require.NoError(t, err)
	require.NoError(t, kit.Shop{Repository: repository, Dir: p.dir, Project: p.name, Profiles: profiles, Override: fmt.Sprintf(`services:
  tend: {image: "${TEND_IMAGE}", volumes: ["${SOCKET}:/var/run/docker.sock"]}
  gateway: {ports: !override ["%s:8080"]}
%s`, address, more)}.Write(t.Context()))
	socket, group := engineSocket(t)
	p.write(".env", p.read(".env")+fmt.Sprintf("DOCKER_GID=%s\nSOCKET=%s\n", group, socket))
	return p, "http://" + address
}

// TestTheShop does what make up does, with this repository's own compose.yaml
// and specs under another project's name and on ports of its own.
func TestTheShop(t *testing.T) {
	p, gateway := newShop(t, "")
	specs, err := kit.Specs(p.dir)
	require.NoError(t, err)
	counts := map[string]int{}
	for service, spec := range specs {
		counts[service] = kit.Replicas(spec)
	}
	require.Len(t, counts, 15, "%v", counts)

	up := p.tend("up", "--timeout", "4m")
	require.Zero(t, up.code, "%s", up)
	// Ready by tend's probes, which count instead of the containers' health checks.
	var kept api.List[api.Workload]
	require.NoError(t, json.Unmarshal([]byte(p.mustTend("get", "workloads", "-o", "json")), &kept))
	kept.Items = slices.DeleteFunc(kept.Items, func(w api.Workload) bool { return w.Kind == string(spec.Ingress) })
	for _, w := range kept.Items {
		assert.Equal(t, counts[w.Metadata.Name], w.Status.ReadyReplicas, w.Metadata.Name)
		assert.Len(t, p.replicas(w.Metadata.Name), counts[w.Metadata.Name])
	}
	require.Len(t, kept.Items, len(counts))

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

	t.Log("the gateway has the pages")
	page, err := http.Get(gateway + "/orders")
	require.NoError(t, err)
	require.NoError(t, page.Body.Close())
	assert.Equal(t, http.StatusOK, page.StatusCode)
	assert.Contains(t, page.Header.Get("Content-Type"), "text/html")

	t.Log("tend shows what the gateway has carried")
	p.await(func() error {
		call(t, gateway+"/api/payments/"+order.PaymentID, customer.Token, "", http.StatusOK, &payment)
		for _, of := range raw[api.Traffic](p, "/api/v1/traffic").Items {
			for _, s := range of.Samples {
				if of.Metadata.Name == "payment-service" && of.Workload == "payment-service" && s.Requests > 0 && s.P99 > 0 {
					assert.Zero(t, s.Failures)
					return nil
				}
			}
		}
		return errors.New("no requests are told")
	})

	t.Log("the control API is on no network")
	for _, service := range []string{"redis-cache", "user-db"} { // on the networks backend and database, and with a shell
		assert.Equal(t, "7070 refused\n7071 open\n", p.compose("exec", "-T", service, "bash", "-c",
			`for port in 7070 7071; do (exec 3<>/dev/tcp/tend/$port) 2>/dev/null && echo $port open || echo $port refused; done`))
	}

	t.Log("services are no superusers, and their databases are backed up by one who is")
	assert.Equal(t, "monitor|f|f\nuser_service|f|t", strings.TrimSpace(p.compose("exec", "-T", "user-db", "psql", "-U", "postgres", "-d", "users", "-Atc",
		`SELECT rolname, rolsuper, EXISTS (SELECT FROM pg_stat_activity WHERE usename = rolname) FROM pg_roles WHERE rolname !~ '^(pg_|postgres)' ORDER BY 1`)))
	dump := strings.TrimSpace(p.mustTend("backup", "user-db"))
	p.mustTend("restore", "user-db", dump)

	t.Log("the readme's three things to try, while the gateway follows tend, with a rotated token too")
	p.mustTend("token", "rotate")
	userSpec := "specs/user-service.yaml"
	n := counts["user-service"]
	p.edit(userSpec, fmt.Sprintf("replicas: %d", n), fmt.Sprintf("replicas: %d", n+2))
	users := p.awaitReady("user-service", n+2)
	last := fmt.Sprintf("%s-user-service-%d", p.name, n+2)
	p.await(func() error {
		for line := range strings.Lines(p.compose("logs", "--no-color", "gateway")) {
			if strings.Contains(line, `"source":"tend"`) && strings.Contains(line, last) {
				return nil
			}
		}
		return fmt.Errorf("the gateway has not heard of %s from tend", last)
	})
	kill(t, users[0])
	p.awaitOtherThan(users[0], "user-service", n+2)
	p.mustTend("apply")
	call(t, gateway+"/api/users/"+customer.UserID, customer.Token, "", http.StatusOK, &struct{}{})

	p.mustTend("down", "-v")
	assert.Empty(t, p.replicas(""))
	assert.Empty(t, p.leftovers())
}

// published is the host's address of a port of a service's one container.
func (p *project) published(service, port string) string {
	p.t.Helper()
	address := p.replica(service).address(port)
	require.NotEmpty(p.t, address, "port %s of %s is not published", port, service)
	return address
}

// address is the host's address of a port of the container; empty where it publishes
// none.
func (r replica) address(port string) string {
	for name, bindings := range r.NetworkSettings.Ports {
		if string(name) == port && len(bindings) > 0 {
			return bindings[0].HostIP + ":" + bindings[0].HostPort
		}
	}
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
