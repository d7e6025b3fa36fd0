package httpx_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"go.uber.org/zap"

	"github.com/tendhq/tend/services/internal/httpx"
	"github.com/tendhq/tend/services/internal/logging"
)

func TestDecodeIsStrict(t *testing.T) {
	for _, test := range []struct {
		name, contentType, body string
		want                    int // 0: accepted
	}{
		{"an object", "application/json", `{"name":"a","count":1}`, 0},
		{"with a charset", "application/json; charset=utf-8", `{"name":"a"}`, 0},
		{"no content type", "", `{}`, http.StatusUnsupportedMediaType},
		{"a form", "application/x-www-form-urlencoded", `name=a`, http.StatusUnsupportedMediaType},
		{"empty", "application/json", ``, http.StatusBadRequest},
		{"cut off", "application/json", `{"name":`, http.StatusBadRequest},
		{"not JSON", "application/json", `name`, http.StatusBadRequest},
		{"unknown field", "application/json", `{"title":"a"}`, http.StatusBadRequest},
		{"two objects", "application/json", `{} {}`, http.StatusBadRequest},
		{"an array", "application/json", `[]`, http.StatusBadRequest},
		{"wrong type", "application/json", `{"count":"1"}`, http.StatusUnprocessableEntity},
		{"too large", "application/json", `{"name":"` + strings.Repeat("a", 64<<10) + `"}`, http.StatusRequestEntityTooLarge},
	} {
		t.Run(test.name, func(t *testing.T) {
			request := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(test.body))
			request.Header.Set("Content-Type", test.contentType)
			var target struct {
				Name  string `json:"name"`
				Count int    `json:"count"`
			}
			err := httpx.Decode(httptest.NewRecorder(), request, &target)
			var problem *httpx.Problem
			switch {
			case test.want == 0 && err != nil:
				t.Errorf("refused: %v", err)
			case test.want != 0 && (!errors.As(err, &problem) || problem.Status != test.want):
				t.Errorf("err = %v, want status %d", err, test.want)
			}
		})
	}
}

type away struct{}

func (away) Error() string   { return "away" }
func (away) Temporary() bool { return true }

func TestErrorsBecomeProblems(t *testing.T) {
	for _, test := range []struct {
		name string
		err  error
		want int
	}{
		{"a problem", httpx.NewProblem(http.StatusTeapot, "short and stout"), http.StatusTeapot},
		{"a wrapped problem", fmt.Errorf("brew: %w", httpx.NewProblem(http.StatusTeapot, "short and stout")), http.StatusTeapot},
		{"something away", fmt.Errorf("read: %w", away{}), http.StatusServiceUnavailable},
		{"anything else", errors.New("secret detail"), http.StatusInternalServerError},
	} {
		t.Run(test.name, func(t *testing.T) {
			recorder := httptest.NewRecorder()
			handler := httpx.WithIDs(zap.NewNop())(httpx.Handler(func(http.ResponseWriter, *http.Request) error { return test.err }))
			handler.ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/", nil))
			var problem httpx.Problem
			if err := json.Unmarshal(recorder.Body.Bytes(), &problem); err != nil {
				t.Fatal(err)
			}
			if recorder.Code != test.want || problem.Status != test.want || problem.RequestID == "" ||
				recorder.Header().Get("Content-Type") != "application/problem+json" {
				t.Errorf("answer = %d %v %s", recorder.Code, recorder.Header(), recorder.Body)
			}
			if strings.Contains(recorder.Body.String(), "secret detail") {
				t.Error("an internal error is shown to the client")
			}
		})
	}
}

func TestAPanicBecomesAProblemAndALogLine(t *testing.T) {
	var logs bytes.Buffer
	log, err := logging.New(&logs, "info", "test", "1")
	if err != nil {
		t.Fatal(err)
	}
	recorder := httptest.NewRecorder()
	handler := httpx.WithIDs(log)(httpx.Recover(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("boom") })))
	handler.ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/", nil))
	if recorder.Code != http.StatusInternalServerError || !strings.Contains(logs.String(), `"boom"`) {
		t.Errorf("answer = %d, logs = %s", recorder.Code, &logs)
	}
}

func TestIDsAreAcceptedOrMadeAnew(t *testing.T) {
	serve := func(given string) (logging.IDs, http.Header) {
		var ids logging.IDs
		request := httptest.NewRequest(http.MethodGet, "/", nil)
		request.Header.Set(httpx.RequestIDHeader, given)
		request.Header.Set(httpx.CorrelationIDHeader, given)
		recorder := httptest.NewRecorder()
		httpx.WithIDs(zap.NewNop())(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			ids = logging.IDsFrom(r.Context())
		})).ServeHTTP(recorder, request)
		return ids, recorder.Header()
	}
	ids, header := serve("abc-1.2_3")
	if ids.RequestID != "abc-1.2_3" || ids.CorrelationID != "abc-1.2_3" || header.Get(httpx.CorrelationIDHeader) != "abc-1.2_3" {
		t.Errorf("ids = %+v, header = %v", ids, header)
	}
	for _, bad := range []string{"", "a b", "a\"b", strings.Repeat("a", 129), "ä"} {
		if ids, _ := serve(bad); ids.RequestID == bad || len(ids.RequestID) != 36 {
			t.Errorf("for %q the request id is %q", bad, ids.RequestID)
		}
	}
}

func TestPages(t *testing.T) {
	for query, want := range map[string]httpx.Page{
		"":                 {Number: 1, Limit: 20},
		"page=3&limit=100": {Number: 3, Limit: 100},
	} {
		values, _ := url.ParseQuery(query)
		if got, err := httpx.ParsePage(values); err != nil || got != want {
			t.Errorf("%q: %+v, %v, want %+v", query, got, err, want)
		}
	}
	for _, query := range []string{"page=0", "page=-1", "page=x", "page=", "limit=101", "limit=0", "page=9999999999999999999"} {
		values, _ := url.ParseQuery(query)
		if got, err := httpx.ParsePage(values); err == nil {
			t.Errorf("%q: accepted as %+v", query, got)
		}
	}
	page := httpx.Page{Number: 3, Limit: 10}
	if page.Offset() != 20 || page.Total(0) != 0 || page.Total(10) != 1 || page.Total(11) != 2 {
		t.Errorf("offset %d, totals %d %d %d", page.Offset(), page.Total(0), page.Total(10), page.Total(11))
	}
}

func TestIdempotencyKeys(t *testing.T) {
	get := func(values ...string) (*string, error) {
		request := httptest.NewRequest(http.MethodPost, "/", nil)
		request.Header["Idempotency-Key"] = values
		return httpx.IdempotencyKey(request)
	}
	if key, err := get(); key != nil || err != nil {
		t.Errorf("without a header: %v, %v", key, err)
	}
	if key, err := get("order/1"); err != nil || *key != "order/1" {
		t.Errorf("order/1: %v, %v", key, err)
	}
	for _, bad := range [][]string{{""}, {"a b"}, {"a\x00"}, {"ä"}, {strings.Repeat("a", 256)}, {"a", "b"}} {
		if _, err := get(bad...); err == nil {
			t.Errorf("%q accepted", bad)
		}
	}
}

func TestClientNetwork(t *testing.T) {
	for _, test := range []struct{ remote, realIP, want string }{
		{"192.0.2.1:80", "", "192.0.2.1"},
		{"10.0.0.2:80", "192.0.2.1", "192.0.2.1"},
		{"10.0.0.2:80", "::ffff:192.0.2.1", "192.0.2.1"},
		{"10.0.0.2:80", "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"},
		{"[fe80::1%eth0]:80", "", "fe80::/64"},
		{"10.0.0.2:80", "nonsense", "10.0.0.2"},
		{"@", "", "@"},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RemoteAddr = test.remote
		r.Header.Set("X-Real-IP", test.realIP)
		if got := httpx.ClientNetwork(r); got != test.want {
			t.Errorf("%+v: %s", test, got)
		}
	}
}

// FuzzDecode has bodies of all kinds read. Whatever they hold, the answer is a problem or a
// value that is written and read again as it is.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{``, `{}`, `{"name":"x"}`, `{"name":1}`, `{"items":[{"quantity":1e400}]}`, `{"a":{}}`, `[`, "\xff", `{}{}`, `{"name":"\ud800"}`, strings.Repeat("[", 10001)} {
		f.Add([]byte(seed))
	}
	type target struct {
		Name  *string `json:"name"`
		Items []struct {
			Quantity int64 `json:"quantity"`
		} `json:"items"`
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		request := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body))
		request.Header.Set("Content-Type", "application/json")
		var got, again target
		err := httpx.Decode(httptest.NewRecorder(), request, &got)
		var problem *httpx.Problem
		if err != nil {
			if !errors.As(err, &problem) || problem.Status < 400 || problem.Status > 499 {
				t.Errorf("%q: %v", body, err)
			}
			return
		}
		encoded, err := json.Marshal(got)
		if err != nil {
			t.Fatal(err)
		}
		request = httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(encoded))
		request.Header.Set("Content-Type", "application/json")
		if err := httpx.Decode(httptest.NewRecorder(), request, &again); err != nil || !reflect.DeepEqual(got, again) {
			t.Errorf("%q is read as %+v, and then as %+v, %v", body, got, again, err)
		}
	})
}

// FuzzInput has texts looked at for the form that paths, headers and parameters must have.
func FuzzInput(f *testing.F) {
	for _, seed := range []string{"", "espresso-cup", "01a22229-80ac-71f7-b2e3-6c6946e37983", "01A22229-80AC-71F7-B2E3-6C6946E37983", "../x", "\x00", "\xff", "-1", "99999999999999999999", "1e3"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if id, err := httpx.ParseID(text); err == nil && id.String() != text {
			t.Errorf("%q is the id %s", text, id)
		}
		if key, err := httpx.ParseKey([]string{text}); err == nil && (*key != text || len(text) == 0 || len(text) > 255) {
			t.Errorf("%q is the key %q", text, *key)
		}
		if id := httpx.AcceptID(text); strings.ContainsAny(id, "\r\n \x00") || len(id) > 128 || id == "" {
			t.Errorf("%q is accepted as %q", text, id)
		}
		page, err := httpx.ParsePage(url.Values{"page": {text}, "limit": {text}})
		if err == nil && (page.Number < 1 || page.Limit < 1 || page.Limit > 100 || page.Offset() < 0) {
			t.Errorf("%q is the page %+v", text, page)
		}
	})
}
