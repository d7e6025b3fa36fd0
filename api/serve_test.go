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
	go func() { done <- Serve(ctx, h, zap.NewNop(), listeners...) }()
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

func TestServeOnTheSocketAndOnLoopback(t *testing.T) {
	dir := t.TempDir()
	socket, err := ListenUnix(dir)
	require.NoError(t, err)
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	stop := start(t, New(config(shop())), socket, tcp)

	assert.Equal(t, http.StatusOK, get(t, onUnix(t, dir), "http://tend/api/v1/workloads").status)
	overTCP := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	assert.Equal(t, http.StatusOK, get(t, overTCP, "http://"+tcp.Addr().String()+"/api/v1/workloads").status)

	require.NoError(t, stop())
	assert.NoFileExists(t, filepath.Join(dir, SocketName))
}

func TestARequestToAnotherAddressOfThisMachineNeedsTheToken(t *testing.T) {
	tcp, err := net.Listen("tcp", "0.0.0.0:0")
	require.NoError(t, err)
	start(t, New(config(shop())), tcp)
	_, port, err := net.SplitHostPort(tcp.Addr().String())
	require.NoError(t, err)
	own := ownAddress(t)
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	assert.Equal(t, http.StatusUnauthorized, get(t, c, "http://"+net.JoinHostPort(own, port)+"/api/v1/workloads").status)
	assert.Equal(t, http.StatusOK, get(t, c, "http://127.0.0.1:"+port+"/api/v1/workloads").status)
}

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

func TestTokenIsMadeOnceAndForItsUserAlone(t *testing.T) {
	dir := t.TempDir()
	tokens := make(chan string, 8)
	var makers sync.WaitGroup
	for range cap(tokens) {
		makers.Go(func() {
			token, err := Token(dir)
			assert.NoError(t, err)
			tokens <- token
		})
	}
	makers.Wait()
	close(tokens)
	first := <-tokens
	assert.Regexp(t, "^[0-9a-f]{64}$", first)
	for token := range tokens {
		assert.Equal(t, first, token)
	}
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 1)
	info, err := entries[0].Info()
	require.NoError(t, err)
	assert.Equal(t, "token", info.Name())
	assert.Equal(t, fs.FileMode(0o600), info.Mode())
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
			path := filepath.Join(dir, "token")
			require.NoError(t, os.WriteFile(path, []byte(c.content), c.mode))
			_, err := Token(dir)
			assert.ErrorContains(t, err, path)
			assert.ErrorContains(t, err, "remove it to have a new one made")
		})
	}
}
