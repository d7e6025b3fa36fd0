package proxy

import (
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// connect returns a client's connection to a web.
func connect(t *testing.T, w *web) *net.TCPConn {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	conn, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(10*time.Second)))
	accepted, err := l.Accept()
	require.NoError(t, err)
	w.open.add()
	w.serve(accepted.(*net.TCPConn))
	return conn.(*net.TCPConn)
}

func startWeb(t *testing.T) *web {
	t.Helper()
	r, err := newRelay()
	require.NoError(t, err)
	return newWeb(newPool(holdLimit), r, &gauge{})
}

// ends waits until a connection ends without a word.
func ends(t *testing.T, conn net.Conn) {
	t.Helper()
	text, err := io.ReadAll(conn)
	require.NoError(t, err)
	assert.Empty(t, text)
}

func TestAHeadMustArriveInTime(t *testing.T) {
	w := startWeb(t)
	w.headerLimit = 50 * time.Millisecond
	slow := connect(t, w)
	_, err := io.WriteString(slow, "GET / HTTP/1.1\r\nHost: x\r\n")
	require.NoError(t, err)
	ends(t, slow)
	<-w.open.none()
}

// A client may send an empty line too many, and take its time for what follows.
func TestAnEmptyLineBeginsNoRequest(t *testing.T) {
	w := startWeb(t)
	w.headerLimit = time.Second
	conn := connect(t, w)
	say := func(text string) {
		_, err := io.WriteString(conn, text)
		require.NoError(t, err)
	}
	inState := func(state int32) func() bool {
		return func() bool { return w.clients()[0].state.Load() == state }
	}
	say("\r")
	require.Eventually(t, inState(served), 10*time.Second, time.Millisecond)
	say("\n")
	require.Eventually(t, inState(waiting), 10*time.Second, time.Millisecond)
	time.Sleep(w.headerLimit)
	say("no request\r\n\r\n")
	text, err := io.ReadAll(conn)
	require.NoError(t, err)
	assert.Contains(t, string(text), "HTTP/1.1 400 ")
}

func TestAClientDoesNotWaitForEver(t *testing.T) {
	w := startWeb(t)
	conn := connect(t, w)
	w.closeWaiting(keepAlive, keepAlive)
	w.closeWaiting(0, time.Hour)
	require.Len(t, w.clients(), 1, "it has not waited long enough for its first request")
	w.closeWaiting(0, 0)
	ends(t, conn)
	<-w.open.none()
	assert.Empty(t, w.clients())
}

func TestAClientThatGoesIsForgotten(t *testing.T) {
	w := startWeb(t)
	require.NoError(t, connect(t, w).Close())
	<-w.open.none()
	assert.Empty(t, w.clients())
}
