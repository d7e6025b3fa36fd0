package testenv

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/redis/go-redis/v9"
)

// Redis is a Redis server on a port of the loopback interface.
type Redis struct {
	Port    int
	binary  string
	args    []string
	log     *os.File
	process *process
}

// StartRedis starts a server that ends with the test and keeps nothing on disk.
func StartRedis(t testing.TB) *Redis {
	t.Helper()
	return startRedis(t, "--save", "", "--appendonly", "no")
}

// StartDurableRedis starts one that has each command on disk before it answers, as the
// event bus of compose.yaml does.
func StartDurableRedis(t testing.TB) *Redis {
	t.Helper()
	return startRedis(t, "--save", "", "--appendonly", "yes", "--appendfsync", "always", "--dir", t.TempDir())
}

func startRedis(t testing.TB, args ...string) *Redis {
	t.Helper()
	r := &Redis{Port: freePort(t), binary: find(t, "redis-server", "redis-server"), args: args}
	var err error
	if r.log, err = os.Create(filepath.Join(t.TempDir(), "redis.log")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r.Kill(t)
		_ = r.log.Close()
	})
	r.Start(t)
	return r
}

// Start starts the server again after Kill, with what it had on disk, and returns when it
// answers.
func (r *Redis) Start(t testing.TB) {
	t.Helper()
	var err error
	args := append([]string{"--port", strconv.Itoa(r.Port), "--bind", "127.0.0.1", "--requirepass", Password}, r.args...)
	r.process, err = start(exec.Command(r.binary, args...), r.log)
	if err != nil {
		t.Fatal(err)
	}
	client := r.Client()
	defer client.Close()
	Await(t, "Redis starts", func() error { return client.Ping(t.Context()).Err() })
}

// Kill ends the server as a crash does. Nothing happens where it has ended.
func (r *Redis) Kill(t testing.TB) {
	t.Helper()
	r.process.kill(t)
}

// BusEnv returns the variables that make the server a service's event bus.
func (r *Redis) BusEnv(t testing.TB) map[string]string {
	t.Helper()
	return map[string]string{"EVENT_BUS": "redis", "EVENT_BUS_HOST": "127.0.0.1", "EVENT_BUS_PORT": strconv.Itoa(r.Port), "EVENT_BUS_PASSWORD_FILE": File(t, Password)}
}

// Client returns a client of the server. The caller closes it.
func (r *Redis) Client() *redis.Client {
	return redis.NewClient(&redis.Options{Addr: fmt.Sprintf("127.0.0.1:%d", r.Port), Password: Password})
}

// Env returns the variables that lead a service to the server.
func (r *Redis) Env(t testing.TB) map[string]string {
	t.Helper()
	return map[string]string{"REDIS_HOST": "127.0.0.1", "REDIS_PORT": strconv.Itoa(r.Port), "REDIS_PASSWORD_FILE": File(t, Password)}
}

// freePort returns a port that nobody listens at, and that no other test gets before this one
// is over: a server that was killed is started again at its port. It is none of those that the
// kernel gives to outgoing connections, from 32768 on, as one of them could take it.
func freePort(t testing.TB) int {
	t.Helper()
	const first, end, tries = 10_000, 32_768, 1000
	for range tries {
		port := first + rand.IntN(end-first)
		listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", ":"+strconv.Itoa(port))
		if err != nil {
			continue
		}
		_ = listener.Close()
		if reserve(t, port) {
			return port
		}
	}
	t.Fatal("no port is free")
	return 0
}

// reserve reports whether the test has a port for itself, among all tests of this user.
func reserve(t testing.TB, port int) bool {
	t.Helper()
	dir := filepath.Join(os.TempDir(), fmt.Sprintf("tend-test-ports-%d", os.Getuid()))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	lock, err := os.OpenFile(filepath.Join(dir, strconv.Itoa(port)), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = lock.Close()
		return false
	}
	t.Cleanup(func() { _ = lock.Close() })
	return true
}
