package product_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/tendhq/tend/services/contracts"
	"github.com/tendhq/tend/services/internal/events"
	"github.com/tendhq/tend/services/internal/product"
	"github.com/tendhq/tend/services/internal/server"
	"github.com/tendhq/tend/services/internal/testenv"
)

// answer answers as Elasticsearch does.
func answer(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Elastic-Product", "Elasticsearch")
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func TestPostgresSearchesWhateverIsWrongWithElasticsearch(t *testing.T) {
	// What no search in Postgres finds for the word, so that it is seen who has searched.
	const found = `{"hits":{"total":{"value":7},"hits":[{"_id":"yoga-mat"},{"_id":"no-longer-sold"},{"_id":"chef-knife"}]}}`
	var behaviour atomic.Value
	released := make(chan struct{})
	elastic := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { behaviour.Load().(http.HandlerFunc)(w, r) }))
	defer elastic.Close()
	defer close(released)
	pg, redis := testenv.SharedPostgres(t), testenv.StartRedis(t)
	cache := testenv.StartRedis(t)
	service := testenv.NewProgram(t, product.Service)
	service.Start(t, pg.Env(t, pg.NewDatabase(t)), cache.Env(t), redis.BusEnv(t), map[string]string{
		"ELASTICSEARCH_URL": elastic.URL, "USER_SERVICE_URL": "http://127.0.0.1:1", "ORDER_SERVICE_URL": "http://127.0.0.1:1",
	})
	cache.Kill(t) // which would answer for a minute what was found before
	find := func() (ids []string, count int) {
		t.Helper()
		var l list
		service.Do(t, testenv.Request{Path: "/api/products?search=lamp"}).Expect(t, http.StatusOK, &l)
		for _, p := range l.Products {
			ids = append(ids, p.ProductID)
			if p.Inventory == 0 || p.Price == 0 || p.Name == "" {
				t.Errorf("found %+v", p)
			}
		}
		return ids, l.TotalCount
	}
	for _, fault := range []struct {
		name   string
		behave http.HandlerFunc
	}{
		{"it hangs", func(_ http.ResponseWriter, r *http.Request) {
			select {
			case <-released:
			case <-r.Context().Done():
			}
		}},
		{"it begins to answer, and hangs", func(w http.ResponseWriter, r *http.Request) {
			answer(http.StatusOK, `{"hits":`)(w, r)
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}},
		{"it breaks the connection", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }},
		{"it has no index", answer(http.StatusNotFound, `{"error":{"type":"index_not_found_exception"},"status":404}`)},
		{"it is overloaded", answer(http.StatusTooManyRequests, `{}`)},
		{"it fails", answer(http.StatusServiceUnavailable, `{}`)},
		{"it answers no JSON", answer(http.StatusOK, `<html>`)},
		{"it is not Elasticsearch", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, found) }},
	} {
		behaviour.Store(answer(http.StatusOK, found))
		testenv.Await(t, "Elasticsearch searches before "+fault.name, func() error {
			// In its order, without what Postgres has no more.
			if ids, count := find(); !slices.Equal(ids, []string{"yoga-mat", "chef-knife"}) || count != 7 {
				return fmt.Errorf("found %v, %d", ids, count)
			}
			return nil
		})
		logged := bytes.Count(service.Log(t), []byte("Postgres searches"))
		behaviour.Store(fault.behave)
		start := time.Now()
		for range 10 {
			if ids, count := find(); !slices.Equal(ids, []string{"desk-lamp"}) || count != 1 {
				t.Errorf("%s: found %v, %d", fault.name, ids, count)
			}
		}
		if took := time.Since(start); took > 3*time.Second {
			t.Errorf("%s: ten searches took %v", fault.name, took)
		}
		if now := bytes.Count(service.Log(t), []byte("Postgres searches")); now != logged+1 {
			t.Errorf("%s: told %d times", fault.name, now-logged)
		}
	}
	if n := searches(t, service.Service, "postgres"); n < 80 {
		t.Errorf("the metric says that Postgres has searched %d times", n)
	}
}

// searches returns how many searches the service's metric says that somebody has made.
func searches(t *testing.T, service testenv.Service, by string) (n int) {
	t.Helper()
	page := string(service.Do(t, testenv.Request{Path: "/metrics"}).Body)
	if _, after, found := strings.Cut(page, fmt.Sprintf(`searches_total{by=%q,service="product-service"} `, by)); found {
		if _, err := fmt.Sscan(after, &n); err != nil {
			t.Fatal(err)
		}
	}
	return n
}

func TestElasticsearchIsConfiguredWhole(t *testing.T) {
	pg, redis := testenv.SharedPostgres(t), testenv.StartRedis(t)
	env := pg.Env(t, pg.NewDatabase(t))
	for _, test := range []struct {
		url, want string
		more      map[string]string
	}{
		{"elasticsearch:9200", "ELASTICSEARCH_URL", redis.BusEnv(t)},
		{"http://elasticsearch:9200", "EVENT_BUS", nil},
	} {
		err := testenv.Refused(t, product.Service, env, redis.Env(t), test.more, map[string]string{"ELASTICSEARCH_URL": test.url})
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want one that names %s", test.url, err, test.want)
		}
	}
	lookup := func(name string) (string, bool) { value, ok := env[name]; return value, ok }
	err := server.Command(t.Context(), product.Service, []string{"reindex"}, lookup, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "ELASTICSEARCH_URL is not set") {
		t.Errorf("reindex: %v", err)
	}
}

func TestAChangeOfTheCatalogueIsToldWhoeverMakesIt(t *testing.T) {
	pg, redis := testenv.SharedPostgres(t), testenv.StartRedis(t)
	database := pg.NewDatabase(t)
	testenv.StartReady(t, product.Service, pg.Env(t, database), redis.Env(t)) // without a bus, which would take the events
	for _, change := range []string{
		`INSERT INTO products VALUES ('rubber-duck', 'Rubber Duck', 'Yellow.', 300, 'office', 1)`,
		`UPDATE products SET inventory = 2 WHERE product_id = 'rubber-duck'`,
		`UPDATE products SET name = 'Bath Duck' WHERE product_id = 'rubber-duck'`,
		`DELETE FROM products WHERE product_id = 'rubber-duck'`,
		`INSERT INTO products VALUES ('rubber-duck', 'Rubber Duck', 'Yellow.', 300, 'office', 1)`,
	} {
		pg.Exec(t, database, change)
	}
	var written []string
	pg.QueryRow(t, database, `SELECT array_agg(event::text ORDER BY sequence) FROM outbox`, &written)
	last := int64(0)
	for i, want := range []string{"product.created", "product.updated", "product.deleted", "product.created"} {
		if i >= len(written) {
			t.Fatalf("%d events, and no %s", len(written), want)
		}
		var e events.Event
		if err := json.Unmarshal([]byte(written[i]), &e); err != nil {
			t.Fatal(err)
		}
		if e.EventType != want || e.AggregateID != "rubber-duck" || time.Since(e.Timestamp).Abs() > time.Minute || e.EventID == uuid.Nil {
			t.Errorf("event %d is %+v", i, e)
		}
		schema, err := contracts.Schema(contracts.Of("product-service").Events[want])
		if err != nil {
			t.Fatal(err)
		}
		var promised any
		var data struct{ Version int64 }
		if err := errors.Join(json.Unmarshal(e.Data, &promised), json.Unmarshal(e.Data, &data)); err != nil {
			t.Fatal(err)
		}
		if err := schema.VisitJSON(promised); err != nil {
			t.Errorf("%s has the data %s: %v", want, e.Data, err)
		}
		if data.Version <= last {
			t.Errorf("%s has the version %d, after %d", want, data.Version, last)
		}
		last = data.Version
	}
}
