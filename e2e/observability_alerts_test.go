//go:build all

package e2e_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/volume"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/tendhq/tend/e2e/kit"
)

// cable is a socket of the engine that can be pulled out.
type cable struct {
	engine string // the socket at the other end
	mu     sync.Mutex
	open   map[net.Conn]bool
	out    bool
}

// newCable listens at a path for who would ask the engine.
func newCable(t *testing.T, path, engine string) *cable {
	listener, err := net.Listen("unix", path)
	require.NoError(t, err)
	require.NoError(t, os.Chmod(path, 0o666)) // tend is another user in its container
	c := &cable{engine: engine, open: map[net.Conn]bool{}}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { c.carry(client) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		c.pull()
		serving.Wait()
	})
	return c
}

func (c *cable) carry(client net.Conn) {
	defer client.Close()
	engine, err := net.Dial("unix", c.engine)
	if err != nil {
		return
	}
	defer engine.Close()
	c.mu.Lock()
	out := c.out
	c.open[client], c.open[engine] = true, true
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.open, client)
		delete(c.open, engine)
	}()
	if out {
		return
	}
	passOn(client, engine)
}

// passOn passes on what two connections say to each other, until both have ended.
func passOn(a, b net.Conn) {
	var both sync.WaitGroup
	for _, way := range [][2]net.Conn{{a, b}, {b, a}} {
		both.Go(func() {
			_, _ = io.Copy(way[0], way[1])
			_ = way[0].(interface{ CloseWrite() error }).CloseWrite()
		})
	}
	both.Wait()
}

// pull breaks all connections, and each that is made until plug.
func (c *cable) pull() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.out = true
	for conn := range c.open {
		_ = conn.Close()
	}
}

func (c *cable) plug() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.out = false
}

// onSmallDisk moves tend's data directory to a file system that a test can fill.
func (o *observed) onSmallDisk() {
	dir, aside := o.path(".tend"), o.path(".tend.before")
	require.NoError(o.t, os.Rename(dir, aside))
	require.NoError(o.t, os.Mkdir(dir, 0o700))
	require.NoError(o.t, unix.Mount("tmpfs", dir, "tmpfs", 0, "size=16m"), "this test mounts a file system: it needs root")
	o.t.Cleanup(func() { assert.NoError(o.t, unix.Unmount(dir, unix.MNT_DETACH)) })
	copied := o.exec("cp", "-a", aside+"/.", dir)
	require.Zero(o.t, copied.code, "%s", copied)
}

// procfs is a /proc for the exporter of the machine, of a machine whose load a test chooses.
type procfs struct {
	dir   string
	mu    sync.Mutex
	busy  bool
	ticks int
}

// newProcfs writes that of a machine that has nothing to do, and goes on with it until the
// test ends.
func (o *observed) newProcfs() *procfs {
	m := &procfs{dir: o.path("machine")}
	require.NoError(o.t, os.Mkdir(m.dir, 0o755))
	m.write()
	o.t.Cleanup(o.repeatedly(m.write))
	return m
}

// write lets a fifth of a second pass.
func (m *procfs) write() {
	m.mu.Lock()
	defer m.mu.Unlock()
	free := 900
	if m.busy {
		free = 50
	} else {
		m.ticks += 20
	}
	// In hundredths of a second: user, nice, system, idle. Prometheus' rate sees no idle time pass.
	stat := fmt.Sprintf("cpu  1 0 0 %[1]d 0 0 0 0 0 0\ncpu0 1 0 0 %[1]d 0 0 0 0 0 0\nbtime 1\n", m.ticks)
	for name, content := range map[string]string{"stat": stat, "meminfo": fmt.Sprintf("MemTotal: 1000 kB\nMemFree: %[1]d kB\nMemAvailable: %[1]d kB\n", free)} {
		_ = kit.Replace(filepath.Join(m.dir, name), content)
	}
}

func (m *procfs) set(busy bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.busy = busy
}

// override adds services to compose.override.yaml, and returns what takes them away.
func (o *observed) override(services string) (undo func()) {
	before := o.read("compose.override.yaml")
	o.write("compose.override.yaml", before+services)
	return func() { o.write("compose.override.yaml", before) }
}

// sql runs a statement in a database of the shop.
func (o *observed) sql(service, name, statement string) {
	o.compose("exec", "-T", service, "psql", "-U", "postgres", "-d", name, "-c", statement)
}

// list asks for a customer's orders.
func (o *observed) list(client *http.Client, token string) {
	request, err := http.NewRequest(http.MethodGet, o.gateway+"/api/orders", nil)
	require.NoError(o.t, err)
	request.Header.Set("Authorization", "Bearer "+token)
	if response, err := client.Do(request); err == nil {
		_ = response.Body.Close()
	}
}

// harm has happen what the alerts are for that are not about a service's time or its database.
func (o *observed) harm(client *http.Client, engine *cable, customer string) {
	var undo, stop func()
	machine := o.newProcfs()
	// As with the exporter's own command, but for whose /proc it reads.
	command := regexp.MustCompile(`(?s)  node-exporter:.*?command:\n(.*?)    volumes:`).FindStringSubmatch(o.read("compose.yaml"))[1]
	watching := o.override("  node-exporter:\n    command: !override\n" + command + "      - --path.procfs=/machine\n    volumes: [\"./machine:/machine:ro\"]\n")
	o.await(func() error {
		if total := o.query(`node_memory_MemTotal_bytes`, "")[""]; total != "1024000" {
			return fmt.Errorf("the exporter reads another machine's memory: %s", total)
		}
		return nil
	})
	o.fires("a machine that is busy and full, and orders that fail", func() {
		machine.set(true)
		o.sql("order-db", "orders", "ALTER TABLE orders RENAME TO away")
		stop = o.repeatedly(func() { o.list(client, customer) })
	}, func() {
		stop()
		o.sql("order-db", "orders", "ALTER TABLE away RENAME TO orders")
		machine.set(false)
	}, "HighCpuUsage", "HighMemoryUsage node-exporter", "HighErrorRate order-service", "ErrorBudgetBurnFast order-service", "ErrorBudgetBurnSlow order-service")
	watching()

	o.fires("an image that is nowhere", func() { undo = o.override("  web: {image: \"localhost:1/nowhere:1\"}\n") }, func() { undo() }, "ImagePullFailing tend")
	o.mustTend("wait", "web", "--timeout", "2m")

	o.fires("a process that ends at once, which the engine starts again and again", func() {
		undo = o.override("  crashing: {image: \"redis:7-bookworm\", entrypoint: [\"false\"], restart: always, scale: 3}\n")
	}, func() { undo() }, "CrashLoop tend")

	scale := func(workload string, from, to int) {
		o.edit("specs/"+workload+".yaml", fmt.Sprintf("replicas: %d", from), fmt.Sprintf("replicas: %d", to))
	}
	o.fires("a gateway that hangs while a replica goes", func() {
		o.pause("gateway")
		scale("product-service", 4, 3)
	}, func() {
		o.unpause("gateway")
		scale("product-service", 3, 4)
	}, "DrainTimedOut tend")
	o.mustTend("wait", "gateway", "product-service", "--timeout", "2m")

	o.fires("a gateway without replicas", func() { scale("gateway", 2, 0) }, func() { scale("gateway", 0, 2) }, "IngressWithoutReplicas tend")

	o.fires("a disk that is full", func() {
		fill(o.t, o.path(".tend/filler"))
		undo = o.override("  notification-db: {labels: {long: \"" + strings.Repeat("x", 100_000) + "\"}, command: [postgres, -c, work_mem=5MB]}\n")
	}, func() {
		undo()
		require.NoError(o.t, os.Remove(o.path(".tend/filler")))
	}, "StateNotDurable tend", "BackupFailed tend")

	o.fires("an engine that does not answer", engine.pull, engine.plug, "EngineAway tend")

	data := o.name + "_notification-db-data"
	o.fires("a database whose volume is gone", func() {
		o.pause("tend") // which would have made the container again before the volume is gone
		require.NoError(o.t, o.engine.ContainerRemove(o.t.Context(), o.replica("notification-db").ID, container.RemoveOptions{Force: true}))
		require.NoError(o.t, o.engine.VolumeRemove(o.t.Context(), data, false))
		o.unpause("tend")
	}, func() {
		_, err := o.engine.VolumeCreate(context.Background(), volume.CreateOptions{Name: data, Labels: map[string]string{kit.ProjectLabel: o.name, "com.docker.compose.volume": "notification-db-data"}})
		require.NoError(o.t, err)
	}, "DatabaseVolumeMissing tend")
}
