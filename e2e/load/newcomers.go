package load

import (
	"context"
	"fmt"
	"net/http"
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

// newcomer registers somebody, who has to be there afterwards.
func (c *client) newcomer(ctx context.Context) (newcomer, error) {
	n, err := c.register(ctx)
	if err == nil {
		err = c.recognizes(ctx, n)
	}
	return n, err
}
