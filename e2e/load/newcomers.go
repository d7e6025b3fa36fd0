package load

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"strings"
)

// Newcomers registers one user after the other at a shop until ctx ends, and looks at the
// profile of each. The error tells of the first request that failed.
func Newcomers(ctx context.Context, url string) error {
	client, err := newcomersClient(url)
	if err != nil {
		return err
	}
	defer client.close()
	for ctx.Err() == nil {
		// What has begun runs to its end.
		if _, err := client.newcomer(context.WithoutCancel(ctx)); err != nil {
			return err
		}
	}
	return nil
}

// KnowsLocales returns an error unless a shop's users have locales, from version 1.1.0 of
// user-service on, or have none, before.
func KnowsLocales(ctx context.Context, url string, want bool) error {
	client, err := newcomersClient(url)
	if err != nil {
		return err
	}
	defer client.close()
	user, err := client.newcomer(ctx)
	if err != nil {
		return err
	}
	got, err := client.do(ctx, request{method: http.MethodGet, path: "/api/users/" + user.UserID + "/locale", token: user.Token})
	if err != nil {
		return err
	}
	if known := got.status == http.StatusOK; known != want || !known && got.status != http.StatusNotFound {
		return fmt.Errorf("the locale of a user is answered %d: %s", got.status, got.body)
	}
	return nil
}

func newcomersClient(url string) (*client, error) {
	config, err := Config{URL: url, Concurrency: 1}.withDefaults()
	return newClient(config), err
}

func (c *client) newcomer(ctx context.Context) (registered, error) {
	email := "newcomer-" + strings.ToLower(rand.Text()) + "@example.com"
	user, err := c.register(ctx, email)
	if err != nil {
		return registered{}, fmt.Errorf("register: %w", err)
	}
	var profile struct{ Email string }
	if err := c.get(ctx, request{method: http.MethodGet, path: "/api/users/" + user.UserID, token: user.Token}, http.StatusOK, &profile); err != nil {
		return registered{}, err
	}
	if profile.Email != email {
		return registered{}, fmt.Errorf("the profile of %s has the email %q", email, profile.Email)
	}
	return user, nil
}
