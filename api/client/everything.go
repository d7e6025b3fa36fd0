package client

import (
	"context"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/tendhq/tend/api"
)

// Scale writes the number of replicas into a workload's spec file.
func (c *Client) Scale(ctx context.Context, workload string, replicas int) (api.Scale, error) {
	return ask[api.Scale](ctx, c, timeout, http.MethodPut, workloadPath(workload)+"/scale", api.Scale{Replicas: &replicas})
}

// Plan returns what is done for a workload now.
func (c *Client) Plan(ctx context.Context, workload string) (api.Plan, error) {
	return get[api.Plan](ctx, c, workloadPath(workload)+"/plan")
}

// DiffRevisions returns how two revisions of a workload differ, by their numbers.
func (c *Client) DiffRevisions(ctx context.Context, workload string, from, to int) (api.RevisionDiff, error) {
	return get[api.RevisionDiff](ctx, c, fmt.Sprintf("%s/revisions/diff?from=%d&to=%d", workloadPath(workload), from, to))
}

// LogOptions select lines; the zero value selects the last ones of each replica.
type LogOptions struct {
	// Tail is how many of each replica's last lines; 0 for the API's default.
	Tail int
	// Since leaves out what was written before; zero leaves out nothing.
	Since time.Time
}

func (o LogOptions) path(workload string) string {
	q := url.Values{}
	if o.Tail > 0 {
		q.Set("tail", strconv.Itoa(o.Tail))
	}
	if !o.Since.IsZero() {
		q.Set("since", o.Since.UTC().Format(time.RFC3339Nano))
	}
	return workloadPath(workload) + "/logs?" + q.Encode()
}

// Logs returns what a workload's replicas have written, in the order of time.
func (c *Client) Logs(ctx context.Context, workload string, o LogOptions) (api.List[api.LogLine], error) {
	return get[api.List[api.LogLine]](ctx, c, o.path(workload))
}

// WatchLogs yields what a workload's replicas have written, and then what they write, as
// WatchWorkloads does.
func (c *Client) WatchLogs(ctx context.Context, workload string, o LogOptions) iter.Seq2[api.LogLine, error] {
	return follow[api.LogLine](ctx, c, o.path(workload))
}

// Kill has the engine kill a replica's process.
func (c *Client) Kill(ctx context.Context, replica string) (api.Replica, error) {
	return ask[api.Replica](ctx, c, timeout, http.MethodPost, "/api/v1/replicas/"+url.PathEscape(replica)+"/kill", nil)
}

// Images lists the images that the workloads need.
func (c *Client) Images(ctx context.Context) (api.List[api.Image], error) {
	return get[api.List[api.Image]](ctx, c, "/api/v1/images")
}

// Subscribers lists those who follow the endpoints.
func (c *Client) Subscribers(ctx context.Context) (api.List[api.Subscriber], error) {
	return get[api.List[api.Subscriber]](ctx, c, "/api/v1/subscribers")
}

// Traffic lists what went through each ingress after an instant, in the last fifteen
// minutes at most.
func (c *Client) Traffic(ctx context.Context, since time.Time) (api.List[api.Traffic], error) {
	return get[api.List[api.Traffic]](ctx, c, "/api/v1/traffic?since="+url.QueryEscape(since.UTC().Format(time.RFC3339Nano)))
}

// Session tells who asks, and what they may do.
func (c *Client) Session(ctx context.Context) (api.Session, error) {
	return get[api.Session](ctx, c, "/api/v1/session")
}

// MakeLink makes a code by which one browser can log in once.
func (c *Client) MakeLink(ctx context.Context, role api.Role) (api.Link, error) {
	return ask[api.Link](ctx, c, timeout, http.MethodPost, "/api/v1/session/link", api.Link{Role: string(role)})
}

// Watch yields everything that there is, and then each change, as WatchWorkloads does.
// since is the name of the event after which the events begin; empty for all.
func (c *Client) Watch(ctx context.Context, since string) iter.Seq2[api.WatchEvent, error] {
	return follow[api.WatchEvent](ctx, c, "/api/v1/watch?"+url.Values{"since": {since}}.Encode())
}

// Specs lists the spec files.
func (c *Client) Specs(ctx context.Context) (api.List[api.SpecFile], error) {
	return get[api.List[api.SpecFile]](ctx, c, "/api/v1/specs")
}

// Validate tries files out in place of those that are written.
func (c *Client) Validate(ctx context.Context, v api.Validation) (api.ValidationResult, error) {
	return ask[api.ValidationResult](ctx, c, timeout, http.MethodPost, "/api/v1/validate", v)
}

// Raw asks for a path of the API, and returns the body of the answer as it comes, to be
// closed by the caller.
func (c *Client) Raw(ctx context.Context, path string) (io.ReadCloser, error) {
	return c.do(ctx, http.MethodGet, path, "*/*", nil)
}
