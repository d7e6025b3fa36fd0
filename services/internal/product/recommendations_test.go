package product_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/tendhq/tend/services/internal/auth"
	"github.com/tendhq/tend/services/internal/product"
	"github.com/tendhq/tend/services/internal/testenv"
)

func TestWhatWasBoughtTogetherIsRecommended(t *testing.T) {
	pg, redis := testenv.SharedPostgres(t), testenv.StartRedis(t)
	database := pg.NewDatabase(t)
	service := testenv.StartReady(t, product.Service, pg.Env(t, database), redis.Env(t), redis.BusEnv(t))
	client := redis.Client()
	defer client.Close()
	ada, eve := uuid.NewString(), uuid.NewString()
	bought := []struct {
		user  string
		items []string
	}{
		{eve, []string{"espresso-cup", "french-press", "chef-knife"}},
		{eve, []string{"espresso-cup", "french-press"}},
		{eve, []string{"espresso-cup", "no-longer-sold"}},
		{eve, []string{"desk-lamp", "notebook-a5"}},
		{ada, []string{"espresso-cup"}},
	}
	for _, order := range bought {
		var items []string
		for _, id := range order.items {
			items = append(items, fmt.Sprintf(`{"productId":%q,"quantity":2}`, id))
		}
		event := fmt.Sprintf(`{"eventId":%q,"eventType":"order.completed","data":{"orderId":%q,"userId":%q,"items":[%s]}}`,
			uuid.New(), uuid.New(), order.user, strings.Join(items, ","))
		for range 2 { // a repetition counts nothing
			if err := client.Do(t.Context(), "XADD", "domain-events", "*", "event", event).Err(); err != nil {
				t.Fatal(err)
			}
		}
	}
	testenv.Await(t, "all orders are counted", func() error {
		var handled int
		pg.QueryRow(t, database, `SELECT count(*) FROM inbox`, &handled)
		if handled != len(bought) {
			return fmt.Errorf("%d", handled)
		}
		return nil
	})
	recommended := func(path, token string) (ids []string) {
		var got struct{ Recommendations []view }
		service.Do(t, testenv.Request{Path: path, Token: token}).Expect(t, http.StatusOK, &got)
		for _, p := range got.Recommendations {
			if p.Inventory == 0 || p.Price == 0 {
				t.Errorf("recommended %+v", p)
			}
			ids = append(ids, p.ProductID)
		}
		return ids
	}
	own := "/api/products/recommendations"
	for _, test := range []struct {
		path, token string
		want        []string
	}{
		{"/api/products/espresso-cup/recommendations", "", []string{"french-press", "chef-knife"}},
		{"/api/products/desk-lamp/recommendations", "", []string{"notebook-a5"}},
		{"/api/products/yoga-mat/recommendations", "", nil},
		{own, testenv.Token(t, ada, auth.Customer), []string{"french-press", "chef-knife"}},
		{own, testenv.Token(t, eve, auth.Customer), nil}, // who has all of it
		{own, testenv.Token(t, uuid.NewString(), auth.Customer), nil},
	} {
		if got := recommended(test.path, test.token); !slices.Equal(got, test.want) {
			t.Errorf("%s recommends %v, want %v", test.path, got, test.want)
		}
	}
	service.Do(t, testenv.Request{Path: own}).Expect(t, http.StatusUnauthorized, nil)
	service.Do(t, testenv.Request{Path: own, Token: testenv.Token(t, "order-service", auth.Service)}).Expect(t, http.StatusForbidden, nil)
}

func TestASearchIsForWords(t *testing.T) {
	service, _ := start(t)
	for search, want := range map[string]string{
		"desk":              "desk-lamp,standing-desk", // the name counts most, the shorter one first
		"headphone":         "noise-headphones",        // by the stem
		"cup hand":          "espresso-cup",            // all words, in name or description
		"steel -fountain":   "chef-knife,french-press,water-bottle",
		`"carbon steel"`:    "chef-knife",
		"cup or mat":        "espresso-cup,yoga-mat",
		"the":               "",
		"ste":               "",
		`"unbalanced & | !`: "",
	} {
		var l list
		service.Do(t, testenv.Request{Path: "/api/products?search=" + url.QueryEscape(search)}).Expect(t, http.StatusOK, &l)
		var ids []string
		for _, p := range l.Products {
			ids = append(ids, p.ProductID)
		}
		if strings.Contains(search, "steel -") {
			slices.Sort(ids)
		}
		if got := strings.Join(ids, ","); got != want || l.TotalCount != len(ids) {
			t.Errorf("%q finds %s, want %s", search, got, want)
		}
	}
}
