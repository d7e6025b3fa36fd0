package order

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/tendhq/tend/services/internal/httpx"
	"github.com/tendhq/tend/services/internal/money"
	"github.com/tendhq/tend/services/internal/postgres"
)

// lookInterval is how often a stream looks for a new status.
const lookInterval = 300 * time.Millisecond

// change is a status that an order got.
type change struct {
	Status    status    `json:"status"`
	ChangedAt time.Time `json:"changedAt"`
	sequence  int64
}

type changeList struct {
	History []change `json:"history"`
}

// history answers with each status that the order has had.
func (h handlers) history(w http.ResponseWriter, r *http.Request) error {
	id, err := h.owned(r)
	if err != nil {
		return err
	}
	changes, err := h.store.history(r.Context(), id, 0)
	if err != nil {
		return err
	}
	return httpx.WriteJSON(w, r, http.StatusOK, changeList{changes})
}

// owned returns the id of the path's order if it is the caller's.
func (h handlers) owned(r *http.Request) (uuid.UUID, error) {
	userID, err := owner(r)
	if err != nil {
		return uuid.Nil, err
	}
	id, err := pathID(r)
	if err != nil {
		return uuid.Nil, err
	}
	_, err = h.store.byID(r.Context(), id, userID)
	return id, err
}

// events streams each status that the order has had and gets, as server-sent events,
// until it is over or the request's time is. A client connects again then, and says in
// Last-Event-ID what it has: so a stream holds up no service that stops, and loses nothing.
func (h handlers) events(w http.ResponseWriter, r *http.Request) error {
	var last int64
	if after := r.Header.Get("Last-Event-ID"); after != "" {
		var err error
		if last, err = strconv.ParseInt(after, 10, 64); err != nil || last < 0 {
			return httpx.NewProblem(http.StatusBadRequest, "Last-Event-ID must be the id of an event of this stream")
		}
	}
	id, err := h.owned(r)
	if err != nil {
		return err
	}
	changes, err := h.store.history(r.Context(), id, last)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
	for {
		for _, c := range changes {
			last = c.sequence
			if err := writeEvent(w, c); err != nil || c.Status.final() {
				return nil // the client has left, or knows all
			}
		}
		if err := http.NewResponseController(w).Flush(); err != nil {
			return nil
		}
		select {
		case <-time.After(lookInterval):
		case <-r.Context().Done():
			return nil
		}
		if changes, err = h.store.history(r.Context(), id, last); err != nil {
			return nil // the stream has begun: the client connects again
		}
	}
}

// final reports whether an order never leaves the status.
func (s status) final() bool { return s == cancelled || s == failed }

func writeEvent(w http.ResponseWriter, c change) error {
	data, err := json.Marshal(c)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "id: %d\nevent: status\nretry: 1000\ndata: %s\n\n", c.sequence, data)
	return err
}

// history returns the order's changes after the sequence.
func (s store) history(ctx context.Context, id uuid.UUID, after int64) (changes []change, err error) {
	err = s.db.Read(ctx, func(ctx context.Context, q postgres.Querier) error {
		rows, err := q.Query(ctx, `SELECT sequence, status, changed_at FROM order_history WHERE order_id = $1 AND sequence > $2 ORDER BY sequence`, id, after)
		if err != nil {
			return err
		}
		changes, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (change, error) {
			var c change
			return c, row.Scan(&c.sequence, &c.Status, &c.ChangedAt)
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("select history: %w", err)
	}
	return changes, nil
}

// report is what was sold: confirmed orders, by the day of their creation in UTC and by product.
type report struct {
	From     string        `json:"from"`
	To       string        `json:"to"`
	Days     []daySales    `json:"days"`
	Products []productSale `json:"products"`
}

type daySales struct {
	Day    string       `json:"day"`
	Orders int64        `json:"orders"`
	Total  money.Amount `json:"total"`
}

type productSale struct {
	ProductID string       `json:"productId"`
	Quantity  int64        `json:"quantity"`
	Total     money.Amount `json:"total"`
}

const (
	defaultDays = 30
	maxDays     = 366
)

// report answers with what was sold on the days from one to another, both included.
func (h handlers) report(w http.ResponseWriter, r *http.Request) error {
	var fields httpx.Fields
	day := func(name string, fallback time.Time) time.Time {
		if !r.URL.Query().Has(name) {
			return fallback
		}
		parsed, err := time.Parse(time.DateOnly, r.URL.Query().Get(name))
		fields.Check(err == nil, name, "must be a day such as 2026-01-31")
		return parsed
	}
	to := day("to", time.Now().UTC().Truncate(24*time.Hour))
	from := day("from", to.AddDate(0, 0, 1-defaultDays))
	days := int(to.Sub(from).Hours()/24) + 1
	fields.Check(len(fields) > 0 || days >= 1 && days <= maxDays, "from", fmt.Sprintf("must be at most %d days before to, and not after it", maxDays-1))
	if err := fields.Err(); err != nil {
		return err
	}
	sold, err := h.store.report(r.Context(), from, to)
	if err != nil {
		return err
	}
	return httpx.WriteJSON(w, r, http.StatusOK, sold)
}

func (s store) report(ctx context.Context, from, to time.Time) (report, error) {
	sold := report{From: from.Format(time.DateOnly), To: to.Format(time.DateOnly)}
	const confirmedThen = `FROM orders WHERE status = 'confirmed' AND created_at >= $1 AND created_at < $2`
	err := s.db.Read(ctx, func(ctx context.Context, q postgres.Querier) error {
		rows, err := q.Query(ctx, `SELECT to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD'), count(*), sum(total)::bigint `+confirmedThen+`
			GROUP BY 1 ORDER BY 1`, from, to.AddDate(0, 0, 1))
		if err != nil {
			return err
		}
		if sold.Days, err = pgx.CollectRows(rows, pgx.RowToStructByPos[daySales]); err != nil {
			return err
		}
		rows, err = q.Query(ctx, `SELECT product_id, sum(quantity)::bigint, sum(quantity * price)::bigint
			FROM order_items WHERE order_id IN (SELECT order_id `+confirmedThen+`) GROUP BY 1 ORDER BY 3 DESC, 1`, from, to.AddDate(0, 0, 1))
		if err != nil {
			return err
		}
		sold.Products, err = pgx.CollectRows(rows, pgx.RowToStructByPos[productSale])
		return err
	})
	if err != nil {
		return report{}, fmt.Errorf("select report: %w", err)
	}
	return sold, nil
}
