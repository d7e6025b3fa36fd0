package proxy

import (
	"bytes"
	"errors"
	"net/http"
	"time"
)

var errAnswer = errors.New("the replica's answer is not HTTP")

// answer is the head of a replica's answer. It is read as leniently as net/http reads it,
// as applications send such heads.
type answer struct {
	// head is what the client gets, without the fields about its connection.
	head    []byte
	status  int
	close   bool // the replica takes no other request on its connection
	framing framing
	length  bool   // there is a Content-Length
	trailer []byte // the names of fields that follow the body
	upgrade []byte

	fields  []field
	options [][]byte
}

// parse reads the head of the answer to a request.
func (a *answer) parse(head []byte, q *request) (err error) {
	*a = answer{head: emptied(a.head), fields: a.fields[:0], options: a.options[:0], framing: framing{length: untilEnd}}
	unfold(head)
	line, rest := cutLine(head)
	old, err := a.parseLine(line)
	if err != nil {
		return err
	}
	if a.fields, err = parseFields(a.fields, rest); err != nil {
		return errAnswer
	}
	if a.options, err = options(a.options, a.fields); err != nil {
		return errAnswer
	}
	a.close = names(a.options, []byte("close")) || old && !names(a.options, []byte("keep-alive"))
	if err := a.passFields(); err != nil {
		return err
	}
	if q.onlyHead || a.status < http.StatusOK || a.status == http.StatusNoContent || a.status == http.StatusNotModified {
		a.bodiless()
	}
	return nil
}

// unfold makes one line of a field that goes over several.
func unfold(head []byte) {
	for i := 1; i+1 < len(head); i++ {
		next := bytes.IndexByte(head[i:], '\n')
		if next < 0 {
			return
		}
		if i += next; i+1 < len(head) && (head[i+1] == ' ' || head[i+1] == '\t') {
			head[i] = ' '
			if head[i-1] == '\r' {
				head[i-1] = ' '
			}
		}
	}
}

// parseLine reads the first line, and passes it on.
func (a *answer) parseLine(line []byte) (old bool, err error) {
	version, rest, _ := bytes.Cut(line, []byte{' '})
	code, reason, _ := bytes.Cut(bytes.TrimLeft(rest, " "), []byte{' '})
	status, ok := parseLength(code)
	if !ok || len(code) != len("200") || status < 100 || !isText(reason) {
		return false, errAnswer
	}
	switch string(version) {
	case "HTTP/1.1":
	case "HTTP/1.0":
		old = true
	default:
		return false, errAnswer
	}
	a.status = int(status)
	a.head = append(a.head, "HTTP/1.1 "...)
	a.head = append(a.head, code...)
	a.head = append(a.head, ' ')
	a.head = append(a.head, reason...)
	a.head = append(a.head, "\r\n"...)
	return old, nil
}

// passFields passes on the fields that do not concern the connection to the replica.
func (a *answer) passFields() error {
	var name [nameLimit]byte
	dated := false
	for _, f := range a.fields {
		switch string(f.known(&name)) {
		case "connection", "keep-alive", "proxy-connection", "te":
			continue
		case "trailer":
			a.trailer = f.value
			continue
		case "upgrade":
			a.upgrade = f.value
			continue
		case "transfer-encoding":
			if a.framing.chunked || !bytes.EqualFold(f.value, []byte("chunked")) {
				return errAnswer
			}
			a.framing.chunked = true
			continue
		case "content-length":
			n, ok := parseLength(f.value)
			if !ok || a.length && n != a.framing.length {
				return errAnswer
			}
			a.length, a.framing.length = true, n
			continue
		case "date":
			dated = true
		}
		if len(a.options) == 0 || !names(a.options, f.name) {
			a.head = f.appendTo(a.head)
		}
	}
	if !dated && a.status >= http.StatusOK {
		a.head = time.Now().UTC().AppendFormat(append(a.head, "Date: "...), http.TimeFormat)
		a.head = append(a.head, "\r\n"...)
	}
	if a.framing.chunked { // which a length beside it does not change
		a.length, a.framing.length = false, 0
	}
	return nil
}

// bodiless notes that an answer ends with its head. A length in it tells of a body that
// could have been.
func (a *answer) bodiless() {
	if a.length && a.status >= http.StatusOK && a.status != http.StatusNoContent {
		a.head = appendLength(a.head, a.framing.length)
	}
	a.framing, a.length = framing{}, false
}

// finish ends the head for the client that has sent a request, and returns whether its
// body is to be sent in chunks. closes has the client connect again, and is set where
// only the end of the connection tells the end of the body.
func (a *answer) finish(q *request, closes *bool) (chunked bool) {
	switch {
	case a.length:
		a.head = appendLength(a.head, a.framing.length)
	case a.framing.empty():
	case q.old:
		*closes = true
	default:
		chunked = true
		a.head = append(a.head, "Transfer-Encoding: chunked\r\n"...)
		if len(a.trailer) > 0 {
			a.head = field{[]byte("Trailer"), a.trailer}.appendTo(a.head)
		}
	}
	switch {
	case a.status == http.StatusSwitchingProtocols:
		a.head = appendUpgrade(a.head, a.upgrade)
	case a.status < http.StatusOK:
	case *closes:
		a.head = append(a.head, "Connection: close\r\n"...)
	case q.old:
		a.head = append(a.head, "Connection: keep-alive\r\n"...)
	}
	a.head = append(a.head, "\r\n"...)
	return chunked
}
