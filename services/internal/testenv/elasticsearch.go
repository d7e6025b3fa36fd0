package testenv

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// Elasticsearch is a ZincSearch, which has the part of Elasticsearch's API that is used here,
// on a port of the loopback interface.
type Elasticsearch struct {
	URL     string
	port    int
	dir     string
	binary  string
	log     *os.File
	process *process
}

// StartElasticsearch starts a server that ends with the test.
func StartElasticsearch(t testing.TB) *Elasticsearch {
	t.Helper()
	_, here, _, _ := runtime.Caller(0)
	binary := filepath.Join(filepath.Dir(here), "../../../build/bin/zincsearch")
	if _, err := os.Stat(binary); err != nil {
		t.Fatalf("no ZincSearch: run make build/bin/zincsearch: %v", err)
	}
	e := &Elasticsearch{port: freePort(t), dir: t.TempDir(), binary: binary}
	e.URL = "http://127.0.0.1:" + strconv.Itoa(e.port)
	var err error
	if e.log, err = os.Create(filepath.Join(e.dir, "log")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		e.Kill(t)
		if t.Failed() {
			log, _ := os.ReadFile(e.log.Name())
			t.Logf("the end of ZincSearch's log: %s", log[max(0, len(log)-8<<10):])
		}
		_ = e.log.Close()
	})
	e.Start(t)
	return e
}

// Start starts the server again after Kill, with what it had on disk, and returns when it
// answers.
func (e *Elasticsearch) Start(t testing.TB) {
	t.Helper()
	cmd := exec.Command(e.binary, "127.0.0.1:"+strconv.Itoa(e.port))
	cmd.Dir = e.dir
	cmd.Env = []string{"ZINC_DATA_PATH=" + filepath.Join(e.dir, "data"), "ZINC_WAL_SYNC_INTERVAL=10ms", "ZINC_SENTRY=false"}
	var err error
	if e.process, err = start(cmd, e.log); err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	Await(t, "ZincSearch starts", func() error { return answers(client, e.URL) })
}

// Kill ends the server as a crash does. Nothing happens where it has ended.
func (e *Elasticsearch) Kill(t testing.TB) {
	t.Helper()
	e.process.kill(t)
}

// Pause keeps the server from answering until Resume: connections are made, and nothing comes.
func (e *Elasticsearch) Pause(t testing.TB) {
	t.Helper()
	e.signal(t, syscall.SIGSTOP)
	Await(t, "ZincSearch stands still", func() error {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", e.process.cmd.Process.Pid))
		if err == nil && !strings.Contains(string(status), "State:\tT") {
			err = errors.New("it runs")
		}
		return err
	})
}

// Resume ends a Pause.
func (e *Elasticsearch) Resume(t testing.TB) { e.signal(t, syscall.SIGCONT) }

func (e *Elasticsearch) signal(t testing.TB, signal syscall.Signal) {
	t.Helper()
	if err := e.process.cmd.Process.Signal(signal); err != nil {
		t.Fatal(err)
	}
}

// Env returns the variables that have a service search there.
func (e *Elasticsearch) Env() map[string]string { return map[string]string{"ELASTICSEARCH_URL": e.URL} }
