package user_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/tendhq/tend/services/internal/auth"
	"github.com/tendhq/tend/services/internal/events"
	"github.com/tendhq/tend/services/internal/testenv"
	"github.com/tendhq/tend/services/internal/user"
)

type addressView struct{ AddressID, Recipient, Street, PostalCode, City, Country string }

const home = `{"recipient":"Ada Lovelace","street":"12 St James's Square","postalCode":"SW1Y 4JH","city":"London","country":"GB"}`

func TestAddressesAreOnesOwn(t *testing.T) {
	service, pg, database := start(t)
	var ada, eve session
	service.Do(t, register("ada@example.com", "correct horse")).Expect(t, http.StatusCreated, &ada)
	service.Do(t, register("eve@example.com", "correct horse")).Expect(t, http.StatusCreated, &eve)
	addresses := "/api/users/" + ada.UserID + "/addresses"
	do := func(method, path, token, key, body string) testenv.Response {
		return service.Do(t, testenv.Request{Method: method, Path: path, Token: token, Key: key, Body: body})
	}
	list := func() []addressView {
		var l struct{ Addresses []addressView }
		do("", addresses, ada.Token, "", "").Expect(t, http.StatusOK, &l)
		return l.Addresses
	}
	if got := list(); got == nil || len(got) != 0 {
		t.Errorf("at first there are %v", got)
	}
	var added, again addressView
	do(http.MethodPost, addresses, ada.Token, "k", home).Expect(t, http.StatusCreated, &added)
	repeated := do(http.MethodPost, addresses, ada.Token, "k", home)
	repeated.Expect(t, http.StatusCreated, &again)
	if again != added || repeated.Header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("again %v, want %v, replayed", again, added)
	}
	do(http.MethodPost, addresses, ada.Token, "k", strings.Replace(home, "12 ", "13 ", 1)).Expect(t, http.StatusUnprocessableEntity, nil)
	one := addresses + "/" + added.AddressID
	var moved addressView
	do(http.MethodPut, one, ada.Token, "", strings.Replace(home, "London", " Paris ", 1)).Expect(t, http.StatusOK, &moved)
	if moved.City != "Paris" || moved.AddressID != added.AddressID || !slices.Equal(list(), []addressView{moved}) {
		t.Errorf("moved to %v of %v", moved, list())
	}

	// Nobody else sees or changes them, under her id or under their own.
	pg.Exec(t, database, `UPDATE users SET role = 'admin' WHERE email = 'eve@example.com'`)
	service.Do(t, login("eve@example.com", "correct horse")).Expect(t, http.StatusOK, &eve)
	elsewhere := "/api/users/" + eve.UserID + "/addresses/" + added.AddressID
	for name, token := range map[string]string{"an administrator": eve.Token, "a service": testenv.Token(t, "order-service", auth.Service)} {
		for _, request := range []testenv.Request{
			{Path: addresses}, {Method: http.MethodPost, Path: addresses, Body: home},
			{Method: http.MethodPut, Path: one, Body: home}, {Method: http.MethodDelete, Path: one},
			{Method: http.MethodPut, Path: elsewhere, Body: home}, {Method: http.MethodDelete, Path: elsewhere},
		} {
			request.Token = token
			if got := service.Do(t, request); got.Status != http.StatusNotFound {
				t.Errorf("%s gets %d for %s %s", name, got.Status, request.Method, request.Path)
			}
		}
	}
	do("", addresses, "", "", "").Expect(t, http.StatusUnauthorized, nil)
	do(http.MethodDelete, addresses+"/x", ada.Token, "", "").Expect(t, http.StatusNotFound, nil)

	do(http.MethodDelete, one, ada.Token, "", "").Expect(t, http.StatusNoContent, nil)
	do(http.MethodDelete, one, ada.Token, "", "").Expect(t, http.StatusNotFound, nil)
	requests := make([]testenv.Request, 25)
	for i := range requests {
		requests[i] = testenv.Request{Method: http.MethodPost, Path: addresses, Token: ada.Token, Body: home}
	}
	if got := service.AtOnce(t, requests); got[http.StatusCreated] != 20 || got[http.StatusConflict] != 5 {
		t.Errorf("25 at once are answered %v, want 20 times 201", got)
	}
	pg.Exec(t, database, `DELETE FROM users WHERE email = 'ada@example.com'`)
	do(http.MethodPost, addresses, ada.Token, "", home).Expect(t, http.StatusNotFound, nil)
}

func TestAnAddressNamesEachWrongField(t *testing.T) {
	service, _, _ := start(t)
	var ada session
	service.Do(t, register("ada@example.com", "correct horse")).Expect(t, http.StatusCreated, &ada)
	for field, value := range map[string]string{
		"recipient": `" "`, "street": `"a\u0000"`, "city": fmt.Sprintf("%q", strings.Repeat("x", 201)),
		"postalCode": fmt.Sprintf("%q", strings.Repeat("1", 17)), "country": `"gb"`,
	} {
		var body map[string]json.RawMessage
		if err := json.Unmarshal([]byte(home), &body); err != nil {
			t.Fatal(err)
		}
		body[field] = json.RawMessage(value)
		encoded, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		var problem struct{ Errors []struct{ Field string } }
		service.Do(t, testenv.Request{Method: http.MethodPost, Path: "/api/users/" + ada.UserID + "/addresses", Token: ada.Token, Body: string(encoded)}).
			Expect(t, http.StatusUnprocessableEntity, &problem)
		if len(problem.Errors) != 1 || problem.Errors[0].Field != field {
			t.Errorf("%s %s: errors %v", field, value, problem.Errors)
		}
	}
}

func TestAnUpdateTellsWhatHasChanged(t *testing.T) {
	pg, redis := testenv.SharedPostgres(t), testenv.StartRedis(t)
	service := testenv.StartReady(t, user.Service, pg.Env(t, pg.NewDatabase(t)), redis.BusEnv(t))
	var ada session
	service.Do(t, register("ada@example.com", "correct horse")).Expect(t, http.StatusCreated, &ada)
	for _, body := range []string{`{}`, `{"firstName":"Ada","lastName":" Lovelace "}`, `{"firstName":"Ada","lastName":"King"}`, `{"firstName":"Augusta"}`} {
		service.Do(t, testenv.Request{Method: http.MethodPatch, Path: "/api/users/" + ada.UserID, Token: ada.Token, Body: body}).Expect(t, http.StatusOK, nil)
	}
	client := redis.Client()
	defer client.Close()
	want := []string{`{"lastName":"King"}`, `{"firstName":"Augusta"}`}
	testenv.Await(t, "two changes are told", func() error {
		var got []string
		for _, m := range client.XRange(t.Context(), "domain-events", "-", "+").Val() {
			var e events.Event
			if err := json.Unmarshal([]byte(m.Values["event"].(string)), &e); err != nil {
				return err
			}
			var data struct{ Changes json.RawMessage }
			if err := json.Unmarshal(e.Data, &data); err != nil {
				return err
			}
			if e.EventType == "user.updated" {
				got = append(got, string(data.Changes))
			}
		}
		if !slices.Equal(got, want) {
			return fmt.Errorf("told %v, want %v", got, want)
		}
		return nil
	})
}
