package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/websocket"

	"github.com/tendhq/tend/e2e/kit"
)

const (
	// each is how many clients of a kind there are, and pause is how long each of them
	// waits after a request, so that the quick kinds leave time to the others.
	each  = 4
	pause = 2 * time.Millisecond
	// requestTimeout is longer than an ingress holds a request.
	requestTimeout = time.Minute
	// lasting is how many exchanges a connection lasts for that carries no requests. It
	// is over long before a drain is.
	lasting = 50
)

// kind is a kind of client.
type kind struct {
	name string
	// http is true of one that uses the port that speaks HTTP, and not the one that
	// passes connections.
	http bool
	// open makes a client of an address.
	open func(address string) requester
}

// requester makes a request. The error is why it failed.
type requester interface{ request(context.Context) error }

var kinds = []kind{
	{"HTTP keep-alive", true, func(address string) requester {
		return &httpClient{address, &http.Client{Timeout: requestTimeout, Transport: &http.Transport{MaxIdleConnsPerHost: each}}}
	}},
	{"HTTP fresh", true, func(address string) requester {
		return &httpClient{address, &http.Client{Timeout: requestTimeout, Transport: &http.Transport{DisableKeepAlives: true}}}
	}},
	{"WebSocket", true, func(address string) requester {
		return &echoClient{dial: func() (net.Conn, error) {
			return websocket.Dial("ws://"+address+"/socket", "", "http://"+address)
		}}
	}},
	{"raw TCP", false, func(address string) requester {
		return &echoClient{dial: func() (net.Conn, error) { return net.DialTimeout("tcp", address, requestTimeout) }}
	}},
}

type httpClient struct {
	address string
	*http.Client
}

func (c *httpClient) request(ctx context.Context) error {
	return kit.Get(ctx, c.Client, "http://"+c.address+"/health")
}

// echoClient has each request echoed on a connection that it makes anew now and then.
type echoClient struct {
	dial func() (net.Conn, error)
	conn net.Conn
	left int
}

// errCut is that a connection ended which was open.
var errCut = errors.New("a connection was cut")

func (c *echoClient) request(context.Context) (err error) {
	if c.conn == nil {
		if c.conn, err = c.dial(); err != nil {
			return err
		}
		c.left = lasting
	}
	if err := c.exchange(); err != nil {
		_ = c.conn.Close()
		c.conn = nil
		return fmt.Errorf("%w: %w", errCut, err)
	}
	if c.left--; c.left == 0 {
		_ = c.conn.Close()
		c.conn = nil
	}
	return nil
}

func (c *echoClient) exchange() error {
	if err := c.conn.SetDeadline(time.Now().Add(requestTimeout)); err != nil {
		return err
	}
	if _, err := c.conn.Write([]byte("hello")); err != nil {
		return err
	}
	var answer [5]byte
	_, err := io.ReadFull(c.conn, answer[:])
	return err
}

// counts is what came of the requests of one kind of client.
type counts struct {
	Requests, Failed, Cut atomic.Int64
	first                 atomic.Value
}

// load is all clients at work.
type load struct {
	counts map[string]*counts
	stop   context.CancelFunc
	busy   sync.WaitGroup
}

// begin has clients of all kinds begin.
func begin(ctx context.Context, web, raw string) *load {
	ctx, stop := context.WithCancel(ctx)
	l := &load{counts: map[string]*counts{}, stop: stop}
	for _, k := range kinds {
		t := &counts{}
		l.counts[k.name] = t
		address := raw
		if k.http {
			address = web
		}
		for range each {
			client := k.open(address)
			l.busy.Go(func() {
				for ctx.Err() == nil {
					t.note(client.request(context.WithoutCancel(ctx))) // one under way is not given up
					time.Sleep(pause)
				}
			})
		}
	}
	return l
}

func (t *counts) note(err error) {
	t.Requests.Add(1)
	switch {
	case err == nil:
		return
	case errors.Is(err, errCut):
		t.Cut.Add(1)
	default:
		t.Failed.Add(1)
	}
	t.first.CompareAndSwap(nil, err.Error())
}

// reached reports whether each kind of client has made so many requests.
func (l *load) reached(requests int) bool {
	for _, t := range l.counts {
		if t.Requests.Load() < int64(requests) {
			return false
		}
	}
	return true
}

func (l *load) end() {
	l.stop()
	l.busy.Wait()
}
