package api

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/go-chi/chi/v5/middleware"
	"go.uber.org/zap"
)

// guard decides who may ask:
//
//   - whoever reaches the Unix socket, which file permissions guard, may do everything;
//   - whoever sends a token, or the cookie of a session, may do what its role may; a
//     browser that `tend dashboard` lets in comes over the socket, and is one of these;
//   - everyone may ask for /healthz and /readyz and for the page, log in, and with
//     anonymousRead read.
//
// Who sends no token must not have been led here by a name other than this machine's or
// service's: a web page that had its own name resolve to 127.0.0.1 (DNS rebinding) would
// read everything through the user's browser.
type guard struct {
	dataDir       string // of the tokens
	cookie        string // the session's name
	anonymousRead bool
	log           *zap.Logger
}

// caller is who sent a request.
type caller struct {
	// role is empty where nothing shows one.
	role Role
	// name tells people who it was; it is empty where nobody can know.
	name string
}

type callerKey struct{}

// callerFrom is the caller that the guard found.
func callerFrom(r *http.Request) caller {
	c, _ := r.Context().Value(callerKey{}).(caller)
	return c
}

// middleware answers those who may not ask, and logs each request for a change.
func (g guard) middleware(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := g.identify(r)
		if !reads(r) {
			recorded := middleware.NewWrapResponseWriter(w, r.ProtoMajor)
			w = recorded
			defer func() {
				g.log.Info("request", zap.String("method", r.Method), zap.String("path", r.URL.Path), zap.Int("status", recorded.Status()),
					zap.String("actor", c.name), zap.String("peer", peerFrom(r).name))
			}()
		}
		if p := c.refuse(r); p != nil {
			if p.Status == http.StatusUnauthorized {
				w.Header().Set("WWW-Authenticate", `Bearer realm="tend"`)
			}
			fail(w, p)
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), callerKey{}, c)))
	})
}

// identify finds out who sent a request.
func (g guard) identify(r *http.Request) caller {
	if p := peerFrom(r); p.local && r.Header.Get(Forwarded) == "" {
		return caller{role: Admin, name: p.name}
	}
	credentials := r.Header.Get("Authorization")
	if token := r.Header.Get("X-Consul-Token"); token != "" && credentials == "" {
		credentials = "Bearer " + token // as clients of Consul send it
	}
	if cookie, err := r.Cookie(g.cookie); err == nil && credentials == "" {
		role, err := unseal(g.dataDir, cookie.Value, time.Now())
		if err != nil {
			g.log.Warn("a token cannot be used", zap.Error(err))
		}
		if role != "" {
			return caller{role: role, name: role.actor()}
		}
	}
	if credentials == "" && g.anonymousRead {
		return caller{role: Reader}
	}
	scheme, token, _ := strings.Cut(credentials, " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return caller{}
	}
	role, err := roleOf(g.dataDir, token)
	if err != nil {
		g.log.Warn("a token cannot be used", zap.Error(err))
	}
	if role == "" {
		return caller{}
	}
	name := role.actor()
	if r.TLS != nil && len(r.TLS.VerifiedChains) > 0 {
		client := r.TLS.VerifiedChains[0][0]
		name = fmt.Sprintf("%s (%s)", cmp.Or(client.Subject.CommonName, "certificate "+client.SerialNumber.String()), name)
	}
	return caller{role: role, name: name}
}

// reads reports whether a request changes nothing. What a subscriber tells when it asks
// for the endpoints is shown, and no more.
func reads(r *http.Request) bool {
	return r.Method == http.MethodGet || r.Method == http.MethodHead || r.Method == http.MethodPost && r.URL.Path == endpointsPath
}

// isOpen reports whether everyone may send a request.
func isOpen(r *http.Request) bool {
	switch path := r.URL.Path; {
	case reads(r):
		return path == "/healthz" || path == "/readyz" || path == "/" || strings.HasPrefix(path, pageFolder)
	default:
		return path == sessionPath
	}
}

// refuse returns why a request of the caller is refused, or nil.
func (c caller) refuse(r *http.Request) *Problem {
	switch {
	case c.name == "" && r.TLS == nil && !isNear(r.Host):
		return problem(http.StatusMisdirectedRequest, "ask for an address, localhost or the service's name here, not for another host, or send a token")
	case c.role == Admin, c.role == Reader && reads(r), c.name != "" && isOpen(r):
		return nil
	case c.name != "":
		return problem(http.StatusForbidden, `the read token changes nothing: send the one in "tokens/admin" of the data directory`)
	case isOpen(r):
		return nil
	}
	return problem(http.StatusUnauthorized, `send "Authorization: Bearer TOKEN"; the tokens are in the folder "tokens" of the data directory`)
}

// Forwarded is the header of a request that somebody else has sent on over the socket
// (RFC 7239).
const Forwarded = "Forwarded"

// isNear reports whether a Host header is one that no foreign name server can give an
// address to: an address itself, localhost or a name below it, or a name without a dot,
// as that of a service.
func isNear(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	return host != "" && (net.ParseIP(strings.Trim(host, "[]")) != nil || !strings.Contains(host, ".") || strings.HasSuffix(strings.ToLower(host), ".localhost"))
}

// crossOrigin refuses requests that a web page of another origin sends. Those to read
// are refused like those for a change, as they cost a subscriber's place too.
func crossOrigin(next http.Handler) http.Handler {
	p := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asChange := *r
		asChange.Method = http.MethodPost
		if p.Check(&asChange) != nil {
			fail(w, problem(http.StatusForbidden, "requests from another origin are refused"))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// noBody refuses the bodies of requests that have none here.
func noBody(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength != 0 && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
			w.Header().Set("Connection", "close") // so that the server does not read the rest of it
			fail(w, problem(http.StatusRequestEntityTooLarge, "send no body with this request"))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// VersionHeader is the header of each answer that has the controller's version.
const VersionHeader = "Tend-Version"

func (s *server) headers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(VersionHeader, s.Version)
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		next.ServeHTTP(w, r)
	})
}
