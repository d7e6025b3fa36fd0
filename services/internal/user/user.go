// Package user is the service that registers people and logs them in.
package user

import (
	"context"
	"embed"
	"errors"
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"
	"google.golang.org/grpc"

	"github.com/tendhq/tend/services/contracts"
	"github.com/tendhq/tend/services/internal/auth"
	"github.com/tendhq/tend/services/internal/httpx"
	"github.com/tendhq/tend/services/internal/server"
	userpb "github.com/tendhq/tend/services/proto/user"
)

// forgetPeriod keeps the table of login attempts small.
const forgetPeriod = time.Minute

//go:embed migrations/0000[1-6]_*.sql
var migrations embed.FS

// Service is user-service.
var Service = server.Service{
	Name: auth.Users, Port: 3001, GRPCPort: 50051, Contract: contracts.Of("user-service"), Migrations: migrations, Issues: true, Callers: []string{"order-service"}, New: newApp,
}

type handlers struct {
	store     store
	signer    *auth.Signer
	passwords *passwords
	localized bool // knows the users' locales: from version 1.1.0 on
}

func newApp(rt *server.Runtime) (*server.App, error) { return newHandlersApp(rt, false) }

func newHandlersApp(rt *server.Runtime, localized bool) (*server.App, error) {
	passwords, err := newPasswords()
	if err != nil {
		return nil, err
	}
	h := handlers{store: store{rt.DB, rt.Outbox}, signer: rt.Signer, passwords: passwords, localized: localized}
	register := func(r grpc.ServiceRegistrar) { userpb.RegisterUserServiceServer(r, rpcs{handlers: h}) }
	forget := server.Every(forgetPeriod, rt.Log, "login attempts not forgotten", h.store.forget)
	return &server.App{Background: forget, RPC: register, Routes: func(r chi.Router) {
		r.Route("/api/users", func(r chi.Router) {
			r.Method(http.MethodPost, "/register", httpx.Handler(h.register))
			r.Method(http.MethodPost, "/login", httpx.Handler(h.login))
			one := r.With(httpx.PathID("userId", errNotFound), rt.Tokens.Require)
			one.Method(http.MethodGet, "/{userId}", httpx.Handler(h.profile))
			one.Method(http.MethodPatch, "/{userId}", httpx.Handler(h.update))
			one.Method(http.MethodPost, "/{userId}/addresses", httpx.Handler(h.addAddress))
			one.Method(http.MethodGet, "/{userId}/addresses", httpx.Handler(h.listAddresses))
			address := r.With(httpx.PathID("userId", errNotFound), httpx.PathID("addressId", errNoAddress), rt.Tokens.Require)
			address.Method(http.MethodPut, "/{userId}/addresses/{addressId}", httpx.Handler(h.replaceAddress))
			address.Method(http.MethodDelete, "/{userId}/addresses/{addressId}", httpx.Handler(h.removeAddress))
			if h.localized {
				one.Method(http.MethodGet, "/{userId}/locale", httpx.Handler(h.locale))
				one.Method(http.MethodPut, "/{userId}/locale", httpx.Handler(h.replaceLocale))
			}
		})
	}}, nil
}

type registration struct {
	Email     string `json:"email"`
	Password  string `json:"password"`
	FirstName string `json:"firstName"`
	LastName  string `json:"lastName"`
	locale    string // of the request
}

type registered struct {
	UserID uuid.UUID `json:"userId"`
	Email  string    `json:"email"`
	Token  string    `json:"token"`
}

func (h handlers) register(w http.ResponseWriter, r *http.Request) error {
	key, err := httpx.IdempotencyKey(r)
	if err != nil {
		return err
	}
	var body registration
	if err := httpx.Decode(w, r, &body); err != nil {
		return err
	}
	body.locale = accepted(r.Header.Get("Accept-Language"))
	made, replayed, err := h.create(r.Context(), body, key)
	if err != nil {
		return err
	}
	if replayed {
		httpx.MarkReplay(w)
	}
	token, err := h.signer.IssueUser(r.Context(), auth.Identity{Subject: made.id.String(), Role: made.role})
	if err != nil {
		return err
	}
	w.Header().Set("Location", "/api/users/"+made.id.String())
	return httpx.WriteJSON(w, r, http.StatusCreated, registered{UserID: made.id, Email: made.email, Token: token})
}

// create makes the account of a registration, or returns the one that an earlier request
// with the key has made.
func (h handlers) create(ctx context.Context, body registration, key *string) (made account, replayed bool, err error) {
	body.normalise()
	if err := body.validate(); err != nil {
		return account{}, false, err
	}
	hash, err := h.passwords.hash(ctx, body.Password)
	if err != nil {
		return account{}, false, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return account{}, false, err
	}
	wanted := account{id: id, email: body.Email, hash: hash, firstName: body.FirstName, lastName: body.LastName, role: auth.Customer, key: key}
	if h.localized {
		wanted.locale = &body.locale
	}
	made, err = h.store.insert(ctx, wanted)
	if errors.Is(err, errTaken) && key != nil {
		made, err = h.replay(ctx, body, *key)
		replayed = true
	}
	return made, replayed, err
}

// replay returns the account that an earlier request with the key has made. Its caller may
// get a token, so the password must be right too, as for a login.
func (h handlers) replay(ctx context.Context, body registration, key string) (account, error) {
	earlier, found, err := h.store.byEmail(ctx, body.Email)
	if err != nil {
		return account{}, err
	}
	if !found || earlier.key == nil || *earlier.key != key {
		return account{}, errTaken
	}
	matches, err := h.passwords.matches(ctx, body.Password, earlier.hash)
	if err != nil {
		return account{}, err
	}
	if !matches || earlier.firstName != body.FirstName || earlier.lastName != body.LastName {
		return account{}, httpx.ErrKeyReused
	}
	return earlier, nil
}

type credentials struct {
	Email    string `json:"email"`
	Password string `json:"password"`
}

type loggedIn struct {
	UserID    uuid.UUID `json:"userId"`
	Token     string    `json:"token"`
	ExpiresIn int       `json:"expiresIn"` // seconds
}

func (h handlers) login(w http.ResponseWriter, r *http.Request) error {
	var body credentials
	if err := httpx.Decode(w, r, &body); err != nil {
		return err
	}
	body.Email = normaliseEmail(body.Email)
	if err := body.validate(); err != nil {
		return err
	}
	attempt := newAttempt(r, body.Email)
	wait, err := h.store.begin(r.Context(), attempt)
	if err != nil {
		return err
	}
	if wait > 0 {
		return tooMany(w, wait)
	}
	account, found, err := h.store.byEmail(r.Context(), body.Email)
	if err != nil {
		return err
	}
	// An unknown address costs as much time as a known one, so that the time
	// does not tell who has an account.
	matches, err := h.passwords.matches(r.Context(), body.Password, account.hash)
	if err != nil {
		return err
	}
	if !found || !matches {
		return httpx.NewProblem(http.StatusUnauthorized, "the email or the password is wrong")
	}
	if err := h.store.succeed(r.Context(), attempt); err != nil {
		return err
	}
	token, err := h.signer.IssueUser(r.Context(), auth.Identity{Subject: account.id.String(), Role: account.role})
	if err != nil {
		return err
	}
	return httpx.WriteJSON(w, r, http.StatusOK, loggedIn{UserID: account.id, Token: token, ExpiresIn: int(auth.UserTokenLifetime.Seconds())})
}

type profile struct {
	UserID    uuid.UUID `json:"userId"`
	Email     string    `json:"email"`
	FirstName string    `json:"firstName"`
	LastName  string    `json:"lastName"`
	CreatedAt time.Time `json:"createdAt"`
}

// changes are what changes of a user; nil stays as it is. Only a call may change the email:
// the token of a request proves no other address.
type changes struct {
	profileChanges
	Email *string `json:"email,omitempty"`
}

// apply changes a and returns what of it is another than before.
func (c changes) apply(a *account) changes {
	for _, field := range []struct {
		value *string
		to    **string
	}{{&a.email, &c.Email}, {&a.firstName, &c.FirstName}, {&a.lastName, &c.LastName}} {
		switch {
		case *field.to == nil:
		case **field.to == *field.value:
			*field.to = nil
		default:
			*field.value = **field.to
		}
	}
	return c
}

// profileChanges are what users change of their own profiles.
type profileChanges struct {
	FirstName *string `json:"firstName,omitempty"`
	LastName  *string `json:"lastName,omitempty"`
}

func (h handlers) profile(w http.ResponseWriter, r *http.Request) error {
	id, err := httpx.ParseID(chi.URLParam(r, "userId"))
	if err != nil {
		return err
	}
	account, found, err := h.store.byID(r.Context(), id, auth.From(r.Context()))
	if err != nil {
		return err
	}
	if !found {
		return errNotFound
	}
	return httpx.WriteJSON(w, r, http.StatusOK, account.profile())
}

func (a account) profile() profile {
	return profile{UserID: a.id, Email: a.email, FirstName: a.firstName, LastName: a.lastName, CreatedAt: a.createdAt}
}

// update changes what the body names of a profile, and leaves the rest.
func (h handlers) update(w http.ResponseWriter, r *http.Request) error {
	id, err := httpx.ParseID(chi.URLParam(r, "userId"))
	if err != nil {
		return err
	}
	var body profileChanges
	if err := httpx.Decode(w, r, &body); err != nil {
		return err
	}
	c := changes{profileChanges: body}
	c.normalise()
	if err := c.validate(); err != nil {
		return err
	}
	account, found, err := h.store.update(r.Context(), id, auth.From(r.Context()), c)
	if err != nil {
		return err
	}
	if !found {
		return errNotFound
	}
	return httpx.WriteJSON(w, r, http.StatusOK, account.profile())
}
