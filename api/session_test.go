package api

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// browser asks as one that came over TCP, with the cookie of its session.
type browser struct {
	t      *testing.T
	h      http.Handler
	cookie *http.Cookie
}

func (b *browser) ask(method, path, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "http://tend.localhost:7070"+path, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if b.cookie != nil {
		r.AddCookie(b.cookie)
	}
	r = r.WithContext(context.WithValue(r.Context(), peerKey{}, peer{name: loopback}))
	w := httptest.NewRecorder()
	conformity.handler(b.h).ServeHTTP(w, r)
	for _, c := range w.Result().Cookies() {
		b.cookie = c
	}
	return w
}

func TestABrowserLogsInByATokenOnce(t *testing.T) {
	for role, status := range map[Role]int{Admin: http.StatusOK, Reader: http.StatusForbidden} {
		c := config(published())
		b := &browser{t: t, h: New(c)}
		assert.Equal(t, http.StatusUnauthorized, b.ask(http.MethodGet, "/api/v1/session", "").Code)
		assert.Equal(t, http.StatusForbidden, b.ask(http.MethodPost, "/api/v1/session", `{"token": "c0ffee"}`).Code)
		assert.Equal(t, http.StatusForbidden, b.ask(http.MethodPost, "/api/v1/session", `{}`).Code)
		require.Nil(t, b.cookie)

		require.Equal(t, http.StatusOK, b.ask(http.MethodPost, "/api/v1/session", `{"token": "`+tokenOf(t, role)+`"}`).Code)
		assert.True(t, b.cookie.HttpOnly)
		assert.Equal(t, http.SameSiteStrictMode, b.cookie.SameSite)
		assert.Equal(t, "tend-session-shop", b.cookie.Name)
		assert.NotContains(t, b.cookie.Value, tokenOf(t, role))
		var session Session
		require.NoError(t, json.Unmarshal(b.ask(http.MethodGet, "/api/v1/session", "").Body.Bytes(), &session))
		assert.Equal(t, Session{Role: string(role), Actor: string(role) + " token", Project: "shop", Version: "test"}, session)
		assert.Equal(t, http.StatusOK, b.ask(http.MethodGet, "/api/v1/workloads", "").Code)
		assert.Equal(t, status, b.ask(http.MethodPost, "/api/v1/workloads/web/rollout/pause", "").Code)

		again := &browser{t: t, h: New(c), cookie: b.cookie} // as after a restart of the controller
		assert.Equal(t, http.StatusOK, again.ask(http.MethodGet, "/api/v1/workloads", "").Code)
		require.Equal(t, http.StatusOK, b.ask(http.MethodDelete, "/api/v1/session", "").Code)
		assert.Less(t, b.cookie.MaxAge, 0)
	}
}

func TestASessionEndsWithItsTokenAndItsTime(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, MakeTokens(dir))
	token, err := readToken(dir, Reader)
	require.NoError(t, err)
	now := time.Now()
	cookie := seal(Reader, token, now.Add(time.Hour))
	role := func(value string, at time.Time) Role {
		role, err := unseal(dir, value, at)
		require.NoError(t, err)
		return role
	}
	assert.Equal(t, Reader, role(cookie, now))
	assert.Empty(t, role(cookie, now.Add(time.Hour)))
	assert.Empty(t, role(strings.Replace(cookie, "read", "admin", 1), now), "nobody becomes another")
	assert.Empty(t, role(cookie[:len(cookie)-1]+"x", now))
	for _, value := range []string{"", "read", "read.", "read.x.y", "admin.99999999999.", token} {
		assert.Empty(t, role(value, now), value)
	}
	require.NoError(t, RotateToken(dir, Reader))
	assert.Empty(t, role(cookie, now))
}

func TestALinkLetsOneBrowserInOnce(t *testing.T) {
	c := config(published())
	h := New(c)
	s := httptest.NewServer(onSocket(h))
	defer s.Close()
	link := func(body string) (l Link) {
		response, err := s.Client().Do(request(t, http.MethodPost, s.URL+"/api/v1/session/link", body))
		require.NoError(t, err)
		defer response.Body.Close()
		answer := readAnswer(t, response)
		require.Equal(t, http.StatusOK, answer.status, answer.body)
		require.NoError(t, json.Unmarshal([]byte(answer.body), &l))
		return l
	}
	one := link(`{"role": "read"}`)
	assert.Equal(t, "read", one.Role)
	assert.WithinDuration(t, time.Now().Add(time.Minute), one.ExpiresAt, 10*time.Second)
	b := &browser{t: t, h: h}
	require.Equal(t, http.StatusOK, b.ask(http.MethodPost, "/api/v1/session", `{"code": "`+one.Code+`"}`).Code)
	assert.Equal(t, http.StatusForbidden, b.ask(http.MethodPost, "/api/v1/session/link", "{}").Code, "who reads makes no link")
	other := &browser{t: t, h: h}
	answer := other.ask(http.MethodPost, "/api/v1/session", `{"code": "`+one.Code+`"}`)
	assert.Equal(t, http.StatusForbidden, answer.Code)
	assert.Contains(t, answer.Body.String(), "was used before")
	assert.Equal(t, "admin", link("{}").Role)
	answer = other.ask(http.MethodPost, "/api/v1/session", `{"code": "nonsense"}`)
	assert.Equal(t, http.StatusForbidden, answer.Code)
}

func TestCodesAreFewAndDoNotLast(t *testing.T) {
	var c codes
	now := time.Now()
	first, expires := c.make(Admin, now)
	assert.Equal(t, now.Add(codeTTL), expires)
	assert.Empty(t, c.take(first, now.Add(codeTTL)))
	first, _ = c.make(Admin, now)
	for i := range maxCodes {
		c.make(Reader, now.Add(time.Duration(i+1)*time.Second))
	}
	assert.Len(t, c.of, maxCodes)
	assert.Empty(t, c.take(first, now), "the oldest one has made room")
}

// A browser that tend dashboard lets in comes over the socket, and is not the socket's user.
func TestWhatIsSentOnOverTheSocketIsNobody(t *testing.T) {
	s := httptest.NewServer(onSocket(New(config(published()))))
	defer s.Close()
	r := request(t, http.MethodPost, s.URL+"/api/v1/workloads/web/rollout/pause", "")
	r.Header.Set(Forwarded, "for=127.0.0.1")
	response, err := s.Client().Do(r)
	require.NoError(t, err)
	defer response.Body.Close()
	assert.Equal(t, http.StatusUnauthorized, response.StatusCode)
}

func TestThePageIsServedToEveryoneAndLoadsNothingElse(t *testing.T) {
	b := &browser{t: t, h: New(config(published()))}
	for path, kind := range map[string]string{
		"/": "text/html; charset=utf-8", "/page/app.js": "text/javascript; charset=utf-8", "/page/preact.mjs": "text/javascript; charset=utf-8",
		"/page/style.css": "text/css; charset=utf-8", "/page/icon.svg": "image/svg+xml", "/page/LICENSES.txt": "text/plain; charset=utf-8",
	} {
		answer := b.ask(http.MethodGet, path, "")
		assert.Equal(t, http.StatusOK, answer.Code, path)
		assert.Equal(t, kind, answer.Header().Get("Content-Type"))
		assert.Contains(t, answer.Header().Get("Content-Security-Policy"), "default-src 'none'; script-src 'self'; style-src 'self'")
		assert.NotContains(t, answer.Header().Get("Content-Security-Policy"), "unsafe")
	}
	for _, path := range []string{"/page/", "/page/nope.js", "/page/index.html", "/page/..%2fpage.go", "/page/vendor"} {
		assert.Equal(t, http.StatusNotFound, b.ask(http.MethodGet, path, "").Code, path)
	}
	readOnly := &browser{t: t, h: NewReadOnly(config(published()))}
	assert.Equal(t, http.StatusNotFound, readOnly.ask(http.MethodGet, "/", "").Code)
}
