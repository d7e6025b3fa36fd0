package auth_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/tendhq/tend/services/internal/auth"
)

const secret = "a secret of thirty-two bytes or more"

func newTokens(t *testing.T) *auth.Tokens {
	t.Helper()
	tokens, err := auth.NewTokens([]byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	return tokens
}

func TestAnIssuedTokenProvesItsIdentity(t *testing.T) {
	tokens := newTokens(t)
	want := auth.Identity{Subject: "ada", Role: auth.Customer}
	token, err := tokens.Issue(want, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := tokens.Verify(token); err != nil || got != want {
		t.Errorf("Verify = %+v, %v, want %+v", got, err, want)
	}
}

func TestVerifyRefusesForgedTokens(t *testing.T) {
	valid := func() jwt.MapClaims {
		now := time.Now()
		return jwt.MapClaims{"iss": "shop", "sub": "ada", "role": "customer", "iat": now.Unix(), "exp": now.Add(time.Hour).Unix()}
	}
	with := func(name string, value any) jwt.MapClaims {
		claims := valid()
		if value == nil {
			delete(claims, name)
		} else {
			claims[name] = value
		}
		return claims
	}
	for name, test := range map[string]struct {
		method jwt.SigningMethod
		key    any
		claims jwt.MapClaims
	}{
		"unsigned":       {jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, valid()},
		"other method":   {jwt.SigningMethodHS512, []byte(secret), valid()},
		"other secret":   {jwt.SigningMethodHS256, []byte("another secret of thirty-two bytes!!"), valid()},
		"expired":        {jwt.SigningMethodHS256, []byte(secret), with("exp", time.Now().Add(-time.Minute).Unix())},
		"no expiry":      {jwt.SigningMethodHS256, []byte(secret), with("exp", nil)},
		"other issuer":   {jwt.SigningMethodHS256, []byte(secret), with("iss", "elsewhere")},
		"no issuer":      {jwt.SigningMethodHS256, []byte(secret), with("iss", nil)},
		"from tomorrow":  {jwt.SigningMethodHS256, []byte(secret), with("iat", time.Now().Add(time.Hour).Unix())},
		"no subject":     {jwt.SigningMethodHS256, []byte(secret), with("sub", nil)},
		"unknown role":   {jwt.SigningMethodHS256, []byte(secret), with("role", "root")},
		"without a role": {jwt.SigningMethodHS256, []byte(secret), with("role", nil)},
	} {
		t.Run(name, func(t *testing.T) {
			token, err := jwt.NewWithClaims(test.method, test.claims).SignedString(test.key)
			if err != nil {
				t.Fatal(err)
			}
			if id, err := newTokens(t).Verify(token); err == nil {
				t.Errorf("accepted as %+v", id)
			}
		})
	}
}

func TestAShortSecretIsRefused(t *testing.T) {
	if _, err := auth.NewTokens([]byte("short")); err == nil {
		t.Error("a secret of 5 bytes was accepted")
	}
}

func TestRequireAndRequirePrivileged(t *testing.T) {
	tokens := newTokens(t)
	bearer := func(role auth.Role) string {
		token, err := tokens.Issue(auth.Identity{Subject: "ada", Role: role}, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		return "Bearer " + token
	}
	handler := tokens.Require(auth.RequirePrivileged(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Subject", auth.From(r.Context()).Subject)
	})))
	for _, test := range []struct {
		name, authorization string
		want                int
	}{
		{"no token", "", http.StatusUnauthorized},
		{"another scheme", "Basic YTpi", http.StatusUnauthorized},
		{"no token after the scheme", "Bearer ", http.StatusUnauthorized},
		{"garbage", "Bearer a.b.c", http.StatusUnauthorized},
		{"customer", bearer(auth.Customer), http.StatusForbidden},
		{"admin", bearer(auth.Admin), http.StatusOK},
		{"service", bearer(auth.Service), http.StatusOK},
	} {
		t.Run(test.name, func(t *testing.T) {
			request := httptest.NewRequest(http.MethodGet, "/", nil)
			request.Header.Set("Authorization", test.authorization)
			recorder := httptest.NewRecorder()
			handler.ServeHTTP(recorder, request)
			if recorder.Code != test.want {
				t.Fatalf("status = %d, want %d", recorder.Code, test.want)
			}
			if test.want == http.StatusUnauthorized && recorder.Header().Get("WWW-Authenticate") == "" {
				t.Error("no WWW-Authenticate header")
			}
			if test.want == http.StatusOK && recorder.Header().Get("Subject") != "ada" {
				t.Error("the handler does not know the subject")
			}
		})
	}
}
