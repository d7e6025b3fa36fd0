package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// certificate writes a certificate for 127.0.0.1 and its key, and returns the variables that
// name them, and who trusts it.
func certificate(t *testing.T) (env []string, trusted *x509.CertPool) {
	t.Helper()
	dir := t.TempDir()
	trusted = x509.NewCertPool()
	trusted.AddCert(writeCertificate(t, dir, "crt", "key"))
	return []string{"TLS=on", "TLS_CERTIFICATE_FILE=" + filepath.Join(dir, "crt"), "TLS_KEY_FILE=" + filepath.Join(dir, "key")}, trusted
}

// writeCertificate writes a new certificate for 127.0.0.1 and its key to files of a folder.
func writeCertificate(t *testing.T, dir, certificateFile, keyFile string) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "test"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	made, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{certificateFile: {Type: "CERTIFICATE", Bytes: made}, keyFile: {Type: "PRIVATE KEY", Bytes: encoded}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	parsed, err := x509.ParseCertificate(made)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

// A certificate that is replaced in its files is served from the next connection on, and
// connections that are open stay. In the middle of it the last one is served.
func TestACertificateIsReplacedWhileTheGatewayRuns(t *testing.T) {
	dir, port := t.TempDir(), freePort(t)
	first := writeCertificate(t, dir, "crt", "key")
	startGateway(t, startNameServer(t), "TLS=on", "TLS_CERTIFICATE_FILE="+filepath.Join(dir, "crt"), "TLS_KEY_FILE="+filepath.Join(dir, "key"), "TLS_PORT="+port,
		keys(t), service(t, "PRODUCT_SERVICE", echo))
	both := x509.NewCertPool()
	both.AddCert(first)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: both}, ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	open := &http.Client{Transport: transport}
	// get returns the certificate of the connection that a request goes over.
	get := func(client *http.Client) *x509.Certificate {
		t.Helper()
		response, err := client.Get("https://127.0.0.1:" + port + "/api/products")
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusOK {
			t.Errorf("answered %s", response.Status)
		}
		return response.TLS.PeerCertificates[0]
	}
	served := func() *x509.Certificate {
		t.Helper()
		once := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: both}, DisableKeepAlives: true}
		return get(&http.Client{Transport: once})
	}
	if !get(open).Equal(first) || !served().Equal(first) {
		t.Fatal("another certificate is served at first")
	}
	second := writeCertificate(t, dir, "new", "key") // its key alone
	both.AddCert(second)
	if !served().Equal(first) {
		t.Error("while the key is of another certificate, the last pair is not served")
	}
	content, err := os.ReadFile(filepath.Join(dir, "new"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "crt"), content, 0o600); err != nil {
		t.Fatal(err)
	}
	if !served().Equal(second) {
		t.Error("the new certificate is not served")
	}
	if !get(open).Equal(first) {
		t.Error("the open connection was closed")
	}
}

func TestTLSWithHTTP2(t *testing.T) {
	env, trusted := certificate(t)
	port := freePort(t)
	g := startGateway(t, startNameServer(t), append(env, "TLS_PORT="+port, keys(t), service(t, "PRODUCT_SERVICE", echo))...)
	for _, test := range []struct {
		http2 bool
		proto string
	}{{true, "HTTP/2.0"}, {false, "HTTP/1.1"}} {
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trusted}, ForceAttemptHTTP2: test.http2}
		client := &http.Client{Transport: transport}
		response, err := client.Get("https://127.0.0.1:" + port + "/api/products")
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		transport.CloseIdleConnections()
		if response.Proto != test.proto || response.StatusCode != http.StatusOK || response.Header.Get("Strict-Transport-Security") == "" ||
			response.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s %s, %v, want %s", response.Proto, response.Status, response.Header, test.proto)
		}
	}
	old := &tls.Config{RootCAs: trusted, MaxVersion: tls.VersionTLS11}
	if conn, err := tls.Dial("tcp", "127.0.0.1:"+port, old); err == nil {
		conn.Close()
		t.Error("TLS 1.1 is spoken")
	}
	response, _ := do(t, http.MethodGet, g.url+"/api/products", nil)
	if response.StatusCode != http.StatusOK || response.Header.Get("Strict-Transport-Security") != "" {
		t.Errorf("without TLS: %s, %v", response.Status, response.Header)
	}
}

func TestOtherOriginsMayAskOnlyWhereTheyAreNamed(t *testing.T) {
	g := startGateway(t, startNameServer(t), "CORS_ORIGINS=https://shop.example https://admin.shop.example", keys(t), service(t, "PRODUCT_SERVICE", echo))
	closed := startGateway(t, startNameServer(t), keys(t), service(t, "PRODUCT_SERVICE", echo))
	for _, test := range []struct {
		gateway *gateway
		origin  string
		allowed bool
	}{
		{g, "https://shop.example", true}, {g, "https://admin.shop.example", true},
		{g, "https://shop.example.evil", false}, {g, "http://shop.example", false}, {g, "null", false}, {g, "", false},
		{closed, "https://shop.example", false}, {closed, "", false},
	} {
		want := ""
		if test.allowed {
			want = test.origin
		}
		for _, path := range []string{"/api/products", "/api/no-route", "/api/dashboard/ada"} { // which answer 200, 404 and 401
			response, _ := do(t, http.MethodGet, test.gateway.url+path, nil, "Origin", test.origin)
			if got := response.Header.Get("Access-Control-Allow-Origin"); got != want || response.Header.Get("Access-Control-Allow-Credentials") != "" {
				t.Errorf("%q at %s: Access-Control-Allow-Origin is %q, want %q", test.origin, path, got, want)
			}
		}
		response, _ := do(t, http.MethodOptions, test.gateway.url+"/api/products", nil, "Origin", test.origin, "Access-Control-Request-Method", "PUT")
		if preflight := response.StatusCode == http.StatusNoContent && response.Header.Get("Access-Control-Allow-Methods") != ""; preflight != test.allowed {
			t.Errorf("%q: the question before a request is answered %s, %v", test.origin, response.Status, response.Header)
		}
	}
}
