package proxy

import "net"

// switchProtocols passes on a replica's agreement to change the protocol. From there on
// its connection and the client's are a pair like any other.
func (s *session) switchProtocols(e *endpoint) {
	c, x := s.client, &s.exchange
	c.leave()
	end := func() {
		c.web.pool.release(e)
		c.web.open.done()
	}
	replica, err := 0, s.passAgreement()
	if err == nil {
		replica, err = detach(x.conn.TCPConn)
	}
	if err != nil {
		_ = x.conn.Close()
		_ = c.conn.Close()
		end()
		return
	}
	c.web.relay.join(c.conn, replica, &e.counters, end)
}

// passAgreement passes on the agreement, and what either side has sent behind it.
func (s *session) passAgreement() error {
	x := &s.exchange
	if !s.client.release() {
		return net.ErrClosed
	}
	x.answer.head = append(x.answer.head, x.reader.unread()...)
	if _, err := s.client.conn.Write(x.answer.head); err != nil {
		return err
	}
	_, err := x.conn.Write(s.reader.unread())
	return err
}
