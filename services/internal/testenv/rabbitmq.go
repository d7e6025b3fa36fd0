package testenv

import (
	"bytes"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// RabbitMQ is a RabbitMQ server on a port of the loopback interface.
type RabbitMQ struct {
	Port     int
	dir      string
	binary   string
	epmdPort int
	epmd     *process // names the server's node, and outlives it
	log      *os.File
	process  *process
}

const rabbitUser = "shop"

// StartRabbitMQ starts a server that ends with the test.
func StartRabbitMQ(t testing.TB) *RabbitMQ {
	t.Helper()
	const install = "rabbitmq-server"
	r := &RabbitMQ{Port: freePort(t), epmdPort: freePort(t), dir: t.TempDir(), binary: find(t, install, "/usr/lib/rabbitmq/bin/rabbitmq-server")}
	conf := fmt.Sprintf("listeners.tcp.1 = 127.0.0.1:%d\ndefault_user = %s\ndefault_pass = %s\n"+
		"distribution.listener.interface = 127.0.0.1\ndisk_free_limit.absolute = 1MB\nraft.wal_max_size_bytes = 32000000\n", r.Port, rabbitUser, ServicePassword)
	if err := os.WriteFile(filepath.Join(r.dir, "rabbitmq.conf"), []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	var err error
	if r.log, err = os.Create(filepath.Join(r.dir, "log")); err != nil {
		t.Fatal(err)
	}
	if r.epmd, err = start(exec.Command(find(t, install, "epmd"), "-port", strconv.Itoa(r.epmdPort), "-address", "127.0.0.1"), r.log); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			log, _ := os.ReadFile(r.log.Name())
			t.Logf("the end of RabbitMQ's log: %s", log[max(0, len(log)-32<<10):])
		}
		r.Kill(t)
		r.epmd.kill(t)
		_ = r.log.Close()
	})
	r.Start(t)
	return r
}

// Start starts the server again after Kill, with what it had on disk, and returns when it
// answers.
func (r *RabbitMQ) Start(t testing.TB) {
	t.Helper()
	cmd := exec.Command(r.binary)
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + r.dir, "LANG=C.UTF-8",
		"ERL_EPMD_PORT=" + strconv.Itoa(r.epmdPort), "ERL_EPMD_ADDRESS=127.0.0.1",
		"RABBITMQ_NODENAME=rabbit@localhost", "RABBITMQ_DIST_PORT=" + strconv.Itoa(freePort(t)),
		"RABBITMQ_MNESIA_BASE=" + filepath.Join(r.dir, "data"), "RABBITMQ_LOG_BASE=" + r.dir, "RABBITMQ_LOGS=-",
		"RABBITMQ_CONFIG_FILE=" + filepath.Join(r.dir, "rabbitmq"), "RABBITMQ_ENABLED_PLUGINS_FILE=" + filepath.Join(r.dir, "plugins"),
		// Without a shell between, which would outlive a kill's victim.
		"RUNNING_UNDER_SYSTEMD=true",
	}
	var err error
	if r.process, err = start(cmd, r.log); err != nil {
		t.Fatal(err)
	}
	AwaitFor(t, time.Minute, "RabbitMQ starts", func() error {
		connection, err := amqp.Dial(r.URL())
		if err != nil {
			return err
		}
		return connection.Close()
	})
}

// AwaitQueues returns once quorum queues are registered on disk. RabbitMQ 3.10 writes that up
// to half a second after it has said that a queue is declared, and one that a kill has lost
// before never elects a leader again.
func (r *RabbitMQ) AwaitQueues(t testing.TB, names ...string) {
	t.Helper()
	file := filepath.Join(r.dir, "data/rabbit@localhost/quorum/rabbit@localhost/names.dets")
	Await(t, "the queues are registered on disk", func() error {
		registered, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		for _, name := range names {
			atom := "%2F_" + name // of the vhost /, after its length
			if !bytes.Contains(registered, append([]byte{byte(len(atom))}, atom...)) {
				return fmt.Errorf("%s has no %s", file, atom)
			}
		}
		return nil
	})
}

// Kill ends the server as a crash does. Nothing happens where it has ended.
func (r *RabbitMQ) Kill(t testing.TB) {
	t.Helper()
	r.process.kill(t)
}

// URL returns where clients connect.
func (r *RabbitMQ) URL() string {
	address := url.URL{Scheme: "amqp", User: url.UserPassword(rabbitUser, ServicePassword), Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(r.Port)), Path: "/"}
	return address.String()
}

// BusEnv returns the variables that make the server a service's event bus.
func (r *RabbitMQ) BusEnv(t testing.TB) map[string]string {
	t.Helper()
	return map[string]string{"EVENT_BUS": "rabbitmq", "EVENT_BUS_HOST": "127.0.0.1", "EVENT_BUS_PORT": strconv.Itoa(r.Port), "EVENT_BUS_PASSWORD_FILE": File(t, ServicePassword)}
}
