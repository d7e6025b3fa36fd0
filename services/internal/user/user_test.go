package user_test

import (
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tendhq/tend/services/internal/auth"
	"github.com/tendhq/tend/services/internal/testenv"
	"github.com/tendhq/tend/services/internal/user"
)

func TestMain(m *testing.M) { os.Exit(testenv.Run(m)) }

func start(t *testing.T) (service *testenv.Service, pg *testenv.Postgres, database string) {
	t.Helper()
	pg = testenv.SharedPostgres(t)
	database = pg.NewDatabase(t)
	return testenv.StartReady(t, user.Service, pg.Env(t, database)), pg, database
}

func register(email, password string) testenv.Request {
	return testenv.Request{Method: http.MethodPost, Path: "/api/users/register",
		Body: fmt.Sprintf(`{"email":%q,"password":%q,"firstName":"Ada","lastName":"Lovelace"}`, email, password)}
}

func login(email, password string) testenv.Request {
	return testenv.Request{Method: http.MethodPost, Path: "/api/users/login", Body: fmt.Sprintf(`{"email":%q,"password":%q}`, email, password)}
}

type session struct{ UserID, Email, Token string }

func TestRegisterLoginProfile(t *testing.T) {
	service, pg, database := start(t)
	var ada, again session
	service.Do(t, register(" Ada@Example.COM ", "correct horse")).Expect(t, http.StatusCreated, &ada)
	if ada.Email != "ada@example.com" {
		t.Errorf("email = %q", ada.Email)
	}
	service.Do(t, register("ada@example.com", "another one")).Expect(t, http.StatusConflict, nil)
	service.Do(t, login("ADA@example.com", "correct horse")).Expect(t, http.StatusOK, &again)
	if again.UserID != ada.UserID {
		t.Errorf("login gives user %s, want %s", again.UserID, ada.UserID)
	}
	service.Do(t, login("ada@example.com", "wrong horse")).Expect(t, http.StatusUnauthorized, nil)
	service.Do(t, login("nobody@example.com", "")).Expect(t, http.StatusUnprocessableEntity, nil)
	// The decoy for unknown accounts is the hash of the empty password; still nobody gets in.
	service.Do(t, login("nobody@example.com", "correct horse")).Expect(t, http.StatusUnauthorized, nil)

	var eve session
	service.Do(t, register("eve@example.com", "correct horse")).Expect(t, http.StatusCreated, &eve)
	patch := func(id, token, body string) testenv.Response {
		return service.Do(t, testenv.Request{Method: http.MethodPatch, Path: "/api/users/" + id, Token: token, Body: body})
	}
	var changed struct{ FirstName, LastName string }
	patch(ada.UserID, again.Token, `{"firstName":" Augusta Ada "}`).Expect(t, http.StatusOK, &changed)
	if changed.FirstName != "Augusta Ada" || changed.LastName != "Lovelace" {
		t.Errorf("profile = %+v", changed)
	}
	patch(ada.UserID, again.Token, `{"firstName":"Ada"}`).Expect(t, http.StatusOK, nil)
	for _, body := range []string{`{"firstName":" "}`, `{"lastName":"\u0000"}`} {
		patch(ada.UserID, again.Token, body).Expect(t, http.StatusUnprocessableEntity, nil)
	}
	patch(ada.UserID, again.Token, `{"role":"admin"}`).Expect(t, http.StatusBadRequest, nil)
	patch(ada.UserID, eve.Token, `{"firstName":"Eve"}`).Expect(t, http.StatusNotFound, nil)
	patch(ada.UserID, "", `{"firstName":"Eve"}`).Expect(t, http.StatusUnauthorized, nil)

	var profile map[string]any
	get := testenv.Request{Path: "/api/users/" + ada.UserID, Token: again.Token}
	service.Do(t, get).Expect(t, http.StatusOK, &profile)
	if len(profile) != 5 || profile["firstName"] != "Ada" || profile["lastName"] != "Lovelace" || profile["createdAt"] == "" {
		t.Errorf("profile = %v", profile)
	}

	for name, test := range map[string]struct {
		token string
		want  int
	}{
		"nobody":  {"", http.StatusUnauthorized},
		"another": {eve.Token, http.StatusNotFound},
		"service": {testenv.Token(t, "order-service", auth.Service), http.StatusOK},
	} {
		get.Token = test.token
		if got := service.Do(t, get); got.Status != test.want {
			t.Errorf("%s gets %d, want %d", name, got.Status, test.want)
		}
	}
	service.Do(t, testenv.Request{Path: "/api/users/not-an-id", Token: eve.Token}).Expect(t, http.StatusNotFound, nil)

	var hash string
	pg.QueryRow(t, database, `SELECT password_hash FROM users WHERE email = 'ada@example.com'`, &hash)
	if !regexp.MustCompile(`^\$argon2id\$v=19\$m=19456,t=2,p=1\$[^$]+\$[^$]+$`).MatchString(hash) {
		t.Errorf("password_hash = %q", hash)
	}
}

// Who repeats a registration, as a gateway does when the connection broke, gets
// the answer of the first one, and nobody else does.
func TestARegistrationIsRepeatedWithItsKey(t *testing.T) {
	service, _, _ := start(t)
	keyed := func(email, password, key string) testenv.Request {
		r := register(email, password)
		r.Key = key
		return r
	}
	var first, again session
	service.Do(t, keyed("ada@example.com", "correct horse", "k1")).Expect(t, http.StatusCreated, &first)
	answer := service.Do(t, keyed("ada@example.com", "correct horse", "k1"))
	answer.Expect(t, http.StatusCreated, &again)
	if again.UserID != first.UserID || answer.Header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("user %s, replayed %q, want user %s, replayed true", again.UserID, answer.Header.Get("Idempotency-Replayed"), first.UserID)
	}
	service.Do(t, keyed("ada@example.com", "wrong horse!", "k1")).Expect(t, http.StatusUnprocessableEntity, nil)
	service.Do(t, keyed("ada@example.com", "correct horse", "k2")).Expect(t, http.StatusConflict, nil)
	service.Do(t, register("ada@example.com", "correct horse")).Expect(t, http.StatusConflict, nil)
	service.Do(t, keyed("eve@example.com", "correct horse", "k1")).Expect(t, http.StatusCreated, nil)
	service.Do(t, register("bob@example.com", "correct horse")).Expect(t, http.StatusCreated, nil)
	service.Do(t, keyed("bob@example.com", "correct horse", "k1")).Expect(t, http.StatusConflict, nil)
}

func TestRegisterNamesEachWrongField(t *testing.T) {
	service, _, _ := start(t)
	for name, test := range map[string]struct{ body, field string }{
		"no at sign":         {`{"email":"ada","password":"correct horse","firstName":"A","lastName":"L"}`, "email"},
		"with a name":        {`{"email":"Ada <ada@example.com>","password":"correct horse","firstName":"A","lastName":"L"}`, "email"},
		"NUL in email":       {`{"email":"a\u0000@example.com","password":"correct horse","firstName":"A","lastName":"L"}`, "email"},
		"long email":         {`{"email":"` + strings.Repeat("a", 250) + `@example.com","password":"correct horse","firstName":"A","lastName":"L"}`, "email"},
		"short password":     {`{"email":"a@example.com","password":"short","firstName":"A","lastName":"L"}`, "password"},
		"long password":      {`{"email":"a@example.com","password":"` + strings.Repeat("a", 257) + `","firstName":"A","lastName":"L"}`, "password"},
		"common password":    {`{"email":"a@example.com","password":"iloveyou","firstName":"A","lastName":"L"}`, "password"},
		"common in capitals": {`{"email":"a@example.com","password":"PassW0rd","firstName":"A","lastName":"L"}`, "password"},
		"the 10,000th":       {`{"email":"a@example.com","password":"fullhous","firstName":"A","lastName":"L"}`, "password"},
		"no first name":      {`{"email":"a@example.com","password":"correct horse","firstName":" ","lastName":"L"}`, "firstName"},
		"NUL in last name":   {`{"email":"a@example.com","password":"correct horse","firstName":"A","lastName":"\u0000"}`, "lastName"},
		"number as password": {`{"email":"a@example.com","password":12345678,"firstName":"A","lastName":"L"}`, "password"},
	} {
		t.Run(name, func(t *testing.T) {
			var problem struct {
				Errors []struct{ Field, Detail string }
			}
			service.Do(t, testenv.Request{Method: http.MethodPost, Path: "/api/users/register", Body: test.body}).
				Expect(t, http.StatusUnprocessableEntity, &problem)
			if len(problem.Errors) != 1 || problem.Errors[0].Field != test.field || problem.Errors[0].Detail == "" {
				t.Errorf("errors = %+v, want one for %s", problem.Errors, test.field)
			}
		})
	}
}

// attempts logs in as email many times at once, by turns at each of the services,
// and returns how often each status was answered.
func attempts(t *testing.T, n int, services []*testenv.Service, request func(i int) testenv.Request) map[int]int {
	t.Helper()
	statuses := make([]int, n)
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() {
			response, err := services[i%len(services)].Try(t.Context(), request(i))
			if err != nil {
				t.Error(err)
			}
			statuses[i] = response.Status
			seconds, err := strconv.Atoi(response.Header.Get("Retry-After"))
			if response.Status == http.StatusTooManyRequests && (err != nil || seconds < 1 || seconds > 90) {
				t.Errorf("Retry-After is %q", response.Header.Get("Retry-After"))
			}
		})
	}
	group.Wait()
	count := map[int]int{}
	for _, status := range statuses {
		count[status]++
	}
	return count
}

func from(address string, r testenv.Request) testenv.Request {
	r.Header = http.Header{"X-Real-Ip": {address}}
	return r
}

func TestLoginAttemptsAreLimitedByAccount(t *testing.T) {
	first, pg, database := start(t)
	second := testenv.StartReady(t, user.Service, pg.Env(t, database))
	first.Do(t, register("ada@example.com", "correct horse")).Expect(t, http.StatusCreated, nil)
	right := login("Ada@example.com ", "correct horse")
	// Whoever succeeds is not counted.
	for range 12 {
		first.Do(t, right).Expect(t, http.StatusOK, nil)
	}
	// Each from an address of its own, and by turns at two replicas.
	got := attempts(t, 25, []*testenv.Service{first, second}, func(i int) testenv.Request {
		return from(fmt.Sprintf("192.0.2.%d", i), login("ada@example.com", "wrong horse"))
	})
	if got[http.StatusUnauthorized] != 10 || got[http.StatusTooManyRequests] != 15 {
		t.Errorf("answers = %v, want 10 times 401 and 15 times 429", got)
	}
	// The right password is not looked at, nor does 429 tell who has an account.
	second.Do(t, right).Expect(t, http.StatusTooManyRequests, nil)
	got = attempts(t, 11, []*testenv.Service{first}, func(int) testenv.Request { return login("nobody@example.com", "wrong horse") })
	if got[http.StatusTooManyRequests] != 1 {
		t.Errorf("answers for an unknown account = %v, want one 429", got)
	}
	pg.Exec(t, database, `UPDATE login_attempts SET until = until - interval '90 seconds'`) // as time does
	second.Do(t, right).Expect(t, http.StatusOK, nil)
}

func TestLoginAttemptsAreLimitedByAddress(t *testing.T) {
	first, pg, database := start(t)
	second := testenv.StartReady(t, user.Service, pg.Env(t, database))
	anybody := func(address string) func(int) testenv.Request {
		return func(i int) testenv.Request {
			return from(address, login(fmt.Sprintf("user%d@example.com", i), "wrong horse"))
		}
	}
	began := time.Now()
	got := attempts(t, 120, []*testenv.Service{first, second}, anybody("192.0.2.1"))
	passed := int(time.Since(began) / (9 * time.Second))
	if n := got[http.StatusUnauthorized]; n < 100 || n > 101+passed || n+got[http.StatusTooManyRequests] != 120 {
		t.Errorf("answers = %v, want 100 times 401, %d more for the time that passed, and else 429", got, passed)
	}
	first.Do(t, anybody("192.0.2.2")(200)).Expect(t, http.StatusUnauthorized, nil)
}

func TestSQLInInputIsJustText(t *testing.T) {
	service, pg, database := start(t)
	service.Do(t, testenv.Request{Method: http.MethodPost, Path: "/api/users/register",
		Body: `{"email":"o'hara@example.com","password":"'); DROP TABLE users; --","firstName":"'); DROP TABLE users; --","lastName":"x"}`}).
		Expect(t, http.StatusCreated, nil)
	service.Do(t, login("' OR 1=1 --", "x")).Expect(t, http.StatusUnauthorized, nil)
	var users int
	pg.QueryRow(t, database, `SELECT count(*) FROM users`, &users)
	if users != 1 {
		t.Errorf("%d users, want 1", users)
	}
}
