package api

import (
	"cmp"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// sessionTTL is how long a browser stays logged in.
	sessionTTL = 12 * time.Hour
	// codeTTL is how long a one-time code can be used, and maxCodes how many there may be
	// at a time.
	codeTTL  = time.Minute
	maxCodes = 16
)

// sessionPath is where a browser logs in and out.
const sessionPath = "/api/v1/session"

// cookieName is the name of the session's cookie. As browsers send a cookie to every port
// of a host, it has the project in it.
func cookieName(project string) string { return "tend-session-" + project }

// seal is the value of a session's cookie: the role and the end, with a code that only who
// knows the role's token can make. So a session ends with its token, and outlives the
// controller.
func seal(role Role, token string, expires time.Time) string {
	text := fmt.Sprintf("%s.%d", role, expires.Unix())
	mac := hmac.New(sha256.New, []byte(token))
	_, _ = mac.Write([]byte("tend session " + text)) // never fails
	return text + "." + hex.EncodeToString(mac.Sum(nil))
}

// unseal returns the role of a session's cookie, or "" where it is none, or over.
func unseal(dataDir, value string, now time.Time) (Role, error) {
	for _, role := range Roles {
		rest, ok := strings.CutPrefix(value, string(role)+".")
		if !ok {
			continue
		}
		end, _, _ := strings.Cut(rest, ".")
		seconds, err := strconv.ParseInt(end, 10, 64)
		if err != nil || now.Unix() >= seconds {
			return "", nil //nolint:nilerr // it is no session
		}
		token, err := readToken(dataDir, role)
		if err != nil {
			return "", err
		}
		if hmac.Equal([]byte(seal(role, token, time.Unix(seconds, 0))), []byte(value)) {
			return role, nil
		}
	}
	return "", nil
}

// codes are the one-time codes by which a browser logs in without the token.
type codes struct {
	mu sync.Mutex
	of map[string]code
}

type code struct {
	role    Role
	expires time.Time
}

// make makes a code. The oldest one goes where there would be too many.
func (c *codes) make(role Role, now time.Time) (text string, expires time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.of == nil {
		c.of = map[string]code{}
	}
	if len(c.of) >= maxCodes {
		var oldest string
		for text, one := range c.of {
			if oldest == "" || one.expires.Before(c.of[oldest].expires) {
				oldest = text
			}
		}
		delete(c.of, oldest)
	}
	text, expires = rand.Text(), now.Add(codeTTL)
	c.of[text] = code{role, expires}
	return text, expires
}

// take uses a code up, and returns its role, or "" where it is none.
func (c *codes) take(text string, now time.Time) Role {
	c.mu.Lock()
	defer c.mu.Unlock()
	one, ok := c.of[text]
	delete(c.of, text)
	if !ok || !now.Before(one.expires) {
		return ""
	}
	return one.role
}

// getSession tells who asks.
func (s *server) getSession(w http.ResponseWriter, r *http.Request) {
	c := callerFrom(r)
	writeJSON(w, Session{Role: string(c.role), Actor: c.name, Project: s.Project, Version: s.Version})
}

// login begins a session of a browser.
func (s *server) login(w http.ResponseWriter, r *http.Request) {
	var given Login
	if err := readBody(w, r, maxBody, &given); err != nil {
		fail(w, err)
		return
	}
	role, why := Role(""), "the token is not one of this project's; they are in the folder \"tokens\" of the data directory"
	if given.Token != "" {
		var err error
		if role, err = roleOf(s.DataDir, given.Token); err != nil {
			s.Log.Warn("a token cannot be used: " + err.Error())
		}
	} else {
		why = "the link was used before, or is older than a minute: `tend dashboard` makes another one"
		role = s.codes.take(given.Code, time.Now())
	}
	if role == "" {
		fail(w, problem(http.StatusForbidden, why))
		return
	}
	token, err := readToken(s.DataDir, role)
	if err != nil {
		fail(w, err)
		return
	}
	expires := time.Now().Add(sessionTTL)
	s.setCookie(w, r, seal(role, token, expires), int(sessionTTL.Seconds()))
	writeJSON(w, Session{Role: string(role), Actor: role.actor(), Project: s.Project, Version: s.Version})
}

// logout has the browser forget its session.
func (s *server) logout(w http.ResponseWriter, r *http.Request) {
	s.setCookie(w, r, "", -1)
	writeJSON(w, Session{Project: s.Project, Version: s.Version})
}

func (s *server) setCookie(w http.ResponseWriter, r *http.Request, value string, seconds int) {
	http.SetCookie(w, &http.Cookie{
		Name: cookieName(s.Project), Value: value, Path: "/", MaxAge: seconds,
		HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: r.TLS != nil,
	})
}

// makeLink makes a code by which one browser can log in once.
func (s *server) makeLink(w http.ResponseWriter, r *http.Request) {
	var asked Link
	if err := readBody(w, r, maxBody, &asked); err != nil {
		fail(w, err)
		return
	}
	role := Role(cmp.Or(asked.Role, string(Admin)))
	if !slices.Contains(Roles, role) {
		fail(w, problem(http.StatusBadRequest, fmt.Sprintf("role is read or admin, and not %q", asked.Role)))
		return
	}
	code, expires := s.codes.make(role, time.Now())
	writeJSON(w, Link{Role: string(role), Code: code, ExpiresAt: expires.UTC()})
}
