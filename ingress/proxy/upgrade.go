package proxy

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"

	"golang.org/x/sys/unix"
)

// upgradeOf returns the protocol that a message changes to, as websocket.
func upgradeOf(header http.Header) string {
	if header["Upgrade"] == nil {
		return ""
	}
	for _, option := range connectionOptions(header) {
		if strings.EqualFold(option, "upgrade") {
			return header.Get("Upgrade")
		}
	}
	return ""
}

// switchProtocols passes on a replica's agreement to change the protocol. From there on
// its connection and the client's are a pair like any other.
func (w *web) switchProtocols(rw http.ResponseWriter, response *http.Response, e *endpoint) {
	x := response.Body.(*exchange)
	x.forget() // the request has ended, the connection has not
	w.open.add()
	end := func() {
		w.pool.release(e)
		w.open.done()
	}
	client, early, err := http.NewResponseController(rw).Hijack()
	if err != nil {
		_ = x.Conn().Close()
		end()
		return
	}
	response.Body = nil
	if err = response.Write(client); err == nil {
		err = passBuffered(client, x.reader)
	}
	if err == nil {
		err = passBuffered(x, early.Reader)
	}
	replica, detachErr := detach(x.Conn())
	if err != nil || detachErr != nil {
		_ = client.Close()
		if detachErr == nil {
			_ = unix.Close(replica)
		}
		end()
		return
	}
	w.relay.join(client.(*net.TCPConn), replica, &e.counters, end)
}

// passBuffered passes on what was read too far.
func passBuffered(to io.Writer, from *bufio.Reader) error {
	_, err := io.CopyN(to, from, int64(from.Buffered()))
	return err
}
