package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/tendhq/tend/api"
)

func workloadPath(name string) string { return "/api/v1/workloads/" + url.PathEscape(name) }

// WatchWorkload yields one workload as WatchWorkloads does the list.
func (c *Client) WatchWorkload(ctx context.Context, name string) iter.Seq2[api.Workload, error] {
	return follow[api.Workload](ctx, c, workloadPath(name))
}

// Revisions lists a workload's revisions, oldest first.
func (c *Client) Revisions(ctx context.Context, workload string) (api.List[api.Revision], error) {
	return get[api.List[api.Revision]](ctx, c, workloadPath(workload)+"/revisions")
}

// Pause has a rollout stay where it is.
func (c *Client) Pause(ctx context.Context, workload string) (api.Workload, error) {
	return c.rollout(ctx, workload, "pause", nil)
}

// Resume has a paused rollout go on.
func (c *Client) Resume(ctx context.Context, workload string) (api.Workload, error) {
	return c.rollout(ctx, workload, "resume", nil)
}

// Restart has all replicas of a workload replaced.
func (c *Client) Restart(ctx context.Context, workload string) (api.Workload, error) {
	return c.rollout(ctx, workload, "restart", nil)
}

// Undo goes back to the revision with a number; for 0 to the one before the one in
// force.
func (c *Client) Undo(ctx context.Context, workload string, toRevision int) (api.Workload, error) {
	return c.rollout(ctx, workload, "undo", api.Undo{ToRevision: toRevision})
}

func (c *Client) rollout(ctx context.Context, workload, verb string, body any) (api.Workload, error) {
	return ask[api.Workload](ctx, c, timeout, http.MethodPost, workloadPath(workload)+"/rollout/"+verb, body)
}

// EndpointOptions are the options of a query for endpoints; the zero value does not
// wait.
type EndpointOptions struct {
	// Subscriber names the one who has the endpoints of Index in force; it may be
	// empty.
	Subscriber string
	Index      uint64
	// Wait is how long to wait for an index other than Index.
	Wait time.Duration
}

// Endpoints returns the published endpoints.
func (c *Client) Endpoints(ctx context.Context, o EndpointOptions) (api.Endpoints, error) {
	if o == (EndpointOptions{}) {
		return get[api.Endpoints](ctx, c, "/api/v1/endpoints")
	}
	return ask[api.Endpoints](ctx, c, timeout+o.Wait, http.MethodGet, o.path(), nil)
}

// Follow returns the published endpoints to a subscriber, and tells what that has carried
// since its own start.
func (c *Client) Follow(ctx context.Context, o EndpointOptions, carried api.Carried) (api.Endpoints, error) {
	return ask[api.Endpoints](ctx, c, timeout+o.Wait, http.MethodPost, o.path(), carried)
}

func (o EndpointOptions) path() string {
	q := url.Values{"index": {strconv.FormatUint(o.Index, 10)}, "wait": {o.Wait.String()}}
	if o.Subscriber != "" {
		q.Set("subscriber", o.Subscriber)
	}
	return "/api/v1/endpoints?" + q.Encode()
}
