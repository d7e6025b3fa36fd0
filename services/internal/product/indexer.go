package product

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"

	"github.com/tendhq/tend/services/internal/events"
	"github.com/tendhq/tend/services/internal/httpx"
	"github.com/tendhq/tend/services/internal/postgres"
	"github.com/tendhq/tend/services/internal/search"
	"github.com/tendhq/tend/services/internal/server"
)

const (
	indexBatch    = 100
	indexInterval = 200 * time.Millisecond
	indexPause    = time.Second // after a failure
)

// changedEvent is what is read of product.created, .updated and .deleted.
type changedEvent struct {
	ProductID string `json:"productId"`
	Version   int64  `json:"version"`
}

// changed notes that a product is to be indexed anew. The event comes as it comes, maybe after
// a later one: what is indexed is what Postgres says by then.
func (s store) changed(ctx context.Context, tx pgx.Tx, e events.Event) error {
	if !s.indexed {
		return nil
	}
	var change changedEvent
	if err := json.Unmarshal(e.Data, &change); err != nil {
		return err
	}
	if !httpx.ProductID(change.ProductID) || change.Version < 1 {
		return fmt.Errorf("no product is %q, or has the version %d", change.ProductID, change.Version)
	}
	_, err := tx.Exec(ctx, `INSERT INTO unindexed (product_id, version) VALUES ($1, $2)`, change.ProductID, change.Version)
	return err
}

// indexer brings to the search index what has changed. It waits for an Elasticsearch that is
// away, and events do not wait for it.
type indexer struct {
	store   store
	elastic *search.Client
	state   *state
}

func newIndexer(store store, elastic *search.Client, log *zap.Logger) indexer {
	return indexer{store, elastic, &state{log: log, away: "changes of products wait to be indexed", back: "changes of products are indexed"}}
}

func (i indexer) run(ctx context.Context) {
	for ctx.Err() == nil {
		more, err := i.index(ctx)
		if ctx.Err() == nil {
			i.state.set(err)
		}
		wait := indexInterval
		switch {
		case err != nil:
			wait = indexPause
		case more:
			continue
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
	}
}

// index indexes the changes that have waited longest, and reports whether there may be more.
func (i indexer) index(ctx context.Context) (more bool, err error) {
	// Most looks find nothing, and need no transaction.
	err = i.store.db.Read(ctx, func(ctx context.Context, q postgres.Querier) error {
		return q.QueryRow(ctx, `SELECT EXISTS (SELECT FROM unindexed)`).Scan(&more)
	})
	if err != nil || !more {
		return false, err
	}
	err = i.store.db.Write(ctx, func(ctx context.Context, tx pgx.Tx) error {
		if err := takeTurns(ctx, tx); err != nil {
			return err
		}
		rows, err := tx.Query(ctx,
			`WITH taken AS (DELETE FROM unindexed WHERE sequence IN (SELECT sequence FROM unindexed ORDER BY sequence LIMIT $1)
				RETURNING product_id, version)
			SELECT product_id, max(version) FROM taken GROUP BY product_id`, indexBatch)
		if err != nil {
			return err
		}
		versions := map[string]int64{}
		var id string
		var version int64
		_, err = pgx.ForEachRow(rows, []any{&id, &version}, func() error {
			versions[id] = version
			return nil
		})
		if err != nil {
			return err
		}
		products, err := current(ctx, tx, versions)
		if err != nil {
			return err
		}
		return i.elastic.Write(ctx, products)
	})
	return more && err == nil, err
}

// takeTurns waits until no other transaction writes to the search index: what it has read by
// then is what it writes, and nobody writes something older after it.
func takeTurns(ctx context.Context, tx pgx.Tx) error {
	const indexLock = 5507 // a number that nothing else locks
	_, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, indexLock)
	return err
}

// current returns the products as they are now. A product that is gone has the version that
// its event gave.
func current(ctx context.Context, tx pgx.Tx, versions map[string]int64) ([]search.Product, error) {
	ids := make([]string, 0, len(versions))
	for id := range versions {
		ids = append(ids, id)
	}
	products, err := indexable(ctx, tx, `WHERE product_id = ANY($1)`, ids)
	if err != nil {
		return nil, err
	}
	for _, p := range products {
		delete(versions, p.ID)
	}
	for id, version := range versions {
		products = append(products, search.Product{ID: id, Version: version, Deleted: true})
	}
	return products, nil
}

func indexable(ctx context.Context, tx pgx.Tx, where string, args ...any) ([]search.Product, error) {
	rows, err := tx.Query(ctx, `SELECT product_id, version, name, description, category FROM products `+where, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (p search.Product, err error) {
		return p, row.Scan(&p.ID, &p.Version, &p.Name, &p.Description, &p.Category)
	})
}

// reindex builds the search index anew from all products, while the one before is searched and
// both are kept up to date, and then has the new one searched.
func reindex(ctx context.Context, rt *server.Runtime) error {
	elastic := searchFromEnv(rt.Env)
	if err := rt.Env.Err(); err != nil {
		return err
	}
	if elastic == nil {
		return errors.New("ELASTICSEARCH_URL is not set: there is no index to build")
	}
	defer elastic.Close()
	count, err := rebuild(ctx, rt.DB, elastic)
	if err != nil {
		return fmt.Errorf("reindex: %w", err)
	}
	rt.Log.Info("reindexed", zap.Int("products", count))
	return nil
}

// rebuild returns how many products it has indexed. Each of its steps takes its turn with the
// replicas that index changes: a change is in a batch, or is indexed after it.
func rebuild(ctx context.Context, db *postgres.DB, elastic *search.Client) (count int, err error) {
	step := func(do func(context.Context, pgx.Tx) error) error {
		return db.Write(ctx, func(ctx context.Context, tx pgx.Tx) error {
			if err := takeTurns(ctx, tx); err != nil {
				return err
			}
			// To make an index takes Elasticsearch longer than other transactions may rest.
			if _, err := tx.Exec(ctx, `SET LOCAL idle_in_transaction_session_timeout = '30s'`); err != nil {
				return err
			}
			return do(ctx, tx)
		})
	}
	var index string
	err = step(func(ctx context.Context, _ pgx.Tx) (err error) {
		index, err = elastic.Begin(ctx)
		return err
	})
	if err != nil {
		return 0, err
	}
	for last, more := "", true; more; {
		err := step(func(ctx context.Context, tx pgx.Tx) error {
			products, err := indexable(ctx, tx, `WHERE product_id > $1 ORDER BY product_id LIMIT $2`, last, indexBatch)
			if err != nil {
				return err
			}
			more = len(products) == indexBatch
			if len(products) == 0 {
				return nil
			}
			if err := elastic.Fill(ctx, index, products); err != nil {
				return err
			}
			last, count = products[len(products)-1].ID, count+len(products)
			return nil
		})
		if err != nil {
			return 0, err
		}
	}
	err = elastic.AwaitVisible(ctx, index, func(ctx context.Context) (count int, err error) {
		err = db.Read(ctx, func(ctx context.Context, q postgres.Querier) error {
			return q.QueryRow(ctx, `SELECT count(*) FROM products`).Scan(&count)
		})
		return count, err
	})
	if err != nil {
		return 0, err
	}
	return count, step(func(ctx context.Context, _ pgx.Tx) error { return elastic.Finish(ctx, index) })
}
