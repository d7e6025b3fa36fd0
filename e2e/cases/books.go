package cases

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os/exec"
	"time"

	"github.com/tendhq/tend/e2e/kit"
)

// booksPatience is how long the last orders may take to be settled.
const booksPatience = 2 * time.Minute

// books are what the shop's databases say of its stock and its money, asked past its
// services.
type books struct {
	// pieces counts those of each product, in stock or in confirmed orders.
	pieces map[string]int64
	// owed is what the confirmed orders cost, and paid what was paid and not returned.
	owed, paid int64
	// unsettled counts orders that are on their way, and unpublished the events that no bus has.
	unsettled, unpublished int64
}

// readBooks asks the databases, one after the other: the books are right only while
// nothing is under way.
func (s *Shop) readBooks(ctx context.Context) (b books, err error) {
	var sold struct {
		Pieces          map[string]int64
		Owed, Unsettled int64
	}
	for _, q := range []struct {
		database, name, query string
		into                  any
	}{
		{"product-db", "products", `SELECT json_object_agg(product_id, inventory) FROM products`, &b.pieces},
		{"payment-db", "payments", `SELECT coalesce(sum(amount - refunded_amount), 0) FROM payments WHERE status IN ('paid', 'refunded')`, &b.paid},
		{"order-db", "orders", `SELECT json_build_object(
			'pieces', (SELECT json_object_agg(product_id, pieces) FROM (SELECT product_id, sum(quantity) AS pieces
				FROM order_items JOIN orders USING (order_id) WHERE status = 'confirmed' GROUP BY product_id) AS sold),
			'owed', (SELECT coalesce(sum(quantity * price), 0) FROM order_items JOIN orders USING (order_id) WHERE status = 'confirmed'),
			'unsettled', (SELECT count(*) FROM orders WHERE status IN ('pending', 'cancelling')))`, &sold},
	} {
		if err := s.ask(ctx, q.database, q.name, q.query, q.into); err != nil {
			return b, err
		}
		var unpublished int64
		if err := s.ask(ctx, q.database, q.name, `SELECT count(*) FROM outbox`, &unpublished); err != nil {
			return b, err
		}
		b.unpublished += unpublished
	}
	for product, pieces := range sold.Pieces {
		b.pieces[product] += pieces
	}
	b.owed, b.unsettled = sold.Owed, sold.Unsettled
	return b, nil
}

// ask runs a query that returns one value in JSON.
func (s *Shop) ask(ctx context.Context, database, name, query string, into any) error {
	replica, err := s.pick(ctx, database, 0)
	if err != nil {
		return err
	}
	answer, err := exec.CommandContext(ctx, "docker", "exec", replica.ID, "psql", "-U", "postgres", "-d", name, "-Atc", query).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ask %s: %w\n%s", database, err, answer)
	}
	if err := json.Unmarshal(answer, into); err != nil {
		return fmt.Errorf("ask %s: %w\n%s", database, err, answer)
	}
	return nil
}

// awaitBooks waits until every order is settled, and returns an error unless no piece was
// lost or found since the books were read before, and what was paid is what the confirmed
// orders cost.
func (s *Shop) awaitBooks(ctx context.Context, before books) error {
	ctx, cancel := kit.Patience(ctx, booksPatience)
	defer cancel()
	return kit.Await(ctx, func() error {
		now, err := s.readBooks(ctx)
		switch {
		case err != nil:
			return err
		case now.unsettled > 0 || now.unpublished > 0:
			return fmt.Errorf("%d orders are not settled, and %d events not published", now.unsettled, now.unpublished)
		case !maps.Equal(now.pieces, before.pieces):
			return fmt.Errorf("pieces in stock and in confirmed orders: %v; before the load: %v", now.pieces, before.pieces)
		case now.paid != now.owed:
			return fmt.Errorf("%d was paid, and the confirmed orders cost %d", now.paid, now.owed)
		}
		return nil
	})
}
