package load

import (
	"context"
	"fmt"
)

// Ledger is what the shop holds, held against what it had acknowledged.
type Ledger struct {
	Acknowledged int // writes that must be there exactly once
	Unknown      int // writes without an acknowledgement, which may be there once
	// Wrong says what is missing, there twice, or not as acknowledged.
	Wrong []string
}

func (l *Ledger) wrong(format string, arguments ...any) {
	l.Wrong = append(l.Wrong, fmt.Sprintf(format, arguments...))
}

// verify holds what the shop lists for u against what u wrote.
func (u *user) verify(ctx context.Context, ledger *Ledger) error {
	orders, err := all[listedOrder](ctx, u.client, u.Token, "/api/orders", "orders")
	if err != nil {
		return err
	}
	payments, err := all[listedPayment](ctx, u.client, u.Token, "/api/payments", "payments")
	if err != nil {
		return err
	}
	u.verifyOrders(orders, ledger)
	u.verifyPayments(payments, orders, ledger)
	for _, n := range u.registered {
		ledger.Acknowledged++
		if err := u.client.recognizes(ctx, n); err != nil {
			ledger.wrong("%s was registered: %v", n.email, err)
		}
	}
	return nil
}

type listedOrder struct{ OrderID, Status string }

func (u *user) verifyOrders(listed []listedOrder, ledger *Ledger) {
	ledger.Acknowledged += len(u.orders)
	ledger.Unknown += u.lostOrders
	statuses := map[string][]string{}
	for _, o := range listed {
		statuses[o.OrderID] = append(statuses[o.OrderID], o.Status)
	}
	for _, o := range u.orders {
		found := statuses[o.id]
		delete(statuses, o.id)
		switch {
		case len(found) != 1:
			ledger.wrong("order %s is there %d times", o.id, len(found))
		case o.cancelled && found[0] != "cancelled":
			ledger.wrong("order %s was cancelled and is %s", o.id, found[0])
		case o.confirmed && found[0] != "confirmed":
			ledger.wrong("order %s was confirmed and is %s", o.id, found[0])
		}
	}
	// The shop does not list idempotency keys. The orders that remain must belong to
	// requests whose answer was lost, at most one to each.
	if len(statuses) > u.lostOrders {
		ledger.wrong("%d orders are there that were not acknowledged, of %d whose answer was lost", len(statuses), u.lostOrders)
	}
}

type listedPayment struct{ PaymentID, OrderID string }

// verifyPayments holds the payments against the orders: nobody else can pay.
func (u *user) verifyPayments(listed []listedPayment, orders []listedOrder, ledger *Ledger) {
	ids := map[string][]string{} // of payments, by order
	for _, p := range listed {
		ids[p.OrderID] = append(ids[p.OrderID], p.PaymentID)
	}
	for _, o := range u.orders {
		if found := ids[o.id]; o.paymentID != "" && len(found) == 1 && found[0] != o.paymentID {
			ledger.wrong("payment %s is there as %s", o.paymentID, found[0])
		}
	}
	// Each order has been paid once, when it got that far.
	for _, o := range orders {
		paid := len(ids[o.OrderID])
		delete(ids, o.OrderID)
		if paid > 1 || paid == 0 && (o.Status == "confirmed" || o.Status == "cancelled") {
			ledger.wrong("order %s is %s and was paid %d times", o.OrderID, o.Status, paid)
		}
	}
	for order := range ids {
		ledger.wrong("a payment for %s is there that nobody sent", order)
	}
}
