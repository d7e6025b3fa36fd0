package proxy

import (
	"errors"
	"net/http"
	"time"
)

// sendEnd is how long a request may still be sent when its answer has ended.
const sendEnd = 100 * time.Millisecond

// exchange is a request on a connection to a replica, and the answer to it.
type exchange struct {
	conn    *upstreamConn
	client  *client
	reader  reader
	answer  answer
	content *content      // of the answer
	body    *body         // of the request
	sent    chan struct{} // closed when the request is no longer being sent; nil when that was at once
	sendErr error
}

// begin sends a request. Unless its body, nil where there is none, was read as a whole, it
// is sent while the replica may already answer.
func (x *exchange) begin(c *client, conn *upstreamConn, q *request, b *body, whole bool) {
	conn.written = 0
	x.client, x.conn, x.body, x.sent, x.sendErr = c, conn, b, nil, nil
	x.reader.reset(conn)
	c.use(conn)
	if b == nil {
		_, x.sendErr = conn.Write(q.head)
		return
	}
	attempt := b.open()
	if whole {
		x.send(q, attempt)
		return
	}
	sent := make(chan struct{})
	x.sent = sent
	go func() {
		defer close(sent)
		x.send(q, attempt)
	}()
}

// send sends a request with a body. A replica may have answered before it takes no more
// of that, but would wait in vain for what its client does not deliver.
func (x *exchange) send(q *request, attempt *attempt) {
	x.sendErr = stream(x.conn, q.head, attempt, q.framing.chunked)
	if x.body.failed() {
		_ = x.conn.Close()
	}
}

// receive reads the head of the answer, and passes on what comes before that.
func (x *exchange) receive(q *request, early func(*answer) error) error {
	for {
		head, err := x.reader.head(maxHead, true)
		for head == nil && err == nil {
			if err = x.reader.fill(); err == nil {
				head, err = x.reader.head(maxHead, true)
			}
		}
		if err != nil {
			return unexpected(err)
		}
		a := &x.answer
		if err := a.parse(head, q); err != nil {
			return err
		}
		if a.status >= http.StatusOK || a.status == http.StatusSwitchingProtocols {
			x.content = newContent(&x.reader, a.framing)
			return nil
		}
		if err := early(a); err != nil {
			return err
		}
	}
}

// fail ends an exchange that has no answer.
func (x *exchange) fail(err error) error {
	x.client.release()
	x.abort()
	err = errors.Join(x.sendErr, err)
	if x.sendErr != nil && x.conn.written == 0 {
		return &unreachedError{err}
	}
	return err
}

// abort closes the connection, and returns when nothing more is sent.
func (x *exchange) abort() {
	_ = x.conn.Close()
	if x.sent != nil {
		x.body.shut()
		<-x.sent
	}
}

// close ends an exchange. When it has ended well, its connection can carry the next one.
func (x *exchange) close() {
	if !x.client.release() || !x.isSent() || x.answer.close || !x.content.ended ||
		x.answer.framing.length == untilEnd || len(x.reader.unread()) > 0 {
		x.abort()
		return
	}
	x.conn.upstream.giveBack(x.conn)
}

// isSent reports whether the request was sent. A replica may answer before it has read
// everything.
func (x *exchange) isSent() bool {
	if x.sent != nil {
		timer := time.NewTimer(sendEnd)
		defer timer.Stop()
		select {
		case <-x.sent:
		case <-timer.C:
			return false
		}
	}
	return x.sendErr == nil
}
