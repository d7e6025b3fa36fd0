package auth_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/tendhq/tend/services/internal/auth"
	"github.com/tendhq/tend/services/internal/testenv"
)

func TestMain(m *testing.M) { os.Exit(testenv.Run(m)) }

// issuer is one that has one key.
type issuer struct {
	name  string
	key   ed25519.PrivateKey
	err   error // of those who ask for its keys
	asked int
}

func newIssuer(t *testing.T, name string) *issuer {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &issuer{name: name, key: key}
}

func (i *issuer) public() ed25519.PublicKey { return i.key.Public().(ed25519.PublicKey) }

func (i *issuer) fetch(context.Context) (map[string]ed25519.PublicKey, error) {
	i.asked++
	return map[string]ed25519.PublicKey{i.name: i.public()}, i.err
}

func (i *issuer) sign(t *testing.T, id auth.Identity, audience string) string {
	t.Helper()
	token, err := auth.Sign(i.name, i.key, i.name, id, time.Hour, audience)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// world is what payment-service knows: who issues for people, and who calls it.
type world struct {
	users, orders *issuer
	verifier      *auth.Verifier
}

func newWorld(t *testing.T) world {
	t.Helper()
	w := world{users: newIssuer(t, auth.Users), orders: newIssuer(t, "order-service")}
	w.verifier = auth.NewVerifier("payment-service", w.users.fetch, map[string]auth.FetchKeys{"order-service": w.orders.fetch})
	return w
}

func TestASignedTokenProvesItsIdentity(t *testing.T) {
	w := newWorld(t)
	ada := auth.Identity{Subject: "ada", Role: auth.Customer}
	if got, err := w.verifier.Verify(t.Context(), w.users.sign(t, ada, auth.Shop)); err != nil || got != ada {
		t.Errorf("Verify = %+v, %v, want %+v", got, err, ada)
	}
	orders := auth.Identity{Subject: "order-service", Role: auth.Service}
	if got, err := w.verifier.Verify(t.Context(), w.orders.sign(t, orders, "payment-service")); err != nil || got != orders {
		t.Errorf("Verify = %+v, %v, want %+v", got, err, orders)
	}
}

func TestVerifyRefusesForgedTokens(t *testing.T) {
	w := newWorld(t)
	claims := func(changes ...any) jwt.MapClaims {
		now := time.Now()
		c := jwt.MapClaims{"iss": auth.Users, "sub": "ada", "role": "customer", "aud": auth.Shop, "iat": now.Unix(), "exp": now.Add(time.Hour).Unix()}
		for i := 0; i < len(changes); i += 2 {
			if changes[i+1] == nil {
				delete(c, changes[i].(string))
			} else {
				c[changes[i].(string)] = changes[i+1]
			}
		}
		return c
	}
	users, orders, eddsa := w.users, w.orders, jwt.SigningMethodEdDSA
	for name, test := range map[string]struct {
		method jwt.SigningMethod
		key    any
		kid    any
		claims jwt.MapClaims
	}{
		"unsigned":                        {jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, users.name, claims()},
		"by the public key, as a secret":  {jwt.SigningMethodHS256, []byte(users.public()), users.name, claims()},
		"another key":                     {eddsa, orders.key, users.name, claims()},
		"another issuer's key":            {eddsa, orders.key, orders.name, claims()},
		"no key id":                       {eddsa, users.key, nil, claims()},
		"key id that is no text":          {eddsa, users.key, 1, claims()},
		"expired":                         {eddsa, users.key, users.name, claims("exp", time.Now().Add(-time.Minute).Unix())},
		"no expiry":                       {eddsa, users.key, users.name, claims("exp", nil)},
		"other issuer":                    {eddsa, users.key, users.name, claims("iss", "elsewhere")},
		"no issuer":                       {eddsa, users.key, users.name, claims("iss", nil)},
		"from tomorrow":                   {eddsa, users.key, users.name, claims("iat", time.Now().Add(time.Hour).Unix())},
		"no subject":                      {eddsa, users.key, users.name, claims("sub", nil)},
		"unknown role":                    {eddsa, users.key, users.name, claims("role", "root")},
		"without a role":                  {eddsa, users.key, users.name, claims("role", nil)},
		"for nobody":                      {eddsa, users.key, users.name, claims("aud", nil)},
		"for another":                     {eddsa, users.key, users.name, claims("aud", "payment-service")},
		"user-service as a service":       {eddsa, users.key, users.name, claims("role", "service", "sub", auth.Users, "aud", "payment-service")},
		"user-service as order-service":   {eddsa, users.key, users.name, claims("role", "service", "sub", "order-service", "aud", "payment-service")},
		"order-service as a customer":     {eddsa, orders.key, orders.name, claims("iss", "order-service")},
		"order-service as product's":      {eddsa, orders.key, orders.name, claims("iss", "order-service", "role", "service", "sub", "product-service", "aud", "payment-service")},
		"order-service's for another":     {eddsa, orders.key, orders.name, claims("iss", "order-service", "role", "service", "sub", "order-service", "aud", "product-service")},
		"order-service's for the shop":    {eddsa, orders.key, orders.name, claims("iss", "order-service", "role", "service", "sub", "order-service")},
		"order-service as administrator":  {eddsa, orders.key, orders.name, claims("iss", "order-service", "role", "admin")},
		"a service that does not call it": {eddsa, orders.key, orders.name, claims("iss", "product-service", "role", "service", "sub", "product-service", "aud", "payment-service")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // an unknown key takes a while
			token := jwt.NewWithClaims(test.method, test.claims)
			if test.kid != nil {
				token.Header["kid"] = test.kid
			}
			signed, err := token.SignedString(test.key)
			if err != nil {
				t.Fatal(err)
			}
			if id, err := w.verifier.Verify(t.Context(), signed); err == nil {
				t.Errorf("accepted as %+v", id)
			}
		})
	}
}

// Forged ids cost the issuer one question in a second, however many there are.
func TestUnknownKeysAreAskedForTogether(t *testing.T) {
	w := newWorld(t)
	good := w.users.sign(t, auth.Identity{Subject: "ada", Role: auth.Customer}, auth.Shop)
	forged, err := auth.Sign("forged", w.orders.key, auth.Users, auth.Identity{Subject: "ada", Role: auth.Customer}, time.Hour, auth.Shop)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	var group sync.WaitGroup
	for range 200 {
		group.Go(func() {
			if _, err := w.verifier.Verify(t.Context(), forged); err == nil {
				t.Error("accepted a forged token")
			}
		})
		group.Go(func() {
			if _, err := w.verifier.Verify(t.Context(), good); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if most := 2 + int(time.Since(began)/time.Second); w.users.asked > most {
		t.Errorf("asked for the keys %d times, want at most %d", w.users.asked, most)
	}
}

func TestKnownKeysAreTakenWhileTheIssuerIsAway(t *testing.T) {
	w := newWorld(t)
	token := w.users.sign(t, auth.Identity{Subject: "ada", Role: auth.Customer}, auth.Shop)
	w.users.err = errors.New("away")
	_, err := w.verifier.Verify(t.Context(), token)
	var unavailable *auth.UnavailableError
	if !errors.As(err, &unavailable) {
		t.Fatalf("err = %v, want an UnavailableError: the token may be a good one", err)
	}
	recorder := httptest.NewRecorder()
	request := httptest.NewRequest(http.MethodGet, "/", nil)
	request.Header.Set("Authorization", "Bearer "+token)
	w.verifier.Require(http.NotFoundHandler()).ServeHTTP(recorder, request)
	if recorder.Code != http.StatusServiceUnavailable || recorder.Header().Get("Retry-After") == "" {
		t.Errorf("answer = %d, %v", recorder.Code, recorder.Header())
	}

	w.users.err = nil
	testenv.Await(t, "the keys are asked for again", func() error {
		_, err := w.verifier.Verify(t.Context(), token)
		return err
	})
	w.users.err = errors.New("away")
	if _, err := w.verifier.Verify(t.Context(), token); err != nil {
		t.Error(err)
	}
}

func TestWhoMayPass(t *testing.T) {
	w := newWorld(t)
	person := func(role auth.Role) string {
		return "Bearer " + w.users.sign(t, auth.Identity{Subject: "ada", Role: role}, auth.Shop)
	}
	service := "Bearer " + w.orders.sign(t, auth.Identity{Subject: "order-service", Role: auth.Service}, "payment-service")
	for _, test := range []struct {
		name, authorization          string
		anybody, privileged, service int
	}{
		{"no token", "", http.StatusUnauthorized, http.StatusUnauthorized, http.StatusUnauthorized},
		{"another scheme", "Basic YTpi", http.StatusUnauthorized, http.StatusUnauthorized, http.StatusUnauthorized},
		{"no token after the scheme", "Bearer ", http.StatusUnauthorized, http.StatusUnauthorized, http.StatusUnauthorized},
		{"garbage", "Bearer a.b.c", http.StatusUnauthorized, http.StatusUnauthorized, http.StatusUnauthorized},
		{"customer", person(auth.Customer), http.StatusOK, http.StatusForbidden, http.StatusForbidden},
		{"admin", person(auth.Admin), http.StatusOK, http.StatusOK, http.StatusForbidden},
		{"service", service, http.StatusOK, http.StatusOK, http.StatusOK},
	} {
		t.Run(test.name, func(t *testing.T) {
			handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Subject", auth.From(r.Context()).Subject)
			})
			for _, guarded := range []struct {
				http.Handler
				want int
			}{{handler, test.anybody}, {auth.RequirePrivileged(handler), test.privileged}, {auth.RequireService(handler), test.service}} {
				request := httptest.NewRequest(http.MethodGet, "/", nil)
				request.Header.Set("Authorization", test.authorization)
				recorder := httptest.NewRecorder()
				w.verifier.Require(guarded).ServeHTTP(recorder, request)
				if recorder.Code != guarded.want {
					t.Fatalf("status = %d, want %d", recorder.Code, guarded.want)
				}
				if recorder.Code == http.StatusUnauthorized && recorder.Header().Get("WWW-Authenticate") == "" {
					t.Error("no WWW-Authenticate header")
				}
				if recorder.Code == http.StatusOK && recorder.Header().Get("Subject") == "" {
					t.Error("the handler does not know the subject")
				}
			}
		})
	}
}
