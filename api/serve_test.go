package api

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
)

// start serves until stop is called.
func start(t *testing.T, h http.Handler, listeners ...net.Listener) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, conformity.handler(h), zap.NewNop(), listeners...) }()
	stop = sync.OnceValue(func() error {
		cancel()
		return <-done
	})
	t.Cleanup(func() { _ = stop() })
	return stop
}

func onUnix(t *testing.T, dir string) *http.Client {
	t.Helper()
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return DialUnix(ctx, dir) }}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func get(t *testing.T, c *http.Client, url string) answer {
	t.Helper()
	return do(t, c, http.MethodGet, url, "")
}

// The default is the socket; over TCP, loopback too, a token is wanted.
func TestServeOnTheSocketAndOnLoopback(t *testing.T) {
	dir := t.TempDir()
	socket, err := ListenUnix(dir)
	require.NoError(t, err)
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	stop := start(t, New(config(shop())), socket, tcp)

	const workloads = "/api/v1/workloads"
	assert.Equal(t, http.StatusOK, get(t, onUnix(t, dir), "http://tend"+workloads).status)
	url := "http://" + tcp.Addr().String() + workloads
	assert.Equal(t, http.StatusUnauthorized, get(t, withToken(""), url).status)
	for _, role := range Roles {
		assert.Equal(t, http.StatusOK, get(t, withToken(tokenOf(t, role)), url).status)
	}
	answer := do(t, withToken(tokenOf(t, Reader)), http.MethodPost, url+"/web/rollout/pause", "")
	assert.Equal(t, http.StatusForbidden, answer.status, answer.body)

	require.NoError(t, stop())
	assert.NoFileExists(t, filepath.Join(dir, SocketName))
}

func TestARotatedTokenCountsAtOnce(t *testing.T) {
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	c := config(shop())
	c.DataDir = t.TempDir()
	require.NoError(t, MakeTokens(c.DataDir))
	start(t, New(c), tcp)
	url := "http://" + tcp.Addr().String() + "/api/v1/workloads"
	status := func(token string) int { return get(t, withToken(token), url).status }
	tokens := func() (read, admin string) {
		var err, failed error
		read, err = readToken(c.DataDir, Reader)
		admin, failed = readToken(c.DataDir, Admin)
		require.NoError(t, errors.Join(err, failed))
		return read, admin
	}
	oldRead, oldAdmin := tokens()
	mounted, err := os.Open(filepath.Join(c.DataDir, TokenFile(Reader)))
	require.NoError(t, err)
	defer mounted.Close()

	require.NoError(t, RotateToken(c.DataDir, Reader))
	read, admin := tokens()
	assert.Equal(t, oldAdmin, admin)
	assert.Equal(t, http.StatusUnauthorized, status(oldRead))
	assert.Equal(t, http.StatusOK, status(read))
	assert.Equal(t, http.StatusOK, status(admin))
	seen, err := io.ReadAll(mounted)
	require.NoError(t, err)
	assert.Equal(t, read+"\n", string(seen), "who has the file mounted sees the new token")
}

// withToken is a client that sends a token, unless that is empty.
func withToken(token string) *http.Client {
	return &http.Client{Transport: bearer(token, &http.Transport{DisableKeepAlives: true})}
}

func bearer(token string, transport http.RoundTripper) http.RoundTripper {
	return roundTrip(func(r *http.Request) (*http.Response, error) {
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		return transport.RoundTrip(r)
	})
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// ownAddress is an address of this machine that is not loopback.
func ownAddress(t *testing.T) string {
	t.Helper()
	addresses, err := net.InterfaceAddrs()
	require.NoError(t, err)
	for _, a := range addresses {
		if n, ok := a.(*net.IPNet); ok && !n.IP.IsLoopback() && n.IP.To4() != nil {
			return n.IP.String()
		}
	}
	t.Fatal("this machine has no address but loopback")
	return ""
}

func TestStreamsEndAtShutdown(t *testing.T) {
	dir := t.TempDir()
	socket, err := ListenUnix(dir)
	require.NoError(t, err)
	stop := start(t, New(config(shop())), socket)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://tend/api/v1/workloads", nil)
	require.NoError(t, err)
	r.Header.Set("Accept", StreamType)
	answer, err := onUnix(t, dir).Do(r)
	require.NoError(t, err)
	defer answer.Body.Close()

	began := time.Now()
	require.NoError(t, stop())
	assert.Less(t, time.Since(began), shutdownGrace)
	_, err = io.ReadAll(answer.Body)
	assert.NoError(t, err, "the stream ends and is not cut off")
}

func TestARequestUnderWayIsFinishedAtShutdown(t *testing.T) {
	dir := t.TempDir()
	socket, err := ListenUnix(dir)
	require.NoError(t, err)
	c := config(shop())
	asked, answered := make(chan struct{}), make(chan struct{})
	c.Metrics = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(asked)
		<-answered
		w.Header().Set("Content-Type", "text/plain")
		_, _ = io.WriteString(w, "whole")
	})
	stop := start(t, New(c), socket)
	stopped := make(chan error, 1)
	go func() {
		<-asked
		go func() { stopped <- stop() }()
		for { // until nobody listens any more
			conn, err := DialUnix(context.Background(), dir)
			if err != nil {
				break
			}
			conn.Close()
		}
		close(answered)
	}()
	assert.Equal(t, "whole", get(t, onUnix(t, dir), "http://tend/metrics").body)
	require.NoError(t, <-stopped)
}

func TestServeEndsWhenAListenerFails(t *testing.T) {
	dir := t.TempDir()
	socket, err := ListenUnix(dir)
	require.NoError(t, err)
	broken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, broken.Close())
	err = Serve(t.Context(), New(config(shop())), zap.NewNop(), socket, broken)
	assert.ErrorContains(t, err, broken.Addr().String())
	assert.NoFileExists(t, filepath.Join(dir, SocketName))
}

func TestOnlyItsUserCanReachTheSocket(t *testing.T) {
	dir := t.TempDir()
	old := syscall.Umask(0)
	l, err := ListenUnix(dir)
	syscall.Umask(old)
	require.NoError(t, err)
	defer l.Close()
	info, err := os.Stat(filepath.Join(dir, SocketName))
	require.NoError(t, err)
	assert.Equal(t, fs.ModeSocket|0o600, info.Mode())
	assert.Equal(t, filepath.Join(dir, SocketName), l.Addr().String())
}

func TestTheSocketMayLieDeep(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("d", 100), strings.Repeat("e", 100))
	require.NoError(t, os.MkdirAll(dir, 0o700))
	l, err := ListenUnix(dir)
	require.NoError(t, err)
	start(t, New(config(shop())), l)
	assert.Equal(t, http.StatusOK, get(t, onUnix(t, dir), "http://tend/healthz").status)
}

func TestTheSocketOfADeadProcessIsReplaced(t *testing.T) {
	dir := t.TempDir()
	dead, err := net.Listen("unix", filepath.Join(dir, SocketName))
	require.NoError(t, err)
	dead.(*net.UnixListener).SetUnlinkOnClose(false)
	require.NoError(t, dead.Close())
	l, err := ListenUnix(dir)
	require.NoError(t, err)
	require.NoError(t, l.Close())
}

func TestASocketOnWhichSomebodyAnswersIsLeftAlone(t *testing.T) {
	dir := t.TempDir()
	alive, err := ListenUnix(dir)
	require.NoError(t, err)
	defer alive.Close()
	_, err = ListenUnix(dir)
	assert.ErrorIs(t, err, ErrInUse)
	conn, err := DialUnix(t.Context(), dir)
	require.NoError(t, err)
	require.NoError(t, conn.Close())
}

func TestAFileThatIsNoSocketIsLeftAlone(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, SocketName)
	require.NoError(t, os.WriteFile(path, []byte("notes"), 0o600))
	_, err := ListenUnix(dir)
	assert.ErrorContains(t, err, "is no socket")
	assert.FileExists(t, path)
}

func TestListenWithoutADataDirectoryFails(t *testing.T) {
	_, err := ListenUnix(filepath.Join(t.TempDir(), "missing"))
	assert.ErrorIs(t, err, fs.ErrNotExist)
}

func TestDialTellsWhyNobodyAnswers(t *testing.T) {
	dir := t.TempDir()
	_, err := DialUnix(t.Context(), dir)
	assert.ErrorIs(t, err, fs.ErrNotExist)
	assert.NotContains(t, err.Error(), "/proc/")
	dead, err := net.Listen("unix", filepath.Join(dir, SocketName))
	require.NoError(t, err)
	dead.(*net.UnixListener).SetUnlinkOnClose(false)
	require.NoError(t, dead.Close())
	_, err = DialUnix(t.Context(), dir)
	assert.True(t, errors.Is(err, syscall.ECONNREFUSED), err)
}

func TestTokensAreMadeOnceAndForTheirUserAlone(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, MakeTokens(dir))
	made := map[Role]string{}
	for _, role := range Roles {
		token, err := readToken(dir, role)
		require.NoError(t, err)
		assert.Regexp(t, "^[0-9a-f]{64}$", token)
		made[role] = token
		info, err := os.Stat(filepath.Join(dir, "tokens", string(role)))
		require.NoError(t, err)
		assert.Equal(t, map[Role]fs.FileMode{Reader: 0o644, Admin: 0o600}[role], info.Mode())
	}
	assert.NotEqual(t, made[Reader], made[Admin])
	folder := filepath.Join(dir, "tokens")
	entries, err := os.ReadDir(folder)
	require.NoError(t, err)
	assert.Len(t, entries, len(Roles))
	info, err := os.Stat(folder)
	require.NoError(t, err)
	assert.Equal(t, fs.ModeDir|0o700, info.Mode())

	require.NoError(t, os.Remove(filepath.Join(folder, "read")))
	require.NoError(t, MakeTokens(dir))
	again, err := readToken(dir, Reader)
	require.NoError(t, err)
	assert.NotEqual(t, made[Reader], again)
	again, err = readToken(dir, Admin)
	require.NoError(t, err)
	assert.Equal(t, made[Admin], again)

	require.NoError(t, os.Chmod(folder, 0o755))
	assert.ErrorContains(t, MakeTokens(dir), "can be entered by others")
}

func TestABadTokenFileIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		content string
		mode    fs.FileMode
	}{
		"others can read it": {strings.Repeat("a", 64), 0o644},
		"empty":              {"", 0o600},
		"too short":          {"abcd", 0o600},
		"no hexadecimal":     {strings.Repeat("z", 64), 0o600},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			require.NoError(t, MakeTokens(dir))
			path := filepath.Join(dir, TokenFile(Admin))
			require.NoError(t, os.Chmod(path, c.mode))
			require.NoError(t, os.WriteFile(path, []byte(c.content), c.mode))
			for _, err := range []error{MakeTokens(dir), RotateToken(dir, Admin)} {
				assert.ErrorContains(t, err, path)
				assert.ErrorContains(t, err, "remove it to have a new one made")
			}
		})
	}
}

func TestATokenThatIsNotThereIsNotRotated(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, MakeTokens(dir))
	require.NoError(t, os.Remove(filepath.Join(dir, TokenFile(Admin))))
	assert.ErrorContains(t, RotateToken(dir, Admin), "there is no admin token")
}
