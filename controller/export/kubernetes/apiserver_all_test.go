//go:build all

package kubernetes

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// apiServer is Kubernetes' API server with its etcd, and nothing else: objects are checked,
// given defaults and kept, and nothing ever runs.
type apiServer struct {
	url    string
	client *http.Client
}

// token belongs to the one user, who may do everything.
const token = "admin"

// startAPIServer starts an API server that ends with the test, and takes what one of a version
// takes.
func startAPIServer(t *testing.T, version string) *apiServer {
	t.Helper()
	dir := t.TempDir()
	etcd, peers := "http://"+freeAddress(t), "http://"+freeAddress(t)
	start(t, "etcd", "--data-dir", filepath.Join(dir, "etcd"), "--unsafe-no-fsync", "--log-level=warn",
		"--listen-client-urls", etcd, "--advertise-client-urls", etcd,
		"--listen-peer-urls", peers, "--initial-advertise-peer-urls", peers, "--initial-cluster", "default="+peers)

	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	text, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	accounts, tokens, certificates := filepath.Join(dir, "accounts.key"), filepath.Join(dir, "tokens"), filepath.Join(dir, "certificates")
	write(t, accounts, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: text}))
	write(t, tokens, []byte(token+",admin,admin\n"))
	address := freeAddress(t)
	_, port, err := net.SplitHostPort(address)
	require.NoError(t, err)
	start(t, "kube-apiserver", "--etcd-servers", etcd, "--bind-address=127.0.0.1", "--secure-port", port, "--cert-dir", certificates,
		"--service-account-issuer=https://127.0.0.1", "--service-account-key-file", accounts, "--service-account-signing-key-file", accounts,
		"--token-auth-file", tokens, "--authorization-mode=AlwaysAllow", "--service-cluster-ip-range=10.0.0.0/16",
		// Nobody makes the accounts that replicas have, nor is the server's own address needed.
		"--disable-admission-plugins=ServiceAccount", "--endpoint-reconciler-type=none",
		"--emulated-version="+version,
		// As clusters are set up, and what docs/reference/kubernetes.md asks for.
		"--allow-privileged", "--feature-gates=ImageVolume=true")

	s := &apiServer{url: "https://" + address}
	require.Eventually(t, func() bool { return s.answers(filepath.Join(certificates, "apiserver.crt")) }, 2*time.Minute, 100*time.Millisecond, "the API server is ready")
	t.Cleanup(s.client.CloseIdleConnections)
	return s
}

// answers reports whether the server is ready. It makes its certificate when it starts.
func (s *apiServer) answers(certificate string) bool {
	text, err := os.ReadFile(certificate)
	roots := x509.NewCertPool()
	if err != nil || !roots.AppendCertsFromPEM(text) {
		return false
	}
	s.client = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13}}}
	request, err := http.NewRequest(http.MethodGet, s.url+"/readyz", http.NoBody)
	if err != nil {
		return false
	}
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := s.client.Do(request)
	if err != nil {
		return false
	}
	defer response.Body.Close()
	return response.StatusCode == http.StatusOK
}

// start starts a program of build/bin, which ends with the test. The end of what it writes is
// told where the test fails.
func start(t *testing.T, name string, args ...string) {
	t.Helper()
	binary, err := filepath.Abs("../../../build/bin/" + name)
	require.NoError(t, err)
	require.FileExists(t, binary, "run make build/bin/"+name)
	var log bytes.Buffer
	ctx, end := context.WithCancel(context.Background())
	c := exec.CommandContext(ctx, binary, args...)
	c.Stdout, c.Stderr = &log, &log
	require.NoError(t, c.Start())
	t.Cleanup(func() {
		end()
		_ = c.Wait() // it was killed
		if t.Failed() {
			t.Logf("the end of the log of %s: %s", name, log.Bytes()[max(0, log.Len()-8<<10):])
		}
	})
}

// freeAddress is one that nobody listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

// answer is what the server says to a request.
type answer struct {
	status   int
	warnings []string
	// message is why a request was refused.
	message string
	object  map[string]any
}

// do sends a request. Text is YAML, or JSON, which is YAML too.
func (s *apiServer) do(t *testing.T, method, path, contentType string, text []byte) (a answer) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, s.url+path, bytes.NewReader(text))
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("Content-Type", contentType)
	request.Header.Set("Accept", "application/json")
	response, err := s.client.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	a.status, a.warnings = response.StatusCode, response.Header.Values("Warning")
	if err := json.Unmarshal(body, &a.object); err != nil {
		a.message = string(body) // it knows no such path
	} else if a.object["kind"] == "Status" {
		a.message, _ = a.object["message"].(string)
	}
	return a
}

// collection is the path of the objects of a kind in a namespace. A kind that the server does
// not know is an error.
func (s *apiServer) collection(t *testing.T, apiVersion, kind, namespace string) (string, error) {
	t.Helper()
	root := "/apis/" + apiVersion
	if !strings.Contains(apiVersion, "/") {
		root = "/api/" + apiVersion
	}
	var known metav1.APIResourceList
	a := s.do(t, http.MethodGet, root, "application/json", nil)
	if a.status == http.StatusOK {
		text, err := json.Marshal(a.object)
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(text, &known))
	}
	for _, r := range known.APIResources {
		if r.Kind == kind && !strings.Contains(r.Name, "/") {
			return root + "/namespaces/" + namespace + "/" + r.Name, nil
		}
	}
	return "", fmt.Errorf("the API server knows no %s of %s: its CustomResourceDefinition comes first", kind, apiVersion)
}

// define has the server know the kinds that files of a module define.
func (s *apiServer) define(t *testing.T, module string, files ...string) {
	t.Helper()
	c := exec.CommandContext(t.Context(), "go", "mod", "download", "-json", module)
	c.Dir = t.TempDir() // no module of ours needs it
	out, err := c.Output()
	require.NoError(t, err, "%s", out)
	var download struct{ Dir string }
	require.NoError(t, json.Unmarshal(out, &download))
	for _, file := range files {
		text, err := os.ReadFile(filepath.Join(download.Dir, file))
		require.NoError(t, err)
		var definition definedKind
		require.NoError(t, yaml.Unmarshal(text, &definition))
		a := s.do(t, http.MethodPost, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", "application/yaml", text)
		require.Equal(t, http.StatusCreated, a.status, "%s: %s", file, a.message)
		require.Eventually(t, func() bool {
			_, err := s.collection(t, definition.Spec.Group+"/v1", definition.Spec.Names.Kind, "default")
			return err == nil
		}, time.Minute, 100*time.Millisecond, "%s is known", file)
	}
}

// definedKind has the fields of a CustomResourceDefinition that name its kind.
type definedKind struct {
	Spec struct {
		Group string `json:"group"`
		Names struct {
			Kind string `json:"kind"`
		} `json:"names"`
	} `json:"spec"`
}

// namespace makes a namespace with labels, and returns its name.
func (s *apiServer) namespace(t *testing.T, labels map[string]string) string {
	t.Helper()
	text, err := json.Marshal(object{"apiVersion": "v1", "kind": "Namespace", "metadata": object{"generateName": "test-", "labels": labels}})
	require.NoError(t, err)
	a := s.do(t, http.MethodPost, "/api/v1/namespaces", "application/json", text)
	require.Equal(t, http.StatusCreated, a.status, a.message)
	return a.object["metadata"].(map[string]any)["name"].(string)
}

// apply sends an object as kubectl apply --server-side does. The server checks each field
// strictly.
func (s *apiServer) apply(t *testing.T, collection, name string, dryRun bool, text []byte) answer {
	t.Helper()
	path := collection + "/" + name + "?fieldManager=tend&fieldValidation=Strict"
	if dryRun {
		path += "&dryRun=All"
	}
	return s.do(t, http.MethodPatch, path, "application/apply-patch+yaml", text)
}
