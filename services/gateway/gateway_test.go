package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// testDNS, when set, makes the test binary the gateway itself, with its name
// server at that address.
const testDNS = "GATEWAY_TEST_DNS"

func TestMain(m *testing.M) {
	if server := os.Getenv(testDNS); server != "" {
		net.DefaultResolver = &net.Resolver{
			PreferGo: true,
			Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, "udp", server)
			},
		}
		main()
		return
	}
	os.Exit(m.Run())
}

// gateway is a running gateway process.
type gateway struct {
	url, metricsURL string
	directory       string // its working directory
	process         *os.Process
	exited          chan struct{} // closed after the process has ended and exitErr is set
	exitErr         error
	log             lockedBuffer
}

type lockedBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}

// startGateway runs the gateway and waits until it is ready. env holds
// NAME=value pairs.
func startGateway(t *testing.T, names *nameServer, env ...string) *gateway {
	t.Helper()
	port, metricsPort := freePort(t), freePort(t)
	g := &gateway{
		url:        "http://127.0.0.1:" + port,
		metricsURL: "http://127.0.0.1:" + metricsPort + "/metrics",
		directory:  t.TempDir(),
		exited:     make(chan struct{}),
	}
	command := exec.Command(os.Args[0])
	command.Env = append([]string{testDNS + "=" + names.address, "PORT=" + port, "METRICS_PORT=" + metricsPort, "INTERNAL_PORT=" + freePort(t)}, env...)
	command.Dir = g.directory
	command.Stdout, command.Stderr = &g.log, &g.log
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	g.process = command.Process
	go func() {
		g.exitErr = command.Wait()
		close(g.exited)
	}()
	t.Cleanup(func() {
		_ = g.process.Kill()
		<-g.exited
		if t.Failed() {
			t.Logf("gateway log:\n%s", &g.log)
		}
		for _, trouble := range []string{"DATA RACE", "error matching request for retry"} {
			if strings.Contains(g.log.String(), trouble) {
				t.Errorf("the gateway's log has %q", trouble)
			}
		}
	})
	eventually(t, "the gateway is ready", func() bool {
		response, err := http.Get(g.url + "/health/ready")
		if err != nil {
			return false
		}
		response.Body.Close()
		return response.StatusCode == http.StatusOK
	})
	return g
}

// nameServer is a DNS server whose records a test may change.
type nameServer struct {
	address string

	mu      sync.Mutex
	records map[string][][4]byte
	silent  map[string]chan struct{} // receives when a silenced name is asked for
}

func startNameServer(t *testing.T) *nameServer {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &nameServer{
		address: conn.LocalAddr().String(),
		records: map[string][][4]byte{},
		silent:  map[string]chan struct{}{},
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.serve(conn)
	}()
	t.Cleanup(func() {
		conn.Close()
		<-done
	})
	return s
}

// set makes name resolve to addresses; to nothing when there are none.
func (s *nameServer) set(name string, addresses ...[4]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.records[name] = addresses
}

// silence makes lookups of name go unanswered; the channel tells of the first.
func (s *nameServer) silence(name string) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	asked := make(chan struct{}, 1)
	s.silent[name] = asked
	return asked
}

func (s *nameServer) serve(conn net.PacketConn) {
	packet := make([]byte, 1500)
	for {
		n, from, err := conn.ReadFrom(packet)
		if err != nil {
			return
		}
		var query dnsmessage.Message
		if err := query.Unpack(packet[:n]); err != nil || len(query.Questions) != 1 {
			continue
		}
		if reply := s.answer(query); reply != nil {
			_, _ = conn.WriteTo(reply, from)
		}
	}
}

func (s *nameServer) answer(query dnsmessage.Message) []byte {
	question := query.Questions[0]
	name := strings.TrimSuffix(question.Name.String(), ".")
	s.mu.Lock()
	addresses, silent := s.records[name], s.silent[name]
	s.mu.Unlock()
	if silent != nil {
		select {
		case silent <- struct{}{}:
		default:
		}
		return nil
	}
	reply := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: query.ID, Response: true, RecursionAvailable: true},
		Questions: query.Questions,
	}
	if len(addresses) == 0 {
		reply.RCode = dnsmessage.RCodeNameError
	}
	for _, address := range addresses {
		reply.Answers = append(reply.Answers, dnsmessage.Resource{
			Header: dnsmessage.ResourceHeader{Name: question.Name, Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET, TTL: 600},
			Body:   &dnsmessage.AResource{A: address},
		})
	}
	packed, err := reply.Pack()
	if err != nil {
		return nil
	}
	return packed
}

var (
	loopback1 = [4]byte{127, 0, 0, 1}
	loopback2 = [4]byte{127, 0, 0, 2}
)

// startUpstream serves handler on ip:port; port "0" takes a free one.
func startUpstream(t *testing.T, ip [4]byte, port string, handler http.HandlerFunc) (usedPort string) {
	t.Helper()
	listener, err := net.Listen("tcp", net.JoinHostPort(net.IP(ip[:]).String(), port))
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(handler)
	server.Listener.Close()
	server.Listener = listener
	server.Start()
	t.Cleanup(server.Close)
	_, usedPort, err = net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return usedPort
}

func answer(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s %s", text, r.Method, r.URL.RequestURI())
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if condition() {
			return
		}
	}
	t.Fatalf("not within 20 s: %s", what)
}

// do sends a request; headers are name, value pairs.
func do(t *testing.T, method, url string, body io.Reader, headers ...string) (*http.Response, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Add(headers[i], headers[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(text)
}

// wantProblem fails unless the answer is an RFC 9457 problem with that status.
func wantProblem(t *testing.T, response *http.Response, body string, status int) {
	t.Helper()
	if response.StatusCode != status {
		t.Errorf("status is %d, want %d", response.StatusCode, status)
	}
	if got := response.Header.Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("Content-Type is %q", got)
	}
	var problem struct {
		Type, Title, Detail string
		Status              int
		RequestID           string `json:"request_id"`
		CorrelationID       string `json:"correlation_id"`
	}
	if err := json.Unmarshal([]byte(body), &problem); err != nil {
		t.Fatalf("body %q: %v", body, err)
	}
	if problem.Type != "about:blank" || problem.Title != http.StatusText(status) || problem.Detail == "" || problem.Status != status {
		t.Errorf("problem is %+v", problem)
	}
	if problem.RequestID == "" || problem.RequestID != response.Header.Get("X-Request-ID") ||
		problem.CorrelationID == "" || problem.CorrelationID != response.Header.Get("X-Correlation-ID") {
		t.Errorf("ids of problem %+v differ from those of the headers %v", problem, response.Header)
	}
	if got := response.Header.Get("X-Content-Type-Options"); got != "nosniff" {
		t.Errorf("X-Content-Type-Options is %q", got)
	}
}

func TestRoutesEachPathToItsService(t *testing.T) {
	t.Parallel()
	names := startNameServer(t)
	var env []string
	for service, variable := range map[string]string{
		"user": "USER_SERVICE", "product": "PRODUCT_SERVICE", "order": "ORDER_SERVICE", "payment": "PAYMENT_SERVICE", "web": "WEB",
	} {
		names.set(service+".test", loopback1)
		port := startUpstream(t, loopback1, "0", answer(service))
		env = append(env, fmt.Sprintf("%s=%s.test:%s", variable, service, port))
	}
	g := startGateway(t, names, env...)

	for path, service := range map[string]string{
		"/api/users":                   "user",
		"/api/users/register":          "user",
		"/api/products?page=2&limit=5": "product",
		"/api/products/7/inventory":    "product",
		"/api/orders/1":                "order",
		"/api/payments":                "payment",
		"/":                            "web",
		"/orders/1":                    "web",
		"/assets/app.js":               "web",
	} {
		response, body := do(t, http.MethodPost, g.url+path, strings.NewReader("{}"))
		if want := service + " POST " + path; response.StatusCode != http.StatusOK || body != want {
			t.Errorf("%s: %d %q, want %q", path, response.StatusCode, body, want)
		}
		for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Server": ""} {
			if got := strings.Join(response.Header.Values(name), ","); got != want {
				t.Errorf("%s: %s is %q, want %q", path, name, got, want)
			}
		}
	}
	for _, path := range []string{"/api", "/api/usersx", "/api/reviews", "/metrics", "/%6Detrics", "//metrics", "/health/x"} {
		response, body := do(t, http.MethodGet, g.url+path, nil)
		wantProblem(t, response, body, http.StatusNotFound)
	}
}

func TestAnswersHealthAndMetricsItself(t *testing.T) {
	t.Parallel()
	g := startGateway(t, startNameServer(t))
	for _, path := range []string{"/health/live", "/health/ready"} {
		response, body := do(t, http.MethodGet, g.url+path, nil)
		if response.StatusCode != http.StatusOK || body != `{"status":"ok"}` || response.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %d %q %v", path, response.StatusCode, body, response.Header)
		}
	}
	response, body := do(t, http.MethodGet, g.metricsURL, nil)
	if response.StatusCode != http.StatusOK || !strings.Contains(body, "caddy_http_requests_total{") {
		t.Errorf("metrics: %d\n%s", response.StatusCode, body)
	}
	// Without HOME, the working directory is where Caddy would write.
	if files, err := os.ReadDir(g.directory); err != nil || len(files) > 0 {
		t.Errorf("files written: %v %v", files, err)
	}
}

func TestPassesIDsUpstreamAndBack(t *testing.T) {
	t.Parallel()
	names := startNameServer(t)
	names.set("user.test", loopback1)
	port := startUpstream(t, loopback1, "0", func(w http.ResponseWriter, r *http.Request) {
		// Services repeat the ids; the client must still see each once.
		w.Header().Set("X-Request-ID", r.Header.Get("X-Request-ID"))
		w.Header().Set("X-Correlation-ID", r.Header.Get("X-Correlation-ID"))
		fmt.Fprintf(w, "%s %s", r.Header.Values("X-Request-ID"), r.Header.Values("X-Correlation-ID"))
	})
	g := startGateway(t, names, "USER_SERVICE=user.test:"+port)

	tests := map[string]struct {
		headers                  []string
		requestID, correlationID string // "" means generated
	}{
		"none sent":     {},
		"accepted":      {[]string{"X-Request-ID", "r-1", "X-Correlation-ID", "c_1.2"}, "r-1", "c_1.2"},
		"unsafe to log": {[]string{"X-Request-ID", `r"1`, "X-Correlation-ID", "c 1"}, "", ""},
		"too long":      {[]string{"X-Correlation-ID", strings.Repeat("c", 129)}, "", ""},
		"sent twice":    {[]string{"X-Correlation-ID", "c-1", "X-Correlation-ID", "c-2"}, "", ""},
		"longest":       {[]string{"X-Correlation-ID", strings.Repeat("c", 128)}, "", strings.Repeat("c", 128)},
		"a placeholder": {[]string{"X-Correlation-ID", "{env.HOME}"}, "", ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			response, body := do(t, http.MethodGet, g.url+"/api/users", nil, test.headers...)
			requestIDs, correlationIDs := response.Header.Values("X-Request-ID"), response.Header.Values("X-Correlation-ID")
			if want := fmt.Sprintf("%s %s", requestIDs, correlationIDs); body != want {
				t.Errorf("upstream received %s, client %s", body, want)
			}
			checkID(t, "X-Request-ID", requestIDs, test.requestID)
			checkID(t, "X-Correlation-ID", correlationIDs, test.correlationID)
			eventually(t, "the access log holds both ids", func() bool {
				return accessLogHas(g, requestIDs[0], correlationIDs[0])
			})
		})
	}
}

func TestTellsServicesTheClientsAddress(t *testing.T) {
	t.Parallel()
	names := startNameServer(t)
	names.set("user.test", loopback1)
	port := startUpstream(t, loopback1, "0", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%q", r.Header.Values("X-Real-IP"))
	})
	for name, test := range map[string]struct{ proxies, want string }{
		"a client's word counts nothing": {"192.0.2.0/24", `["127.0.0.1"]`},
		"a proxy's does":                 {"192.0.2.0/24 127.0.0.0/8", `["198.51.100.7"]`},
	} {
		t.Run(name, func(t *testing.T) {
			g := startGateway(t, names, "USER_SERVICE=user.test:"+port, "TRUSTED_PROXIES="+test.proxies)
			_, got := do(t, http.MethodGet, g.url+"/api/users", nil, "X-Real-IP", "203.0.113.9", "X-Forwarded-For", "203.0.113.9, 198.51.100.7")
			if got != test.want {
				t.Errorf("a service is told %s, want %s", got, test.want)
			}
		})
	}
}

func checkID(t *testing.T, name string, got []string, want string) {
	t.Helper()
	switch {
	case len(got) != 1:
		t.Errorf("%s is %q, want one value", name, got)
	case want != "" && got[0] != want:
		t.Errorf("%s is %q, want %q", name, got[0], want)
	case want == "" && len(got[0]) != len("00000000-0000-0000-0000-000000000000"):
		t.Errorf("%s is %q, want a generated UUID", name, got[0])
	}
}

func accessLogHas(g *gateway, requestID, correlationID string) bool {
	lines := bufio.NewScanner(strings.NewReader(g.log.String()))
	for lines.Scan() {
		var entry struct {
			RequestID     string `json:"request_id"`
			CorrelationID string `json:"correlation_id"`
			Status        int
		}
		if json.Unmarshal(lines.Bytes(), &entry) == nil && entry.Status == http.StatusOK &&
			entry.RequestID == requestID && entry.CorrelationID == correlationID {
			return true
		}
	}
	return false
}

func TestRetriesOnAnotherReplicaWhenOneIsGone(t *testing.T) {
	t.Parallel()
	names := startNameServer(t)
	port := startUpstream(t, loopback1, "0", answer("alive"))
	names.set("user.test", loopback1, loopback2) // nothing listens on loopback2
	g := startGateway(t, names, "USER_SERVICE=user.test:"+port)
	for range 20 {
		response, body := do(t, http.MethodPost, g.url+"/api/users", strings.NewReader(`{"a":1}`))
		if response.StatusCode != http.StatusOK {
			t.Fatalf("%d %s", response.StatusCode, body)
		}
	}
}

func TestFollowsTheAddressesOfAService(t *testing.T) {
	t.Parallel()
	names := startNameServer(t)
	port := startUpstream(t, loopback1, "0", answer("one"))
	startUpstream(t, loopback2, port, answer("two"))
	g := startGateway(t, names, "USER_SERVICE=user.test:"+port)
	replicas := func() string {
		var one, two bool
		for range 4 {
			_, body := do(t, http.MethodGet, g.url+"/api/users", nil)
			one = one || strings.HasPrefix(body, "one")
			two = two || strings.HasPrefix(body, "two")
		}
		return fmt.Sprint(one, two)
	}
	names.set("user.test", loopback1)
	eventually(t, "one replica answers", func() bool { return replicas() == "true false" })
	names.set("user.test", loopback1, loopback2)
	eventually(t, "both replicas answer", func() bool { return replicas() == "true true" })
	names.set("user.test", loopback2)
	eventually(t, "the other replica answers", func() bool { return replicas() == "false true" })
}

func TestHoldsARequestUntilAReplicaIsBack(t *testing.T) {
	t.Parallel()
	names := startNameServer(t)
	names.set("user.test", loopback1)
	port := freePort(t)
	g := startGateway(t, names, "USER_SERVICE=user.test:"+port)
	status := make(chan int, 1)
	go func() {
		response, err := http.Post(g.url+"/api/users", "application/json", strings.NewReader("{}"))
		if err != nil {
			status <- 0
			return
		}
		response.Body.Close()
		status <- response.StatusCode
	}()
	eventually(t, "the request is being proxied", func() bool {
		return strings.Contains(g.log.String(), "endpoints changed")
	})
	startUpstream(t, loopback1, port, answer("back"))
	if got := <-status; got != http.StatusOK {
		t.Errorf("status is %d, want 200", got)
	}
}

func TestSendsAPostThatWasReceivedOnlyOnce(t *testing.T) {
	t.Parallel()
	names := startNameServer(t)
	names.set("order.test", loopback1)
	var received atomic.Int32
	port := startUpstream(t, loopback1, "0", func(http.ResponseWriter, *http.Request) {
		received.Add(1)
		panic(http.ErrAbortHandler) // closes the connection unanswered
	})
	g := startGateway(t, names, "ORDER_SERVICE=order.test:"+port)
	response, body := do(t, http.MethodPost, g.url+"/api/orders", strings.NewReader("{}"))
	wantProblem(t, response, body, http.StatusBadGateway)
	if got := received.Load(); got != 1 {
		t.Errorf("the service received the order %d times", got)
	}
}

func TestAsksAgainWhenAServiceSaysSo(t *testing.T) {
	t.Parallel()
	names := startNameServer(t)
	names.set("order.test", loopback1)
	var received atomic.Int32
	port := startUpstream(t, loopback1, "0", func(w http.ResponseWriter, r *http.Request) {
		if n := received.Add(1); n < 4 {
			if r.URL.Path != "/api/orders/busy" {
				w.Header().Set("Retry-After", "1")
			}
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		body, _ := io.ReadAll(r.Body)
		_, _ = w.Write(body)
	})
	g := startGateway(t, names, "HOLD=5s", "ORDER_SERVICE=order.test:"+port)
	for name, test := range map[string]struct {
		method, path string
		headers      []string
		status       int
	}{
		"GET":                       {http.MethodGet, "/api/orders", nil, http.StatusOK},
		"POST with Idempotency-Key": {http.MethodPost, "/api/orders", []string{"Idempotency-Key", "k"}, http.StatusOK},
		"POST without":              {http.MethodPost, "/api/orders", nil, http.StatusServiceUnavailable},
		"without Retry-After":       {http.MethodGet, "/api/orders/busy", nil, http.StatusServiceUnavailable},
	} {
		received.Store(0)
		response, body := do(t, test.method, g.url+test.path, strings.NewReader("{}"), test.headers...)
		want := int32(1)
		if test.status == http.StatusOK {
			want = 4
		}
		if got := received.Load(); response.StatusCode != test.status || got != want || test.status == http.StatusOK && body != "{}" {
			t.Errorf("%s: %d %q after %d requests, want %d after %d", name, response.StatusCode, body, got, test.status, want)
		}
	}
}

func TestRepeatsAKeyedPostThatTheServiceBrokeOff(t *testing.T) {
	t.Parallel()
	names := startNameServer(t)
	names.set("order.test", loopback1)
	var received atomic.Int32
	port := startUpstream(t, loopback1, "0", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if received.Add(1) == 1 {
			panic(http.ErrAbortHandler)
		}
		_, _ = w.Write(body)
	})
	g := startGateway(t, names, "ORDER_SERVICE=order.test:"+port)
	response, body := do(t, http.MethodPost, g.url+"/api/orders", strings.NewReader(`{"a":1}`), "Idempotency-Key", "k")
	if response.StatusCode != http.StatusOK || body != `{"a":1}` {
		t.Errorf("%d %q", response.StatusCode, body)
	}
}

func TestAnswersForServicesThatCannot(t *testing.T) {
	t.Parallel()
	names := startNameServer(t)
	names.set("user.test", loopback1)
	g := startGateway(t, names, "HOLD=2s", "USER_SERVICE=user.test:"+freePort(t), "PRODUCT_SERVICE=product.test:80")
	for path, status := range map[string]int{
		"/api/users":    http.StatusBadGateway,         // refuses connections
		"/api/products": http.StatusServiceUnavailable, // has no address
	} {
		response, body := do(t, http.MethodGet, g.url+path, nil)
		wantProblem(t, response, body, status)
	}
}

func TestALookupWithoutAnswerHoldsUpNoOtherService(t *testing.T) {
	t.Parallel()
	names := startNameServer(t)
	lookup := names.silence("order.test")
	names.set("payment.test", loopback1)
	port := startUpstream(t, loopback1, "0", answer("payment"))
	g := startGateway(t, names, "HOLD=5s", "ORDER_SERVICE=order.test:80", "PAYMENT_SERVICE=payment.test:"+port)

	started := time.Now()
	status := make(chan int, 1)
	go func() {
		response, err := http.Get(g.url + "/api/orders")
		if err != nil {
			status <- 0
			return
		}
		response.Body.Close()
		status <- response.StatusCode
	}()
	<-lookup
	for range 50 {
		if response, body := do(t, http.MethodGet, g.url+"/api/payments", nil); response.StatusCode != http.StatusOK {
			t.Fatalf("%d %s", response.StatusCode, body)
		}
	}
	select {
	case <-status:
		t.Error("the other service was answered only after the lookup had failed")
	default:
	}
	if got := <-status; got != http.StatusServiceUnavailable {
		t.Errorf("status is %d, want 503", got)
	}
	if took := time.Since(started); took > 10*time.Second {
		t.Errorf("took %s, want at most lb_try_duration and a lookup", took)
	}
}

func TestASilentNameServerMakesNoKnownReplicaForgotten(t *testing.T) {
	t.Parallel()
	names := startNameServer(t)
	names.set("user.test", loopback1)
	port := startUpstream(t, loopback1, "0", answer("alive"))
	g := startGateway(t, names, "HOLD=1s", "USER_SERVICE=user.test:"+port)
	request := func() int {
		response, _ := do(t, http.MethodGet, g.url+"/api/users", nil)
		return response.StatusCode
	}
	if got := request(); got != http.StatusOK {
		t.Fatalf("status is %d", got)
	}
	names.silence("user.test")
	eventually(t, "a lookup has failed", func() bool {
		if got := request(); got != http.StatusOK {
			t.Fatalf("status is %d", got)
		}
		return strings.Contains(g.log.String(), "lookup of the fallback failed")
	})
	if got := request(); got != http.StatusOK {
		t.Errorf("status is %d", got)
	}
}

func TestRefusesALargeBody(t *testing.T) {
	t.Parallel()
	names := startNameServer(t)
	names.set("user.test", loopback1)
	port := startUpstream(t, loopback1, "0", func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
	})
	g := startGateway(t, names, "USER_SERVICE=user.test:"+port)
	large := strings.Repeat("x", 64<<10+1)
	for name, body := range map[string]io.Reader{
		"length known":   strings.NewReader(large),
		"length unknown": io.MultiReader(strings.NewReader(large)),
	} {
		t.Run(name, func(t *testing.T) {
			response, text := do(t, http.MethodPost, g.url+"/api/users", body)
			wantProblem(t, response, text, http.StatusRequestEntityTooLarge)
		})
	}
	response, text := do(t, http.MethodPost, g.url+"/api/users", strings.NewReader(large[:64<<10]))
	if response.StatusCode != http.StatusOK {
		t.Errorf("the largest body: %d %s", response.StatusCode, text)
	}
}

func TestFinishesARequestInFlightAtSIGTERM(t *testing.T) {
	t.Parallel()
	names := startNameServer(t)
	names.set("user.test", loopback1)
	arrived, release := make(chan struct{}), make(chan struct{})
	port := startUpstream(t, loopback1, "0", func(w http.ResponseWriter, _ *http.Request) {
		close(arrived)
		<-release
		_, _ = io.WriteString(w, "done")
	})
	g := startGateway(t, names, "USER_SERVICE=user.test:"+port)

	type result struct {
		body string
		err  error
	}
	results := make(chan result, 1)
	go func() {
		response, err := http.Post(g.url+"/api/users", "application/json", strings.NewReader("{}"))
		if err != nil {
			results <- result{err: err}
			return
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		results <- result{string(body), err}
	}()
	<-arrived
	if err := g.process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, "new connections are refused", func() bool {
		conn, err := net.Dial("tcp", strings.TrimPrefix(g.url, "http://"))
		if err == nil {
			conn.Close()
		}
		return err != nil
	})
	close(release)
	if got := <-results; got.err != nil || got.body != "done" {
		t.Errorf("the request in flight: %q %v", got.body, got.err)
	}
	<-g.exited
	if g.exitErr != nil {
		t.Errorf("exit: %v", g.exitErr)
	}
}

// gatewayCommand runs the gateway with args and returns its output and exit status.
func gatewayCommand(t *testing.T, env []string, args ...string) (string, int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	command := exec.CommandContext(ctx, os.Args[0], args...)
	command.Env = append([]string{testDNS + "=127.0.0.1:9"}, env...)
	command.Dir = t.TempDir()
	output, _ := command.CombinedOutput()
	return string(output), command.ProcessState.ExitCode()
}

func TestCommands(t *testing.T) {
	t.Parallel()
	g := startGateway(t, startNameServer(t))
	port := g.url[strings.LastIndex(g.url, ":")+1:]
	bad := filepath.Join(t.TempDir(), "Caddyfile")
	if err := os.WriteFile(bad, []byte(":8080 {\n\tnonsense\n}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		args   []string
		env    []string
		exit   int
		output string
	}{
		"healthcheck, ready":   {[]string{"healthcheck"}, []string{"PORT=" + port}, 0, ""},
		"healthcheck, away":    {[]string{"healthcheck"}, []string{"PORT=" + freePort(t)}, 1, "connection refused"},
		"version":              {[]string{"version"}, nil, 0, "gateway dev (caddy v2."},
		"validate":             {[]string{"validate"}, nil, 0, "configuration is valid"},
		"validate, bad":        {[]string{"validate", "--config", bad}, nil, 1, bad + ":2: unrecognized directive: nonsense"},
		"validate, no address": {[]string{"validate"}, []string{"USER_SERVICE=user-service"}, 1, "missing port in address"},
		"serve, bad":           {[]string{"--config", bad}, nil, 1, "unrecognized directive"},
		"serve, no file":       {[]string{"--config", bad + "x"}, nil, 1, "no such file"},
		"unknown command":      {[]string{"nonsense"}, nil, 2, `unknown command "nonsense"`},
		"unknown flag":         {[]string{"--nonsense"}, nil, 2, "not defined: -nonsense"},
		"extra argument":       {[]string{"version", "x"}, nil, 2, `unexpected argument "x"`},
		"help":                 {[]string{"--help"}, nil, 0, "Usage: gateway"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			output, exit := gatewayCommand(t, append([]string{"METRICS_PORT=" + freePort(t)}, test.env...), test.args...)
			if exit != test.exit || !strings.Contains(output, test.output) {
				t.Errorf("exit status %d, want %d with %q, output:\n%s", exit, test.exit, test.output, output)
			}
		})
	}
}
