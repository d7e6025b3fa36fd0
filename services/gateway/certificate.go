package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.uber.org/zap"
)

func init() { caddy.RegisterModule(new(certificateFiles)) }

// certificateFiles is a certificate and its key in files, in PEM, which are read for each
// connection: one that was replaced is served from then on, and connections that are open stay.
// While the two do not belong together, as in the middle of a replacement, the last pair is served.
type certificateFiles struct {
	Certificate string `json:"certificate"`
	Key         string `json:"key"`

	log *zap.Logger

	mu      sync.Mutex
	read    [2][]byte // the contents of the files when they were looked at last
	inForce *tls.Certificate
}

// CaddyModule implements caddy.Module.
func (*certificateFiles) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "tls.get_certificate.files", New: func() caddy.Module { return new(certificateFiles) }}
}

// UnmarshalCaddyfile implements caddyfile.Unmarshaler.
//
//	get_certificate files CERTIFICATE_FILE KEY_FILE
func (c *certificateFiles) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the module's name
	if !d.AllArgs(&c.Certificate, &c.Key) {
		return d.ArgErr()
	}
	return nil
}

// Provision implements caddy.Provisioner. It fails where the files hold no certificate.
func (c *certificateFiles) Provision(ctx caddy.Context) error {
	c.log = ctx.Logger()
	c.look()
	if c.inForce == nil {
		return errors.New("TLS_CERTIFICATE_FILE and TLS_KEY_FILE name no certificate and its key; the log says why")
	}
	return nil
}

// GetCertificate implements certmagic.Manager.
func (c *certificateFiles) GetCertificate(context.Context, *tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.look()
	return c.inForce, nil
}

// look has the pair in the files be in force, where they hold another one.
func (c *certificateFiles) look() {
	certificate, err := os.ReadFile(c.Certificate)
	key, keyErr := os.ReadFile(c.Key)
	if err = errors.Join(err, keyErr); err == nil {
		if bytes.Equal(certificate, c.read[0]) && bytes.Equal(key, c.read[1]) {
			return
		}
		var pair tls.Certificate
		c.read = [2][]byte{certificate, key}
		if pair, err = tls.X509KeyPair(certificate, key); err == nil {
			if c.inForce != nil {
				c.log.Info("another certificate is in force", zap.Time("notAfter", pair.Leaf.NotAfter))
			}
			c.inForce = &pair
			return
		}
	}
	c.log.Warn("the certificate cannot be read; the last one is served", zap.Error(fmt.Errorf("read %s and its key: %w", c.Certificate, err)))
}
