package load_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tendhq/tend/e2e/load"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// shop is a shop in memory, for one user or many: a token names its user.
type shop struct {
	http.Handler

	mu       sync.Mutex
	emails   []string                    // of the users, the first is u1
	orders   map[string][]map[string]any // by token
	payments map[string][]map[string]any
}

func newShop() *shop {
	s := &shop{orders: map[string][]map[string]any{}, payments: map[string][]map[string]any{}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/users/register", func(w http.ResponseWriter, r *http.Request) {
		var body struct{ Email string }
		_ = json.NewDecoder(r.Body).Decode(&body)
		s.emails = append(s.emails, body.Email)
		answer(w, http.StatusCreated, map[string]any{"userId": fmt.Sprint("u", len(s.emails)), "token": fmt.Sprint("t", len(s.emails))})
	})
	mux.HandleFunc("GET /api/users/{id}", func(w http.ResponseWriter, r *http.Request) {
		if "u"+strings.TrimPrefix(token(r), "t") != r.PathValue("id") {
			answer(w, http.StatusNotFound, nil)
			return
		}
		n, _ := strconv.Atoi(r.PathValue("id")[1:])
		answer(w, http.StatusOK, map[string]any{"email": s.emails[n-1]})
	})
	mux.HandleFunc("GET /api/products", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, map[string]any{"products": []map[string]any{{"productId": "cup", "inventory": 500}, {"productId": "rope", "inventory": 1}}})
	})
	mux.HandleFunc("GET /api/products/cup", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, nil) })
	mux.HandleFunc("GET /api/orders", func(w http.ResponseWriter, r *http.Request) { list(w, r, "orders", s.orders[token(r)]) })
	mux.HandleFunc("GET /api/payments", func(w http.ResponseWriter, r *http.Request) { list(w, r, "payments", s.payments[token(r)]) })
	mux.HandleFunc("POST /api/orders", func(w http.ResponseWriter, r *http.Request) {
		order := map[string]any{"orderId": "o-" + r.Header.Get("Idempotency-Key"), "status": "confirmed"}
		s.orders[token(r)] = append(s.orders[token(r)], order)
		paid := map[string]any{"paymentId": fmt.Sprint("p-", order["orderId"]), "orderId": order["orderId"]}
		s.payments[token(r)] = append(s.payments[token(r)], paid)
		order["paymentId"] = paid["paymentId"]
		answer(w, http.StatusCreated, order)
	})
	mux.HandleFunc("POST /api/orders/{id}/cancel", func(w http.ResponseWriter, r *http.Request) {
		for _, order := range s.orders[token(r)] {
			if order["orderId"] == r.PathValue("id") {
				order["status"] = "cancelled"
				answer(w, http.StatusOK, order)
			}
		}
	})
	s.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		mux.ServeHTTP(w, r)
	})
	return s
}

func token(r *http.Request) string {
	return strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
}

func answer(w http.ResponseWriter, status int, body any) {
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

func list(w http.ResponseWriter, r *http.Request, field string, items []map[string]any) {
	var page, limit int
	_, _ = fmt.Sscan(r.URL.Query().Get("limit"), &limit)
	if _, err := fmt.Sscan(r.URL.Query().Get("page"), &page); err != nil {
		page = 1
	}
	from, to := min(len(items), (page-1)*limit), min(len(items), page*limit)
	answer(w, http.StatusOK, map[string]any{field: items[from:to], "totalPages": (len(items) + limit - 1) / limit})
}

func run(t *testing.T, handler http.Handler, config load.Config) load.Report {
	t.Helper()
	server := httptest.NewServer(handler)
	defer server.Close()
	config.URL = server.URL
	report, err := load.Run(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func TestCountsEveryRequestOfAShopThatWorks(t *testing.T) {
	s := newShop()
	report := run(t, s, load.Config{Requests: 3000, Concurrency: 4, Writes: 0.6, Fresh: 0.1})
	if err := report.Err(); err != nil || report.Requests != 3000 {
		t.Fatalf("%v\n%s", err, report)
	}
	counted := 0
	for _, outcomes := range report.Outcomes {
		for _, n := range outcomes {
			counted += n
		}
	}
	written := 0
	for user := range s.orders {
		written += len(s.orders[user])
	}
	if counted != 3000 || report.Ledger.Acknowledged != written || report.Ledger.Unknown != 0 || written < 500 {
		t.Errorf("%d counted, %d written\n%s", counted, written, report)
	}
	l := report.Latency
	if l.P50 <= 0 || l.P50 > l.P99 || l.P99 > l.P999 || l.P999 > l.Max {
		t.Errorf("latency %+v", l)
	}
}

func TestShoppingSearchesAndRegisters(t *testing.T) {
	s := newShop()
	config := load.Config{Requests: 1000, Concurrency: 4, Writes: 0.5, Shopping: true}
	report := run(t, s, config)
	searched, registered := report.Outcomes["GET search"]["200"], report.Outcomes["POST register"]["201"]
	if report.Err() != nil || searched == 0 || registered == 0 || len(s.emails) != 4+registered {
		t.Errorf("%d searches, %d registrations, %d users\n%s", searched, registered, len(s.emails), report)
	}
	forgetful := newShop()
	report = run(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if id, ok := strings.CutPrefix(r.URL.Path, "/api/users/u"); ok && id > "4" {
			answer(w, http.StatusNotFound, nil)
			return
		}
		forgetful.ServeHTTP(w, r)
	}), config)
	if wrong := strings.Join(report.Ledger.Wrong, "\n"); !strings.Contains(wrong, "was registered") {
		t.Errorf("the ledger says %q", wrong)
	}
}

// However busy the machine is: no more than are due, and none before it is due.
func TestKeepsToItsRateAndDuration(t *testing.T) {
	report := run(t, newShop(), load.Config{Duration: time.Second, Rate: 100})
	if report.Err() != nil || report.Requests == 0 || report.Requests > 100 {
		t.Errorf("%s", report)
	}
	report = run(t, newShop(), load.Config{Requests: 50, Rate: 100})
	if report.Err() != nil || report.Requests != 50 || report.Elapsed < 490*time.Millisecond {
		t.Errorf("%s", report)
	}
}

// With a rate, what a stall kept from being sent waits, too.
func TestDoesNotHideAStall(t *testing.T) {
	s := newShop()
	var stall sync.Once
	report := run(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("limit") != "100" && r.Method == http.MethodGet {
			stall.Do(func() { time.Sleep(500 * time.Millisecond) })
		}
		s.ServeHTTP(w, r)
	}), load.Config{Duration: time.Second, Rate: 100, Concurrency: 1})
	if report.Err() != nil || report.Latency.P99 < 400*time.Millisecond {
		t.Errorf("%s", report)
	}
}

func TestReportsWhatIsWrong(t *testing.T) {
	// after runs then on the shop after every answered write of that path.
	after := func(s *shop, path string, then func(token string)) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			s.ServeHTTP(w, r)
			if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, path) {
				s.mu.Lock()
				defer s.mu.Unlock()
				then(token(r))
			}
		})
	}
	// instead answers the requests of that method and path.
	instead := func(s *shop, method, path string, handler http.HandlerFunc) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == method && strings.HasPrefix(r.URL.Path, path) && r.URL.Query().Get("limit") != "100" {
				handler(w, r)
				return
			}
			s.ServeHTTP(w, r)
		})
	}
	twice := func(items []map[string]any) []map[string]any { return append(items, items[len(items)-1]) }
	abort := func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

	s := newShop()
	for name, test := range map[string]struct {
		handler http.Handler
		outcome string // of some failed request
		wrong   string // about some write
		unknown bool   // some write is
	}{
		"an order is lost":       {handler: after(s, "/orders", func(token string) { s.orders[token] = nil }), wrong: "is there 0 times"},
		"an order is doubled":    {handler: after(s, "/orders", func(token string) { s.orders[token] = twice(s.orders[token]) }), wrong: "is there 2 times"},
		"an order is paid twice": {handler: after(s, "/orders", func(token string) { s.payments[token] = twice(s.payments[token]) }), wrong: "was paid 2 times"},
		"an order comes from nowhere": {handler: after(s, "/orders", func(token string) {
			s.orders[token] = append(s.orders[token], map[string]any{"orderId": fmt.Sprint("x", len(s.orders[token])), "status": "pending"})
		}), wrong: "orders are there that were not acknowledged, of 0"},
		"a cancellation is forgotten": {handler: after(s, "/cancel", func(token string) {
			for _, order := range s.orders[token] {
				order["status"] = "confirmed"
			}
		}), wrong: "was cancelled and is confirmed"},
		"a payment is lost": {handler: after(s, "/orders", func(token string) { s.payments[token] = nil }), wrong: "was paid 0 times"},
		"a payment comes from nowhere": {handler: after(s, "/orders", func(token string) {
			s.payments[token] = append(s.payments[token], map[string]any{"paymentId": "p", "orderId": "another"})
		}), wrong: "that nobody sent"},
		"a payment has another id": {handler: after(s, "/orders", func(token string) {
			for _, payment := range s.payments[token] {
				payment["paymentId"] = "another"
			}
		}), wrong: "is there as another"},
		"an error": {handler: instead(s, http.MethodGet, "/api/orders", func(w http.ResponseWriter, _ *http.Request) {
			answer(w, http.StatusServiceUnavailable, "busy")
		}), outcome: "503"},
		"a broken connection, nothing written": {handler: instead(s, http.MethodPost, "/api/orders", abort), outcome: "connection", unknown: true},
		"the answers to orders are lost": {handler: instead(s, http.MethodPost, "/api/orders", func(w http.ResponseWriter, r *http.Request) {
			s.ServeHTTP(httptest.NewRecorder(), r)
			abort(w, r)
		}), outcome: "connection", unknown: true},
		"a time-out": {handler: instead(s, http.MethodGet, "/api/orders", func(_ http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
		}), outcome: "timeout"},
	} {
		t.Run(name, func(t *testing.T) {
			report := run(t, test.handler, load.Config{Requests: 200, Concurrency: 1, Writes: 0.7, Fresh: 1, Timeout: 100 * time.Millisecond})
			if report.Err() == nil {
				t.Errorf("nothing is wrong\n%s", report)
			}
			if failed := outcomesOf(report.Failures); !strings.Contains(failed, test.outcome) || test.outcome == "" && failed != "" {
				t.Errorf("requests failed by %q, want %q", failed, test.outcome)
			}
			if wrong := strings.Join(report.Ledger.Wrong, "\n"); !strings.Contains(wrong, test.wrong) || test.wrong == "" && wrong != "" {
				t.Errorf("the ledger says %q, want %q", wrong, test.wrong)
			}
			if (report.Ledger.Unknown > 0) != test.unknown {
				t.Errorf("%d writes are unknown", report.Ledger.Unknown)
			}
			if summary := report.String(); !strings.Contains(summary, test.outcome) || !strings.Contains(summary, test.wrong) {
				t.Errorf("the summary tells nothing of it:\n%s", summary)
			}
		})
	}
}

func outcomesOf(failures []load.Failure) string {
	var outcomes []string
	for _, f := range failures {
		outcomes = append(outcomes, f.Outcome)
	}
	return strings.Join(outcomes, ", ")
}

// What net/http sends again by itself is a request that failed.
func TestCountsWhatIsSentAgainSilently(t *testing.T) {
	s := newShop()
	var connections sync.Map
	report := run(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, known := connections.LoadOrStore(r.RemoteAddr, true)
		if known && r.Method == http.MethodGet && r.URL.Query().Get("limit") != "100" {
			panic(http.ErrAbortHandler) // on a connection that was kept
		}
		s.ServeHTTP(w, r)
	}), load.Config{Requests: 100, Concurrency: 1, Writes: 0})
	if failed := outcomesOf(report.Failures); !strings.Contains(failed, "connection broken, repeated") {
		t.Errorf("%s", report)
	}
}

func TestRefusesABadConfiguration(t *testing.T) {
	for want, config := range map[string]load.Config{
		"loopback address":             {URL: "http://shop.example.com"},
		"loopback address only":        {URL: "http://192.0.2.1:8080"},
		"negative":                     {URL: "http://127.0.0.1:1", Requests: -1},
		"tokens expire":                {URL: "http://127.0.0.1:1", Duration: time.Hour},
		"not between 0 and 1":          {URL: "http://127.0.0.1:1", Writes: 2},
		"list products":                {URL: "http://127.0.0.1:1"},
		"invalid control character in": {URL: "http://127.0.0.1\n"},
	} {
		if _, err := load.Run(t.Context(), config); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: the error is %v, want %q", config, err, want)
		}
	}
}
