package api

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/ingress"
)

const (
	noWaits  = "[0,0,0,0,0,0,0,0,0,0,0,0,0,0]"
	carrying = "/api/v1/endpoints?index=0&subscriber=gateway"
)

// post sends a body of JSON.
func post(t *testing.T, s *httptest.Server, path, body string) answer {
	t.Helper()
	response, err := s.Client().Post(s.URL+path, "application/json", strings.NewReader(body))
	require.NoError(t, err)
	defer response.Body.Close()
	return readAnswer(t, response)
}

func TestASubscriberTellsWhatItCarried(t *testing.T) {
	c := config(published())
	s := httptest.NewServer(onSocket(NewReadOnly(c)))
	defer s.Close()
	answer := post(t, s, carrying, `{"traffic": {"web": {"requests": 12, "failures": 2, "serverErrors": 1, "latency": [9,0,0,0,0,0,0,0,0,0,0,0,0,1]}}}`)
	require.Equal(t, http.StatusOK, answer.status, answer.body)
	assert.Contains(t, answer.body, `"index"`)
	want := ingress.Counters{Requests: 12, Failures: 2, ServerErrors: 1}
	want.Latency[0], want.Latency[13] = 9, 1
	assert.Equal(t, map[string]map[string]ingress.Counters{"gateway": {"web": want}}, c.Controller.(*intents).carried)
}

func TestWhatCannotHaveBeenCarriedIsRefused(t *testing.T) {
	c := config(published())
	s := httptest.NewServer(onSocket(New(c)))
	defer s.Close()
	web := func(counts string) string { return `{"traffic": {"web": {` + counts + `}}}` }
	many := &strings.Builder{}
	for i := range maxCarriedWorkloads + 1 {
		many.WriteString(strings.Repeat(",", min(i, 1)) + `"` + strconv.Itoa(i) + `": {"latency": ` + noWaits + `}`)
	}
	for name, test := range map[string]struct {
		path, body string
		status     int
		says       string
	}{
		"no name":            {"/api/v1/endpoints?index=0", web(`"latency": ` + noWaits), http.StatusBadRequest, "give index and subscriber"},
		"no index":           {"/api/v1/endpoints?subscriber=gateway", web(`"latency": ` + noWaits), http.StatusBadRequest, "give index and subscriber"},
		"less than nothing":  {carrying, web(`"requests": -1, "latency": ` + noWaits), http.StatusBadRequest, "a count of web is -1"},
		"a negative bucket":  {carrying, web(`"latency": [0,0,0,0,0,0,0,0,0,0,0,0,0,-1]`), http.StatusBadRequest, "a count of web is -1"},
		"more than there is": {carrying, web(`"requests": 9007199254740993, "latency": ` + noWaits), http.StatusBadRequest, "counts are from 0 to"},
		"too few buckets":    {carrying, web(`"latency": [1]`), http.StatusBadRequest, "has 1 buckets, and not 14"},
		"too many workloads": {carrying, `{"traffic": {` + many.String() + `}}`, http.StatusBadRequest, "names 1001 workloads"},
		"another field":      {carrying, web(`"bytes": 1, "latency": ` + noWaits), http.StatusBadRequest, "bytes"},
		"too long":           {carrying, web(`"latency": ` + noWaits + strings.Repeat(" ", maxCarried)), http.StatusRequestEntityTooLarge, "at most 524288 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			answer := post(t, s, test.path, test.body)
			assert.Equal(t, test.status, answer.status, answer.body)
			assert.Contains(t, answer.body, test.says)
		})
	}
	assert.Nil(t, c.Controller.(*intents).carried)
}

// A gateway has the read token, and what it tells changes nothing.
func TestTheReadTokenMayTellWhatWasCarried(t *testing.T) {
	for credential, status := range map[string]int{"": http.StatusUnauthorized, "Bearer " + tokenOf(t, Reader): http.StatusOK} {
		r := httptest.NewRequest(http.MethodPost, carrying, strings.NewReader(`{"traffic": {}}`))
		r.Host = "tend:7071"
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", credential)
		r = r.WithContext(context.WithValue(r.Context(), peerKey{}, peer{name: "172.20.0.9"}))
		answer := httptest.NewRecorder()
		NewReadOnly(config(published())).ServeHTTP(answer, r)
		assert.Equal(t, status, answer.Code, answer.Body)
	}
}
