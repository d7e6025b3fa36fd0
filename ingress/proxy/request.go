package proxy

import (
	"bytes"
	"net/http"
	"net/netip"
	"strconv"
)

// untilEnd is the length of a body that ends with its connection.
const untilEnd = -1

// framing is how the end of a body is found.
type framing struct {
	chunked bool
	length  int64
}

// empty reports whether there is no body.
func (f framing) empty() bool { return !f.chunked && f.length == 0 }

// request is the head of an HTTP/1 request: as a replica is to get it, and what the
// proxy has to know. It is stricter than net/http, so that a replica cannot understand
// it differently.
type request struct {
	head       []byte
	old        bool // it is HTTP/1.0
	close      bool // the client wants no other answer on its connection
	onlyHead   bool // its answer has no body
	repeatable bool
	expects    bool // the client waits for 100 (Continue) before it sends the body
	upgrade    bool
	framing    framing

	forwardedHost, forwardedProto bool // a proxy before this one has told them
	fields                        []field
	options                       [][]byte
}

// reset makes a request of which nothing is known.
func (q *request) reset() {
	*q = request{head: emptied(q.head), fields: q.fields[:0], options: q.options[:0]}
}

// parse reads the head of a request that came from a client to an address.
func (q *request) parse(head []byte, client, local netip.AddrPort) error {
	line, rest := cutLine(head)
	method, target, err := q.parseLine(line)
	if err != nil {
		return err
	}
	if q.fields, err = parseFields(q.fields, rest); err != nil {
		return err
	}
	if q.options, err = options(q.options, q.fields); err != nil {
		return err
	}
	q.close = names(q.options, []byte("close")) || q.old && !names(q.options, []byte("keep-alive"))
	host, target, err := q.parseTarget(target)
	if err != nil {
		return err
	}
	q.head = append(q.head, method...)
	q.head = append(q.head, ' ')
	q.head = append(q.head, target...)
	q.head = append(q.head, " HTTP/1.1\r\n"...)
	if host == nil && q.old {
		host = local.AppendTo(nil) // it need not be told
	}
	q.head = field{[]byte("Host"), host}.appendTo(q.head)
	if err := q.passFields(); err != nil {
		return err
	}
	q.tellClient(client, host)
	q.head = append(q.head, "\r\n"...)
	return nil
}

// parseLine reads the first line.
func (q *request) parseLine(line []byte) (method, target []byte, err error) {
	method, rest, _ := bytes.Cut(line, []byte{' '})
	target, version, _ := bytes.Cut(rest, []byte{' '})
	if !isToken(method) {
		return nil, nil, bad("the first line is not a request")
	}
	switch string(version) {
	case "HTTP/1.1":
	case "HTTP/1.0":
		q.old = true
	default:
		if len(version) == len("HTTP/1.1") && bytes.HasPrefix(version, []byte("HTTP/")) {
			return nil, nil, &malformed{http.StatusHTTPVersionNotSupported, "the version is unknown"}
		}
		return nil, nil, bad("the first line is not a request")
	}
	if string(method) == http.MethodConnect {
		return nil, nil, &malformed{http.StatusMethodNotAllowed, "CONNECT is for another kind of proxy"}
	}
	q.onlyHead = string(method) == http.MethodHead
	q.repeatable = isSafe(string(method))
	return method, target, nil
}

// isSafe reports whether a method may be tried at one replica after the other
// (RFC 9110, 9.2.1).
func isSafe(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return true
	}
	return false
}

// parseTarget returns the host, and the target of a request in its usual form (RFC 9112,
// 3.2).
func (q *request) parseTarget(target []byte) (host, path []byte, err error) {
	found := 0
	for _, f := range q.fields {
		if f.is("host") {
			host = f.value
			found++
		}
	}
	switch {
	case found > 1:
		return nil, nil, bad("there is more than one Host")
	case found == 0 && !q.old:
		return nil, nil, bad("there is no Host")
	}
	if scheme := len("http://"); len(target) > scheme && bytes.EqualFold(target[:scheme], []byte("http://")) {
		if host, target = cutAuthority(target[scheme:]); len(host) == 0 {
			return nil, nil, bad("the target has no host")
		}
	}
	switch {
	case !isHost(host):
		return nil, nil, bad("the host is not one")
	case !isPath(target) && string(target) != "*":
		return nil, nil, bad("the target is not a path")
	}
	return host, target, nil
}

// cutAuthority splits what follows the scheme of a URI.
func cutAuthority(rest []byte) (host, path []byte) {
	i := bytes.IndexAny(rest, "/?")
	switch {
	case i < 0:
		return rest, []byte{'/'}
	case rest[i] == '?':
		return rest[:i], append([]byte{'/'}, rest[i:]...)
	}
	return rest[:i], rest[i:]
}

// passFields passes on the fields that do not concern the connection to the client.
func (q *request) passFields() error {
	var name [nameLimit]byte
	var upgrade []byte
	framed := 0
	for _, f := range q.fields {
		known := string(f.known(&name))
		switch known {
		case "host", "connection", "keep-alive", "proxy-connection":
			continue
		case "content-length", "transfer-encoding":
			framed++
			if err := q.frame(known, f.value); err != nil {
				return err
			}
			continue
		case "upgrade":
			upgrade = f.value
			continue
		case "te":
			if bytes.EqualFold(f.value, []byte("trailers")) {
				q.head = f.appendTo(q.head)
			}
			continue
		case "expect":
			if !bytes.EqualFold(f.value, []byte("100-continue")) {
				return &malformed{http.StatusExpectationFailed, "the expectation is unknown"}
			}
			if q.expects = !q.old; q.old {
				continue
			}
		}
		if len(q.options) == 0 || !names(q.options, f.name) {
			q.head = f.appendTo(q.head)
			q.note(known)
		}
	}
	if framed > 1 {
		return bad("Content-Length or Transfer-Encoding is there twice")
	}
	if q.framing.chunked {
		q.head = append(q.head, "Transfer-Encoding: chunked\r\n"...)
	} else if framed > 0 {
		q.head = appendLength(q.head, q.framing.length)
	}
	if len(upgrade) > 0 && q.framing.empty() && !q.old && names(q.options, []byte("upgrade")) {
		q.upgrade = true
		q.head = appendUpgrade(q.head, upgrade)
	}
	return nil
}

// note notes what the proxy has to know of a field that is passed on.
func (q *request) note(known string) {
	switch known {
	case "idempotency-key":
		q.repeatable = true
	case "x-forwarded-host":
		q.forwardedHost = true
	case "x-forwarded-proto":
		q.forwardedProto = true
	}
}

// tellClient tells whom a request came from. What a proxy before this one said stays: to
// the replica it is as near as it was when the port was its own.
func (q *request) tellClient(client netip.AddrPort, host []byte) {
	q.head = append(q.head, "X-Forwarded-For: "...)
	q.head = client.Addr().Unmap().AppendTo(q.head)
	q.head = append(q.head, "\r\n"...)
	if !q.forwardedHost {
		q.head = field{[]byte("X-Forwarded-Host"), host}.appendTo(q.head)
	}
	if !q.forwardedProto {
		q.head = append(q.head, "X-Forwarded-Proto: http\r\n"...)
	}
}

// frame reads how the end of the body is found.
func (q *request) frame(known string, value []byte) error {
	switch {
	case known == "content-length":
		n, ok := parseLength(value)
		if !ok {
			return bad("Content-Length is not a number")
		}
		q.framing.length = n
	case q.old:
		return bad("HTTP/1.0 has no Transfer-Encoding")
	case !bytes.EqualFold(value, []byte("chunked")):
		return &malformed{http.StatusNotImplemented, "the Transfer-Encoding is unknown"}
	default:
		q.framing.chunked = true
	}
	return nil
}

func appendUpgrade(to, protocol []byte) []byte {
	to = append(to, "Connection: Upgrade\r\n"...)
	return field{[]byte("Upgrade"), protocol}.appendTo(to)
}

func appendLength(to []byte, n int64) []byte {
	to = append(to, "Content-Length: "...)
	to = strconv.AppendInt(to, n, 10)
	return append(to, "\r\n"...)
}

// isHost reports whether something is a host with or without a port, or nothing.
func isHost(host []byte) bool {
	if i := bytes.LastIndexByte(host, ':'); i >= 0 && !bytes.HasSuffix(host, []byte{']'}) {
		if _, ok := parseLength(host[i+1:]); !ok && len(host[i+1:]) > 0 {
			return false
		}
		host = host[:i]
	}
	set := &hosts
	if bytes.HasPrefix(host, []byte{'['}) && bytes.HasSuffix(host, []byte{']'}) {
		host, set = host[1:len(host)-1], &addresses
		if len(host) == 0 {
			return false
		}
	}
	for _, c := range host {
		if !set[c] {
			return false
		}
	}
	return true
}

var (
	hosts     = charset("-._~" + alphanumeric)
	addresses = charset(":." + "0123456789ABCDEFabcdef")
)

// isPath reports whether something is a path with or without a query.
func isPath(target []byte) bool {
	if !bytes.HasPrefix(target, []byte{'/'}) {
		return false
	}
	query := false
	for i, c := range target {
		switch {
		case c <= ' ' || c == 0x7f:
			return false
		case c == '?':
			query = true
		case c == '%' && !query && !(i+2 < len(target) && isHex(target[i+1]) && isHex(target[i+2])):
			return false
		}
	}
	return true
}

func isHex(c byte) bool { return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'f' }
