package e2e_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	"github.com/tendhq/tend/services/internal/events"
	"github.com/tendhq/tend/services/internal/testenv"
	userpb "github.com/tendhq/tend/services/proto/user"
)

// Whatever the services say to each other and to their clients is held to their
// contracts, in all tests. Here each endpoint, field and status of them is seen, so
// that none promises what no service does.
func TestEachContractIsKeptWhole(t *testing.T) {
	s := startShop(t, "")
	ada, admin := s.register(t, "ada@example.com"), s.admin(t)
	for path, service := range map[string]*testenv.Service{
		"/api/users/" + ada.UserID:                                 s.users,
		"/api/products?page=1&limit=2&category=kitchen&search=cup": s.products,
		"/api/products/espresso-cup":                               s.products,
	} {
		service.Do(t, testenv.Request{Path: path, Token: ada.Token}).Expect(t, http.StatusOK, nil)
	}
	s.products.Do(t, testenv.Request{Method: http.MethodPut, Path: "/api/products/standing-desk/inventory", Token: admin, Key: "k",
		Body: `{"quantity":100,"operation":"set"}`}).Expect(t, http.StatusOK, nil)
	for _, change := range []string{
		`INSERT INTO products VALUES ('rubber-duck', 'Rubber Duck', 'Yellow.', 300, 'office', 1)`,
		`UPDATE products SET price = 400 WHERE product_id = 'rubber-duck'`, `DELETE FROM products WHERE product_id = 'rubber-duck'`,
	} {
		s.postgres.Exec(t, s.productDB, change)
	}

	var method struct{ PaymentMethodID string }
	s.ledger.Do(t, testenv.Request{Method: http.MethodPost, Path: "/api/payments/methods", Token: ada.Token,
		Body: `{"token":"tok_1NvBqG2eZvKYlo2C","brand":"Visa","last4":"1111","expiryMonth":12,"expiryYear":` + strconv.Itoa(time.Now().Year()+1) + `}`}).
		Expect(t, http.StatusCreated, &method)
	byCard := func(key, items string) testenv.Response {
		return s.orders.Do(t, testenv.Request{Method: http.MethodPost, Path: "/api/orders", Token: ada.Token, Key: key,
			Body: `{"items":[` + items + `],"paymentMethodId":"` + method.PaymentMethodID + `"}`})
	}
	var cancelled, kept orderView
	var failed struct{ OrderID string }
	byCard("cancelled", twoCups).Expect(t, http.StatusCreated, &cancelled)
	byCard("kept", oneKnife).Expect(t, http.StatusCreated, &kept)
	s.create(t, ada, "", `{"productId":"standing-desk","quantity":16}`).Expect(t, http.StatusPaymentRequired, &failed)
	for _, orderID := range []string{cancelled.OrderID, failed.OrderID, kept.OrderID} {
		s.orders.Do(t, testenv.Request{Path: "/api/orders/" + orderID, Token: ada.Token}).Expect(t, http.StatusOK, nil)
	}
	cancel := func(o orderView) testenv.Request {
		return testenv.Request{Method: http.MethodPost, Path: "/api/orders/" + o.OrderID + "/cancel", Token: ada.Token}
	}
	s.orders.Do(t, cancel(cancelled)).Expect(t, http.StatusOK, nil)
	s.orders.Do(t, testenv.Request{Path: "/api/orders?page=1&limit=10", Token: ada.Token}).Expect(t, http.StatusOK, nil)
	s.ledger.Do(t, testenv.Request{Path: "/api/payments?page=1&limit=10&userId=" + ada.UserID, Token: ada.Token}).Expect(t, http.StatusOK, nil)
	for _, o := range []orderView{cancelled, kept} {
		s.ledger.Do(t, testenv.Request{Path: "/api/payments/" + o.PaymentID, Token: ada.Token}).Expect(t, http.StatusOK, nil)
	}

	// A cancellation meets an order that is being undone for another reason, and a payment
	// is asked for again after its refund: as crashes leave them.
	s.postgres.Exec(t, s.orderDB, `UPDATE orders SET status = 'cancelling' WHERE status = 'failed'`)
	s.orders.Do(t, cancel(orderView{OrderID: failed.OrderID})).Expect(t, http.StatusOK, nil)
	s.postgres.Exec(t, s.orderDB, `UPDATE orders SET status = 'pending', payment_id = NULL WHERE status = 'cancelled'`)
	byCard("cancelled", twoCups).Expect(t, http.StatusCreated, nil)

	s.ledger.Do(t, testenv.Request{Path: "/api/payments/transactions?page=1&limit=10&userId=" + ada.UserID, Token: ada.Token}).Expect(t, http.StatusOK, nil)
	s.ledger.Do(t, testenv.Request{Method: http.MethodPost, Path: "/api/payments/" + kept.PaymentID + "/refund", Token: admin, Key: "part", Body: `{"amount":1}`}).
		Expect(t, http.StatusOK, nil)
	byCard("large", eightDesks).Expect(t, http.StatusAccepted, nil)
	s.ledger.Do(t, testenv.Request{Method: http.MethodPost, Path: "/api/payments/" + s.payments(t, ada)[0].PaymentID + "/review", Token: admin, Body: `{"decision":"decline"}`}).
		Expect(t, http.StatusOK, nil)
	s.ledger.Do(t, testenv.Request{Path: "/api/payments/" + s.payments(t, ada)[0].PaymentID, Token: ada.Token}).Expect(t, http.StatusOK, nil)
	s.ledger.Do(t, testenv.Request{Path: "/api/payments/methods", Token: ada.Token}).Expect(t, http.StatusOK, nil)
	s.ledger.Do(t, testenv.Request{Method: http.MethodDelete, Path: "/api/payments/methods/" + method.PaymentMethodID, Token: ada.Token}).
		Expect(t, http.StatusNoContent, nil)

	s.orders.Do(t, testenv.Request{Path: "/api/orders/" + cancelled.OrderID + "/history", Token: ada.Token}).Expect(t, http.StatusOK, nil)
	s.orders.Do(t, testenv.Request{Path: "/api/orders/" + failed.OrderID + "/events", Token: ada.Token}).Expect(t, http.StatusOK, nil)
	today := time.Now().UTC().Format(time.DateOnly)
	s.orders.Do(t, testenv.Request{Path: "/api/orders/report?from=" + today + "&to=" + today, Token: admin}).Expect(t, http.StatusOK, nil)

	s.users.Do(t, testenv.Request{Method: http.MethodPatch, Path: "/api/users/" + ada.UserID, Token: ada.Token, Body: `{"firstName":"Augusta","lastName":"King"}`}).
		Expect(t, http.StatusOK, nil)

	addresses := "/api/users/" + ada.UserID + "/addresses"
	home := `{"recipient":"Ada King","street":"12 St James's Square","postalCode":"SW1Y 4JH","city":"London","country":"GB"}`
	var added struct{ AddressID string }
	s.users.Do(t, testenv.Request{Method: http.MethodPost, Path: addresses, Token: ada.Token, Key: "home", Body: home}).Expect(t, http.StatusCreated, &added)
	s.users.Do(t, testenv.Request{Path: addresses, Token: ada.Token}).Expect(t, http.StatusOK, nil)
	s.users.Do(t, testenv.Request{Method: http.MethodPut, Path: addresses + "/" + added.AddressID, Token: ada.Token, Body: home}).Expect(t, http.StatusOK, nil)
	s.users.Do(t, testenv.Request{Method: http.MethodDelete, Path: addresses + "/" + added.AddressID, Token: ada.Token}).Expect(t, http.StatusNoContent, nil)
	s.rename(t, admin, ada, "Augusta King", "augusta@example.com")

	bob := s.register(t, "bob@example.com")
	s.create(t, ada, "", twoCups+","+oneKnife).Expect(t, http.StatusCreated, nil)
	s.create(t, bob, "", twoCups).Expect(t, http.StatusCreated, nil)
	for _, path := range []string{"/api/products/espresso-cup/recommendations", "/api/products/recommendations"} {
		testenv.Await(t, "something is recommended at "+path, func() error {
			var got struct{ Recommendations []struct{ ProductID string } }
			s.products.Do(t, testenv.Request{Path: path, Token: bob.Token}).Expect(t, http.StatusOK, &got)
			if len(got.Recommendations) == 0 {
				return errors.New("nothing")
			}
			return nil
		})
	}

	// What is not settled yet.
	s.stopPayments(t)
	s.orders.Do(t, cancel(kept)).Expect(t, http.StatusAccepted, nil)
	s.create(t, ada, "", twoCups).Expect(t, http.StatusAccepted, nil)

	// What is told by events alone.
	c := startShopWith(t, "", "choreographed")
	eve := c.register(t, "eve@example.com")
	c.ledger.Do(t, testenv.Request{Method: http.MethodPost, Path: "/api/payments/methods", Token: eve.Token,
		Body: `{"token":"tok_1NvBqG2eZvKYlo2C","brand":"Visa","last4":"1111","expiryMonth":12,"expiryYear":` + strconv.Itoa(time.Now().Year()+1) + `}`}).
		Expect(t, http.StatusCreated, &method)
	var told orderView
	c.orders.Do(t, testenv.Request{Method: http.MethodPost, Path: "/api/orders", Token: eve.Token, Body: `{"items":[` + twoCups + `],"paymentMethodId":"` + method.PaymentMethodID + `"}`}).
		Expect(t, http.StatusCreated, &told)
	c.orders.Do(t, testenv.Request{Method: http.MethodPost, Path: "/api/orders/" + told.OrderID + "/cancel", Token: eve.Token}).Expect(t, http.StatusOK, nil)
	c.create(t, eve, "", `{"productId":"espresso-cup","quantity":1000}`).Expect(t, http.StatusConflict, nil)

	c.create(t, eve, "", eightDesks).Expect(t, http.StatusAccepted, nil)
	c.postgres.Exec(t, c.productDB, `UPDATE reservations SET expires_at = now() WHERE expires_at IS NOT NULL`)

	testenv.Await(t, "all that the contracts promise is seen", func() error {
		for _, e := range append(s.published(t), c.published(t)...) {
			for _, service := range s.all() {
				service.Saw(e)
			}
		}
		var missing []string
		for _, service := range s.all() {
			missing = append(missing, service.NotSeen()...)
		}
		if len(missing) > 0 {
			return fmt.Errorf("no service does what a contract promises: %v", missing)
		}
		return nil
	})
}

// rename changes a user as another service does, over gRPC.
func (s *shop) rename(t testing.TB, admin string, c customer, name, email string) {
	t.Helper()
	connection, err := grpc.NewClient("passthrough:///"+s.users.GRPC, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+admin)
	if _, err := userpb.NewUserServiceClient(connection).UpdateUser(ctx, &userpb.UpdateUserRequest{Id: c.UserID, Name: &name, Email: &email}); err != nil {
		t.Fatal(err)
	}
}

// published returns the events that the bus has got.
func (s *shop) published(t testing.TB) (all []events.Event) {
	t.Helper()
	client := s.redis.Client()
	defer client.Close()
	for _, m := range client.XRange(t.Context(), "domain-events", "-", "+").Val() {
		var e events.Event
		if err := json.Unmarshal([]byte(m.Values["event"].(string)), &e); err != nil {
			t.Fatal(err)
		}
		all = append(all, e)
	}
	return all
}

func TestEachServicePublishesItsContract(t *testing.T) {
	s := startShop(t, "")
	for name, service := range map[string]*testenv.Service{
		"user-service": s.users, "product-service": s.products, "order-service": s.orders, "payment-service": s.ledger,
	} {
		var contract struct{ Service string }
		service.Do(t, testenv.Request{Path: "/contract"}).Expect(t, http.StatusOK, &contract)
		var description struct{ Info struct{ Title string } }
		service.Do(t, testenv.Request{Path: "/openapi.json"}).Expect(t, http.StatusOK, &description)
		if contract.Service != name || description.Info.Title != name {
			t.Errorf("%s publishes the contract of %q and describes %q", name, contract.Service, description.Info.Title)
		}
	}
}
