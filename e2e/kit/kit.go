// Package kit holds what the programs that test and measure tend from outside
// share: a copy of the shop, an engine of their own, waiting for a condition, and
// what the controller's API says.
package kit

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"
)

// glance is how long Await pauses between two calls of a condition.
const glance = 100 * time.Millisecond

// Await asks a condition again and again until it returns no error. Where ctx ends first, the
// error holds the cause of that and what the condition returned last.
func Await(ctx context.Context, condition func() error) error {
	for {
		err := condition()
		if err == nil {
			return nil
		}
		if ended := Pause(ctx, glance); ended != nil {
			return fmt.Errorf("%w: %w", ended, err)
		}
	}
}

// Patience returns a context that ends after d, with that as its cause.
func Patience(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, d, fmt.Errorf("not done after %s", d))
}

// Pause waits for a time, or fails with the cause of ctx's end.
func Pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Replace puts a file in the place of the one before, as editors do.
func Replace(file string, content string) error {
	if err := os.WriteFile(file+".new", []byte(content), 0o644); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}

// FreeAddress returns an address on loopback at which nobody listens. Its port is none of
// those that the kernel gives to outgoing connections, from 32768 on, as one of them could
// take it before the server does.
func FreeAddress() (string, error) {
	const first, end, tries = 10_000, 32_768, 1000
	var err error
	for range tries {
		var l net.Listener
		if l, err = net.Listen("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(first+rand.IntN(end-first)))); err == nil {
			return l.Addr().String(), l.Close()
		}
	}
	return "", err
}

// Get asks for a URL, and fails where it is not answered with 200 and a whole body. The error
// holds what another answer says.
func Get(ctx context.Context, client *http.Client, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d: %s", answer.StatusCode, bytes.TrimSpace(body))
	}
	return err
}
