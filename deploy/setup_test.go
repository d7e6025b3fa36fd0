// Package deploy tests the steps of setup.sh, each in a folder of its own and
// without the machine's engine being touched.
package deploy

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/cli"
)

const library = `set -euo pipefail
for file in lib/common.sh lib/packages.sh lib/engine.sh lib/images.sh lib/project.sh; do . "$file"; done
`

// bash runs a script that has the functions of lib/ at hand.
func bash(t *testing.T, script string, env ...string) (string, error) {
	t.Helper()
	cmd := exec.Command("bash", "-c", library+script)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func must(t *testing.T, script string, env ...string) string {
	t.Helper()
	out, err := bash(t, script, env...)
	if err != nil {
		t.Fatalf("%s: %v\n%s", script, err, out)
	}
	return out
}

// refuses runs a script that must fail with a message that holds want.
func refuses(t *testing.T, want, script string, env ...string) {
	t.Helper()
	out, err := bash(t, script, env...)
	if err == nil || !strings.Contains(out, want) {
		t.Errorf("want a failure that says %q, got %v:\n%s", want, err, out)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func TestEngineIsStartedDetachedAndOverAStalePidFile(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("starting an engine takes root")
	}
	dir := t.TempDir()
	log, pidfile := filepath.Join(dir, "log"), filepath.Join(dir, "pid")
	host := "unix://" + filepath.Join(dir, "socket")
	// This process lives, and is no dockerd: dockerd itself would give up.
	if err := os.WriteFile(pidfile, []byte(strconv.Itoa(os.Getpid())), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		pid, err := strconv.Atoi(strings.TrimSpace(read(t, pidfile)))
		if err != nil || pid == os.Getpid() {
			t.Fatalf("no engine of ours in %s: %v", pidfile, err)
		}
		if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
			if _, err := os.Stat(pidfile); os.IsNotExist(err) {
				return
			}
			if time.Now().After(deadline) {
				t.Fatal("the engine does not stop")
			}
		}
	})

	// A network of its own: an engine that starts makes or removes the bridge
	// docker0 and changes the firewall, which would cut off the machine's engine.
	cmd := exec.Command("unshare", "--net", "bash", "-c", library+fmt.Sprintf(
		"start_engine_detached %s %s --host %s --data-root %s --exec-root %s",
		log, pidfile, host, filepath.Join(dir, "data"), filepath.Join(dir, "exec")))
	cmd.Env = append(os.Environ(), "DOCKER_HOST="+host)
	started, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, started)
	}
	out := string(started)
	for _, want := range []string{"removing " + pidfile, "its log: " + log, "the engine answers"} {
		if !strings.Contains(out, want) {
			t.Errorf("the output lacks %q:\n%s", want, out)
		}
	}
	// The script has ended; the engine is used as it is.
	if out := must(t, "ensure_engine", "DOCKER_HOST="+host); !strings.Contains(out, "using the running engine") {
		t.Errorf("the engine is not used:\n%s", out)
	}
}

func TestEngineThatDoesNotStartShowsItsLog(t *testing.T) {
	dir := t.TempDir()
	log := filepath.Join(dir, "log")
	refuses(t, "its log: "+log,
		fmt.Sprintf("start_engine_detached %s %s --no-such-option", log, filepath.Join(dir, "pid")),
		"DOCKER_HOST=unix://"+filepath.Join(dir, "socket"))
	if got := read(t, log); !strings.Contains(got, "no-such-option") {
		t.Errorf("the log holds %q", got)
	}
}

func TestNoEngineSaysWhatToDo(t *testing.T) {
	refuses(t, "DOCKER_HOST=unix:///nowhere does not answer", "ensure_engine", "DOCKER_HOST=unix:///nowhere")
	refuses(t, "sudo apt-get install docker.io",
		"engine_answers() { false; }; can_install() { false; }; ensure_engine", "DOCKER_HOST=")
}

func TestImageFromNowhereSaysWhatToDo(t *testing.T) {
	refuses(t, "docker load", "build_image postgres:9.4")
	refuses(t, "docker load", "build_image no-such-image:1")
}

func TestImagesOfComposeFileArePulledOrBuiltUnlessPresent(t *testing.T) {
	compose := filepath.Join(t.TempDir(), "compose.yaml")
	if err := os.WriteFile(compose, []byte(`
services:
  a: {restart: always}
  b:
    image: present:1
  c:
    image: pulled:1 # a comment
  d:
    image: built:1
  e:
    image: built:1
  f:
    image: shop/f:1
  g:
    image: tend/tend:dev
  h:
    image: profiled:1
    profiles: [more]
`), 0o644); err != nil {
		t.Fatal(err)
	}
	got := must(t, `has_image() { [[ $1 == present:1 ]]; }
pull_image() { echo "pull $1"; [[ $1 == pulled:1 ]]; }
build_image() { echo "build $1"; }
ensure_images `+compose)
	const want = "pull built:1\nbuild built:1\nsetup: image present:1 is here\npull pulled:1\n"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// tendUID is who tend runs as in a project folder that this test made.
func tendUID() int {
	if uid := os.Getuid(); uid != 0 {
		return uid
	}
	return 65532
}

func belongsToTend(t *testing.T, folder string) {
	t.Helper()
	info, err := os.Stat(folder)
	if err != nil {
		t.Fatal(err)
	}
	if owner := info.Sys().(*syscall.Stat_t).Uid; int(owner) != tendUID() || info.Mode().Perm() != 0o700 {
		t.Errorf("%s belongs to %d with mode %v, want %d and 0700", folder, owner, info.Mode().Perm(), tendUID())
	}
}

func TestSecretsAreMadeOnce(t *testing.T) {
	project := t.TempDir()
	folder := filepath.Join(project, "deploy", "secrets")
	must(t, "ensure_secrets "+project)
	names := []string{"postgres_password", "user_db_password", "product_db_password", "order_db_password", "payment_db_password", "notification_db_password", "redis_password", "event_bus_password", "monitor_password"}
	before := map[string]string{}
	for _, name := range names {
		path := filepath.Join(folder, name)
		before[name] = read(t, path)
		if len(before[name]) != 64 {
			t.Errorf("%s holds %d characters, want 64", name, len(before[name]))
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o644 {
			t.Errorf("%s: mode %v, error %v; the services could not read it", name, info.Mode(), err)
		}
	}
	belongsToTend(t, folder)
	if before[names[0]] == before[names[1]] {
		t.Error("two secrets are the same")
	}

	if err := os.Remove(filepath.Join(folder, "redis_password")); err != nil {
		t.Fatal(err)
	}
	must(t, "ensure_secrets "+project)
	for _, name := range names {
		if changed := read(t, filepath.Join(folder, name)) != before[name]; changed != (name == "redis_password") {
			t.Errorf("%s changed: %v", name, changed)
		}
	}
}

func TestEnvIsCorrectedAndNothingElseInIt(t *testing.T) {
	project := filepath.Join(t.TempDir(), "a project")
	if err := os.Mkdir(project, 0o755); err != nil {
		t.Fatal(err)
	}
	env := filepath.Join(project, ".env")
	if err := os.WriteFile(env, []byte("MINE=1\nTEND_UID=0\n# a note"), 0o644); err != nil {
		t.Fatal(err)
	}
	must(t, fmt.Sprintf("ensure_env %q", project))
	got := read(t, env)
	for _, line := range []string{"MINE=1", "# a note", "TEND_PROJECT_DIRECTORY=" + project, fmt.Sprintf("TEND_UID=%d", tendUID())} {
		if !strings.Contains("\n"+got, "\n"+line+"\n") {
			t.Errorf(".env lacks %q:\n%s", line, got)
		}
	}
	if strings.Contains(got, "TEND_UID=0") {
		t.Errorf("the wrong TEND_UID is still there:\n%s", got)
	}
	belongsToTend(t, filepath.Join(project, ".tend"))
	belongsToTend(t, filepath.Join(project, ".tend", "tokens"))
	token := filepath.Join(project, ".tend", "tokens", "read")
	if info, err := os.Stat(token); err != nil || info.Mode().Perm() != 0o644 || len(read(t, token)) != 64 {
		t.Errorf("%s: mode %v, error %v; the gateway could not read it", token, info.Mode(), err)
	}

	if out := must(t, fmt.Sprintf("ensure_env %q", project)); out != "" || read(t, env) != got {
		t.Errorf("a second run changes something: %s\n%s", out, read(t, env))
	}
}

func TestTheGatewaysCertificateIsOfTheFoldersOwnAuthority(t *testing.T) {
	project := t.TempDir()
	must(t, "ensure_certificates "+project)
	secrets := filepath.Join(project, "deploy", "secrets")
	first := read(t, filepath.Join(secrets, "gateway_tls_certificate"))
	must(t, "ensure_certificates "+project)
	if read(t, filepath.Join(secrets, "gateway_tls_certificate")) != first {
		t.Error("the certificate is made again")
	}
	pair, err := tls.LoadX509KeyPair(filepath.Join(secrets, "gateway_tls_certificate"), filepath.Join(secrets, "gateway_tls_key"))
	if err != nil {
		t.Fatal(err)
	}
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM([]byte(read(t, filepath.Join(secrets, "ca.crt"))))
	for _, name := range []string{"localhost", "127.0.0.1", "gateway"} {
		if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: trusted, DNSName: name}); err != nil {
			t.Errorf("for %s: %v", name, err)
		}
	}
	info, err := os.Stat(filepath.Join(secrets, "ca.key"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the authority's key: %v, %v", info, err)
	}
}

// The certificate is a file that compose.tls.yaml names.
func TestTLSAtTheGatewayIsAFileBesideComposeYAML(t *testing.T) {
	options, err := cli.NewProjectOptions([]string{"../compose.yaml", "../compose.tls.yaml"})
	if err != nil {
		t.Fatal(err)
	}
	project, err := options.LoadProject(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	gateway := project.Services["gateway"]
	if len(gateway.Ports) != 2 || *gateway.Environment["TLS"] != "on" || len(gateway.Secrets) != 3 {
		t.Errorf("ports %v, environment %v, secrets %v", gateway.Ports, gateway.Environment, gateway.Secrets)
	}
}
