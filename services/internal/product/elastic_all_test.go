//go:build all

package product_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/tendhq/tend/services/internal/product"
	"github.com/tendhq/tend/services/internal/server"
	"github.com/tendhq/tend/services/internal/testenv"
)

// catalogue is a product-service that searches in an Elasticsearch.
type catalogue struct {
	service  *testenv.Service
	postgres *testenv.Postgres
	database string
	elastic  *testenv.Elasticsearch
	bus      *testenv.Redis
	env      map[string]string
}

func startCatalogue(t *testing.T) *catalogue {
	t.Helper()
	pg, cache, bus, elastic := testenv.SharedPostgres(t), testenv.StartRedis(t), testenv.StartRedis(t), testenv.StartElasticsearch(t)
	c := &catalogue{postgres: pg, database: pg.NewDatabase(t), elastic: elastic, bus: bus, env: map[string]string{}}
	for _, env := range []map[string]string{pg.Env(t, c.database), cache.Env(t), bus.BusEnv(t), elastic.Env()} {
		maps.Copy(c.env, env)
	}
	c.service = testenv.StartReady(t, product.Service, c.env)
	// A cache would answer for a minute what was found before.
	cache.Kill(t)
	return c
}

func (c *catalogue) reindex(t *testing.T) {
	t.Helper()
	var log bytes.Buffer
	if err := c.tryReindex(t.Context(), &log); err != nil {
		t.Fatalf("%v\n%s", err, &log)
	}
}

func (c *catalogue) tryReindex(ctx context.Context, log *bytes.Buffer) error {
	lookup := func(name string) (string, bool) { value, ok := c.env[name]; return value, ok }
	return server.Command(ctx, product.Service, []string{"reindex"}, lookup, log)
}

func (c *catalogue) exec(t *testing.T, sql string, args ...any) {
	t.Helper()
	c.postgres.Exec(t, c.database, sql, args...)
}

// find returns the ids of what a search finds, in order, and the count that comes with them.
func (c *catalogue) find(t *testing.T, search, more string) (ids []string, count int) {
	t.Helper()
	var l list
	c.service.Do(t, testenv.Request{Path: "/api/products?search=" + url.QueryEscape(search) + more}).Expect(t, http.StatusOK, &l)
	for _, p := range l.Products {
		ids = append(ids, p.ProductID)
	}
	return ids, l.TotalCount
}

// searched returns how many searches Elasticsearch has made, and Postgres in its place.
func (c *catalogue) searched(t *testing.T) (elastic, postgres int) {
	t.Helper()
	return searches(t, *c.service, "elasticsearch"), searches(t, *c.service, "postgres")
}

// awaitFound returns when Elasticsearch finds just the products wanted.
func (c *catalogue) awaitFound(t *testing.T, search string, want ...string) {
	t.Helper()
	testenv.Await(t, fmt.Sprintf("%q finds %v", search, want), func() error {
		before, _ := c.searched(t)
		ids, count := c.find(t, search, "")
		if after, _ := c.searched(t); after != before+1 {
			return errors.New("Elasticsearch has not searched")
		}
		if slices.Sort(ids); !slices.Equal(ids, want) || count != len(want) {
			return fmt.Errorf("found %v, %d", ids, count)
		}
		return nil
	})
}

func TestElasticsearchFindsWhatPostgresFinds(t *testing.T) {
	c := startCatalogue(t)
	c.exec(t, `INSERT INTO products VALUES ('o-brien-lamp', 'O''Brien''s "Lamp"', 'Knives, forks & the spoons; naïve.', 100, 'lamps & more', 1)`)
	searches := []struct{ words, more string }{
		{"lamp", ""}, {"LAMPS", ""}, {"steel", ""}, {"steel knife", ""}, {"rubber", ""}, {"rubber mat", ""}, {"rubber lamp", ""}, {"keyboards", ""}, {"running", ""}, {"shoe", ""},
		{"the lamp", ""}, {"nothing-of-the-kind", ""}, {"usb-c", ""}, {"hand glazed", ""}, {`"glazed by hand"`, ""}, {`"hand glazed"`, ""}, {`"steel nib" pen`, ""}, {`"steel`, ""},
		{"steel -knife", ""}, {"-steel", ""}, {`steel -"steel nib"`, ""}, {"lamp or mat", ""}, {"rubber mat OR steel -bottle", ""}, {"or", ""}, {"lamp or", ""}, {"-", ""},
		{"%", ""}, {"_", ""}, {"';--", ""}, {`""`, ""}, {"*", ""}, {"name:lamp", ""}, {`{"match_all":{}}`, ""}, {"lamp~2", ""}, {"naïve", ""}, {"o'brien", ""}, {"Ω", ""},
		{"steel", "&category=office"}, {"steel", "&category=kitchen"}, {"steel", "&category=Office"}, {"steel", "&category=no-such"}, {"lamp", "&category=lamps+%26+more"},
		{"-steel", "&category=sport"}, {"steel", "&page=2"}, {"steel", "&page=1000"},
	}
	answers := func() (found map[string]string) {
		found = map[string]string{}
		for _, search := range searches {
			ids, count := c.find(t, search.words, search.more)
			slices.Sort(ids)
			found[search.words+search.more] = fmt.Sprint(count, ids)
		}
		return found
	}
	want := answers()
	if elastic, _ := c.searched(t); elastic != 0 {
		t.Fatalf("Elasticsearch, without an index, has made %d searches", elastic)
	}
	c.reindex(t)
	c.awaitFound(t, "rubber", "yoga-mat")
	_, before := c.searched(t)
	got := answers()
	if _, after := c.searched(t); after != before {
		t.Errorf("Postgres has made %d of the searches", after-before)
	}
	for search, ids := range want {
		if got[search] != ids {
			t.Errorf("%s: Elasticsearch finds %s, and Postgres %s", search, got[search], ids)
		}
	}
	// The pages are parts of one order.
	var paged []string
	for page := 1; page <= 5; page++ {
		ids, _ := c.find(t, "steel", fmt.Sprintf("&limit=1&page=%d", page))
		paged = append(paged, ids...)
	}
	if whole, _ := c.find(t, "steel", ""); !slices.Equal(paged, whole) {
		t.Errorf("the pages show %v, and all at once %v", paged, whole)
	}
}

func TestTheIndexFollowsTheCatalogue(t *testing.T) {
	c := startCatalogue(t)
	c.reindex(t)
	c.awaitFound(t, "rubber", "yoga-mat")
	c.exec(t, `INSERT INTO products VALUES ('rubber-duck', 'Rubber Duck', 'Yellow.', 300, 'office', 1)`)
	c.awaitFound(t, "rubber", "rubber-duck", "yoga-mat")
	c.exec(t, `UPDATE products SET description = 'Yellow, of silicone.', name = 'Bath Duck' WHERE product_id = 'rubber-duck'`)
	c.awaitFound(t, "rubber", "yoga-mat")
	c.awaitFound(t, "silicone", "rubber-duck")
	c.exec(t, `DELETE FROM products WHERE product_id = 'rubber-duck'`)
	c.awaitFound(t, "silicone")
	c.exec(t, `INSERT INTO products VALUES ('rubber-duck', 'Rubber Duck', 'Back again.', 300, 'office', 1)`)
	c.awaitFound(t, "rubber", "rubber-duck", "yoga-mat")

	// Events come twice, late, and in another order: what is indexed is what there is.
	client := c.bus.Client()
	defer client.Close()
	for _, eventType := range []string{"product.deleted", "product.created", "product.updated", "product.deleted"} {
		for _, id := range []string{"rubber-duck", "yoga-mat"} {
			for version := 9; version > 0; version -= 4 {
				event := fmt.Sprintf(`{"eventId":%q,"eventType":%q,"data":{"productId":%q,"version":%d}}`, uuid.New(), eventType, id, version)
				for range 2 {
					if err := client.Do(t.Context(), "XADD", "domain-events", "*", "event", event).Err(); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
	}
	c.exec(t, `INSERT INTO products VALUES ('rubber-band', 'Rubber Band', 'The last of all.', 100, 'office', 1)`)
	c.awaitFound(t, "rubber", "rubber-band", "rubber-duck", "yoga-mat")
}

func TestTheIndexIsBuiltAnewWhileItIsSearched(t *testing.T) {
	c := startCatalogue(t)
	// More than one batch.
	c.exec(t, `INSERT INTO products SELECT 'gadget-' || n, 'Gadget ' || n, 'One of many.', 100, 'gadgets', 1 FROM generate_series(1, 350) AS n`)
	c.reindex(t)
	c.awaitFound(t, "rubber", "yoga-mat")
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	var rebuilt bytes.Buffer
	go func() {
		var err error
		for err == nil && ctx.Err() == nil {
			err = c.tryReindex(ctx, &rebuilt)
		}
		if ctx.Err() != nil {
			err = nil // the last one was broken off
		}
		ended <- err
	}()
	changed := 0
	made, before := c.searched(t)
	for n, deadline := 0, time.Now().Add(5*time.Second); time.Now().Before(deadline); n++ {
		// Changes in the middle of it are in the index that comes out.
		if n%20 == 0 {
			changed++
			c.exec(t, `UPDATE products SET description = 'Changed meanwhile.' WHERE product_id = $1`, fmt.Sprintf("gadget-%d", changed))
		}
		// ZincSearch searches both indexes for a moment, and finds each product twice.
		if ids, count := c.find(t, "gadget", ""); len(ids) < 10 || count < 350 {
			t.Fatalf("search %d finds %d of %d", n, len(ids), count)
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if strings.Count(rebuilt.String(), "reindexed") < 2 {
		t.Errorf("the index was not built anew: %s", &rebuilt)
	}
	// ZincSearch may fail a search of an index that it is removing.
	if elastic, postgres := c.searched(t); (postgres-before)*10 > elastic-made {
		t.Errorf("Elasticsearch has made %d of the searches, and Postgres %d", elastic-made, postgres-before)
	}
	testenv.Await(t, "the index has what Postgres has", func() error {
		if _, count := c.find(t, "gadget changed", ""); count != changed {
			return fmt.Errorf("%d, want %d", count, changed)
		}
		return nil
	})
}

func TestPostgresSearchesWhileElasticsearchIsAway(t *testing.T) {
	c := startCatalogue(t)
	c.reindex(t)
	c.awaitFound(t, "rubber", "yoga-mat")
	for _, fault := range []struct {
		name          string
		begin, finish func(testing.TB)
	}{
		{"killed", c.elastic.Kill, c.elastic.Start}, {"hanging", c.elastic.Pause, c.elastic.Resume},
	} {
		fault.begin(t)
		_, before := c.searched(t)
		start := time.Now()
		for range 20 {
			if ids, _ := c.find(t, "rubber", ""); !slices.Equal(ids, []string{"yoga-mat"}) {
				t.Fatalf("%s: found %v", fault.name, ids)
			}
		}
		// Only the first search waits for the server that hangs.
		if took := time.Since(start); took > 4*time.Second {
			t.Errorf("%s: 20 searches took %v", fault.name, took)
		}
		if _, after := c.searched(t); after != before+20 {
			t.Errorf("%s: Postgres has made %d of 20 searches", fault.name, after-before)
		}
		// What changes meanwhile waits, and keeps no other event waiting.
		id := "wood-" + fault.name
		c.exec(t, `INSERT INTO products VALUES ($1, 'Wooden Thing', $2, 300, 'office', 1)`, id, fault.name)
		testenv.Await(t, "the change waits", func() error {
			var waiting int
			c.postgres.QueryRow(t, c.database, `SELECT count(*) FROM unindexed`, &waiting)
			if waiting != 1 {
				return fmt.Errorf("%d changes wait", waiting)
			}
			return nil
		})
		fault.finish(t)
		c.awaitFound(t, fault.name, id)
	}
}
