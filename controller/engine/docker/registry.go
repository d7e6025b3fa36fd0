package docker

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/docker/docker/api/types/registry"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/tendhq/tend/controller/engine"
)

// Digest asks for the manifest's head alone, which registries do not count as a pull. The
// credentials are those of Docker's configuration, its credential helpers included.
func (e *Engine) Digest(ctx context.Context, ref string) (digest string, err error) {
	const op = "ask registry for image"
	options := []name.Option{name.WeakValidation}
	if e.insecure(ctx, ref) {
		options = append(options, name.Insecure)
	}
	at, err := name.ParseReference(ref, options...)
	if err != nil {
		return "", &engine.Error{Op: op, Object: ref, Class: engine.Invalid, Err: err}
	}
	limited := &limits{RoundTripper: trusting(at.Context().RegistryStr())}
	head, err := remote.Head(at, remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain), remote.WithTransport(limited))
	if err != nil {
		return "", &engine.Error{Op: op, Object: ref, Class: registryClass(err), Err: err, RetryAfter: limited.wait}
	}
	return head.Digest.String(), nil
}

// certificates is where the engine finds the certificates of the authorities that it
// trusts for a registry, each in a folder of the registry's name:
// https://docs.docker.com/engine/security/certificates
const certificates = "/etc/docker/certs.d"

// trusting returns a transport to a registry that trusts the authorities that
// the engine trusts, where the engine's certificates are found here.
func trusting(registry string) http.RoundTripper {
	files, err := filepath.Glob(filepath.Join(certificates, registry, "*.crt"))
	if err != nil || len(files) == 0 {
		return remote.DefaultTransport
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	for _, f := range files {
		if content, err := os.ReadFile(f); err == nil {
			pool.AppendCertsFromPEM(content)
		}
	}
	transport := remote.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	transport.DisableKeepAlives = true // it is used once
	return transport
}

// limits is a transport that notes for how long the registry asks to be left alone.
type limits struct {
	http.RoundTripper

	wait time.Duration
}

// longestWait bounds what a registry can ask for: a limit that is counted by the day has
// passed then.
const longestWait = 24 * time.Hour

// RoundTrip implements http.RoundTripper.
func (l *limits) RoundTrip(request *http.Request) (*http.Response, error) {
	answer, err := l.RoundTripper.RoundTrip(request)
	if err == nil && (answer.StatusCode == http.StatusTooManyRequests || answer.StatusCode == http.StatusServiceUnavailable) {
		l.wait = min(retryAfter(answer.Header.Get("Retry-After"), time.Now()), longestWait)
	}
	return answer, err
}

// retryAfter reads a Retry-After, in seconds or as a date (RFC 9110, section 10.2.3); 0
// where there is none.
func retryAfter(value string, now time.Time) time.Duration {
	if seconds, err := strconv.Atoi(value); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return at.Sub(now)
	}
	return 0
}

// registryClass classifies a registry's refusal.
func registryClass(err error) engine.Class {
	var refused *transport.Error
	switch {
	case !errors.As(err, &refused):
		return engine.Unknown
	case refused.StatusCode == http.StatusNotFound:
		return engine.NotFound
	default:
		return engine.Unknown
	}
}

// insecure reports whether the engine is told to speak to an image's registry without TLS.
func (e *Engine) insecure(ctx context.Context, ref string) bool {
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		return false
	}
	info, err := e.cli.Info(ctx)
	if err != nil || info.RegistryConfig == nil {
		return false
	}
	index := info.RegistryConfig.IndexConfigs[reference.Domain(named)]
	return index != nil && !index.Secure
}

// RegistryAuth returns the credentials for an image's registry as the engine takes them;
// empty where there are none.
func RegistryAuth(ref string) (string, error) {
	at, err := name.ParseReference(ref, name.WeakValidation)
	if err != nil {
		return "", errdefs.ErrInvalidArgument.WithMessage(err.Error())
	}
	found, err := authn.DefaultKeychain.Resolve(at.Context())
	if err != nil || found == authn.Anonymous {
		return "", err
	}
	config, err := found.Authorization()
	if err != nil {
		return "", err
	}
	return registry.EncodeAuthConfig(registry.AuthConfig{
		Username: config.Username, Password: config.Password, Auth: config.Auth,
		IdentityToken: config.IdentityToken, RegistryToken: config.RegistryToken, ServerAddress: at.Context().RegistryStr(),
	})
}

// repositoryDigest returns the digest by which the repository of a name knows an image,
// from all of the image's; empty where there is none.
func repositoryDigest(ref string, digests []string) string {
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		return ""
	}
	for _, d := range digests {
		known, err := reference.ParseNormalizedNamed(d)
		if digested, ok := known.(reference.Canonical); err == nil && ok && known.Name() == named.Name() {
			return digested.Digest().String()
		}
	}
	return ""
}
