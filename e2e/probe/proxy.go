package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httputil"
	"time"
)

// dialTimeout and answerTimeout bound the parts of a request that is passed on. A connection
// that is slow is no lost one: its first packet is sent again after a second, and nobody has that
// address when none has come after three.
const (
	dialTimeout   = 2500 * time.Millisecond
	answerTimeout = 6 * time.Second
)

// pass passes each request on to one of the addresses that a name has at that moment. It tries
// none again: the answer says which one has failed, and why.
func pass(peer string) http.Handler {
	return &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.Out.URL.Scheme = "http" },
		Transport: newOneOf(peer),
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			http.Error(w, err.Error(), http.StatusBadGateway)
		},
	}
}

// oneOf is who answers by a name.
type oneOf struct {
	peer      string
	transport *http.Transport
}

func newOneOf(peer string) oneOf {
	return oneOf{peer, &http.Transport{
		DisableKeepAlives: true, ResponseHeaderTimeout: answerTimeout,
		DialContext: (&net.Dialer{Timeout: dialTimeout}).DialContext,
	}}
}

// RoundTrip implements http.RoundTripper.
func (o oneOf) RoundTrip(r *http.Request) (*http.Response, error) {
	address, err := choose(r.Context(), o.peer)
	if err != nil {
		return nil, err
	}
	r.URL.Host = address
	answer, err := o.transport.RoundTrip(r)
	if err != nil {
		return nil, fmt.Errorf("%s at %s: %w", o.peer, address, err)
	}
	return answer, nil
}

// choose returns one of the addresses of HOST:PORT, with the port.
func choose(ctx context.Context, peer string) (string, error) {
	host, port, err := net.SplitHostPort(peer)
	if err != nil {
		return "", err
	}
	all, err := net.DefaultResolver.LookupHost(ctx, host)
	if err != nil {
		return "", err
	}
	return net.JoinHostPort(all[rand.IntN(len(all))], port), nil
}
