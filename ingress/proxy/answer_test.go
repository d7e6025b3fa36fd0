package proxy

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// parseAnswer reads the answer to a GET, and its body, as the proxy does.
func parseAnswer(text string) (*answer, []byte, error) {
	a, q, r := &answer{}, &request{}, &reader{}
	r.reset(strings.NewReader(text))
	x := &exchange{reader: *r}
	if err := x.receive(q, func(*answer) error { return nil }); err != nil {
		return nil, nil, err
	}
	var sent bytes.Buffer
	a = &x.answer
	chunked := a.finish(q, new(bool))
	err := stream(&sent, a.head, x.content, chunked)
	return a, sent.Bytes(), err
}

func TestWhatAnAnswerBecomes(t *testing.T) {
	const dated = "Date: today\r\n"
	for _, c := range []struct{ sent, passed string }{
		{"HTTP/1.1 200 Fine\r\nDate: today\r\nContent-Length: 5\r\nConnection: A, close\r\nA: b\r\nKeep-Alive: 5\r\n\r\nhello", "HTTP/1.1 200 Fine\r\n" + dated + "Content-Length: 5\r\n\r\nhello"},
		{"HTTP/1.0 200 OK\nDate: today\nA: b\n\tc\n\nhello", "HTTP/1.1 200 OK\r\n" + dated + "A: b \tc\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"},
		{
			"HTTP/1.1 200 OK\r\nDate: today\r\nTransfer-Encoding: chunked\r\nTrailer: B\r\n\r\n5\r\nhello\r\n0\r\nB: c\r\n\r\n",
			"HTTP/1.1 200 OK\r\n" + dated + "Transfer-Encoding: chunked\r\nTrailer: B\r\n\r\n5\r\nhello\r\n0\r\nB: c\r\n\r\n",
		},
		{"HTTP/1.1 103 Early\r\nA: b\r\n\r\nHTTP/1.1 204 None\r\nContent-Length: 3\r\nDate: today\r\n\r\n", "HTTP/1.1 204 None\r\n" + dated + "\r\n"},
		{"HTTP/1.1 304 \r\nContent-Length: 3\r\nDate: today\r\n\r\n", "HTTP/1.1 304 \r\n" + dated + "Content-Length: 3\r\n\r\n"},
		{"HTTP/1.1 101 Change\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", "HTTP/1.1 101 Change\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"},
	} {
		_, passed, err := parseAnswer(c.sent)
		require.NoError(t, err, c.sent)
		assert.Equal(t, c.passed, string(passed))
	}
}

var brokenAnswers = []string{
	"",
	"HTTP/1.1 200 OK\r\n",
	"HTTP/2.0 200 OK\r\n\r\n",
	"HTTP/1.1 2000 OK\r\n\r\n",
	"HTTP/1.1 +20 OK\r\n\r\n",
	"HTTP/1.1 200 OK\r\nA\r\n\r\n",
	"HTTP/1.1 200 OK\r\nA: b\rC: d\r\n\r\n",
	"HTTP/1.1 200 OK\r\nContent-Length : 3\r\n\r\nabc",
	"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
	"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n",
}

func TestBrokenAnswers(t *testing.T) {
	for _, text := range brokenAnswers {
		_, _, err := parseAnswer(text)
		assert.Error(t, err, "%q", text)
	}
}

// FuzzAnswer holds what the proxy understands of an answer against what net/http does,
// and what a client gets against both.
func FuzzAnswer(f *testing.F) {
	for _, text := range brokenAnswers {
		f.Add([]byte(text))
	}
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Length: 50\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nA: b\r\n\r\n"))
	f.Add([]byte("HTTP/1.0 200 OK\nA: b\n c\nConnection: keep-alive\n\nhello"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) > 8<<10 {
			t.Skip("net/http has other limits")
		}
		a, passed, err := parseAnswer(string(text))
		if err != nil || bytes.HasPrefix(text, []byte("HTTP/1.1 1")) || bytes.HasPrefix(text, []byte("HTTP/1.0 1")) {
			return
		}
		got, body, err := readAnswer(passed)
		require.NoError(t, err, "as it is passed on: %q", passed)
		assert.Equal(t, a.status, got.StatusCode)
		came, cameBody, err := readAnswer(text)
		if err != nil {
			return // the proxy is more tolerant
		}
		assert.Equal(t, came.StatusCode, got.StatusCode)
		if !(came.ProtoMinor == 0 && a.framing.chunked) { // which net/http does not know
			assert.Equal(t, cameBody, body)
		}
	})
}

// readAnswer reads an answer as net/http does.
func readAnswer(text []byte) (*http.Response, string, error) {
	r, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(text)), nil)
	if err != nil {
		return nil, "", err
	}
	body, err := io.ReadAll(r.Body)
	return r, string(body), err
}
