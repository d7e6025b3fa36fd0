package proxy

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var (
	aClient = netip.MustParseAddrPort("192.0.2.1:1234")
	aLocal  = netip.MustParseAddrPort("198.51.100.1:80")
)

// parseRequest reads a request, and its body, as the proxy does.
func parseRequest(text string) (*request, []byte, error) {
	q, r := &request{}, &reader{}
	r.reset(strings.NewReader(text))
	head, err := r.head(maxHead, false)
	for head == nil && err == nil {
		if err = r.fill(); err == nil {
			head, err = r.head(maxHead, false)
		}
	}
	if err != nil {
		return nil, nil, err
	}
	if err := q.parse(head, aClient, aLocal); err != nil {
		return nil, nil, err
	}
	var sent bytes.Buffer
	if err = stream(&sent, q.head, newContent(r, q.framing), q.framing.chunked); err != nil {
		return nil, nil, err
	}
	_, err = io.Copy(&sent, r) // what follows
	return q, sent.Bytes(), err
}

func TestWhatARequestBecomes(t *testing.T) {
	const from = "X-Forwarded-For: 192.0.2.1\r\n"
	const host = from + "X-Forwarded-Host: x\r\nX-Forwarded-Proto: http\r\n\r\n"
	for _, c := range []struct{ sent, passed string }{
		{"GET /a?b=%zz HTTP/1.1\r\nHost: x\r\nA:\t b \r\nEmpty:\r\n\r\n", "GET /a?b=%zz HTTP/1.1\r\nHost: x\r\nA: b\r\nEmpty: \r\n" + host},
		{"GET / HTTP/1.1\r\nHost: x\r\nConnection: close, A\r\nConnection: B\r\nA: 1\r\nB: 2\r\nC: 3\r\nKeep-Alive: 5\r\nTE: gzip\r\n\r\n", "GET / HTTP/1.1\r\nHost: x\r\nC: 3\r\n" + host},
		{"GET / HTTP/1.1\r\nHost: x\r\nConnection: TE\r\nTE: trailers\r\n\r\n", "GET / HTTP/1.1\r\nHost: x\r\nTE: trailers\r\n" + host},
		{"GET http://y:1/a HTTP/1.1\r\nHost: x\r\n\r\n", "GET /a HTTP/1.1\r\nHost: y:1\r\n" + strings.Replace(host, " x", " y:1", 1)},
		{"GET http://y?a HTTP/1.1\r\nHost: x\r\n\r\n", "GET /?a HTTP/1.1\r\nHost: y\r\n" + strings.Replace(host, " x", " y", 1)},
		{"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", "OPTIONS * HTTP/1.1\r\nHost: x\r\n" + host},
		{"GET / HTTP/1.1\r\nHost: [2001:db8::1]:80\r\n\r\n", "GET / HTTP/1.1\r\nHost: [2001:db8::1]:80\r\n" + strings.Replace(host, " x", " [2001:db8::1]:80", 1)},
		{"GET / HTTP/1.0\r\n\r\n", "GET / HTTP/1.1\r\nHost: 198.51.100.1:80\r\n" + strings.Replace(host, " x", " 198.51.100.1:80", 1)},
		{
			"GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 203.0.113.1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: y\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 203.0.113.1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: y\r\n" + from + "\r\n",
		},
		{"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: a\r\nConnection: upgrade\r\n\r\n", "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: a\r\n" + host},
		{"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: a\r\n\r\n", "GET / HTTP/1.1\r\nHost: x\r\n" + host},
		{"PUT / HTTP/1.1\r\nHost: x\r\nUpgrade: a\r\nConnection: upgrade\r\nContent-Length: 1\r\n\r\nb", "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n" + host + "b"},
		{"PUT / HTTP/1.1\r\nContent-Length: 003\r\nHost: x\r\nConnection: Content-Length, Host\r\n\r\nabc", "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n" + host + "abc"},
		{
			"PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: Chunked\r\n\r\n00a;b=\"c\"\r\n0123456789\r\n0\r\nA:b\r\nContent-Length: 9\r\n\r\n",
			"PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n" + host + "a\r\n0123456789\r\n0\r\nA: b\r\n\r\n",
		},
	} {
		_, passed, err := parseRequest(c.sent)
		require.NoError(t, err, c.sent)
		assert.Equal(t, c.passed, string(passed))
	}
}

// refused are requests that others have been made to misunderstand, with the statuses of
// the answers.
var refused = map[string]int{
	"\r\r\n\r\n":                                                                                  400,
	"GET\r\n\r\n":                                                                                 400,
	"GET /\r\n\r\n":                                                                               400,
	"GET  / HTTP/1.1\r\nHost: x\r\n\r\n":                                                          400,
	"GET / HTTP/1.1 \r\nHost: x\r\n\r\n":                                                          400,
	"GET /\tHTTP/1.1\r\nHost: x\r\n\r\n":                                                          400,
	"GET / http/1.1\r\nHost: x\r\n\r\n":                                                           400,
	"GET / HTTP/1.11\r\n\r\n":                                                                     400,
	"GET / HTTP/2.0\r\nHost: x\r\n\r\n":                                                           505,
	"G(T / HTTP/1.1\r\nHost: x\r\n\r\n":                                                           400,
	" GET / HTTP/1.1\r\nHost: x\r\n\r\n":                                                          400,
	"GET a HTTP/1.1\r\nHost: x\r\n\r\n":                                                           400,
	"GET /\x00 HTTP/1.1\r\nHost: x\r\n\r\n":                                                       400,
	"GET /%2 HTTP/1.1\r\nHost: x\r\n\r\n":                                                         400,
	"GET https://x/ HTTP/1.1\r\nHost: x\r\n\r\n":                                                  400,
	"GET http:///a HTTP/1.1\r\nHost: x\r\n\r\n":                                                   400,
	"GET http://a@x/ HTTP/1.1\r\nHost: x\r\n\r\n":                                                 400,
	"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n":                                                     405,
	"GET / HTTP/1.1\r\n\r\n":                                                                      400,
	"GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n":                                                400,
	"GET / HTTP/1.1\r\nHost: x/y\r\n\r\n":                                                         400,
	"GET / HTTP/1.1\r\nHost: x:y\r\n\r\n":                                                         400,
	"GET / HTTP/1.1\r\nHost: a b\r\n\r\n":                                                         400,
	"GET / HTTP/1.1\r\nHost: x, y\r\n\r\n":                                                        400,
	"GET / HTTP/1.1\r\nHost: []\r\n\r\n":                                                          400,
	"GET / HTTP/1.1\r\n Host: x\r\n\r\n":                                                          400,
	"GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n":                                             400,
	"GET / HTTP/1.1\r\nHost: x\r\nA : b\r\n\r\n":                                                  400,
	"GET / HTTP/1.1\r\nHost: x\r\nA\r\n\r\n":                                                      400,
	"GET / HTTP/1.1\r\nHost: x\r\n: b\r\n\r\n":                                                    400,
	"GET / HTTP/1.1\r\nHost: x\r\nA\x00: b\r\n\r\n":                                               400,
	"GET / HTTP/1.1\r\nHost: x\r\nA: b\x00\r\n\r\n":                                               400,
	"GET / HTTP/1.1\r\nHost: x\r\nA: b\rC: d\r\n\r\n":                                             400,
	"GET / HTTP/1.1\r\nHost: x\r\nA: b\nC: d\r\n\r\n":                                             400,
	"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nabcde":            400,
	"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 5, 5\r\n\r\nabcde":                              400,
	"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: +5\r\n\r\nabcde":                                400,
	"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 0x5\r\n\r\nabcde":                               400,
	"GET / HTTP/1.1\r\nHost: x\r\nContent-Length:\r\n\r\n":                                        400,
	"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999999999999999\r\n\r\n":                    400,
	"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n":        400,
	"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n":        400,
	"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n":     501,
	"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n":                       501,
	"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, identity\r\n\r\n":                   501,
	"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: \x0bchunked\r\n\r\n":                         400,
	"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: \"chunked\"\r\n\r\n":                         501,
	"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding:\r\n\r\n":                                     501,
	"GET / HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n":                             400,
	"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n0\r\n\r\n":        400,
	"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1 \r\na\r\n0\r\n\r\n":         400,
	"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\na\r\n0\r\n\r\n":         400,
	"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n\r\n0\r\n\r\n":                400,
	"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n;a\r\n0\r\n\r\n":              400,
	"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\na\r\n0\r\n\r\n":            400,
	"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1;\n\r\na\r\n0\r\n\r\n":       400,
	"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1;\r\r\na\r\n0\r\n\r\n":       400,
	"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\n0\r\n\r\n":            400,
	"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n":         400,
	"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000000\r\n\r\n":    400,
	"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA : b\r\n\r\n":           400,
	"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n b\r\n\r\n":              400,
	"GET / HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("A: b\r\n", maxFields) + "\r\n":              431,
	"GET / HTTP/1.1\r\nHost: x\r\nConnection: " + strings.Repeat("a,", maxOptions+1) + "\r\n\r\n": 431,
	"GET / HTTP/1.1\r\nHost: x\r\nExpect: 200-ok\r\n\r\n":                                         417,
}

func TestRequestsThatAreRefused(t *testing.T) {
	for text, status := range refused {
		_, _, err := parseRequest(text)
		var m *malformed
		if errors.Is(err, errBareLF) {
			m = &malformed{status: 400}
		} else if !assert.ErrorAs(t, err, &m, "%q", text) {
			continue
		}
		assert.Equal(t, status, m.status, "%q: %v", text, err)
	}
	_, _, err := parseRequest("GET /" + strings.Repeat("a", maxHead) + " HTTP/1.1\r\nHost: x\r\n\r\n")
	assert.ErrorIs(t, err, errTooLong)
}

// meant is what net/http understands.
type meant struct {
	*http.Request
	body, rest string
}

// understand reads a request as net/http's server does.
func understand(text []byte) (*meant, error) {
	reader := bufio.NewReader(bytes.NewReader(text))
	r, err := http.ReadRequest(reader)
	if err != nil {
		return nil, err
	}
	body, bodyErr := io.ReadAll(r.Body)
	rest, err := io.ReadAll(reader)
	return &meant{r, string(body), string(rest)}, errors.Join(bodyErr, err)
}

// FuzzRequest holds what the proxy understands against what net/http does: of the
// request as it came, and of the request as a replica gets it.
func FuzzRequest(f *testing.F) {
	for text := range refused {
		f.Add([]byte(text))
	}
	f.Add([]byte("POST /a?b HTTP/1.1\r\nHost: x\r\nConnection: close, A\r\nA: b\r\nContent-Length: 3\r\n\r\nabc"))
	f.Add([]byte("POST http://y/%41 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTE: trailers\r\n\r\n3;a=b\r\nabc\r\n0\r\nA: b\r\n\r\n"))
	f.Add([]byte("HEAD * HTTP/1.0\r\nConnection: keep-alive\r\nExpect: 100-continue\r\nX-Forwarded-Proto: https\r\n\r\nGET / HTTP/1.1\r\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) > 8<<10 {
			t.Skip("net/http has other limits")
		}
		q, passed, err := parseRequest(string(text))
		if err != nil {
			return
		}
		came, err := understand(text)
		require.NoError(t, err, "as it came")
		got, err := understand(passed)
		require.NoError(t, err, "as it is passed on: %q", passed)
		for _, r := range []*meant{came, got} {
			assert.Equal(t, came.Method, r.Method)
			assert.Equal(t, came.URL.RequestURI(), r.URL.RequestURI())
			assert.Equal(t, came.body, r.body)
			assert.Equal(t, came.rest, r.rest)
			assert.Equal(t, q.framing.chunked, slices.Equal(r.TransferEncoding, []string{"chunked"}))
			if !q.framing.chunked {
				assert.Equal(t, q.framing.length, r.ContentLength)
			}
		}
		if came.Host != "" || !q.old {
			assert.Equal(t, came.Host, got.Host)
		}
		assert.Equal(t, came.ProtoMinor == 0, q.old)
		assert.Equal(t, came.Close, q.close)
		for name := range got.Header {
			switch name {
			case "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "Connection", "Upgrade":
			default:
				assert.Equal(t, came.Header[name], got.Header[name])
			}
		}
	})
}
