package order

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"github.com/tendhq/tend/services/internal/httpx"
	"github.com/tendhq/tend/services/internal/logging"
	"github.com/tendhq/tend/services/internal/money"
)

// sagaTimeout bounds how long a client waits for its order to be settled; what
// takes longer goes on in the background.
const sagaTimeout = 10 * time.Second

type handlers struct {
	store store
	peers *peers
	saga  saga
	kind  sagaKind // of new orders
}

func (h handlers) create(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	userID, err := owner(r)
	if err != nil {
		return err
	}
	key, err := httpx.IdempotencyKey(r)
	if err != nil {
		return err
	}
	var body newOrder
	if err := httpx.Decode(w, r, &body); err != nil {
		return err
	}
	if err := body.fieldErrors().Err(); err != nil {
		return err
	}
	fingerprint, err := httpx.Fingerprint(body)
	if err != nil {
		return err
	}
	o, earlier, err := h.store.byKey(ctx, userID, key)
	if err != nil {
		return err
	}
	if earlier == nil {
		if o, err = h.quote(ctx, userID, body); err != nil {
			return err
		}
		if o, earlier, err = h.store.insert(ctx, o, key, fingerprint); err != nil {
			return err
		}
	}
	if earlier != nil {
		if err := httpx.CheckReplay(w, earlier, fingerprint); err != nil {
			return err
		}
	}
	o = h.settle(ctx, o)
	if o.Failure != nil {
		return o.Failure.problem(o.OrderID)
	}
	w.Header().Set("Location", "/api/orders/"+o.OrderID.String())
	if o.Status == pending {
		return httpx.WriteJSON(w, r, http.StatusAccepted, o)
	}
	return httpx.WriteJSON(w, r, http.StatusCreated, o)
}

// quote returns a pending order of body's items at today's names and prices.
func (h handlers) quote(ctx context.Context, userID uuid.UUID, body newOrder) (order, error) {
	if err := h.peers.verifyUser(ctx, userID); err != nil {
		if refused(err, http.StatusNotFound) {
			return order{}, httpx.NewProblem(http.StatusForbidden, "your account no longer exists")
		}
		return order{}, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return order{}, err
	}
	o := order{OrderID: id, UserID: userID, Status: pending, saga: h.kind}
	if body.MethodID != "" {
		methodID, err := httpx.ParseID(body.MethodID)
		if err != nil {
			return order{}, err
		}
		o.MethodID = &methodID
	}
	var fields httpx.Fields
	for i, wanted := range body.Items {
		p, err := h.peers.product(ctx, wanted.ProductID)
		if refused(err, http.StatusNotFound) {
			fields.Check(false, fmt.Sprintf("items[%d].productId", i), "there is no such product")
			continue
		}
		if err != nil {
			return order{}, err
		}
		o.Items = append(o.Items, item{ProductID: wanted.ProductID, Name: p.Name, Quantity: wanted.Quantity, Price: p.Price})
		o.Total += p.Price * money.Amount(wanted.Quantity)
	}
	fields.Check(o.Total < money.Max, "items", "must cost less than "+money.Max.String()+" in all")
	return o, fields.Err()
}

// settle advances the order until it is settled, or sagaTimeout or the request's own
// deadline is over, also when the client leaves: half an order helps nobody.
func (h handlers) settle(ctx context.Context, o order) order {
	deadline := time.Now().Add(sagaTimeout)
	if end, ok := ctx.Deadline(); ok && end.Before(deadline) {
		deadline = end
	}
	ctx, cancel := context.WithDeadline(context.WithoutCancel(ctx), deadline)
	defer cancel()
	var settled order
	var err error
	if o.saga == choreographed {
		settled, err = h.store.await(ctx, o)
	} else {
		settled, err = h.saga.advance(ctx, o)
	}
	if err != nil {
		logging.From(ctx).Warn("order not settled yet", zap.Stringer("orderId", o.OrderID), zap.Error(err))
	}
	return settled
}

func (h handlers) get(w http.ResponseWriter, r *http.Request) error {
	userID, err := owner(r)
	if err != nil {
		return err
	}
	id, err := pathID(r)
	if err != nil {
		return err
	}
	o, err := h.store.byID(r.Context(), id, userID)
	if err != nil {
		return err
	}
	return httpx.WriteJSON(w, r, http.StatusOK, o)
}

func (h handlers) list(w http.ResponseWriter, r *http.Request) error {
	userID, err := owner(r)
	if err != nil {
		return err
	}
	page, err := httpx.ParsePage(r.URL.Query())
	if err != nil {
		return err
	}
	orders, count, err := h.store.byUser(r.Context(), userID, page)
	if err != nil {
		return err
	}
	return httpx.WriteJSON(w, r, http.StatusOK, orderList{
		Orders: orders, TotalCount: count, Page: page.Number, TotalPages: page.Total(count),
	})
}

func (h handlers) cancel(w http.ResponseWriter, r *http.Request) error {
	userID, err := owner(r)
	if err != nil {
		return err
	}
	id, err := pathID(r)
	if err != nil {
		return err
	}
	o, err := h.store.beginCancel(r.Context(), id, userID)
	if err != nil {
		return err
	}
	switch o.Status {
	case pending:
		return httpx.NewProblem(http.StatusConflict, "the order is still being settled; try again in a moment")
	case failed:
		return httpx.NewProblem(http.StatusConflict, "the order has failed, so there is nothing to cancel")
	}
	o = h.settle(r.Context(), o)
	if o.Status == cancelling {
		return httpx.WriteJSON(w, r, http.StatusAccepted, o)
	}
	return httpx.WriteJSON(w, r, http.StatusOK, o)
}
