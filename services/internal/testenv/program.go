package testenv

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/tendhq/tend/services/internal/server"
)

// programVariable tells a test binary that it is to be a service's program.
const programVariable = "TESTENV_PROGRAM"

// RunProgram makes the test binary the program of one of the services where StartProgram
// has started it. TestMain calls it first.
func RunProgram(services ...server.Service) {
	for _, service := range services {
		if os.Getenv(programVariable) == service.Name {
			server.Main(service)
		}
	}
}

// Program is a service that runs as a process of its own, which can be killed.
type Program struct {
	Service
	env     []string
	log     *os.File
	process *process
}

// NewProgram returns a program, not started yet, whose URL is known. It ends with the test.
func NewProgram(t testing.TB, service server.Service) *Program {
	t.Helper()
	port := freePort(t)
	p := &Program{
		Service: Service{URL: "http://127.0.0.1:" + strconv.Itoa(port), client: &http.Client{Transport: &http.Transport{}, Timeout: 30 * time.Second}},
		env:     []string{programVariable + "=" + service.Name, "PORT=" + strconv.Itoa(port)},
	}
	if service.GRPCPort != 0 {
		rpcPort := strconv.Itoa(freePort(t))
		p.GRPC = "127.0.0.1:" + rpcPort
		p.env = append(p.env, "GRPC_PORT="+rpcPort)
	}
	var err error
	if p.log, err = os.Create(filepath.Join(t.TempDir(), service.Name+".log")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Kill(t)
		p.client.CloseIdleConnections()
		if t.Failed() {
			t.Logf("%s: %s", service.Name, p.tail())
		}
		_ = p.log.Close()
	})
	return p
}

// Log returns what the program has logged.
func (p *Program) Log(t testing.TB) []byte {
	t.Helper()
	log, err := os.ReadFile(p.log.Name())
	if err != nil {
		t.Fatal(err)
	}
	return log
}

// tail returns the last lines of the log that tell of trouble.
func (p *Program) tail() []byte {
	log, _ := os.ReadFile(p.log.Name())
	var trouble [][]byte
	for line := range bytes.Lines(log) {
		if !bytes.Contains(line, []byte(`"level":"info"`)) {
			trouble = append(trouble, line)
		}
	}
	return bytes.Join(trouble[max(0, len(trouble)-30):], nil)
}

// Start starts the program, also again after Kill, and returns when it is ready.
func (p *Program) Start(t testing.TB, envs ...map[string]string) {
	t.Helper()
	for _, more := range envs {
		for name, value := range maps.All(more) {
			p.env = append(p.env, name+"="+value)
		}
	}
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary)
	cmd.Env = p.env
	if p.process, err = start(cmd, p.log); err != nil {
		t.Fatal(err)
	}
	AwaitFor(t, time.Minute, "the program is ready", func() error {
		return answers(p.client, p.URL+"/health/ready")
	})
}

// answers returns why a server does not answer a request with 200, or nil.
func answers(client *http.Client, url string) error {
	response, err := client.Get(url)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, response.Body)
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("answered %s", response.Status)
	}
	return nil
}

// Kill ends the program as a crash does. Nothing happens where it has ended.
func (p *Program) Kill(t testing.TB) {
	t.Helper()
	if p.process != nil {
		p.process.kill(t)
	}
}
