// Package client is the client of a running controller, over its Unix socket, or over TCP
// with a token.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/tendhq/tend/api"
)

// timeout bounds a request that is not a stream.
const timeout = 10 * time.Second

// ErrNotRunning reports that no controller runs for the project.
var ErrNotRunning = errors.New("no controller is running for this project: start one with `tend up`, or in the foreground with `tend run`")

// Client is a client of one project's controller. Where an answer is a problem
// document, the error is an *api.Problem.
type Client struct {
	http http.Client
	// base is where paths begin, and token what requests are sent with; empty over the
	// socket.
	base, token string
	// version is the caller's, or empty.
	version string
}

// As has the client know the caller's version, and returns it: where a request fails and
// the controller is of another version, the error names both.
func (c *Client) As(version string) *Client {
	c.version = version
	return c
}

// Dial finds the controller by its data directory. The error is ErrNotRunning
// when nobody answers there, now or in a later call.
func Dial(dataDir string) (*Client, error) {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		conn, err := api.DialUnix(ctx, dataDir)
		switch {
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
			return nil, fmt.Errorf("%w (%w)", ErrNotRunning, err)
		case errors.Is(err, fs.ErrPermission):
			return nil, fmt.Errorf("%w; the controller runs as another user: run this command as that user, or as root", err)
		}
		return conn, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	conn, err := dial(ctx, "", "")
	if err != nil {
		return nil, err
	}
	_ = conn.Close()
	// On the same machine, to compress would only cost processor time.
	local := &http.Transport{DialContext: dial, DisableKeepAlives: true, DisableCompression: true}
	return &Client{http: http.Client{Transport: local}, base: "http://localhost"}, nil
}

// Connect makes a client of the controller at a URL, as https://host:7070, which is asked
// with a token.
func Connect(server, token string) (*Client, error) {
	u, err := url.Parse(server)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
		return nil, fmt.Errorf("the server is a URL as https://host:7070, and not %q", server)
	}
	return &Client{http: http.Client{Transport: &http.Transport{DisableKeepAlives: true}}, base: u.Scheme + "://" + u.Host, token: token}, nil
}

// Health returns the project of the controller that answers.
func (c *Client) Health(ctx context.Context) (api.Health, error) {
	return get[api.Health](ctx, c, "/healthz")
}

// Ready returns why the controller cannot do its work, or nil.
func (c *Client) Ready(ctx context.Context) error {
	_, err := get[api.Health](ctx, c, "/readyz")
	return err
}

// Workloads lists the workloads by name.
func (c *Client) Workloads(ctx context.Context) (api.List[api.Workload], error) {
	return get[api.List[api.Workload]](ctx, c, "/api/v1/workloads")
}

// WatchWorkloads yields the list of workloads, now and after each change,
// until ctx ends. An error is the last that it yields.
func (c *Client) WatchWorkloads(ctx context.Context) iter.Seq2[api.List[api.Workload], error] {
	return follow[api.List[api.Workload]](ctx, c, "/api/v1/workloads")
}

// Workload returns one workload.
func (c *Client) Workload(ctx context.Context, name string) (api.Workload, error) {
	return get[api.Workload](ctx, c, workloadPath(name))
}

// Replicas lists the replicas of a workload; of all where workload is empty.
func (c *Client) Replicas(ctx context.Context, workload string) (api.List[api.Replica], error) {
	return get[api.List[api.Replica]](ctx, c, replicasPath(workload))
}

// WatchReplicas yields the list of replicas as WatchWorkloads does.
func (c *Client) WatchReplicas(ctx context.Context, workload string) iter.Seq2[api.List[api.Replica], error] {
	return follow[api.List[api.Replica]](ctx, c, replicasPath(workload))
}

func replicasPath(workload string) string {
	if workload == "" {
		return "/api/v1/replicas"
	}
	return workloadPath(workload) + "/replicas"
}

// EventOptions select events; the zero value selects all.
type EventOptions struct {
	Workload string
	// Since is the name of the event after which to begin.
	Since string
	// Limit bounds how many past events are returned, the newest; 0 for all.
	Limit int
}

func (o EventOptions) path() string {
	q := url.Values{}
	if o.Workload != "" {
		q.Set("workload", o.Workload)
	}
	if o.Since != "" {
		q.Set("since", o.Since)
	}
	if o.Limit > 0 {
		q.Set("limit", strconv.Itoa(o.Limit))
	}
	return "/api/v1/events?" + q.Encode()
}

// Events lists events, oldest first.
func (c *Client) Events(ctx context.Context, o EventOptions) (api.List[api.Event], error) {
	return get[api.List[api.Event]](ctx, c, o.path())
}

// WatchEvents yields past events and then each new one, as WatchWorkloads does.
func (c *Client) WatchEvents(ctx context.Context, o EventOptions) iter.Seq2[api.Event, error] {
	return follow[api.Event](ctx, c, o.path())
}

// get asks once.
func get[T any](ctx context.Context, c *Client, path string) (T, error) {
	return ask[T](ctx, c, timeout, http.MethodGet, path, nil)
}

// ask sends one request, with a body unless that is nil.
func ask[T any](ctx context.Context, c *Client, timeout time.Duration, method, path string, body any) (v T, err error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var content io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return v, fmt.Errorf("ask the controller: %w", err)
		}
		content = bytes.NewReader(text)
	}
	answer, err := c.do(ctx, method, path, "application/json", content)
	if err != nil {
		return v, err
	}
	defer answer.Close()
	if err := json.NewDecoder(answer).Decode(&v); err != nil {
		return v, fmt.Errorf("read the controller's answer to %s: %w", path, err)
	}
	return v, nil
}

// follow asks for a stream.
func follow[T any](ctx context.Context, c *Client, path string) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		body, err := c.do(ctx, http.MethodGet, path, api.StreamType, nil)
		if err != nil {
			if ctx.Err() == nil {
				yield(none, err)
			}
			return
		}
		defer body.Close()
		for data, err := range messages(body) {
			var v T
			if err == nil {
				err = json.Unmarshal(data, &v)
			}
			if err != nil {
				if ctx.Err() == nil {
					yield(none, fmt.Errorf("follow %s: %w", path, err))
				}
				return
			}
			if !yield(v, nil) {
				return
			}
		}
	}
}

// do sends a request and returns the body of a good answer.
func (c *Client) do(ctx context.Context, method, path, accept string, body io.Reader) (io.ReadCloser, error) {
	r, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return nil, fmt.Errorf("ask the controller: %w", err)
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	r.Header.Set("Accept", accept)
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	answer, err := c.http.Do(r)
	if err != nil {
		if wrapped := new(url.Error); errors.As(err, &wrapped) {
			err = wrapped.Err // its URL would name a host that does not exist
		}
		return nil, fmt.Errorf("ask the controller: %w", err)
	}
	if answer.StatusCode == http.StatusOK {
		return answer.Body, nil
	}
	defer answer.Body.Close()
	p := &api.Problem{}
	if json.NewDecoder(answer.Body).Decode(p) == nil {
		err = p
	} else {
		err = fmt.Errorf("the controller answered %s", answer.Status)
	}
	if theirs := answer.Header.Get(api.VersionHeader); c.version != "" && theirs != "" && theirs != c.version {
		err = fmt.Errorf("%w; the controller is tend %s, and this is tend %s", err, theirs, c.version)
	}
	return nil, err
}

// Metrics returns what /metrics serves of some metrics, in the exposition format of
// Prometheus; of all where none is named.
func (c *Client) Metrics(ctx context.Context, names ...string) (io.ReadCloser, error) {
	return c.do(ctx, http.MethodGet, "/metrics?"+url.Values{"name[]": names}.Encode(), "text/plain", nil)
}
