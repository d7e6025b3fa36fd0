package doctor

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/tendhq/tend/api/client"
	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/engine/docker"
	"github.com/tendhq/tend/controller/engine/model"
	"github.com/tendhq/tend/controller/spec"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a project on an engine in memory, whose containers say what they are told to.
type world struct {
	*model.Engine
	Patient
	t          *testing.T
	containers []engine.Container
}

// Containers implements engine.Engine: with addresses that can be reached.
func (w *world) Containers(context.Context, string) ([]engine.Container, error) {
	return w.containers, nil
}

// newWorld has one running replica of web, which depends on db, and one of db.
func newWorld(t *testing.T) *world {
	w := &world{Engine: model.New(), t: t}
	t.Cleanup(func() { assert.NoError(t, w.Engine.Close()) })
	w.Patient = Patient{
		Project: &spec.Project{Name: "shop", Workloads: map[string]*spec.Workload{
			"web": {Name: "web", Kind: spec.Deployment, Replicas: 1, Image: "web:1", DependsOn: []spec.Dependency{{Name: "db"}}},
			"db":  {Name: "db", Kind: spec.Database, Replicas: 1, Image: "postgres:15"},
		}},
		Host: "unix:///run/engine.sock", Engine: w, Info: docker.Info{Version: "28.1.0", API: "1.47", Root: t.TempDir()},
		ControllerErr: client.ErrNotRunning, DataDir: t.TempDir(),
	}
	w.AddImage("web:1", model.Behavior{})
	w.AddImage("postgres:15", model.Behavior{})
	w.run("web", model.Behavior{})
	w.run("db", model.Behavior{})
	return w
}

// run has a workload have one running container, at an address of this machine.
func (w *world) run(workload string, b model.Behavior) *engine.Container {
	c := engine.Container{
		Name: "/shop-" + workload + "-1", State: engine.Running, Labels: map[string]string{spec.LabelService: workload},
		Networks: map[string]string{"shop_default": "127.0.0.1"},
	}
	c.ID = w.Put(c, b)
	w.containers = append(w.containers, c)
	return &w.containers[len(w.containers)-1]
}

// found returns the one finding of a check on an object that begins so.
func (w *world) found(check, object string) Finding {
	w.t.Helper()
	all := Examine(w.t.Context(), w.Patient)
	var of []Finding
	for _, f := range all {
		if f.Check == check && strings.HasPrefix(f.Object, object) {
			of = append(of, f)
		}
	}
	require.Len(w.t, of, 1, "%v", all)
	return of[0]
}

func TestWithoutAControllerEverythingElseIsChecked(t *testing.T) {
	w := newWorld(t)
	is(t, w.found("controller", "tend"), Warning, "none is running")
	is(t, w.found("files", "shop"), OK, "valid")
	is(t, w.found("engine", "unix://"), OK, "28.1.0")
	is(t, w.found("workload", "web"), OK, "1 of 1 containers run")
	is(t, w.found("image", "web:1"), OK, "built")
	assert.NotEqual(t, NotTried, w.found("disk", "engine").Level)
	assert.NotEqual(t, NotTried, w.found("disk", "data directory").Level)
	w.containers = w.containers[:1]
	is(t, w.found("workload", "db"), Failure, "0 of 1")
}

func TestWithoutAnEngineEverythingElseIsChecked(t *testing.T) {
	w := newWorld(t)
	w.Patient.Engine, w.EngineErr = nil, &engine.Error{Class: engine.Unavailable, Err: errTest}
	is(t, w.found("engine", "unix://"), Failure, "refused")
	is(t, w.found("backup", "db"), Warning, "there is none")
}

func TestWithoutValidFilesEverythingElseIsChecked(t *testing.T) {
	w := newWorld(t)
	w.Project, w.ProjectErr = nil, errTest
	is(t, w.found("files", "project"), Failure, "refused")
	is(t, w.found("engine", "unix://"), OK, "28.1.0")
}

// slow is an engine that lists containers and answers nothing else.
type slow struct{ *world }

func (slow) Exec(ctx context.Context, _ string, _ engine.ExecSpec) (int, error) {
	<-ctx.Done()
	return 0, ctx.Err()
}

func (slow) Images(ctx context.Context) ([]engine.LocalImage, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestNoCheckWaitsForAnotherOrWithoutEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.Patient.Engine = slow{w}
		begun := time.Now()
		is(t, w.found("dns", "shop-web-1 → db"), NotTried, "deadline exceeded")
		assert.Equal(t, limit, time.Since(begun))
		is(t, w.found("image", "all"), NotTried, "deadline exceeded")
		is(t, w.found("workload", "web"), OK, "1 of 1")
	})
}

func TestNamesAreLookedUpInsideAReplica(t *testing.T) {
	for name, c := range map[string]struct {
		programs map[string]int // and their exit codes
		level    Level
	}{
		"by getent":                      {map[string]int{"getent": 0}, OK},
		"in vain":                        {map[string]int{"getent": 2, "nslookup": 0}, Failure},
		"by nslookup":                    {map[string]int{"nslookup": 0}, OK},
		"not, as there is no program to": {nil, NotTried},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.containers = nil
			w.run("web", model.Behavior{Exec: func(e engine.ExecSpec) (int, time.Duration) {
				assert.Equal(t, "db", e.Command[len(e.Command)-1])
				code, there := c.programs[e.Command[0]]
				if !there {
					code = noProgram
				}
				return code, 0
			}})
			w.run("db", model.Behavior{})
			assert.Equal(t, c.level, w.found("dns", "shop-web-1 → db").Level)
		})
	}
}

func TestNamesOfWhatDoesNotRunOrIsInNoCommonNetworkAreNotLookedUp(t *testing.T) {
	w := newWorld(t)
	assert.Len(t, questions(w.Project, w.containers), 1)
	w.containers[1].Networks = map[string]string{"other": "127.0.0.1"}
	assert.Empty(t, questions(w.Project, w.containers))
	assert.Empty(t, questions(w.Project, w.containers[:1]))
}

func TestTheHealthEndpointOfEachReplicaIsAsked(t *testing.T) {
	status := http.StatusOK
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		assert.Equal(t, "/health", r.URL.Path)
		rw.WriteHeader(status)
	}))
	defer server.Close()
	w := newWorld(t)
	w.Project.Workloads["web"].Probes.Liveness = &spec.Probe{
		Timeout: time.Minute, HTTPGet: &spec.HTTPGet{Path: "/health", Scheme: "http", Port: server.Listener.Addr().(*net.TCPAddr).Port},
	}
	is(t, w.found("health", "shop-web-1 /health"), OK, "answers")
	status = http.StatusServiceUnavailable
	is(t, w.found("health", "shop-web-1 /health"), Failure, "503 Service Unavailable")
	w.Info.Users = docker.Rootless
	is(t, w.found("health", "shop-web-1 /health"), NotTried, "this one's network")
	w.Info.Users, w.Host = docker.HostUsers, "ssh://elsewhere"
	is(t, w.found("health", "shop-web-1 /health"), NotTried, "not on this machine")
}

// certificate makes a certificate of 90 days with some left, and its key.
func certificate(t *testing.T, left time.Duration) (tls.Certificate, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	till := time.Now().Add(left)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: till.Add(-90 * 24 * time.Hour), NotAfter: till}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func TestTheCertificatesOfPublishedPortsAreAskedFor(t *testing.T) {
	soon, _ := certificate(t, 5*24*time.Hour)
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.TLS = &tls.Config{Certificates: []tls.Certificate{soon}}
	server.Config.ErrorLog = nil
	server.StartTLS()
	defer server.Close()
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	w := newWorld(t)
	for _, address := range []string{server.Listener.Addr().String(), plain.Listener.Addr().String()} {
		w.containers[0].PublishedPorts = append(w.containers[0].PublishedPorts, address+"->443/tcp")
	}
	f := w.found("certificate", "web 127.0.0.1:")
	is(t, f, Warning, "expires in 4 days")
	assert.Contains(t, f.Object, strconv.Itoa(server.Listener.Addr().(*net.TCPAddr).Port))
}

func TestPortsAreAskedForCertificatesWhereLoopbackReachesThem(t *testing.T) {
	w := newWorld(t)
	w.containers[0].PublishedPorts = []string{"0.0.0.0:443->443/tcp", "[::]:443->443/tcp", "0.0.0.0:443->443/udp", "192.0.2.1:444->444/tcp"}
	w.containers[1].PublishedPorts = []string{"127.0.0.1:5432->5432/tcp"}
	w.containers = append(w.containers, engine.Container{
		State: engine.Running, Labels: map[string]string{spec.LabelIngress: "web:8443"}, PublishedPorts: []string{"[::1]:8443->443/tcp"},
	})
	var asked []string
	for _, p := range loopbackPorts(w.Project, w.containers) {
		asked = append(asked, p.Workload+" "+net.JoinHostPort(p.loopback(), p.Number))
	}
	assert.Equal(t, []string{"web 127.0.0.1:443", "web [::1]:8443"}, asked)
}

func TestCertificatesAmongSecretsAndConfigsAreRead(t *testing.T) {
	_, long := certificate(t, 80*24*time.Hour)
	_, past := certificate(t, -time.Hour)
	w := newWorld(t)
	file := filepath.Join(t.TempDir(), "chain.pem")
	require.NoError(t, os.WriteFile(file, append(long, past...), 0o600))
	w.Project.Secrets = types.Secrets{"tls": {File: file}, "password": {Content: "hunter2"}, "gone": {File: file + "x"}}
	w.Project.Configs = types.Configs{"ca": {Content: string(long)}}
	is(t, w.found("certificate", "secret tls"), Failure, "expired")
	is(t, w.found("certificate", "config ca"), OK, "expires in 79 days")
	assert.NotContains(t, fmt.Sprint(Examine(t.Context(), w.Patient)), "hunter2")
}

func TestTheNewestBackupCounts(t *testing.T) {
	w := newWorld(t)
	dir := filepath.Join(w.DataDir, "backups", "db")
	require.NoError(t, os.MkdirAll(dir, 0o700))
	dump := func(age time.Duration) {
		name := time.Now().Add(-age).UTC().Format("20060102T150405.000Z") + ".dump"
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), nil, 0o600))
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "zzz"), nil, 0o600))
	is(t, w.found("backup", "db"), Warning, "there is none")
	dump(10 * 24 * time.Hour)
	is(t, w.found("backup", "db"), Warning, "10 days old")
	dump(time.Hour)
	is(t, w.found("backup", "db"), OK, "hour old")
}

func TestAHostPortOfAnotherProgramIsAFailure(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	w := newWorld(t)
	port := strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
	w.Project.Workloads["web"].Template.Ports = []types.ServicePortConfig{{HostIP: "127.0.0.1", Published: port, Protocol: "tcp"}}
	is(t, w.found("port", "web 127.0.0.1:"+port), Failure, "held by something else")
	w.containers[0].PublishedPorts = []string{"127.0.0.1:" + port + "->80/tcp"}
	is(t, w.found("port", "web 127.0.0.1:"+port), OK, "held by shop-web-1")
}

func TestPrometheusIsAsked(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/v1/targets" {
			fmt.Fprint(rw, `{"status":"success","data":{"activeTargets":[{"health":"up"}]}}`)
			return
		}
		fmt.Fprint(rw, `{"status":"success","data":{"alerts":[{"state":"firing","labels":{"alertname":"ServiceDown","severity":"critical"}}]}}`)
	}))
	w := newWorld(t)
	w.Prometheus = server.URL
	is(t, w.found("target", server.URL), OK, "none of 1 targets")
	is(t, w.found("alert", "ServiceDown"), Failure, "it fires")
	server.Close()
	is(t, w.found("target", server.URL), Failure, "refused")
}
