package product

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tendhq/tend/services/internal/events"
	"github.com/tendhq/tend/services/internal/httpx"
	"github.com/tendhq/tend/services/internal/postgres"
)

type store struct {
	db     *postgres.DB
	outbox *events.Outbox
	// reserved is how long an order that goes by events keeps its items.
	reserved time.Duration
	// indexed is whether a search index is kept of the products.
	indexed bool
}

// catalogue is what the cache may hold of products: everything but their
// inventory, which fillInventory adds.
type catalogue struct {
	Count    int
	Products []product
}

const catalogueColumns = `SELECT product_id, name, description, price, category FROM products `

func scanCatalogue(rows pgx.Rows) ([]product, error) {
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (product, error) {
		var p product
		err := row.Scan(&p.ProductID, &p.Name, &p.Description, &p.Price, &p.Category)
		return p, err
	})
}

// find returns a page of the products of a category that have all words of a search, the
// best match first.
func (s store) find(ctx context.Context, f filter) (catalogue, error) {
	const where = `WHERE ($1 = '' OR category = $1) AND ($2 = '' OR words @@ websearch_to_tsquery('english', $2)) `
	var found catalogue
	err := s.db.Read(ctx, func(ctx context.Context, q postgres.Querier) error {
		err := q.QueryRow(ctx, `SELECT count(*) FROM products `+where, f.Category, f.Search).Scan(&found.Count)
		if err != nil {
			return err
		}
		rows, err := q.Query(ctx, catalogueColumns+where+`ORDER BY ts_rank(words, websearch_to_tsquery('english', $2)) DESC, name, product_id LIMIT $3 OFFSET $4`,
			f.Category, f.Search, f.Page.Limit, f.Page.Offset())
		if err != nil {
			return err
		}
		found.Products, err = scanCatalogue(rows)
		return err
	})
	if err != nil {
		return catalogue{}, fmt.Errorf("select products: %w", err)
	}
	return found, nil
}

// named returns the products with the ids that there are, in the order of the ids.
func (s store) named(ctx context.Context, ids []string) (products []product, err error) {
	err = s.db.Read(ctx, func(ctx context.Context, q postgres.Querier) error {
		rows, err := q.Query(ctx, catalogueColumns+`WHERE product_id = ANY($1) ORDER BY array_position($1, product_id)`, ids)
		if err != nil {
			return err
		}
		products, err = scanCatalogue(rows)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("select products: %w", err)
	}
	return products, nil
}

// byID returns a catalogue of one product, or errNotFound.
func (s store) byID(ctx context.Context, id string) (catalogue, error) {
	found := catalogue{Count: 1}
	err := s.db.Read(ctx, func(ctx context.Context, q postgres.Querier) error {
		rows, err := q.Query(ctx, catalogueColumns+`WHERE product_id = $1`, id)
		if err != nil {
			return err
		}
		found.Products, err = scanCatalogue(rows)
		return err
	})
	if err != nil {
		return catalogue{}, fmt.Errorf("select product: %w", err)
	}
	if len(found.Products) == 0 {
		return catalogue{}, errNotFound
	}
	return found, nil
}

// fillInventory reads the current inventory of all products with one statement.
func (s store) fillInventory(ctx context.Context, products []product) error {
	ids := make([]string, len(products))
	index := make(map[string]*product, len(products))
	for i := range products {
		ids[i] = products[i].ProductID
		index[ids[i]] = &products[i]
	}
	err := s.db.Read(ctx, func(ctx context.Context, q postgres.Querier) error {
		rows, err := q.Query(ctx, `SELECT product_id, inventory FROM products WHERE product_id = ANY($1)`, ids)
		if err != nil {
			return err
		}
		var id string
		var inventory int64
		_, err = pgx.ForEachRow(rows, []any{&id, &inventory}, func() error {
			index[id].Inventory = inventory
			return nil
		})
		return err
	})
	if err != nil {
		return fmt.Errorf("select inventory: %w", err)
	}
	return nil
}

// change is a change of inventory that is asked for. With a key it happens at
// most once for its caller.
type change struct {
	caller      string
	key         *string
	fingerprint []byte
	productID   string
	operation   string
	quantity    int64
}

type changeResult struct {
	applied     bool
	inventory   int64
	replayed    bool
	fingerprint []byte // of the first request with the key, where replayed
}

func (s store) changeInventory(ctx context.Context, c change) (changeResult, error) {
	var result changeResult
	err := s.db.Write(ctx, func(ctx context.Context, tx pgx.Tx) (err error) {
		result, err = s.run(ctx, tx, c)
		return err
	})
	if postgres.IsCode(err, postgres.UniqueViolation) {
		// Changes of one product take turns; so the key was used for another product just now.
		return changeResult{}, httpx.ErrKeyReused
	}
	if err != nil {
		return changeResult{}, fmt.Errorf("change inventory: %w", err)
	}
	return result, nil
}

func (s store) run(ctx context.Context, tx pgx.Tx, c change) (changeResult, error) {
	// The row's lock puts changes of one product, and with them repetitions of
	// one key, in sequence.
	var current int64
	err := tx.QueryRow(ctx, `SELECT inventory FROM products WHERE product_id = $1 FOR UPDATE`, c.productID).Scan(&current)
	if errors.Is(err, pgx.ErrNoRows) {
		return changeResult{}, errNotFound
	}
	if err != nil {
		return changeResult{}, err
	}
	if c.key != nil {
		earlier := changeResult{replayed: true}
		err := tx.QueryRow(ctx,
			`SELECT applied, inventory, fingerprint FROM inventory_changes WHERE caller = $1 AND idempotency_key = $2`, c.caller, *c.key).
			Scan(&earlier.applied, &earlier.inventory, &earlier.fingerprint)
		if err == nil || !errors.Is(err, pgx.ErrNoRows) {
			return earlier, err
		}
	}
	result := changeResult{inventory: c.next(current)}
	if result.inventory >= 0 && result.inventory <= maxInventory {
		result.applied = true
		if err := s.setInventory(ctx, tx, c.productID, current, result.inventory); err != nil {
			return changeResult{}, err
		}
	} else {
		result.inventory = current
	}
	if c.key != nil {
		_, err := tx.Exec(ctx,
			`INSERT INTO inventory_changes (caller, idempotency_key, fingerprint, product_id, applied, inventory) VALUES ($1, $2, $3, $4, $5, $6)`,
			c.caller, *c.key, c.fingerprint, c.productID, result.applied, result.inventory)
		if err != nil {
			return changeResult{}, err
		}
	}
	return result, nil
}

// inventoryEvent is the data of product.inventory.updated.
type inventoryEvent struct {
	ProductID string `json:"productId"`
	Previous  int64  `json:"previousQuantity"`
	New       int64  `json:"newQuantity"`
}

// setInventory gives a product whose row tx has locked its inventory.
func (s store) setInventory(ctx context.Context, tx pgx.Tx, productID string, previous, inventory int64) error {
	if _, err := tx.Exec(ctx, `UPDATE products SET inventory = $2 WHERE product_id = $1`, productID, inventory); err != nil {
		return err
	}
	return s.outbox.Add(ctx, tx, "product.inventory.updated", productID, inventoryEvent{ProductID: productID, Previous: previous, New: inventory})
}

// maxInventory keeps inventories within what a JSON number holds exactly.
const maxInventory = 1_000_000_000_000

func (c change) next(current int64) int64 {
	switch c.operation {
	case "add":
		return current + c.quantity
	case "subtract":
		return current - c.quantity
	}
	return c.quantity
}
