package testenv

import (
	"crypto/ed25519"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/tendhq/tend/services/internal/auth"
)

const keyID = "test"

// key signs the tokens of the tests, for user-service and for order-service.
var key = ed25519.NewKeyFromSeed([]byte("a seed that has thirty-two bytes"))

// issuerURL returns the URL of a server that publishes the key until the test ends.
func issuerURL(t testing.TB) string {
	t.Helper()
	set, err := auth.KeySet(map[string]ed25519.PublicKey{keyID: key.Public().(ed25519.PublicKey)})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(set)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// Token returns a token for a person, or, with the role Service, of the service subject.
func Token(t testing.TB, subject string, role auth.Role) string {
	t.Helper()
	issuer := auth.Users
	if role == auth.Service {
		issuer = subject
	}
	token, err := auth.Sign(keyID, key, issuer, auth.Identity{Subject: subject, Role: role}, auth.ServiceTokenLifetime,
		auth.Shop, "user-service", "product-service", "order-service", "payment-service")
	if err != nil {
		t.Fatal(err)
	}
	return token
}
