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
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, IsCA: true, BasicConstraintsValid: true,
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
	dir := t.TempDir()
	write := func(name, kind string, content []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: content}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	env = []string{"TLS=on", "TLS_CERTIFICATE_FILE=" + write("crt", "CERTIFICATE", made), "TLS_KEY_FILE=" + write("key", "PRIVATE KEY", encoded)}
	trusted = x509.NewCertPool()
	parsed, err := x509.ParseCertificate(made)
	if err != nil {
		t.Fatal(err)
	}
	trusted.AddCert(parsed)
	return env, trusted
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
		for _, path := range []string{"/api/products", "/no-route", "/api/dashboard/ada"} { // which answer 200, 404 and 401
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
