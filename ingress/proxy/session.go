package proxy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// session is what it takes to answer requests on a client's connection.
type session struct {
	client        *client
	remote, local netip.AddrPort
	reader        reader
	request       request
	body          *body    // nil where the request has none
	content       *content // the source of the body
	exchange      exchange

	read    func(fd uintptr) bool // reads what has arrived
	room    []byte
	arrived int
	readErr error
}

func newSession() *session {
	s := &session{}
	s.read = func(fd uintptr) bool {
		s.arrived, s.readErr = ignoringEINTR(func() (int, error) { return unix.Read(int(fd), s.room) })
		return true
	}
	return s
}

// outcome is what has become of a client's connection.
type outcome int

const (
	isReady     outcome = iota // for the next request
	isIdle                     // nothing has arrived
	isOver                     // it is to be closed,
	isUnread                   // though the client may still send
	isElsewhere                // somebody else has it
)

func (s *session) begin(c *client) {
	s.client = c
	s.remote = c.conn.RemoteAddr().(*net.TCPAddr).AddrPort()
	s.local = c.conn.LocalAddr().(*net.TCPAddr).AddrPort()
	s.reader.reset(c.conn)
}

// turn answers one request, if one has arrived.
func (s *session) turn() outcome {
	s.request.reset()
	s.body, s.content = nil, nil
	head, err := s.readHead()
	switch {
	case errors.Is(err, unix.EAGAIN):
		return isIdle
	case errors.Is(err, errTooLong):
		return s.refuse(&malformed{http.StatusRequestHeaderFieldsTooLarge, err.Error()})
	case errors.Is(err, errBareLF):
		return s.refuse(bad(err.Error()))
	case err != nil:
		return isOver
	case string(head) == "PRI * HTTP/2.0\r\n\r\n" && !s.client.used.Load():
		s.client.leave()
		s.client.web.http2.serve(s.client.conn, append(bytes.Clone(head), s.reader.unread()...))
		return isElsewhere
	}
	s.client.used.Store(true)
	if err := s.request.parse(head, s.remote, s.local); err != nil {
		return s.refuse(err)
	}
	if f := s.request.framing; !f.empty() {
		s.content = newContent(&s.reader, f)
		s.body = &body{source: s.content, interrupt: s.client.interrupt}
	}
	return s.forward()
}

// readHead reads the head of a request.
func (s *session) readHead() ([]byte, error) {
	begun := false
	defer func() {
		if begun {
			_ = s.client.conn.SetReadDeadline(time.Time{})
		}
	}()
	for {
		head, err := s.reader.head(maxHead, false)
		switch {
		case len(head) == len("\r\n"): // some clients send one too many
		case head != nil || err != nil:
			return head, err
		case len(s.reader.unread()) == 0:
			err = s.look()
		case !begun:
			begun = true
			_ = s.client.conn.SetReadDeadline(time.Now().Add(s.client.web.headerLimit))
		default:
			err = s.reader.fill()
		}
		if err != nil {
			return nil, err
		}
	}
}

// look reads what has arrived, and is told EAGAIN when that is nothing.
func (s *session) look() error {
	s.room = s.reader.room()
	if err := s.client.raw.Read(s.read); err != nil {
		return err
	}
	s.reader.end += s.arrived
	s.reader.filled = s.arrived == len(s.room)
	if s.arrived == 0 && s.readErr == nil {
		return io.EOF
	}
	return s.readErr
}

// forward passes on the request, and its answer.
func (s *session) forward() outcome {
	c, q, x := s.client, &s.request, &s.exchange
	e, err := c.web.send(c.ctx, s.local.Port(), s.body, q.repeatable, s.attempt)
	if err != nil {
		return s.refuse(err)
	}
	closes := q.close || c.web.retiring.Load()
	chunked := x.answer.finish(q, &closes)
	if x.answer.status == http.StatusSwitchingProtocols {
		s.switchProtocols(e)
		return isElsewhere
	}
	err = stream(c.conn, x.answer.head, x.content, chunked)
	x.close()
	c.web.pool.release(e)
	switch {
	case err != nil:
		return isOver // so that what is broken off does not look whole
	case s.isUnread():
		return isUnread
	case closes:
		return isOver
	}
	return s.ready()
}

// ready is the outcome of a request after which another one may come, or be there.
func (s *session) ready() outcome {
	if len(s.reader.unread()) == 0 && !s.reader.filled {
		return isIdle
	}
	return isReady
}

// isUnread reports whether the client may be sending something that nobody reads.
func (s *session) isUnread() bool { return s.content != nil && !s.content.ended }

// attempt sends the request to an address of an endpoint, and returns the status of the answer.
func (s *session) attempt(e *endpoint, to netip.AddrPort) (int, error) {
	conn, err := e.upstream.connect(s.client.ctx, to)
	if err != nil {
		return 0, err
	}
	x := &s.exchange
	x.begin(s.client, conn, &s.request, s.body, s.content != nil && s.content.whole())
	err = x.receive(&s.request, s.passEarly)
	if err == nil && x.answer.status == http.StatusSwitchingProtocols && !s.request.upgrade {
		err = errAnswer
	}
	if err != nil {
		return 0, x.fail(err)
	}
	return x.answer.status, nil
}

// passEarly passes on an answer before the answer, as 103 Early Hints.
func (s *session) passEarly(a *answer) error {
	if s.request.old || a.status == http.StatusContinue && !s.request.expects {
		return nil
	}
	a.finish(&s.request, new(bool))
	_, err := s.client.conn.Write(a.head)
	return err
}

// refuse answers a request that no replica has answered.
func (s *session) refuse(err error) outcome {
	c, q := s.client, &s.request
	if c.ctx.Err() != nil {
		return isOver // nobody is there to be answered
	}
	closes := q.close || s.isUnread() || c.web.retiring.Load()
	status, reason, retry := statusOf(err), "", ""
	if status == http.StatusServiceUnavailable {
		retry = "Retry-After: 1\r\n"
	}
	var m *malformed
	if errors.As(err, &m) { // where it ends is not known
		status, reason, closes = m.status, ": "+m.reason, true
	}
	text := fmt.Sprintf("tend ingress: %s%s\n", http.StatusText(status), reason)
	head := fmt.Appendf(nil, "HTTP/1.1 %d %s\r\nDate: %s\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\n%s",
		status, http.StatusText(status), time.Now().UTC().Format(http.TimeFormat), len(text), retry)
	switch {
	case closes:
		head = append(head, "Connection: close\r\n"...)
	case q.old:
		head = append(head, "Connection: keep-alive\r\n"...)
	}
	head = append(head, "\r\n"...)
	if !q.onlyHead {
		head = append(head, text...)
	}
	if _, err := c.conn.Write(head); err != nil {
		return isOver
	}
	if closes {
		return isUnread
	}
	return s.ready()
}
