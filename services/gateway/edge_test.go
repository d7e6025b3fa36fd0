package main

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

var signingKey = ed25519.NewKeyFromSeed([]byte("a seed that has thirty-two bytes"))

// users is a user-service that publishes its key and tells who it was asked by.
func users(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/.well-known/jwks.json" {
		x := base64.RawURLEncoding.EncodeToString(signingKey.Public().(ed25519.PublicKey))
		fmt.Fprintf(w, `{"keys":[{"kty":"OKP","crv":"Ed25519","alg":"EdDSA","use":"sig","kid":"test","x":%q}]}`, x)
		return
	}
	echo(w, r)
}

// echo answers with what the gateway says of the caller.
func echo(w http.ResponseWriter, r *http.Request) {
	_ = json.NewEncoder(w).Encode(map[string][]string{"path": {r.URL.Path}, "id": r.Header.Values("X-User-ID"), "role": r.Header.Values("X-User-Role"),
		"authorization": r.Header.Values("Authorization"), "correlation": r.Header.Values("X-Correlation-ID")})
}

// token returns a token that user-service would issue, changed by change.
func token(t *testing.T, key ed25519.PrivateKey, change func(*claims)) string {
	t.Helper()
	now := time.Now()
	c := claims{Role: "customer", RegisteredClaims: jwt.RegisteredClaims{Issuer: "user-service", Subject: "ada", Audience: jwt.ClaimStrings{"shop"},
		IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(time.Hour))}}
	if change != nil {
		change(&c)
	}
	made := jwt.NewWithClaims(jwt.SigningMethodEdDSA, c)
	made.Header["kid"] = "test"
	signed, err := made.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// service serves handler as one of the services, and returns the variable that says where.
func service(t *testing.T, variable string, handler http.HandlerFunc) string {
	t.Helper()
	return variable + "=127.0.0.1:" + startUpstream(t, loopback1, "0", handler)
}

// keys serves the key set, and returns the variable that says where.
func keys(t *testing.T) string {
	t.Helper()
	return "JWKS_URL=http://127.0.0.1:" + startUpstream(t, loopback1, "0", users) + "/.well-known/jwks.json"
}

// awaitKeys returns when the gateway refuses a token that is signed with another key.
func (g *gateway) awaitKeys(t *testing.T) {
	t.Helper()
	_, other, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the gateway knows the key", func() bool {
		// No limit counts what is not under /api/.
		response, _ := do(t, http.MethodGet, g.url+"/health/ready", nil, "Authorization", "Bearer "+token(t, other, nil))
		return response.StatusCode == http.StatusUnauthorized
	})
}

func TestATokenSaysWhoItIsAndNothingElse(t *testing.T) {
	g := startGateway(t, startNameServer(t), keys(t), service(t, "USER_SERVICE", users), service(t, "ORDER_SERVICE", echo))
	valid := token(t, signingKey, nil)
	g.awaitKeys(t)
	forged := []string{"X-User-ID", "eve", "X-User-Role", "admin", "x-user-id", "mallory"}
	for name, test := range map[string]struct {
		headers  []string
		id, role []string
	}{
		"no token":                 {nil, nil, nil},
		"another scheme":           {[]string{"Authorization", "Basic YTpi"}, nil, nil},
		"a customer":               {[]string{"Authorization", "Bearer " + valid}, []string{"ada"}, []string{"customer"}},
		"the scheme in lower case": {[]string{"Authorization", "bearer " + valid}, []string{"ada"}, []string{"customer"}},
		"an administrator":         {[]string{"Authorization", "Bearer " + token(t, signingKey, func(c *claims) { c.Role = "admin" })}, []string{"ada"}, []string{"admin"}},
	} {
		response, body := do(t, http.MethodGet, g.url+"/api/orders", nil, append(test.headers, forged...)...)
		var seen map[string][]string
		if err := json.Unmarshal([]byte(body), &seen); err != nil || response.StatusCode != http.StatusOK {
			t.Fatalf("%s: %d %s", name, response.StatusCode, body)
		}
		if !slices.Equal(seen["id"], test.id) || !slices.Equal(seen["role"], test.role) {
			t.Errorf("%s: the service sees the user %v with the role %v, want %v and %v", name, seen["id"], seen["role"], test.id, test.role)
		}
	}
	_, other, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, wrong := range map[string]string{
		"no token at all":        "x.y.z",
		"another's key":          token(t, other, nil),
		"an expired one":         token(t, signingKey, func(c *claims) { c.ExpiresAt = jwt.NewNumericDate(time.Now().Add(-time.Minute)) }),
		"one that never expires": token(t, signingKey, func(c *claims) { c.ExpiresAt = nil }),
		"another issuer's":       token(t, signingKey, func(c *claims) { c.Issuer = "order-service" }),
		"another audience's":     token(t, signingKey, func(c *claims) { c.Audience = jwt.ClaimStrings{"payment-service"} }),
		"a service's":            token(t, signingKey, func(c *claims) { c.Role = "service" }),
		"nobody's":               token(t, signingKey, func(c *claims) { c.Subject = "" }),
	} {
		response, body := do(t, http.MethodGet, g.url+"/api/orders", nil, "Authorization", "Bearer "+wrong)
		if response.StatusCode != http.StatusUnauthorized || response.Header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s: %d %s", name, response.StatusCode, body)
		}
		wantProblem(t, response, body, http.StatusUnauthorized)
	}
}

// The services check tokens themselves, so nothing is lost while the keys are not known.
func TestATokenThatCannotBeJudgedIsTheServicesToJudge(t *testing.T) {
	g := startGateway(t, startNameServer(t), "JWKS_URL=http://127.0.0.1:1/", service(t, "ORDER_SERVICE", echo))
	response, body := do(t, http.MethodGet, g.url+"/api/orders", nil, "Authorization", "Bearer "+token(t, signingKey, nil), "X-User-ID", "eve")
	var seen map[string][]string
	if err := json.Unmarshal([]byte(body), &seen); err != nil || response.StatusCode != http.StatusOK || len(seen["id"]) != 0 || len(seen["authorization"]) != 1 {
		t.Errorf("%d %s", response.StatusCode, body)
	}
	response, body = do(t, http.MethodGet, g.url+"/api/dashboard/ada", nil, "Authorization", "Bearer "+token(t, signingKey, nil))
	wantProblem(t, response, body, http.StatusServiceUnavailable)
}

// startRedis runs a Redis and returns its address.
func startRedis(t *testing.T) (address string, process *exec.Cmd) {
	t.Helper()
	port := freePort(t)
	process = exec.Command("redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", t.TempDir())
	if err := process.Start(); err != nil {
		t.Fatalf("run make setup, or apt-get install redis-server: %v", err)
	}
	t.Cleanup(func() {
		_ = process.Process.Kill()
		_ = process.Wait()
	})
	address = net.JoinHostPort("127.0.0.1", port)
	eventually(t, "Redis listens", func() bool {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	return address, process
}

func TestRequestsAreCountedForAllReplicasTogether(t *testing.T) {
	names := startNameServer(t)
	redis, process := startRedis(t)
	env := []string{keys(t), service(t, "ORDER_SERVICE", echo), "RATE_LIMIT_REDIS=" + redis,
		"RATE_LIMIT_PER_SECOND=1000", "RATE_LIMIT_BURST=1000", "RATE_LIMIT_PER_ADDRESS=8", "RATE_LIMIT_PER_USER=3"}
	first, second := startGateway(t, names, env...), startGateway(t, names, env...)
	replicas := []*gateway{first, second}
	for _, replica := range replicas {
		replica.awaitKeys(t)
	}
	ada := []string{"Authorization", "Bearer " + token(t, signingKey, nil)}
	for i := range 3 {
		response, body := do(t, http.MethodGet, replicas[i%2].url+"/api/orders", nil, ada...)
		if response.StatusCode != http.StatusOK || response.Header.Get("RateLimit-Limit") != "3" || response.Header.Get("RateLimit-Remaining") != strconv.Itoa(2-i) {
			t.Fatalf("request %d: %d %s, %v", i, response.StatusCode, body, response.Header)
		}
	}
	response, body := do(t, http.MethodGet, second.url+"/api/orders", nil, ada...)
	wantProblem(t, response, body, http.StatusTooManyRequests)
	wait, err := strconv.Atoi(response.Header.Get("Retry-After"))
	if err != nil || wait < 1 || wait > 900/3 || response.Header.Get("RateLimit-Policy") != "3;w=900;burst=3" || response.Header.Get("RateLimit-Remaining") != "0" {
		t.Errorf("headers = %v", response.Header)
	}
	// Another user at the same address has what is left of the address.
	other := []string{"Authorization", "Bearer " + token(t, signingKey, func(c *claims) { c.Subject = "eve" })}
	statuses := []int{}
	for range 5 {
		response, _ := do(t, http.MethodGet, first.url+"/api/orders", nil)
		statuses = append(statuses, response.StatusCode)
	}
	if want := []int{200, 200, 200, 200, 429}; !slices.Equal(statuses, want) {
		t.Errorf("statuses = %v, want %v", statuses, want)
	}
	response, body = do(t, http.MethodGet, first.url+"/api/orders", nil, other...)
	wantProblem(t, response, body, http.StatusTooManyRequests)
	// What tends the gateway is not limited.
	if response, _ := do(t, http.MethodGet, first.url+"/health/ready", nil); response.StatusCode != http.StatusOK {
		t.Errorf("/health/ready answers %d", response.StatusCode)
	}
	// Without Redis the shop is open.
	if err := process.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "requests pass without Redis", func() bool {
		response, _ := do(t, http.MethodGet, first.url+"/api/orders", nil, ada...)
		return response.StatusCode == http.StatusOK
	})
}

func TestABurstFromOneAddressIsCut(t *testing.T) {
	redis, _ := startRedis(t)
	g := startGateway(t, startNameServer(t), keys(t), service(t, "USER_SERVICE", users), service(t, "ORDER_SERVICE", echo),
		"RATE_LIMIT_REDIS="+redis, "RATE_LIMIT_PER_SECOND=1", "RATE_LIMIT_BURST=4")
	count := map[int]int{}
	for range 8 {
		response, _ := do(t, http.MethodGet, g.url+"/api/orders", nil)
		count[response.StatusCode]++
	}
	if count[http.StatusOK] < 4 || count[http.StatusTooManyRequests] < 2 {
		t.Errorf("statuses = %v, want 4 that pass and the others refused", count)
	}
}

func TestADashboardIsPutTogetherFromItsParts(t *testing.T) {
	arrived, together := make(chan struct{}, 4), make(chan struct{})
	part := func(w http.ResponseWriter, r *http.Request) {
		// None is answered before all four are asked.
		arrived <- struct{}{}
		<-together
		echo(w, r)
	}
	g := startGateway(t, startNameServer(t), keys(t), service(t, "USER_SERVICE", part), service(t, "ORDER_SERVICE", part), service(t, "PAYMENT_SERVICE", part), service(t, "PRODUCT_SERVICE", part))
	go func() {
		for range 4 {
			<-arrived
		}
		close(together)
		for range arrived {
			continue // those of later requests
		}
	}()
	ada := []string{"Authorization", "Bearer " + token(t, signingKey, nil), "X-Correlation-ID", "c-1"}
	g.awaitKeys(t)
	var response *http.Response
	var body string
	eventually(t, "a dashboard", func() bool {
		response, body = do(t, http.MethodGet, g.url+"/api/dashboard/ada", nil, ada...)
		return response.StatusCode == http.StatusOK
	})
	var got struct {
		UserID                                     string
		Profile, Orders, Payments, Recommendations map[string][]string
		Partial                                    bool
		Unavailable                                []string
	}
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatal(err)
	}
	if got.Partial || got.Unavailable == nil || len(got.Unavailable) != 0 || got.UserID != "ada" || got.Profile["path"][0] != "/api/users/ada" {
		t.Errorf("dashboard = %s", body)
	}
	for _, part := range []map[string][]string{got.Profile, got.Orders, got.Payments, got.Recommendations} {
		if !slices.Equal(part["id"], []string{"ada"}) || !slices.Equal(part["correlation"], []string{"c-1"}) {
			t.Errorf("a part was asked for as %v", part)
		}
	}
	response, body = do(t, http.MethodGet, g.url+"/api/dashboard/eve", nil, ada...)
	wantProblem(t, response, body, http.StatusForbidden)
	response, body = do(t, http.MethodGet, g.url+"/api/dashboard/ada", nil)
	wantProblem(t, response, body, http.StatusUnauthorized)
	response, body = do(t, http.MethodGet, g.url+"/api/dashboard/", nil, ada...)
	wantProblem(t, response, body, http.StatusNotFound)
}

func TestADashboardSaysWhatIsMissing(t *testing.T) {
	broken := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }
	g := startGateway(t, startNameServer(t), keys(t), service(t, "USER_SERVICE", users), service(t, "ORDER_SERVICE", broken), service(t, "PAYMENT_SERVICE", echo), service(t, "PRODUCT_SERVICE", echo))
	var body string
	eventually(t, "a dashboard", func() bool {
		var response *http.Response
		response, body = do(t, http.MethodGet, g.url+"/api/dashboard/ada", nil, "Authorization", "Bearer "+token(t, signingKey, nil))
		return response.StatusCode == http.StatusOK
	})
	var got struct {
		Profile, Orders, Payments json.RawMessage
		Partial                   bool
		Unavailable               []string
	}
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatal(err)
	}
	if !got.Partial || !slices.Equal(got.Unavailable, []string{"orders"}) || got.Orders != nil || got.Profile == nil || got.Payments == nil {
		t.Errorf("dashboard = %s", body)
	}
}

func TestHealthIsThatOfAllServices(t *testing.T) {
	well := func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/health/ready" {
			w.WriteHeader(http.StatusNotFound)
		}
	}
	g := startGateway(t, startNameServer(t), service(t, "USER_SERVICE", well), service(t, "PRODUCT_SERVICE", well), service(t, "ORDER_SERVICE", well), "PAYMENT_SERVICE=127.0.0.1:1")
	response, body := do(t, http.MethodGet, g.url+"/health", nil)
	var got struct {
		Status   string
		Services []serviceHealth
	}
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != http.StatusServiceUnavailable || got.Status != "unhealthy" || len(got.Services) != 4 {
		t.Errorf("%d %s", response.StatusCode, body)
	}
	for _, service := range got.Services {
		if want := map[bool]string{true: "unhealthy", false: "healthy"}[service.Name == "payment-service"]; service.Status != want || service.LatencyMS <= 0 {
			t.Errorf("service = %+v, want %s", service, want)
		}
	}
	g = startGateway(t, startNameServer(t), service(t, "USER_SERVICE", well), service(t, "PRODUCT_SERVICE", well), service(t, "ORDER_SERVICE", well), service(t, "PAYMENT_SERVICE", well))
	if response, body := do(t, http.MethodGet, g.url+"/health", nil); response.StatusCode != http.StatusOK {
		t.Errorf("%d %s", response.StatusCode, body)
	}
}
