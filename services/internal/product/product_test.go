package product_test

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/tendhq/tend/services/internal/auth"
	"github.com/tendhq/tend/services/internal/product"
	"github.com/tendhq/tend/services/internal/testenv"
)

func TestMain(m *testing.M) {
	testenv.RunProgram(product.Service)
	os.Exit(testenv.Run(m))
}

func start(t *testing.T) (*testenv.Service, *testenv.Redis) {
	t.Helper()
	pg, redis := testenv.SharedPostgres(t), testenv.StartRedis(t)
	return testenv.StartReady(t, product.Service, pg.Env(t, pg.NewDatabase(t)), redis.Env(t)), redis
}

type view struct {
	ProductID, Name, Description, Category string
	Price                                  float64
	Inventory                              int64
}

type list struct {
	Products                     []view
	TotalCount, Page, TotalPages int
}

func get(t *testing.T, service *testenv.Service, id string) view {
	t.Helper()
	var p view
	service.Do(t, testenv.Request{Path: "/api/products/" + id}).Expect(t, http.StatusOK, &p)
	return p
}

func put(token, id, key, operation string, quantity int) testenv.Request {
	return testenv.Request{Method: http.MethodPut, Path: "/api/products/" + id + "/inventory", Token: token, Key: key,
		Body: fmt.Sprintf(`{"quantity":%d,"operation":%q}`, quantity, operation)}
}

func TestTheCatalogueIsPagedAndFiltered(t *testing.T) {
	service, _ := start(t)
	find := func(query string) (l list) {
		t.Helper()
		service.Do(t, testenv.Request{Path: "/api/products" + query}).Expect(t, http.StatusOK, &l)
		return l
	}
	all := find("")
	if all.TotalCount != 16 || len(all.Products) != 16 || all.Page != 1 || all.TotalPages != 1 {
		t.Fatalf("all = %+v", all)
	}
	seen := map[string]bool{}
	for page := 1; page <= 4; page++ {
		l := find(fmt.Sprintf("?page=%d&limit=5", page))
		if l.TotalPages != 4 || l.Page != page {
			t.Errorf("page %d = %+v", page, l)
		}
		for _, p := range l.Products {
			seen[p.ProductID] = true
		}
	}
	if len(seen) != 16 {
		t.Errorf("the pages show %d products, want 16", len(seen))
	}
	for query, want := range map[string]int{
		"?category=sport": 4, "?search=RUBBER": 1, "?category=office&search=rubber": 0, "?search=%25": 0, "?search=_": 0,
		"?category=Sport": 0, "?page=1000": 0, "?search=%27%3B--": 0,
	} {
		// The second answer comes from the cache.
		for range 2 {
			if l := find(query); len(l.Products) != want || l.Products == nil {
				t.Errorf("%s: %d products, want %d", query, len(l.Products), want)
			}
		}
	}
	for _, query := range []string{"?page=0", "?limit=101", "?limit=x", "?search=%00", "?category=%ff"} {
		service.Do(t, testenv.Request{Path: "/api/products" + query}).Expect(t, http.StatusUnprocessableEntity, nil)
	}
	knife := get(t, service, "chef-knife")
	if knife.Name != "Chef's Knife" || knife.Price != 89 || knife.Inventory != 60 || knife.Category != "kitchen" || knife.Description == "" {
		t.Errorf("details = %+v", knife)
	}
	for _, id := range []string{"no-such", "NO", "%00", "a%2Fb"} {
		service.Do(t, testenv.Request{Path: "/api/products/" + id}).Expect(t, http.StatusNotFound, nil)
	}
}

func TestInventoryIsAddedSubtractedAndSet(t *testing.T) {
	service, _ := start(t)
	admin := testenv.Token(t, "admin", auth.Admin)
	for _, step := range []struct {
		operation string
		quantity  int
		status    int
		inventory int64
	}{
		{"set", 10, http.StatusOK, 10},
		{"add", 5, http.StatusOK, 15},
		{"subtract", 15, http.StatusOK, 0},
		{"subtract", 1, http.StatusConflict, 0},
		{"set", 0, http.StatusOK, 0},
		{"add", 0, http.StatusUnprocessableEntity, 0},
		{"set", -1, http.StatusUnprocessableEntity, 0},
		{"multiply", 2, http.StatusUnprocessableEntity, 0},
	} {
		service.Do(t, put(admin, "desk-lamp", "", step.operation, step.quantity)).Expect(t, step.status, nil)
		if got := get(t, service, "desk-lamp").Inventory; got != step.inventory {
			t.Errorf("after %s %d: inventory %d, want %d", step.operation, step.quantity, got, step.inventory)
		}
	}
	service.Do(t, put(admin, "no-such", "", "set", 1)).Expect(t, http.StatusNotFound, nil)
	service.Do(t, put("", "desk-lamp", "", "set", 1)).Expect(t, http.StatusUnauthorized, nil)
	service.Do(t, put(testenv.Token(t, "ada", auth.Customer), "desk-lamp", "", "set", 1)).Expect(t, http.StatusForbidden, nil)
	service.Do(t, testenv.Request{Method: http.MethodPut, Path: "/api/products/desk-lamp/inventory", Token: admin,
		Body: `{"operation":"set"}`}).Expect(t, http.StatusUnprocessableEntity, nil)
}

func TestAChangeWithAKeyHappensOnce(t *testing.T) {
	service, _ := start(t)
	admin, other := testenv.Token(t, "admin", auth.Admin), testenv.Token(t, "other", auth.Admin)
	service.Do(t, put(admin, "yoga-mat", "", "set", 10)).Expect(t, http.StatusOK, nil)
	var group sync.WaitGroup
	for range 10 {
		group.Go(func() {
			response, err := service.Try(t.Context(), put(admin, "yoga-mat", "k", "subtract", 3))
			if err != nil || response.Status != http.StatusOK || string(response.Body) != `{"productId":"yoga-mat","inventory":7}`+"\n" {
				t.Errorf("answer = %d %s, %v", response.Status, response.Body, err)
			}
		})
	}
	group.Wait()
	if got := get(t, service, "yoga-mat").Inventory; got != 7 {
		t.Errorf("inventory = %d, want 7", got)
	}
	service.Do(t, put(admin, "yoga-mat", "k", "subtract", 4)).Expect(t, http.StatusUnprocessableEntity, nil)
	service.Do(t, put(admin, "desk-lamp", "k", "subtract", 3)).Expect(t, http.StatusUnprocessableEntity, nil)
	service.Do(t, put(other, "yoga-mat", "k", "subtract", 4)).Expect(t, http.StatusOK, nil)

	// A refusal stays one, even when there would be enough by now.
	service.Do(t, put(admin, "yoga-mat", "too-much", "subtract", 4)).Expect(t, http.StatusConflict, nil)
	service.Do(t, put(admin, "yoga-mat", "", "add", 100)).Expect(t, http.StatusOK, nil)
	service.Do(t, put(admin, "yoga-mat", "too-much", "subtract", 4)).Expect(t, http.StatusConflict, nil)
	if got := get(t, service, "yoga-mat").Inventory; got != 103 {
		t.Errorf("inventory = %d, want 103", got)
	}
}

func TestTheCacheIsUsedAndNeverTellsAnOldInventory(t *testing.T) {
	service, redis := start(t)
	admin := testenv.Token(t, "admin", auth.Admin)
	client := redis.Client()
	defer client.Close()
	find := func() int64 {
		t.Helper()
		var l list
		service.Do(t, testenv.Request{Path: "/api/products?search=lamp"}).Expect(t, http.StatusOK, &l)
		if len(l.Products) != 1 {
			t.Fatalf("list = %+v", l)
		}
		return l.Products[0].Inventory
	}
	expect := func(want int64) {
		t.Helper()
		if details, listed := get(t, service, "desk-lamp").Inventory, find(); details != want || listed != want {
			t.Fatalf("inventory = %d in details and %d in the list, want %d", details, listed, want)
		}
	}
	expect(110)
	if keys := client.Keys(t.Context(), "catalogue:*").Val(); len(keys) != 2 {
		t.Fatalf("keys = %v, want 2", keys)
	}
	service.Do(t, put(admin, "desk-lamp", "", "set", 1)).Expect(t, http.StatusOK, nil)
	expect(1)

	// Redis is away during a write and comes back with what it held before.
	if err := client.Do(t.Context(), "CLIENT", "PAUSE", "60000", "ALL").Err(); err != nil {
		t.Fatal(err)
	}
	expect(1)
	service.Do(t, put(admin, "desk-lamp", "", "set", 2)).Expect(t, http.StatusOK, nil)
	expect(2)
	redis.Kill(t)
	testenv.Await(t, "the circuit breaker opens", func() error {
		expect(2)
		page := string(service.Do(t, testenv.Request{Path: "/metrics"}).Body)
		if !strings.Contains(page, `circuit_breaker_state{service="product-service",target="redis"} 2`) {
			return errors.New("the metric does not show it")
		}
		return nil
	})
	service.Do(t, testenv.Request{Path: "/health/ready"}).Expect(t, http.StatusOK, nil)
	service.Do(t, put(admin, "desk-lamp", "", "set", 3)).Expect(t, http.StatusOK, nil)
	redis.Start(t)
	expect(3)
	testenv.Await(t, "the cache is used again", func() error {
		expect(3)
		again := redis.Client()
		defer again.Close()
		if keys := again.Keys(t.Context(), "catalogue:*").Val(); len(keys) != 2 {
			return fmt.Errorf("keys = %v, want 2", keys)
		}
		return nil
	})
}

func TestGarbageInTheCacheIsPassedOver(t *testing.T) {
	service, redis := start(t)
	client := redis.Client()
	defer client.Close()
	if err := client.Set(t.Context(), "catalogue:v1:product:desk-lamp", "{garbage", 0).Err(); err != nil {
		t.Fatal(err)
	}
	if got := get(t, service, "desk-lamp"); got.Name != "Desk Lamp" {
		t.Errorf("details = %+v", got)
	}
}
