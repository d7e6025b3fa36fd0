package api

import (
	"cmp"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"

	"go.uber.org/zap"
)

// TCP says how what goes over TCP is kept from others.
type TCP struct {
	// Cert and Key are the files of the server's certificate and its key, in PEM. Where
	// they are empty, there is no TLS.
	Cert, Key string
	// ClientCA is the file of the authorities whose certificates clients must have.
	// Where it is empty, clients need none.
	ClientCA string
	// Insecure allows an address off loopback without TLS.
	Insecure bool
}

// Check returns why the options contradict each other, or nil.
func (t TCP) Check() error {
	switch {
	case (t.Cert == "") != (t.Key == ""):
		return errors.New("--tls-cert and --tls-key go together")
	case t.ClientCA != "" && t.Cert == "":
		return errors.New("--tls-client-ca needs --tls-cert and --tls-key")
	}
	return nil
}

// Listen listens on a TCP address for Serve.
func (t TCP) Listen(address string, log *zap.Logger) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	loopback := l.Addr().(*net.TCPAddr).IP.IsLoopback()
	switch {
	case t.Cert != "":
		c := &certificates{files: t, log: log}
		if _, err = c.inForce(); err == nil {
			return &tlsListener{l, &tls.Config{MinVersion: tls.VersionTLS12, GetConfigForClient: c.forClient}}, nil
		}
	case !loopback && !t.Insecure:
		err = fmt.Errorf("listen on %s: others could read on the way what goes there, the tokens too: name a certificate with --tls-cert and --tls-key, or say --insecure", address)
	default:
		return l, nil
	}
	return nil, errors.Join(err, l.Close())
}

// tlsListener is a TCP listener over which TLS is spoken.
type tlsListener struct {
	net.Listener
	config *tls.Config
}

// certificates are what TLS is spoken with. The files are read at each handshake, so
// that a certificate that was renewed counts at once.
type certificates struct {
	files TCP
	log   *zap.Logger

	mu     sync.Mutex
	config *tls.Config       // of the last files that were good
	tried  [sha256.Size]byte // of what the files held last
	err    error             // why that was not good
}

func (c *certificates) forClient(*tls.ClientHelloInfo) (*tls.Config, error) {
	config, err := c.inForce()
	if config != nil {
		return config, nil // with files that are not good, the last good ones count
	}
	return nil, err
}

// inForce returns the configuration by the files, or the last good one with the error.
func (c *certificates) inForce() (*tls.Config, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	cert, errCert := os.ReadFile(c.files.Cert)
	key, errKey := os.ReadFile(c.files.Key)
	var ca []byte
	var errCA error
	if c.files.ClientCA != "" {
		ca, errCA = os.ReadFile(c.files.ClientCA)
	}
	err := cmp.Or(errCert, errKey, errCA)
	found := sha256.Sum256(fmt.Appendf(nil, "%q %q %q %v", cert, key, ca, err))
	if found == c.tried {
		return c.config, c.err
	}
	config := c.config
	if err == nil {
		config, err = c.files.config(cert, key, ca)
	}
	if c.tried, c.err = found, err; err == nil {
		c.config = config
	} else if c.config != nil {
		c.log.Warn("the certificate cannot be used, and the one before stays in force", zap.Error(err))
	}
	return c.config, err
}

func (t TCP) config(cert, key, ca []byte) (*tls.Config, error) {
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("%s with %s: %w", t.Cert, t.Key, err)
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}, NextProtos: []string{"http/1.1"}}
	if t.ClientCA != "" {
		config.ClientAuth, config.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
		if !config.ClientCAs.AppendCertsFromPEM(ca) {
			return nil, fmt.Errorf("%s holds no certificate", t.ClientCA)
		}
	}
	return config, nil
}
