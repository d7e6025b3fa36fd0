package api

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

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// authority signs certificates.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	// serial is the number of the last certificate.
	serial int64
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	cert, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return &authority{t: t, cert: cert, key: key, serial: 1}
}

// sign makes a certificate of a name, for a server on loopback and for clients.
func (a *authority) sign(name string) (certPEM, keyPEM []byte) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(a.t, err)
	a.serial++
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(a.serial), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, a.cert, key.Public(), a.key)
	require.NoError(a.t, err)
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(a.t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw})
}

// write writes a new certificate of a name into the files of t.
func (a *authority) write(t TCP, name string) {
	a.t.Helper()
	cert, key := a.sign(name)
	require.NoError(a.t, os.WriteFile(t.Cert, cert, 0o600))
	require.NoError(a.t, os.WriteFile(t.Key, key, 0o600))
}

// writeCA writes the authority into a file.
func (a *authority) writeCA(path string) {
	a.t.Helper()
	require.NoError(a.t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw}), 0o600))
}

// client trusts the authority, and has a certificate of a name unless that is empty.
func (a *authority) client(name string) *http.Client {
	config := &tls.Config{RootCAs: x509.NewCertPool()}
	config.RootCAs.AddCert(a.cert)
	if name != "" {
		pair, err := tls.X509KeyPair(a.sign(name))
		require.NoError(a.t, err)
		config.Certificates = []tls.Certificate{pair}
	}
	return &http.Client{Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}}
}

// overTLS serves h over TLS, with a certificate of an authority.
func overTLS(t *testing.T, h http.Handler, a *authority, log *zap.Logger, mutual bool) (files TCP, address string) {
	t.Helper()
	dir := t.TempDir()
	files = TCP{Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem")}
	if mutual {
		files.ClientCA = filepath.Join(dir, "ca.pem")
		a.writeCA(files.ClientCA)
	}
	a.write(files, "tend")
	l, err := files.Listen("127.0.0.1:0", log)
	require.NoError(t, err)
	start(t, h, l)
	return files, l.Addr().String()
}

func TestACertificateThatChangesIsReadAgain(t *testing.T) {
	a := newAuthority(t)
	core, logs := observer.New(zap.WarnLevel)
	files, address := overTLS(t, New(config(shop())), a, zap.New(core), false)
	serial := func() int64 {
		answer, err := a.client("").Get("https://" + address + "/healthz")
		require.NoError(t, err)
		require.NoError(t, answer.Body.Close())
		assert.Equal(t, "HTTP/1.1", answer.Proto)
		return answer.TLS.PeerCertificates[0].SerialNumber.Int64()
	}
	first := serial()
	assert.Equal(t, first, serial())
	a.write(files, "tend")
	assert.Equal(t, first+1, serial())

	cert, _ := a.sign("tend")
	require.NoError(t, os.WriteFile(files.Cert, cert, 0o600))
	assert.Equal(t, first+1, serial(), "a certificate without its key is not used")
	require.NoError(t, os.Remove(files.Cert))
	assert.Equal(t, first+1, serial())
	assert.Equal(t, first+1, serial())
	assert.Equal(t, 2, logs.Len(), "each is told of once")
	a.write(files, "tend")
	assert.Equal(t, first+3, serial())
}

func TestOverTLSATokenIsWantedToo(t *testing.T) {
	a := newAuthority(t)
	_, address := overTLS(t, New(config(shop())), a, zap.NewNop(), false)
	assert.Equal(t, http.StatusUnauthorized, get(t, a.client(""), "https://"+address+"/metrics").status)
	assert.Equal(t, http.StatusBadRequest, get(t, withToken(""), "http://"+address+"/healthz").status, "TLS alone is spoken here")
}

func TestMutualTLSWantsACertificateOfTheAuthority(t *testing.T) {
	a := newAuthority(t)
	files, address := overTLS(t, New(config(shop())), a, zap.NewNop(), true)
	url := "https://" + address + "/healthz"
	refused := func(c *http.Client) {
		t.Helper()
		answer, err := c.Get(url)
		if err == nil {
			_ = answer.Body.Close()
		}
		assert.Error(t, err)
	}
	assert.Equal(t, http.StatusOK, get(t, a.client("ci"), url).status)
	refused(a.client(""))
	stranger := newAuthority(t).client("ci")
	stranger.Transport.(*http.Transport).TLSClientConfig.RootCAs.AddCert(a.cert)
	refused(stranger)

	newAuthority(t).writeCA(files.ClientCA)
	refused(a.client("ci"))
}

func TestOffLoopbackTLSIsWanted(t *testing.T) {
	_, err := TCP{}.Listen("0.0.0.0:0", zap.NewNop())
	assert.ErrorContains(t, err, "--tls-cert")
	assert.ErrorContains(t, err, "--insecure")
	_, err = TCP{}.Listen(net.JoinHostPort(ownAddress(t), "0"), zap.NewNop())
	assert.ErrorContains(t, err, "--insecure")
	for address, options := range map[string]TCP{"0.0.0.0:0": {Insecure: true}, "localhost:0": {}, "[::1]:0": {}} {
		l, err := options.Listen(address, zap.NewNop())
		require.NoError(t, err)
		require.NoError(t, l.Close())
	}
}

func TestBadCertificatesAreRefusedAtTheStart(t *testing.T) {
	dir := t.TempDir()
	files := TCP{Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem")}
	listen := func(files TCP) error {
		_, err := files.Listen("127.0.0.1:0", zap.NewNop())
		return err
	}
	assert.ErrorContains(t, listen(files), files.Cert)
	newAuthority(t).write(files, "tend")
	files.ClientCA = files.Key
	assert.ErrorContains(t, listen(files), files.ClientCA+" holds no certificate")
	assert.Error(t, TCP{Cert: "a"}.Check())
	assert.Error(t, TCP{Key: "a"}.Check())
	assert.Error(t, TCP{ClientCA: "a"}.Check())
	assert.NoError(t, TCP{Cert: "a", Key: "b", ClientCA: "c"}.Check())
}
