package auth_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"github.com/tendhq/tend/services/internal/auth"
	"github.com/tendhq/tend/services/internal/payment"
	"github.com/tendhq/tend/services/internal/testenv"
	"github.com/tendhq/tend/services/internal/user"
)

// TestKeysAreRotated lets time pass in the database's table. A replica looks at it when it
// starts, as all do each minute.
func TestKeysAreRotated(t *testing.T) {
	pg := testenv.SharedPostgres(t)
	database, payments := pg.NewDatabase(t), pg.NewDatabase(t)
	replica := func() *testenv.Service { return testenv.StartReady(t, user.Service, pg.Env(t, database)) }
	ledgerOf := func(users *testenv.Service) *testenv.Service {
		return testenv.StartReady(t, payment.Service, pg.Env(t, payments), map[string]string{"USER_SERVICE_URL": users.URL})
	}
	pass := func(time string) {
		pg.Exec(t, database, `UPDATE signing_keys SET created_at = created_at - $1::interval`, time)
	}
	login := func(users *testenv.Service) (token, keyID string) {
		var c struct{ Token string }
		users.Do(t, testenv.Request{Method: http.MethodPost, Path: "/api/users/login", Body: `{"email":"ada@example.com","password":"correct horse"}`}).
			Expect(t, http.StatusOK, &c)
		parsed, _, err := jwt.NewParser().ParseUnverified(c.Token, jwt.MapClaims{})
		if err != nil {
			t.Fatal(err)
		}
		return c.Token, parsed.Header["kid"].(string)
	}
	keys := func(users *testenv.Service) int {
		set, err := auth.ParseKeys(users.Do(t, testenv.Request{Path: auth.KeysPath}).Body)
		if err != nil {
			t.Fatal(err)
		}
		return len(set)
	}
	accepts := func(ledger *testenv.Service, token string, status int) {
		t.Helper()
		ledger.Do(t, testenv.Request{Path: "/api/payments", Token: token}).Expect(t, status, nil)
	}

	// Replicas that start at once make one key.
	first, second := testenv.StartService(t, user.Service, pg.Env(t, database)), testenv.StartService(t, user.Service, pg.Env(t, database))
	first.AwaitReady(t)
	second.AwaitReady(t)
	first.Do(t, testenv.Request{Method: http.MethodPost, Path: "/api/users/register",
		Body: `{"email":"ada@example.com","password":"correct horse","firstName":"A","lastName":"L"}`}).Expect(t, http.StatusCreated, nil)
	ledger := ledgerOf(first)
	oldToken, oldKey := login(first)
	accepts(ledger, oldToken, http.StatusOK)
	if _, key := login(second); key != oldKey || keys(first) != 1 || keys(second) != 1 {
		t.Fatalf("keys %s and %s, %d and %d published", oldKey, key, keys(first), keys(second))
	}

	// The next one is published before it signs.
	pass("31 days")
	if _, key := login(replica()); key != oldKey || keys(first) != 2 {
		t.Fatalf("the new key signs at once: %s; %d published", key, keys(first))
	}
	pass("6 minutes")
	newToken, newKey := login(replica())
	if newKey == oldKey {
		t.Fatal("the new key does not sign")
	}
	// The old one is good until its tokens have ended.
	accepts(ledger, newToken, http.StatusOK)
	accepts(ledger, oldToken, http.StatusOK)
	pass("65 minutes")
	last := replica()
	testenv.Await(t, "the old key is gone", func() error {
		if n := keys(last); n != 1 {
			return fmt.Errorf("%d keys published", n)
		}
		return nil
	})
	ledger = ledgerOf(last)
	accepts(ledger, newToken, http.StatusOK)
	accepts(ledger, oldToken, http.StatusUnauthorized)
}
