package product

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/tendhq/tend/services/internal/auth"
	"github.com/tendhq/tend/services/internal/events"
	"github.com/tendhq/tend/services/internal/httpx"
	"github.com/tendhq/tend/services/internal/postgres"
)

// maxRecommendations is how many products are recommended at most.
const maxRecommendations = 10

// completedEvent is what is read of order.completed.
type completedEvent struct {
	OrderID uuid.UUID `json:"orderId"`
	UserID  uuid.UUID `json:"userId"`
	Items   []item    `json:"items"`
}

type recommendations struct {
	Recommendations []product `json:"recommendations"`
}

// completed keeps what an order has reserved for good, and counts what was bought together.
func (s store) completed(ctx context.Context, tx pgx.Tx, e events.Event) error {
	var order completedEvent
	if err := json.Unmarshal(e.Data, &order); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `UPDATE reservations SET expires_at = NULL WHERE order_id = $1`, order.OrderID); err != nil {
		return err
	}
	ids := make([]string, len(order.Items))
	for i, item := range order.Items {
		ids[i] = item.ProductID
	}
	// In one order, so that two orders of the same products do not wait for each other.
	_, err := tx.Exec(ctx,
		`INSERT INTO bought_together AS b (product_id, other_id, orders)
		SELECT one, other, 1 FROM unnest($1::text[]) AS one, unnest($1::text[]) AS other WHERE one <> other ORDER BY one, other
		ON CONFLICT (product_id, other_id) DO UPDATE SET orders = b.orders + 1`, ids)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `INSERT INTO purchases (user_id, product_id) SELECT $1, unnest($2::text[]) ON CONFLICT DO NOTHING`, order.UserID, ids)
	return err
}

// recommendFor answers with what was bought together with a product.
func (h handlers) recommendFor(w http.ResponseWriter, r *http.Request) error {
	return h.recommend(w, r, `bought_together.product_id = $1`, chi.URLParam(r, "productId"))
}

// recommendTo answers with what was bought together with what the caller has bought, and
// they have not.
func (h handlers) recommendTo(w http.ResponseWriter, r *http.Request) error {
	userID, err := httpx.ParseID(auth.From(r.Context()).Subject)
	if err != nil {
		return httpx.NewProblem(http.StatusForbidden, "only users are recommended anything")
	}
	const own = `SELECT product_id FROM purchases WHERE user_id = $1`
	return h.recommend(w, r, `bought_together.product_id IN (`+own+`) AND other_id NOT IN (`+own+`)`, userID)
}

func (h handlers) recommend(w http.ResponseWriter, r *http.Request, where string, arg any) error {
	found, err := h.store.recommended(r.Context(), where, arg)
	if err != nil {
		return err
	}
	if err := h.store.fillInventory(r.Context(), found); err != nil {
		return err
	}
	return httpx.WriteJSON(w, r, http.StatusOK, recommendations{found})
}

// recommended returns the products that were bought most often with those of where.
func (s store) recommended(ctx context.Context, where string, arg any) (found []product, err error) {
	err = s.db.Read(ctx, func(ctx context.Context, q postgres.Querier) error {
		rows, err := q.Query(ctx, catalogueColumns+`JOIN (
			SELECT other_id, sum(orders) AS orders FROM bought_together WHERE `+where+` GROUP BY other_id) AS together ON other_id = product_id
			ORDER BY orders DESC, product_id LIMIT $2`, arg, maxRecommendations)
		if err != nil {
			return err
		}
		found, err = scanCatalogue(rows)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("select recommendations: %w", err)
	}
	return found, nil
}
