//go:build linux

package cli

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/state"
)

// publish publishes replicas at addresses of this machine, and returns the index.
func (w *world) publish(workload string, addresses ...string) uint64 {
	w.t.Helper()
	var endpoints []core.Endpoint
	for i, address := range addresses {
		host, port, err := net.SplitHostPort(address)
		require.NoError(w.t, err)
		number, err := strconv.Atoi(port)
		require.NoError(w.t, err)
		name := fmt.Sprintf("shop-%s-%d", workload, i+1)
		endpoints = append(endpoints, core.Endpoint{Workload: workload, ID: address, Replica: name, Addresses: map[string]string{"backend": host}, Ports: []int{number}})
	}
	w.store.Update(func(tx *state.Tx) { tx.PutEndpoints(workload, endpoints) })
	return w.store.Snapshot().EndpointsIndex()
}

func (w *world) write(name, content string) string {
	w.t.Helper()
	path := filepath.Join(w.dir, name)
	require.NoError(w.t, os.WriteFile(path, []byte(content), 0o644))
	return path
}

func readFile(path string) string {
	content, _ := os.ReadFile(path)
	return string(content)
}

func TestAFileFollowsTheEndpointsAndIsAcknowledgedOnceTheCommandSucceeds(t *testing.T) {
	w := newWorld(t, oneService)
	w.keep("web", func(*spec.Workload, *core.Status) {})
	template := w.write("list.tmpl", "{{range .workloads.web}}{{.addresses.backend}}:{{index .ports 0}} {{end}}{{.index}}\n")
	file, broken := filepath.Join(w.dir, "list"), filepath.Join(w.dir, "broken")
	first := w.publish("web", "172.20.0.5:80")
	_, stop := w.start("endpoints", "--template", template, "--output", file, "--on-change", "test ! -e "+broken)
	eventually(t, func() bool { return w.acknowledges() == first }, "the first endpoints are not acknowledged")
	assert.Equal(t, fmt.Sprintf("172.20.0.5:80 %d\n", first), readFile(file))

	w.write("broken", "")
	second := w.publish("web", "172.20.0.6:80")
	eventually(t, func() bool { return strings.HasPrefix(readFile(file), "172.20.0.6") }, "the file does not follow")
	w.publish("web", "172.20.0.6:80", "172.20.0.7:80")
	eventually(t, func() bool { return strings.Contains(readFile(file), "172.20.0.7") }, "it is not tried again with what is new")
	assert.Less(t, w.acknowledges(), second, "the command has failed")

	require.NoError(t, os.Remove(broken))
	eventually(t, func() bool { return w.acknowledges() == second+1 }, "what is in force is not acknowledged")
	require.NoError(t, stop())
	entries, err := filepath.Glob(filepath.Join(w.dir, ".list-*"))
	require.NoError(t, err)
	assert.Empty(t, entries, "nothing is left beside the file")
}

func TestATemplateThatCannotBeReadIsAFailure(t *testing.T) {
	w := newWorld(t, oneService)
	for _, path := range []string{w.write("bad.tmpl", "{{range}}"), filepath.Join(w.dir, "missing")} {
		_, err := w.tend("endpoints", "--template", path, "--output", filepath.Join(w.dir, "list"), "--on-change", "true")
		assert.ErrorContains(t, err, "read the template")
	}
}

// backend is a replica that serves until it is stopped as a good one is: what
// is under way is finished, and nobody new is let in.
type backend struct {
	http.Server
	address string
	served  atomic.Int64
}

func newBackend(t *testing.T) *backend {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	b := &backend{address: l.Addr().String()}
	b.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.served.Add(1)
		_, _ = io.Copy(w, r.Body)
	})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = b.Serve(l)
	}()
	t.Cleanup(func() {
		_ = b.Close()
		<-ended
	})
	return b
}

// TestNginxFollowsChangesWithoutFailingARequest runs the documented example.
func TestNginxFollowsChangesWithoutFailingARequest(t *testing.T) {
	const example = "../../docs/examples/nginx/"
	w := newWorld(t, oneService)
	w.keep("user-service", func(*spec.Workload, *core.Status) {})
	w.keep("idle", func(*spec.Workload, *core.Status) {})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := l.Addr().String()
	require.NoError(t, l.Close())
	config := strings.Replace(readFile(example+"nginx.conf"), "127.0.0.1:8088", address, 1)
	w.write("nginx.conf", config)
	upstreams := w.write("upstreams.conf", "upstream user-service { server 127.0.0.1:9; }\n")

	nginx := exec.Command("nginx", "-p", w.dir, "-c", "nginx.conf", "-g", "daemon off;")
	var log output
	nginx.Stderr = &log
	require.NoError(t, nginx.Start(), "deploy/setup.sh --test installs nginx")
	t.Cleanup(func() {
		_ = nginx.Process.Signal(os.Interrupt)
		_ = nginx.Wait()
		if t.Failed() {
			t.Log(log.String())
		}
	})

	live := []*backend{newBackend(t), newBackend(t)}
	index := w.publish("user-service", live[0].address, live[1].address)
	w.start("endpoints", "--template", example+"upstreams.conf.tmpl", "--output", upstreams,
		"--on-change", "nginx -p "+w.dir+" -c nginx.conf -s reload && sleep 1")
	inForce := func() {
		t.Helper()
		eventually(t, func() bool { return w.acknowledges() == index }, "nginx does not follow: %s", log.String())
	}
	inForce()

	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	var load sync.WaitGroup
	var sent atomic.Int64
	for worker := range 4 {
		fresh := worker%2 == 0 // a connection for each request
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: fresh}, Timeout: 10 * time.Second}
		load.Go(func() {
			defer client.CloseIdleConnections()
			for n := 0; ctx.Err() == nil; n++ {
				text := fmt.Sprint(worker, n)
				// nginx does not send a POST again that a replica may have seen.
				r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+address+"/api/users/", strings.NewReader(text))
				if !assert.NoError(t, err) {
					return
				}
				if !fresh {
					// nginx closes idle connections when it reloads; with the
					// key the client may repeat what it sent just then.
					r.Header.Set("Idempotency-Key", text)
				}
				answer, err := client.Do(r)
				if !assert.NoError(t, err) {
					return
				}
				got, err := io.ReadAll(answer.Body)
				_ = answer.Body.Close()
				if !assert.NoError(t, err) || !assert.Equal(t, http.StatusOK, answer.StatusCode) || !assert.Equal(t, text, string(got)) {
					return
				}
				sent.Add(1)
			}
		})
	}
	for range 6 { // a replica comes, another leaves and is stopped
		live = append(live, newBackend(t))
		before := sent.Load()
		index = w.publish("user-service", live[1].address, live[2].address)
		inForce()
		served := live[0].served.Load()
		eventually(t, func() bool { return sent.Load() > before+200 || t.Failed() }, "no request comes through")
		assert.Equal(t, served, live[0].served.Load(), "nothing goes to a replica that has left")
		require.NoError(t, live[0].Shutdown(t.Context()))
		require.False(t, t.Failed())
		live = live[1:]
	}
	stop()
	load.Wait()
	t.Logf("%d requests", sent.Load())
}
