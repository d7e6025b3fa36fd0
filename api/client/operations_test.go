package client

import (
	"context"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/tendhq/tend/api"
)

// first reads a stream to its first thing.
func first[T any](seq func(yield func(T, error) bool)) {
	seq(func(T, error) bool { return false })
}

// The client has each operation of the API, at the path and by the method that the
// document gives. What is for others than Go programs goes through Raw, and what is for
// Consul's clients is asked for with those.
func TestTheClientHasEachOperation(t *testing.T) {
	calls := map[string]func(context.Context, *Client) error{
		"listWorkloads":         func(ctx context.Context, c *Client) error { _, err := c.Workloads(ctx); return err },
		"getWorkload":           func(ctx context.Context, c *Client) error { _, err := c.Workload(ctx, "a b"); return err },
		"listWorkloadReplicas":  func(ctx context.Context, c *Client) error { _, err := c.Replicas(ctx, "web"); return err },
		"listReplicas":          func(ctx context.Context, c *Client) error { _, err := c.Replicas(ctx, ""); return err },
		"listWorkloadRevisions": func(ctx context.Context, c *Client) error { _, err := c.Revisions(ctx, "web"); return err },
		"diffRevisions":         func(ctx context.Context, c *Client) error { _, err := c.DiffRevisions(ctx, "web", 1, 2); return err },
		"planWorkload":          func(ctx context.Context, c *Client) error { _, err := c.Plan(ctx, "web"); return err },
		"readLogs": func(ctx context.Context, c *Client) error {
			_, err := c.Logs(ctx, "web", LogOptions{Tail: 3, Since: time.Now()})
			return err
		},
		"scaleWorkload":  func(ctx context.Context, c *Client) error { _, err := c.Scale(ctx, "web", 2); return err },
		"pauseRollout":   func(ctx context.Context, c *Client) error { _, err := c.Pause(ctx, "web"); return err },
		"resumeRollout":  func(ctx context.Context, c *Client) error { _, err := c.Resume(ctx, "web"); return err },
		"restartRollout": func(ctx context.Context, c *Client) error { _, err := c.Restart(ctx, "web"); return err },
		"undoRollout":    func(ctx context.Context, c *Client) error { _, err := c.Undo(ctx, "web", 1); return err },
		"killReplica":    func(ctx context.Context, c *Client) error { _, err := c.Kill(ctx, "shop-web-1"); return err },
		"followEndpoints": func(ctx context.Context, c *Client) error {
			_, err := c.Follow(ctx, EndpointOptions{Subscriber: "gateway"}, api.Carried{Traffic: map[string]api.CarriedTraffic{"web": {Requests: 1, Latency: make([]int64, 14)}}})
			return err
		},
		"listEndpoints":   func(ctx context.Context, c *Client) error { _, err := c.Endpoints(ctx, EndpointOptions{}); return err },
		"listEvents":      func(ctx context.Context, c *Client) error { _, err := c.Events(ctx, EventOptions{}); return err },
		"listImages":      func(ctx context.Context, c *Client) error { _, err := c.Images(ctx); return err },
		"listSubscribers": func(ctx context.Context, c *Client) error { _, err := c.Subscribers(ctx); return err },
		"listTraffic":     func(ctx context.Context, c *Client) error { _, err := c.Traffic(ctx, time.Time{}); return err },
		"makeLink":        func(ctx context.Context, c *Client) error { _, err := c.MakeLink(ctx, api.Reader); return err },
		"watch":           func(ctx context.Context, c *Client) error { first(c.Watch(ctx, "3")); return nil },
		"listSpecs":       func(ctx context.Context, c *Client) error { _, err := c.Specs(ctx); return err },
		"validate":        func(ctx context.Context, c *Client) error { _, err := c.Validate(ctx, api.Validation{}); return err },
		"healthz":         func(ctx context.Context, c *Client) error { _, err := c.Health(ctx); return err },
		"readyz":          func(ctx context.Context, c *Client) error { return c.Ready(ctx) },
		"metrics":         func(ctx context.Context, c *Client) error { _, err := c.Raw(ctx, "/metrics"); return err },
	}
	others := []string{"listWorkloadEvents", "discoverPrometheus", "discoverTraefik", "openapi", "getSpec", "putSpec", "getSession", "login", "logout", "page", "pageFile"}

	text, err := os.ReadFile("../openapi.yaml")
	require.NoError(t, err)
	var document struct {
		Paths map[string]map[string]yaml.Node
	}
	require.NoError(t, yaml.Unmarshal(text, &document))
	operations := map[string]string{} // the pattern of "METHOD path", by operation
	for path, methods := range document.Paths {
		for method, node := range methods {
			var o struct {
				OperationID string `yaml:"operationId"`
			}
			if method == "parameters" || node.Decode(&o) != nil {
				continue
			}
			pattern := regexp.MustCompile(`\\\{[a-z]+\\\}`).ReplaceAllString(regexp.QuoteMeta(path), "[^/]+")
			operations[o.OperationID] = "^" + strings.ToUpper(method) + " " + pattern + "$"
		}
	}
	for id := range operations {
		if strings.HasPrefix(id, "consul") {
			continue
		}
		_, called := calls[id]
		assert.True(t, called != slices.Contains(others, id), "the client does not have %s", id)
	}

	var mu sync.Mutex
	asked := ""
	dir := t.TempDir()
	l, err := net.Listen("unix", filepath.Join(dir, api.SocketName))
	require.NoError(t, err)
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		asked = r.Method + " " + r.URL.EscapedPath()
		_, _ = w.Write([]byte("{}"))
	})}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { server.Close() })
	client, err := Dial(dir)
	require.NoError(t, err)
	for id, call := range calls {
		require.NoError(t, call(t.Context(), client), id)
		mu.Lock()
		assert.Regexp(t, operations[id], asked, id)
		mu.Unlock()
	}
}
