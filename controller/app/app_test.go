package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	consul "github.com/hashicorp/consul/api"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"go.uber.org/zap"

	"github.com/tendhq/tend/api"
	"github.com/tendhq/tend/api/client"
	"github.com/tendhq/tend/controller"
	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/engine/model"
	"github.com/tendhq/tend/controller/observe"
	"github.com/tendhq/tend/controller/spec/load"
	"github.com/tendhq/tend/state"
	"github.com/tendhq/tend/state/durable"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// shop is a project in a folder of its own, on an engine in memory.
type shop struct {
	t       *testing.T
	dir     string
	options Options
	hangUps chan os.Signal

	mu   sync.Mutex
	said []string
}

func newShop(t *testing.T) *shop {
	t.Helper()
	e := model.New()
	t.Cleanup(func() { require.NoError(t, e.Close()) })
	e.AddImage("web:1", model.Behavior{})
	s := &shop{t: t, dir: t.TempDir(), hangUps: make(chan os.Signal, 1)}
	s.write(2)
	o := load.Options{ProjectDirectory: s.dir}
	p, err := load.Project(t.Context(), o)
	require.NoError(t, err)
	s.options = Options{
		Engine: e, Project: p, Spec: o, DataDir: filepath.Join(s.dir, ".tend"),
		Folders: observe.Folders{Project: p.WorkingDir}, Version: "1.2.3", HangUps: s.hangUps,
		Log: zap.NewNop(), Say: s.say,
		OnEvent: func(e *state.Event) { s.say("%s: %s", e.Reason, e.Message) },
	}
	return s
}

func (s *shop) write(replicas int) {
	s.t.Helper()
	text := fmt.Sprintf("name: shop\nservices: {web: {image: \"web:1\", scale: %d}}\n", replicas)
	require.NoError(s.t, os.WriteFile(filepath.Join(s.dir, "compose.yaml"), []byte(text), 0o600))
}

func (s *shop) say(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.said = append(s.said, fmt.Sprintf(format, args...))
}

func (s *shop) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.said, "\n")
}

// says waits until a text was said n times.
func (s *shop) says(text string, n int) {
	s.t.Helper()
	eventually(s.t, func() bool { return strings.Count(s.text(), text) >= n }, "%q is not said %d times", text, n)
}

// run keeps the project; stop ends that and returns how it ended.
func (s *shop) run() (stop func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, s.options) }()
	stop = sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	s.t.Cleanup(func() { _ = stop() })
	return stop
}

// converges waits until the API tells that web has converged to a number of replicas.
func (s *shop) converges(replicas int) *client.Client {
	s.t.Helper()
	var c *client.Client
	eventually(s.t, func() bool {
		var err error
		if c, err = client.Dial(s.options.DataDir); err != nil {
			return false
		}
		w, err := c.Workload(s.t.Context(), "web")
		return err == nil && w.Status.Converged && w.Status.ReadyReplicas == replicas
	}, "web has not converged to %d replicas", replicas)
	return c
}

// running counts the containers that run.
func (s *shop) running() (n int) {
	s.t.Helper()
	containers, err := s.options.Engine.Containers(context.Background(), "shop")
	require.NoError(s.t, err)
	for _, c := range containers {
		if c.State == engine.Running {
			n++
		}
	}
	return n
}

func eventually(t *testing.T, so func() bool, text string, args ...any) {
	t.Helper()
	require.Eventually(t, so, time.Minute, 10*time.Millisecond, append([]any{text}, args...)...)
}

// address is one at which nobody listens.
func address(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	return l.Addr().String()
}

func TestAProjectIsKeptAndServed(t *testing.T) {
	s := newShop(t)
	s.options.API.EndpointsListen = address(t)
	stop := s.run()
	c := s.converges(2)
	health, err := c.Health(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "shop", health.Project)
	assert.Equal(t, "1.2.3", health.Version)
	status, _ := s.metrics("")
	assert.Equal(t, http.StatusUnauthorized, status)
	token, err := os.ReadFile(filepath.Join(s.options.DataDir, api.TokenFile(api.Reader)))
	require.NoError(t, err)
	_, metrics := s.metrics(strings.TrimSpace(string(token)))
	assert.Contains(t, metrics, `tend_workload_converged{workload="web"} 1`)

	s.write(3)
	s.converges(3)

	require.NoError(t, stop())
	assert.Equal(t, 3, s.running(), "what runs does not go on running")
	assert.Contains(t, s.text(), "stopped; what runs goes on running")
	_, err = client.Dial(s.options.DataDir)
	assert.ErrorIs(t, err, client.ErrNotRunning)
	recordings, err := filepath.Glob(filepath.Join(s.options.DataDir, "recordings", "*"))
	require.NoError(t, err)
	assert.NotEmpty(t, recordings)
}

// What was registered is found after a restart, by the client of Consul that has registered
// it over the control API.
func TestWhatIsRegisteredOutlivesARestart(t *testing.T) {
	s := newShop(t)
	s.options.API.Listen = address(t)
	stop := s.run()
	s.converges(2)
	token, err := os.ReadFile(filepath.Join(s.options.DataDir, api.TokenFile(api.Admin)))
	require.NoError(t, err)
	transport := &http.Transport{DisableKeepAlives: true}
	c, err := consul.NewClient(&consul.Config{Address: s.options.API.Listen, Token: strings.TrimSpace(string(token)), Transport: transport})
	require.NoError(t, err)
	require.NoError(t, c.Agent().ServiceRegister(&consul.AgentServiceRegistration{
		Name: "billing", Address: "192.0.2.7", Port: 80, Check: &consul.AgentServiceCheck{TTL: "1h"},
	}))
	require.NoError(t, c.Agent().UpdateTTL("service:billing", "well", "pass"))
	s.says("ServiceRegistered: billing of the service billing is registered, at 192.0.2.7:80", 1)
	require.NoError(t, stop())

	s.run()
	s.converges(2)
	entries, _, err := c.Health().Service("billing", "", true, nil)
	require.NoError(t, err)
	require.Len(t, entries, 1)
	assert.Equal(t, "well", entries[0].Checks[0].Output)
}

// metrics asks for the metrics over TCP with a token.
func (s *shop) metrics(token string) (status int, text string) {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, "http://"+s.options.API.EndpointsListen+"/metrics", nil)
	require.NoError(s.t, err)
	r.Header.Set("Authorization", "Bearer "+token)
	get := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := get.Do(r)
	require.NoError(s.t, err)
	defer answer.Body.Close()
	content, err := io.ReadAll(answer.Body)
	require.NoError(s.t, err)
	return answer.StatusCode, string(content)
}

func TestAHangUpHasEverythingReadAgain(t *testing.T) {
	s := newShop(t)
	s.run()
	s.converges(2)
	s.hangUps <- syscall.SIGHUP
	s.says("SIGHUP: reading what is written again", 1)
	s.says("Reloaded: what is written was read again, and the engine was listed anew", 1)
}

func TestItStandsByWhileAnotherHasTheRightToAct(t *testing.T) {
	s := newShop(t)
	r, err := TakeRight(t.Context(), s.options.DataDir, "shop", "")
	require.NoError(t, err)
	stop := s.run()
	s.says("keeps project shop; this one takes over when that one has ended", 1)
	assert.Zero(t, s.running())
	require.NoError(t, r.Release())
	s.converges(2)
	require.NoError(t, stop())

	r, err = TakeRight(t.Context(), s.options.DataDir, "shop", "")
	require.NoError(t, err, "the right is not given up at the end")
	require.NoError(t, r.Release())
}

func TestItEndsWhileItStandsBy(t *testing.T) {
	s := newShop(t)
	r, err := TakeRight(t.Context(), s.options.DataDir, "shop", "")
	require.NoError(t, err)
	defer func() { require.NoError(t, r.Release()) }()
	stop := s.run()
	s.says("standing by", 1)
	assert.NoError(t, stop())
}

func TestItBeginsAnewWhenTheRightIsLost(t *testing.T) {
	s := newShop(t)
	s.run()
	s.converges(2)
	require.NoError(t, os.Remove(filepath.Join(s.options.DataDir, "lock")))
	s.says("lock was removed", 1)
	s.says("keeping project shop: 1 workloads", 2)
	s.write(3)
	s.converges(3)
}

func TestAnAddressThatIsTaken(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()

	t.Run("ends it", func(t *testing.T) {
		s := newShop(t)
		s.options.API.EndpointsListen = taken.Addr().String()
		s.options.API.Listen = address(t)
		require.ErrorIs(t, Run(t.Context(), s.options), syscall.EADDRINUSE)
		l, err := net.Listen("tcp", s.options.API.Listen)
		require.NoError(t, err, "it goes on listening after its end")
		require.NoError(t, l.Close())
	})
}

func TestConvergeEndsWhenTheProjectHasConverged(t *testing.T) {
	s := newShop(t)
	r, err := TakeRight(t.Context(), s.options.DataDir, "shop", "")
	require.NoError(t, err)
	written := func(c *controller.Controller) { c.SetProject(s.options.Project) }
	var outcomes []core.Outcome
	s.options.OnStatus = func(s core.Status) { outcomes = append(outcomes, s.Outcome) }
	require.NoError(t, Converge(t.Context(), s.options, r, written))
	assert.Equal(t, 2, s.running())
	assert.Contains(t, outcomes, core.OutcomeMoving, "each status is told")
	assert.Equal(t, core.OutcomeConverged, outcomes[len(outcomes)-1])
	require.NoError(t, r.Release())
	differences, err := New(s.options, nil).Preview(t.Context(), s.options.Project, nil)
	require.NoError(t, err)
	assert.Empty(t, differences)
}

func TestConvergeDoesNothingWithoutTheRightToAct(t *testing.T) {
	s := newShop(t)
	r, err := TakeRight(t.Context(), s.options.DataDir, "shop", "")
	require.NoError(t, err)
	defer func() { require.NoError(t, r.Release()) }()
	require.NoError(t, os.Remove(filepath.Join(s.options.DataDir, "lock")))
	ctx, stop := durable.Guard(t.Context(), r)
	defer stop()
	err = Converge(ctx, s.options, r, func(c *controller.Controller) { c.SetProject(s.options.Project) })
	assert.ErrorIs(t, err, durable.ErrLost)
	assert.Zero(t, s.running())
}

func TestConvergeTellsWhatIsInTheWay(t *testing.T) {
	s := newShop(t)
	s.options.Engine.(*model.Engine).RemoveImage("web:1")
	ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errors.New("not done after 1s"))
	defer cancel()
	err := Converge(ctx, s.options, nil, func(c *controller.Controller) { c.SetProject(s.options.Project) })
	require.ErrorContains(t, err, "not done after 1s")
	assert.ErrorContains(t, err, "web: ")
}
