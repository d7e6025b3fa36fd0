// Package product is the service of the catalogue and its inventory.
package product

import (
	"context"
	"embed"
	"net/http"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/go-chi/chi/v5"

	"github.com/tendhq/tend/services/contracts"
	"github.com/tendhq/tend/services/internal/auth"
	"github.com/tendhq/tend/services/internal/httpx"
	"github.com/tendhq/tend/services/internal/money"
	"github.com/tendhq/tend/services/internal/server"
)

const (
	// maxQuantity keeps sums of inventory far from overflow.
	maxQuantity = 1_000_000
	maxSearch   = 100 // characters
)

//go:embed migrations/*.sql
var migrations embed.FS

// Service is product-service.
var Service = server.Service{Name: "product-service", Port: 3002, Contract: contracts.Of("product-service"), Migrations: migrations, Callers: []string{"order-service"}, New: newApp,
	Commands: map[string]server.Run{"reindex": reindex}}

type handlers struct {
	store  store
	finder finder
	cache  *cache
}

func newApp(rt *server.Runtime) (*server.App, error) {
	cache := newCache(rt.Env, rt.Log, rt.Metrics.Registerer)
	reserved := time.Duration(rt.Env.Number("RESERVATION_SECONDS", 3600)) * time.Second
	elastic := searchFromEnv(rt.Env)
	store := store{rt.DB, rt.Outbox, reserved, elastic != nil}
	h := handlers{store: store, finder: store, cache: cache}
	background := []func(context.Context){server.Every(expireInterval, rt.Log, "expired reservations not told", store.tellExpired)}
	if elastic != nil {
		if !rt.Outbox.On() {
			rt.Env.Fail("ELASTICSEARCH_URL is set and EVENT_BUS is not: the index is kept by events")
		}
		h.finder = newElasticFinder(store, elastic, rt.Metrics.Registerer, rt.Log)
		background = append(background, newIndexer(store, elastic, rt.Log).run)
	}
	return &server.App{
		Routes: func(r chi.Router) {
			r.Route("/api/products", func(r chi.Router) {
				r.Method(http.MethodGet, "/", httpx.Handler(h.list))
				r.With(rt.Tokens.Require).Method(http.MethodGet, "/recommendations", httpx.Handler(h.recommendTo))
				one := r.With(httpx.Path("productId", httpx.ProductID, errNotFound))
				one.Method(http.MethodGet, "/{productId}", httpx.Handler(h.get))
				one.Method(http.MethodGet, "/{productId}/recommendations", httpx.Handler(h.recommendFor))
				one.With(rt.Tokens.Require, auth.RequirePrivileged).
					Method(http.MethodPut, "/{productId}/inventory", httpx.Handler(h.putInventory))
			})
		},
		Handlers:   store.handlers(),
		Background: together(background),
		Close: func() {
			cache.close()
			if elastic != nil {
				elastic.Close()
			}
		},
	}, nil
}

// together runs all of several until each has ended.
func together(all []func(context.Context)) func(context.Context) {
	return func(ctx context.Context) {
		var group sync.WaitGroup
		for _, one := range all {
			group.Go(func() { one(ctx) })
		}
		group.Wait()
	}
}

type product struct {
	ProductID   string       `json:"productId"`
	Name        string       `json:"name"`
	Description string       `json:"description"`
	Price       money.Amount `json:"price"`
	Inventory   int64        `json:"inventory"`
	Category    string       `json:"category"`
}

type productList struct {
	Products   []product `json:"products"`
	TotalCount int       `json:"totalCount"`
	Page       int       `json:"page"`
	TotalPages int       `json:"totalPages"`
}

type filter struct {
	Category, Search string
	Page             httpx.Page
}

func (h handlers) list(w http.ResponseWriter, r *http.Request) error {
	query := r.URL.Query()
	page, err := httpx.ParsePage(query)
	if err != nil {
		return err
	}
	f := filter{Category: query.Get("category"), Search: query.Get("search"), Page: page}
	var fields httpx.Fields
	fields.Check(validText(f.Category), "category", "must have at most 100 printable characters")
	fields.Check(validText(f.Search), "search", "must have at most 100 printable characters")
	if err := fields.Err(); err != nil {
		return err
	}
	found, err := cached(r.Context(), h.cache, f.cacheKey(), func() (catalogue, error) { return h.finder.find(r.Context(), f) })
	if err != nil {
		return err
	}
	if err := h.store.fillInventory(r.Context(), found.Products); err != nil {
		return err
	}
	return httpx.WriteJSON(w, r, http.StatusOK, productList{
		Products: found.Products, TotalCount: found.Count, Page: page.Number, TotalPages: page.Total(found.Count),
	})
}

func validText(s string) bool {
	return utf8.RuneCountInString(s) <= maxSearch && httpx.Printable(s)
}

var errNotFound = httpx.NewProblem(http.StatusNotFound, "there is no product with this id; GET /api/products lists all")

func (h handlers) get(w http.ResponseWriter, r *http.Request) error {
	id := chi.URLParam(r, "productId")
	found, err := cached(r.Context(), h.cache, "product:"+id, func() (catalogue, error) { return h.store.byID(r.Context(), id) })
	if err != nil {
		return err
	}
	if err := h.store.fillInventory(r.Context(), found.Products); err != nil {
		return err
	}
	return httpx.WriteJSON(w, r, http.StatusOK, found.Products[0])
}

type inventoryChange struct {
	Quantity  *int64 `json:"quantity"`
	Operation string `json:"operation"`
}

type inventory struct {
	ProductID string `json:"productId"`
	Inventory int64  `json:"inventory"`
}

func (h handlers) putInventory(w http.ResponseWriter, r *http.Request) error {
	id := chi.URLParam(r, "productId")
	key, err := httpx.IdempotencyKey(r)
	if err != nil {
		return err
	}
	var body inventoryChange
	if err := httpx.Decode(w, r, &body); err != nil {
		return err
	}
	if err := body.validate(); err != nil {
		return err
	}
	fingerprint, err := httpx.Fingerprint(struct {
		ProductID string
		Change    inventoryChange
	}{id, body})
	if err != nil {
		return err
	}
	change := change{
		caller: auth.From(r.Context()).Subject, key: key, fingerprint: fingerprint,
		productID: id, operation: body.Operation, quantity: *body.Quantity,
	}
	result, err := h.store.changeInventory(r.Context(), change)
	if err != nil {
		return err
	}
	if result.replayed {
		if err := httpx.CheckReplay(w, result.fingerprint, fingerprint); err != nil {
			return err
		}
	}
	if !result.applied {
		return httpx.NewProblem(http.StatusConflict, "the inventory is too small for this, or would grow too large")
	}
	return httpx.WriteJSON(w, r, http.StatusOK, inventory{ProductID: id, Inventory: result.inventory})
}

func (b inventoryChange) validate() error {
	var fields httpx.Fields
	known := b.Operation == "add" || b.Operation == "subtract" || b.Operation == "set"
	fields.Check(known, "operation", "must be add, subtract or set")
	least := int64(1)
	if b.Operation == "set" {
		least = 0
	}
	fields.Check(b.Quantity != nil && *b.Quantity >= least && *b.Quantity <= maxQuantity,
		"quantity", "must be a whole number from 1, or from 0 with set, to 1000000")
	return fields.Err()
}
