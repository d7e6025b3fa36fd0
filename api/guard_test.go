package api

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/go-chi/chi/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestWhoMayAsk(t *testing.T) {
	const (
		workloads = "/api/v1/workloads"
		pause     = "/api/v1/workloads/web/rollout/pause"
	)
	read, admin := "Bearer "+tokenOf(t, Reader), "Bearer "+tokenOf(t, Admin)
	socket := peer{name: "uid 1000", local: true}
	near := peer{name: loopback}
	for _, c := range []struct {
		name       string
		peer       peer
		host       string
		credential string
		path       string
		status     int
		anonymous  int // the status where everyone may read
	}{
		{"the Unix socket", socket, "anything.example", "", workloads, 200, 200},
		{"the Unix socket, for a change", socket, "anything.example", "", pause, 200, 200},
		{"loopback without a token", near, "127.0.0.1:7070", "", workloads, 401, 200},
		{"loopback without a token, for a change", near, "127.0.0.1:7070", "", pause, 401, 401},
		{"to metrics", near, "172.20.0.2:7070", "", "/metrics", 401, 200},
		{"to nothing", near, "172.20.0.2:7070", "", "/nothing", 401, 404},
		{"to healthz", near, "172.20.0.2:7070", "", "/healthz", 200, 200},
		{"to readyz", near, "172.20.0.2:7070", "", "/readyz", 200, 200},
		{"by name", near, "LocalHost:7070", "", workloads, 401, 200},
		{"by IPv6", near, "[::1]:7070", "", workloads, 401, 200},
		{"by IPv6 without a port", near, "[::1]", "", workloads, 401, 200},
		{"by the service's name", near, "tend:7071", "", workloads, 401, 200},
		{"by a rebound name", near, "evil.example:7070", "", workloads, 421, 421},
		{"by a rebound name, to healthz", near, "evil.example:7070", "", "/healthz", 421, 421},
		{"by a name that begins like localhost", near, "localhost.evil.example", "", workloads, 421, 421},
		{"by a name that begins like an address", near, "127.0.0.1.evil.example", "", workloads, 421, 421},
		{"without a host", near, "", "", workloads, 421, 421},
		{"by a name below localhost", near, "shop.LocalHost:7070", "", workloads, 401, 200},
		{"by a name that ends like localhost", near, "evillocalhost.example", "", workloads, 421, 421},
		{"to the page", near, "127.0.0.1:7070", "", "/", 200, 200},
		{"to the page, by a rebound name", near, "evil.example:7070", "", "/", 421, 421},
		{"the read token", near, "127.0.0.1", read, workloads, 200, 200},
		{"the read token, for a change", near, "127.0.0.1", read, pause, 403, 403},
		{"the read token by another name", near, "devbox.example:7070", read, workloads, 200, 200},
		{"the admin token", near, "127.0.0.1", admin, workloads, 200, 200},
		{"the admin token, for a change", near, "127.0.0.1", admin, pause, 200, 200},
		{"the scheme in lower case", near, "127.0.0.1", "bearer " + admin[7:], workloads, 200, 200},
		{"another token", near, "127.0.0.1", "Bearer c0ffee", workloads, 401, 401},
		{"the beginning of the token", near, "127.0.0.1", admin[:20], workloads, 401, 401},
		{"no token", near, "127.0.0.1", "Bearer ", workloads, 401, 401},
		{"another scheme", near, "127.0.0.1", "Basic " + admin[7:], workloads, 401, 401},
		{"from nowhere", peer{}, "localhost", "", workloads, 401, 200},
	} {
		t.Run(c.name, func(t *testing.T) {
			for anonymous, status := range map[bool]int{false: c.status, true: c.anonymous} {
				configured := config(shop())
				configured.AnonymousRead = anonymous
				answer := askAs(New(configured), c.peer, c.host, c.credential, c.path)
				assert.Equal(t, status, answer.Code, "anonymous %v: %s", anonymous, answer.Body)
				assert.Equal(t, status == http.StatusUnauthorized, answer.Header().Get("WWW-Authenticate") != "")
			}
		})
	}
}

func TestWithoutTokensNobodyElsewhereMayAsk(t *testing.T) {
	c := config(shop())
	c.DataDir = t.TempDir()
	for _, credential := range []string{"", "Bearer", "Bearer ", "Bearer 00"} {
		assert.Equal(t, http.StatusUnauthorized, askAs(New(c), peer{name: "10.0.0.1"}, "10.0.0.1", credential, "/api/v1/replicas").Code)
	}
}

func TestTheReadOnlyListenerWantsATokenAndChangesNothing(t *testing.T) {
	c := config(published())
	for path, status := range map[string]int{"/api/v1/endpoints": 200, "/metrics": 200, "/api/v1/workloads": 404, "/openapi.yaml": 404, "/api/v1/workloads/web/rollout/pause": 404} {
		assert.Equal(t, http.StatusUnauthorized, askAs(NewReadOnly(c), peer{name: "172.20.0.5"}, "tend:7071", "", path).Code, path)
		for _, role := range Roles {
			want := status
			if role == Reader && methodOf(path) == http.MethodPost {
				want = http.StatusForbidden
			}
			answer := askAs(NewReadOnly(c), peer{name: "172.20.0.5"}, "tend:7071", "Bearer "+tokenOf(t, role), path)
			assert.Equal(t, want, answer.Code, path)
		}
	}
}

func TestReadyzTellsNoReasonToStrangers(t *testing.T) {
	c := config(shop())
	c.Ready = func() error { return errNotReady }
	answer := askAs(New(c), peer{name: "10.0.0.1"}, "10.0.0.1", "", "/readyz")
	assert.Equal(t, http.StatusServiceUnavailable, answer.Code)
	assert.NotContains(t, answer.Body.String(), errNotReady.Error())
}

func TestAPageOfAnotherOriginCannotAsk(t *testing.T) {
	c := config(published())
	c.AnonymousRead = true
	for _, h := range []http.Handler{New(c), NewReadOnly(c)} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		start(t, h, l)
		for name, test := range map[string]struct {
			header, value string
			status        int
		}{
			"no page":                 {"Accept", "*/*", http.StatusOK},
			"the address bar":         {"Sec-Fetch-Site", "none", http.StatusOK},
			"another site":            {"Sec-Fetch-Site", "cross-site", http.StatusForbidden},
			"another host of a site":  {"Sec-Fetch-Site", "same-site", http.StatusForbidden},
			"another, an old browser": {"Origin", "http://evil.example", http.StatusForbidden},
			"the origin itself":       {"Origin", "http://" + l.Addr().String(), http.StatusOK},
			"a rebound name":          {"Host", "evil.example", http.StatusMisdirectedRequest},
		} {
			for _, path := range []string{"/api/v1/endpoints?index=0&subscriber=page", "/metrics", "/healthz"} {
				r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+l.Addr().String()+path, nil)
				require.NoError(t, err)
				r.Header.Set(test.header, test.value)
				if test.header == "Host" {
					r.Host = test.value
				}
				answer, err := withToken("").Do(r)
				require.NoError(t, err)
				require.NoError(t, answer.Body.Close())
				assert.Equal(t, test.status, answer.StatusCode, "%s: %s", name, path)
			}
		}
	}
}

// methodOf is the method that a path takes.
func methodOf(path string) string {
	if path == "/api/v1/workloads/web/rollout/pause" {
		return http.MethodPost
	}
	return http.MethodGet
}

// askAs sends a request as a peer.
func askAs(h http.Handler, from peer, host, credential, path string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(methodOf(path), path, nil)
	r.Host = host
	if credential != "" {
		r.Header.Set("Authorization", credential)
	}
	r = r.WithContext(context.WithValue(r.Context(), peerKey{}, from))
	answer := httptest.NewRecorder()
	conformity.handler(h).ServeHTTP(answer, r)
	return answer
}

// Whatever changes something wants the admin token, from nobody's page, under no foreign
// name.
func TestEveryChangeIsGuarded(t *testing.T) {
	read, admin := "Bearer "+tokenOf(t, Reader), "Bearer "+tokenOf(t, Admin)
	control := config(published()).control()
	n := 0
	require.NoError(t, chi.Walk(control, func(method, route string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
		if method == http.MethodGet || route == sessionPath || route == endpointsPath {
			return nil
		}
		n++
		path := strings.NewReplacer("{name}", "web", "{replica}", "shop-web-1", "{file}", "web.yaml").Replace(route)
		for name, test := range map[string]struct {
			host, credential, header, value string
			status                          int
		}{
			"no token":         {"127.0.0.1", "", "", "", http.StatusUnauthorized},
			"the read token":   {"127.0.0.1", read, "", "", http.StatusForbidden},
			"a foreign host":   {"evil.example", "", "", "", http.StatusMisdirectedRequest},
			"a foreign page":   {"127.0.0.1", admin, "Sec-Fetch-Site", "cross-site", http.StatusForbidden},
			"a foreign origin": {"127.0.0.1", admin, "Origin", "http://evil.example", http.StatusForbidden},
		} {
			r := httptest.NewRequest(method, path, strings.NewReader("{}"))
			r.Host = test.host
			r.Header.Set("Content-Type", "application/json")
			if test.credential != "" {
				r.Header.Set("Authorization", test.credential)
			}
			if test.header != "" {
				r.Header.Set(test.header, test.value)
			}
			answer := httptest.NewRecorder()
			control.ServeHTTP(answer, r.WithContext(context.WithValue(r.Context(), peerKey{}, peer{name: loopback})))
			assert.Equal(t, test.status, answer.Code, "%s %s, %s: %s", method, route, name, answer.Body)
		}
		return nil
	}))
	assert.GreaterOrEqual(t, n, 8)
}
