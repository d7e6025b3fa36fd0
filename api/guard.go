package api

import (
	"crypto/subtle"
	"net"
	"net/http"
	"strings"
)

// guard decides who may ask:
//
//   - whoever knows the token;
//   - whoever reaches the Unix socket, which file permissions guard;
//   - local processes over loopback, unless a name other than loopback's led
//     them there: a web page that had its own name resolve to 127.0.0.1 (DNS
//     rebinding) would read everything through the user's browser.
//
// What is asked is the address of the connection's own end, as a listener on
// all addresses serves loopback too.
type guard struct{ token string }

func (g guard) middleware(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/healthz" || r.URL.Path == "/readyz" {
			next.ServeHTTP(w, r)
			return
		}
		if p := g.refuse(r); p != nil {
			if p.Status == http.StatusUnauthorized {
				w.Header().Set("WWW-Authenticate", `Bearer realm="tend"`)
			}
			fail(w, p)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// refuse returns why a request is refused, or nil.
func (g guard) refuse(r *http.Request) *Problem {
	if g.knowsToken(r) {
		return nil
	}
	switch local := r.Context().Value(http.LocalAddrContextKey).(type) {
	case *net.UnixAddr:
		return nil
	case *net.TCPAddr:
		if !local.IP.IsLoopback() {
			break
		}
		if isLoopback(r.Host) {
			return nil
		}
		return problem(http.StatusMisdirectedRequest, "ask for localhost or 127.0.0.1 here, not for another host")
	}
	return problem(http.StatusUnauthorized, `send "Authorization: Bearer TOKEN"; the token is in the file "token" of the data directory`)
}

func (g guard) knowsToken(r *http.Request) bool {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return g.token != "" && strings.EqualFold(scheme, "Bearer") &&
		subtle.ConstantTimeCompare([]byte(token), []byte(g.token)) == 1
}

// isLoopback reports whether a Host header names this machine and nothing else.
func isLoopback(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return strings.EqualFold(host, "localhost") || ip.IsLoopback()
}

// crossOrigin refuses requests for a change that a web page of another origin sends.
func crossOrigin(next http.Handler) http.Handler {
	p := http.NewCrossOriginProtection()
	p.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fail(w, problem(http.StatusForbidden, "requests from another origin are refused"))
	}))
	return p.Handler(next)
}

// noBody refuses bodies: no request here has one.
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

func headers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		next.ServeHTTP(w, r)
	})
}
