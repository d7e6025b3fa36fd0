package order

import (
	"context"
	"errors"
	"net/http"
	"net/url"

	"github.com/google/uuid"
	"google.golang.org/grpc"

	"github.com/tendhq/tend/services/internal/client"
	"github.com/tendhq/tend/services/internal/money"
	"github.com/tendhq/tend/services/internal/server"
	userpb "github.com/tendhq/tend/services/proto/user"
)

// peers are the services that orders need.
type peers struct {
	user               *client.GRPC
	catalogue, payment *client.Client
}

func newPeers(rt *server.Runtime) *peers {
	return &peers{user: rt.GRPC("user-service"), catalogue: rt.Client("product-service"), payment: rt.Client("payment-service")}
}

// refused reports whether a service refused a call with one of the statuses.
func refused(err error, statuses ...int) bool {
	var refusal *client.StatusError
	if !errors.As(err, &refusal) {
		return false
	}
	for _, status := range statuses {
		if refusal.Status == status {
			return true
		}
	}
	return false
}

func (p *peers) verifyUser(ctx context.Context, id uuid.UUID) error {
	return p.user.Read(ctx, "GetUser", func(ctx context.Context, connection grpc.ClientConnInterface) error {
		_, err := userpb.NewUserServiceClient(connection).GetUser(ctx, &userpb.GetUserRequest{Id: id.String()})
		return err
	})
}

type catalogueEntry struct {
	Name  string       `json:"name"`
	Price money.Amount `json:"price"`
}

func (p *peers) product(ctx context.Context, id string) (catalogueEntry, error) {
	var entry catalogueEntry
	err := p.catalogue.Do(ctx, client.Call{Method: http.MethodGet, Path: "/api/products/" + url.PathEscape(id)}, &entry)
	return entry, err
}

type inventoryChange struct {
	Quantity  int64  `json:"quantity"`
	Operation string `json:"operation"`
}

func (p *peers) changeInventory(ctx context.Context, key, productID string, change inventoryChange) error {
	return p.catalogue.Do(ctx, client.Call{
		Method: http.MethodPut, Path: "/api/products/" + url.PathEscape(productID) + "/inventory", IdempotencyKey: key, Body: change,
	}, nil)
}

type payment struct {
	PaymentID uuid.UUID `json:"paymentId"`
}

type newPayment struct {
	OrderID uuid.UUID    `json:"orderId"`
	UserID  uuid.UUID    `json:"userId"`
	Amount  money.Amount `json:"amount"`
	// MethodID is nil for the user's account at the shop.
	MethodID *uuid.UUID `json:"paymentMethodId,omitempty"`
}

func (p *peers) pay(ctx context.Context, key string, body newPayment) (payment, error) {
	var paid payment
	err := p.payment.Do(ctx, client.Call{Method: http.MethodPost, Path: "/api/payments", IdempotencyKey: key, Body: body}, &paid)
	return paid, err
}

func (p *peers) refund(ctx context.Context, id uuid.UUID) error {
	// A refund is idempotent by itself.
	return p.payment.Do(ctx, client.Call{Method: http.MethodPost, Path: "/api/payments/" + id.String() + "/refund"}, nil)
}
