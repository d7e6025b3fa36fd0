package kit

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"
)

const (
	// clients ask at a time, each over a new connection and after a pause.
	clients     = 4
	clientPause = 20 * time.Millisecond
	// clientTimeout bounds a request.
	clientTimeout = 10 * time.Second
)

// Clients ask for a URL over and over.
type Clients struct {
	mu       sync.Mutex
	seen     Seen
	answered time.Time // when the last answer came
	stop     func()
}

// Seen is what has come of requests.
type Seen struct {
	Answered int
	// Slowest is how long the answer took that took longest.
	Slowest time.Duration
	// Gap is the longest time without an answer.
	Gap time.Duration
	// Lost says of each request that was not answered when that was, and why.
	Lost []string
}

// String says how many were answered and lost.
func (s Seen) String() string {
	return fmt.Sprintf("%d requests answered, the slowest after %s, %d lost", s.Answered, s.Slowest.Round(time.Millisecond), len(s.Lost))
}

// Ask starts clients outside the machines once the URL is answered. They go on until Stop.
func (s *Swarm) Ask(ctx context.Context, url string) (*Clients, error) {
	return startClients(ctx, s.Within, url)
}

// Ask starts clients beside the engine once the URL is answered. They go on until Stop.
func (e *Engine) Ask(ctx context.Context, url string) (*Clients, error) {
	return startClients(ctx, e.Within, url)
}

// Beside returns a client whose connections are made beside the engine.
func (e *Engine) Beside() *http.Client { return newClient(e.Within) }

// newClient returns a client that makes a new connection for each request, within a network
// namespace.
func newClient(within func(func() error) error) *http.Client {
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, network, address string) (c net.Conn, err error) {
		err = within(func() (err error) {
			c, err = new(net.Dialer).DialContext(ctx, network, address)
			return err
		})
		return c, err
	}}
	return &http.Client{Transport: transport, Timeout: clientTimeout}
}

// startClients starts clients whose connections are made within a network namespace.
func startClients(ctx context.Context, within func(func() error) error, url string) (*Clients, error) {
	client := newClient(within)
	waiting, cancel := Patience(ctx, time.Minute)
	defer cancel()
	if err := Await(waiting, func() error { return Get(waiting, client, url) }); err != nil {
		return nil, err
	}
	asking, end := context.WithCancel(ctx)
	var busy sync.WaitGroup
	c := &Clients{answered: time.Now(), stop: func() { end(); busy.Wait() }}
	for range clients {
		busy.Go(func() {
			for Pause(asking, clientPause) == nil {
				began := time.Now()
				err := Get(asking, client, url)
				if asking.Err() == nil {
					c.note(time.Since(began), err)
				}
			}
		})
	}
	return c, nil
}

func (c *Clients) note(took time.Duration, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil {
		c.seen.Answered++
		c.seen.Slowest = max(c.seen.Slowest, took)
		c.seen.Gap = max(c.seen.Gap, time.Since(c.answered))
		c.answered = time.Now()
		return
	}
	c.seen.Lost = append(c.seen.Lost, fmt.Sprintf("%s %v", time.Now().Format("15:04:05.000"), err))
}

// Seen returns what has come of the requests since it was called last.
func (c *Clients) Seen() Seen {
	c.mu.Lock()
	defer c.mu.Unlock()
	seen := c.seen
	c.seen = Seen{}
	return seen
}

// AwaitAnswer waits for the next answer.
func (c *Clients) AwaitAnswer(ctx context.Context) error {
	began := time.Now()
	return Await(ctx, func() error {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.answered.Before(began) {
			return errors.New("no request is answered")
		}
		return nil
	})
}

// Stop ends the clients.
func (c *Clients) Stop() { c.stop() }
