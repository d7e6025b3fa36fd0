package user_test

import (
	"net/http"
	"testing"

	"github.com/tendhq/tend/services/internal/testenv"
	"github.com/tendhq/tend/services/internal/user"
)

// localeOf returns the locale that a version of the service has for a user.
func localeOf(t *testing.T, service *testenv.Service, of session) string {
	t.Helper()
	var got struct{ Locale string }
	service.Do(t, testenv.Request{Path: "/api/users/" + of.UserID + "/locale", Token: of.Token}).Expect(t, http.StatusOK, &got)
	return got.Locale
}

func inLanguage(accept string, r testenv.Request) testenv.Request {
	r.Header = http.Header{"Accept-Language": {accept}}
	return r
}

func TestALocaleIsChosen(t *testing.T) {
	pg := testenv.SharedPostgres(t)
	service := testenv.StartReady(t, user.Service110(), pg.Env(t, pg.NewDatabase(t)))
	var ada, eve session
	service.Do(t, inLanguage("fr;q=0.5, de-AT, *;q=0.1", register("ada@example.com", "correct horse"))).Expect(t, http.StatusCreated, &ada)
	if got := localeOf(t, service, ada); got != "de-AT" {
		t.Errorf("who asked in de-AT has the locale %q", got)
	}
	for email, accept := range map[string]string{"a@example.com": "", "b@example.com": "*", "c@example.com": "no such thing", "eve@example.com": "und"} {
		service.Do(t, inLanguage(accept, register(email, "correct horse"))).Expect(t, http.StatusCreated, &eve)
		if got := localeOf(t, service, eve); got != "en" {
			t.Errorf("who asked in %q has the locale %q", accept, got)
		}
	}

	put := func(id, token, body string) testenv.Response {
		return service.Do(t, testenv.Request{Method: http.MethodPut, Path: "/api/users/" + id + "/locale", Token: token, Body: body})
	}
	put(ada.UserID, ada.Token, `{"locale":"pt-br"}`).Expect(t, http.StatusOK, nil)
	if got := localeOf(t, service, ada); got != "pt-BR" {
		t.Errorf("the locale is %q", got)
	}
	for _, body := range []string{`{}`, `{"locale":""}`, `{"locale":"mul"}`, `{"locale":"en_\u0000"}`, `{"locale":"en-a-bbb-x-a-ccc-dddddddd-eeeeeeee-ffffffff"}`} {
		put(ada.UserID, ada.Token, body).Expect(t, http.StatusUnprocessableEntity, nil)
	}
	put(ada.UserID, eve.Token, `{"locale":"en"}`).Expect(t, http.StatusNotFound, nil)
	put(ada.UserID, "", `{"locale":"en"}`).Expect(t, http.StatusUnauthorized, nil)
	service.Do(t, testenv.Request{Path: "/api/users/" + ada.UserID + "/locale", Token: eve.Token}).Expect(t, http.StatusNotFound, nil)
}

// Each version runs on the schema of the version after it: what 1.1.0 has expanded serves
// 1.0.0, which also starts on it, and what 1.2.0 has contracted serves 1.1.0.
func TestAVersionRunsOnTheSchemaOfTheNext(t *testing.T) {
	pg := testenv.SharedPostgres(t)
	database := pg.NewDatabase(t)
	env := pg.Env(t, database)
	first := testenv.StartReady(t, user.Service, env)
	var before, old, again, late session
	first.Do(t, register("before@example.com", "correct horse")).Expect(t, http.StatusCreated, &before)

	second := testenv.StartReady(t, user.Service110(), env)
	first.Do(t, register("old@example.com", "correct horse")).Expect(t, http.StatusCreated, &old)
	third := testenv.StartReady(t, user.Service, env)
	third.Do(t, inLanguage("de", register("again@example.com", "correct horse"))).Expect(t, http.StatusCreated, &again)
	third.Do(t, testenv.Request{Method: http.MethodPatch, Path: "/api/users/" + before.UserID, Token: before.Token, Body: `{"firstName":"Augusta"}`}).
		Expect(t, http.StatusOK, nil)
	for _, s := range []session{before, old, again} {
		if got := localeOf(t, second, s); got != "en" {
			t.Errorf("%s, whom 1.0.0 has registered, has the locale %q", s.Email, got)
		}
	}

	testenv.StartReady(t, user.Service120(), env)
	second.Do(t, inLanguage("de", register("late@example.com", "correct horse"))).Expect(t, http.StatusCreated, &late)
	if got := localeOf(t, second, late); got != "de" {
		t.Errorf("on the schema of 1.2.0 the locale is %q", got)
	}
	var empty, nullable int
	pg.QueryRow(t, database, `SELECT count(*) FROM users WHERE locale IS NULL`, &empty)
	pg.QueryRow(t, database, `SELECT count(*) FROM information_schema.columns WHERE table_name = 'users' AND column_name = 'locale' AND is_nullable = 'YES'`, &nullable)
	if empty != 0 || nullable != 0 {
		t.Errorf("after the contraction %d users have no locale, and the column is nullable %d times", empty, nullable)
	}
}

// A crash between two statements of the contraction leaves what the next attempt takes up.
func TestAContractionThatWasCutOffIsFinished(t *testing.T) {
	pg := testenv.SharedPostgres(t)
	database := pg.NewDatabase(t)
	env := pg.Env(t, database)
	testenv.StartReady(t, user.Service110(), env)
	pg.Exec(t, database, `ALTER TABLE users ADD CONSTRAINT users_locale_is_set CHECK (locale IS NOT NULL) NOT VALID`)
	testenv.StartReady(t, user.Service120(), env)
	var constraints int
	pg.QueryRow(t, database, `SELECT count(*) FROM pg_constraint WHERE conname = 'users_locale_is_set'`, &constraints)
	if constraints != 0 {
		t.Error("the constraint is left")
	}
}
