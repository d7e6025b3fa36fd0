package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/netip"
	"os"
	"slices"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/go-units"

	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/spec"
)

// A certificate is to be renewed while a sixth of its life, or a month, is left; those who
// renew by themselves do it while a third is left.
const (
	lifePart = 6
	month    = 30 * 24 * time.Hour
)

// Certificate is when a certificate is valid.
type Certificate struct {
	// Object is where it was found.
	Object     string
	From, Till time.Time
}

// Certificates tells for how long each is valid.
func Certificates(now time.Time, certificates []Certificate) (all []Finding) {
	const check, remedy = "certificate", "renew it; what renews it by itself says in its log why it does not"
	for _, c := range certificates {
		left := c.Till.Sub(now)
		switch {
		case now.Before(c.From):
			all = append(all, find(Failure, check, c.Object, "not valid before "+c.From.UTC().Format(time.RFC3339), "compare the clocks of this machine and of who issued it"))
		case left <= 0:
			all = append(all, find(Failure, check, c.Object, fmt.Sprintf("expired %s ago", units.HumanDuration(-left)), remedy))
		case left < min(c.Till.Sub(c.From)/lifePart, month):
			all = append(all, find(Warning, check, c.Object, "expires in "+days(left), remedy))
		default:
			all = append(all, find(OK, check, c.Object, "expires in "+days(left), ""))
		}
	}
	return all
}

// days is a time in days, where it is any.
func days(d time.Duration) string {
	const day = 24 * time.Hour
	if d < 2*day {
		return units.HumanDuration(d)
	}
	return fmt.Sprintf("%d days", d/day)
}

// handshakeTimeout bounds the wait for a server that speaks no TLS and says nothing.
const handshakeTimeout = 2 * time.Second

// served asks a port of loopback for its certificate; there is none where it speaks no TLS.
func served(ctx context.Context, p Port) []Certificate {
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	dialer := tls.Dialer{Config: &tls.Config{
		ServerName: "localhost", InsecureSkipVerify: true, //nolint:gosec // what is asked is a date, not an identity
	}}
	conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(p.loopback(), p.Number))
	if err != nil {
		return nil
	}
	defer conn.Close()
	leaf := conn.(*tls.Conn).ConnectionState().PeerCertificates[0]
	return []Certificate{{Object: p.Workload + " " + p.String(), From: leaf.NotBefore, Till: leaf.NotAfter}}
}

// loopback is the address at which this machine reaches the port; empty where it does not.
func (p Port) loopback() string {
	switch ip, err := netip.ParseAddr(p.IP); {
	case err != nil, ip.IsUnspecified() && ip.Is4():
		return "127.0.0.1"
	case ip.IsUnspecified():
		return "::1"
	case ip.IsLoopback():
		return p.IP
	default:
		return ""
	}
}

// loopbackPorts are the TCP ports that containers publish where loopback reaches them. A
// Database's are left out: its server would only log a client that it cannot understand.
func loopbackPorts(p *spec.Project, containers []engine.Container) (all []Port) {
	for _, w := range sorted(p.Workloads) {
		for _, c := range containers {
			if spec.ServiceOf(spec.WorkloadOf(c.Labels)) != w.Name || w.Kind == spec.Database || c.State != engine.Running {
				continue
			}
			for _, port := range published(c) {
				port.Workload = w.Name
				known := slices.ContainsFunc(all, port.overlaps) // as 0.0.0.0 and :: of one port
				if port.Protocol == "tcp" && port.loopback() != "" && !known {
					all = append(all, port)
				}
			}
		}
	}
	return all
}

// written are the certificates among the project's secrets and configs.
func written(p *spec.Project) (all []Certificate) {
	note := func(object string, o types.FileObjectConfig) {
		if c, err := inPEM(content(o)); err == nil {
			c.Object = object
			all = append(all, c)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(p.Secrets)) {
		note("secret "+key, types.FileObjectConfig(p.Secrets[key]))
	}
	for _, key := range slices.Sorted(maps.Keys(p.Configs)) {
		note("config "+key, types.FileObjectConfig(p.Configs[key]))
	}
	return all
}

// errNoCertificate reports that a text is no certificate in PEM.
var errNoCertificate = errors.New("no certificate")

// inPEM is the time in which all certificates of a text in PEM are valid.
func inPEM(text []byte) (c Certificate, err error) {
	err = errNoCertificate
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		one, failed := x509.ParseCertificate(block.Bytes)
		if failed != nil {
			return c, failed
		}
		if err != nil || one.NotAfter.Before(c.Till) {
			c.From, c.Till, err = one.NotBefore, one.NotAfter, nil
		}
	}
	return c, err
}

// maxPEM bounds what is read of a file, in bytes.
const maxPEM = 1 << 20

// content is what a secret or a config holds; empty where it cannot be read here, and
// where it is no regular file, whose read may never end.
func content(o types.FileObjectConfig) []byte {
	if o.File == "" {
		return []byte(o.Content)
	}
	info, err := os.Stat(o.File)
	if err != nil || !info.Mode().IsRegular() {
		return nil
	}
	f, err := os.Open(o.File)
	if err != nil {
		return nil
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxPEM))
	if err != nil {
		return nil
	}
	return text
}
