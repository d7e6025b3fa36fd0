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

// peerTimeout bounds each part of a request that is passed on.
const peerTimeout = time.Second

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
		DisableKeepAlives: true, ResponseHeaderTimeout: peerTimeout,
		DialContext: (&net.Dialer{Timeout: peerTimeout}).DialContext,
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
		return nil, fmt.Errorf("%s: %w", address, err)
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
