// Package e2e_test runs the four services together, as a client sees them.
package e2e_test

import (
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/tendhq/tend/services/internal/auth"
	"github.com/tendhq/tend/services/internal/notification"
	"github.com/tendhq/tend/services/internal/order"
	"github.com/tendhq/tend/services/internal/payment"
	"github.com/tendhq/tend/services/internal/product"
	"github.com/tendhq/tend/services/internal/testenv"
	"github.com/tendhq/tend/services/internal/user"
)

func TestMain(m *testing.M) {
	testenv.RunProgram(user.Service, product.Service, payment.Service, order.Service, notification.Service)
	os.Exit(testenv.Run(m))
}

type shop struct {
	postgres                        *testenv.Postgres
	redis                           *testenv.Redis
	users, products, orders, ledger *testenv.Service
	userDB, orderDB, paymentDB      string
	productDB                       string
	paymentEnv                      map[string]string
	bus                             map[string]string
}

// startShop starts everything. paymentURL, where not empty, is where the order
// service looks for payments instead of the payment service.
func startShop(t testing.TB, paymentURL string) *shop {
	t.Helper()
	return startShopWith(t, paymentURL, "orchestrated")
}

// startShopWith is startShop for a kind of saga.
func startShopWith(t testing.TB, paymentURL, saga string) *shop {
	t.Helper()
	pg := testenv.SharedPostgres(t)
	s := &shop{postgres: pg, redis: testenv.StartRedis(t), userDB: pg.NewDatabase(t), orderDB: pg.NewDatabase(t), paymentDB: pg.NewDatabase(t), productDB: pg.NewDatabase(t)}
	// user-service and order-service ask each other for their keys.
	users, orders := testenv.Listen(t), testenv.Listen(t)
	issuers := map[string]string{"USER_SERVICE_URL": "http://" + users.Addr().String(), "ORDER_SERVICE_URL": "http://" + orders.Addr().String()}
	s.bus = s.redis.BusEnv(t)
	s.bus["SAGA"] = saga
	s.paymentEnv = pg.Env(t, s.paymentDB)
	maps.Copy(s.paymentEnv, issuers)
	maps.Copy(s.paymentEnv, s.bus)
	s.users = testenv.StartServiceAt(t, users, user.Service, pg.Env(t, s.userDB), issuers, s.bus)
	s.products = testenv.StartService(t, product.Service, pg.Env(t, s.productDB), s.redis.Env(t), issuers, s.bus)
	s.ledger = testenv.StartService(t, payment.Service, s.paymentEnv)
	if paymentURL == "" {
		paymentURL = s.ledger.URL
	}
	s.orders = testenv.StartServiceAt(t, orders, order.Service, pg.Env(t, s.orderDB), map[string]string{
		"USER_SERVICE_URL": s.users.URL, "USER_SERVICE_GRPC": s.users.GRPC, "PRODUCT_SERVICE_URL": s.products.URL, "PAYMENT_SERVICE_URL": paymentURL,
	}, s.bus)
	for _, service := range s.all() {
		service.AwaitReady(t)
	}
	// All stop at the same time, rather than one after the other.
	t.Cleanup(func() {
		for _, service := range s.all() {
			service.Shutdown()
		}
	})
	return s
}

func (s *shop) all() []*testenv.Service {
	return []*testenv.Service{s.users, s.products, s.ledger, s.orders}
}

type customer struct{ UserID, Token string }

func (s *shop) register(t testing.TB, email string) customer {
	t.Helper()
	var c customer
	s.users.Do(t, testenv.Request{Method: http.MethodPost, Path: "/api/users/register",
		Body: fmt.Sprintf(`{"email":%q,"password":"correct horse","firstName":"Ada","lastName":"Lovelace"}`, email)}).
		Expect(t, http.StatusCreated, &c)
	return c
}

// admin returns the token of an administrator, whom whoever runs the shop makes.
func (s *shop) admin(t testing.TB) string {
	t.Helper()
	s.register(t, "admin@example.com")
	s.postgres.Exec(t, s.userDB, `UPDATE users SET role = 'admin' WHERE email = 'admin@example.com'`)
	return s.login(t, "admin@example.com").Token
}

// login logs in somebody who has registered.
func (s *shop) login(t testing.TB, email string) customer {
	t.Helper()
	var c customer
	s.users.Do(t, testenv.Request{Method: http.MethodPost, Path: "/api/users/login", Body: fmt.Sprintf(`{"email":%q,"password":"correct horse"}`, email)}).
		Expect(t, http.StatusOK, &c)
	return c
}

func (s *shop) inventory(t testing.TB, productID string) int64 {
	t.Helper()
	var p struct{ Inventory int64 }
	s.products.Do(t, testenv.Request{Path: "/api/products/" + productID}).Expect(t, http.StatusOK, &p)
	return p.Inventory
}

func (s *shop) payments(t testing.TB, c customer) []paymentView {
	t.Helper()
	var list struct{ Payments []paymentView }
	s.ledger.Do(t, testenv.Request{Path: "/api/payments", Token: c.Token}).Expect(t, http.StatusOK, &list)
	return list.Payments
}

type paymentView struct {
	PaymentID, OrderID, Status string
	Amount                     json.Number
}

type orderView struct {
	OrderID, UserID, Status, Failure, PaymentID string
	Total                                       json.Number
	Items                                       []struct {
		ProductID, Name string
		Quantity        int64
		Price           json.Number
	}
}

func (s *shop) create(t testing.TB, c customer, key, items string) testenv.Response {
	t.Helper()
	return s.orders.Do(t, testenv.Request{Method: http.MethodPost, Path: "/api/orders", Token: c.Token, Key: key, Body: `{"items":[` + items + `]}`})
}

const (
	twoCups  = `{"productId":"espresso-cup","quantity":2}`
	oneKnife = `{"productId":"chef-knife","quantity":1}`
	// So much that the payment is reviewed first.
	eightDesks = `{"productId":"standing-desk","quantity":8}`
)

func TestAnOrderFromRegistrationToRefund(t *testing.T) {
	s := startShop(t, "")
	ada := s.register(t, "Ada@Example.com")

	var login struct {
		UserID, Token string
		ExpiresIn     int
	}
	s.users.Do(t, testenv.Request{Method: http.MethodPost, Path: "/api/users/login", Body: `{"email":"ada@example.com","password":"correct horse"}`}).
		Expect(t, http.StatusOK, &login)
	if login.UserID != ada.UserID || login.ExpiresIn != 3600 {
		t.Fatalf("login = %+v, want user %s", login, ada.UserID)
	}
	ada.Token = login.Token

	var list struct {
		Products               []struct{ ProductID string }
		TotalCount, TotalPages int
	}
	s.products.Do(t, testenv.Request{Path: "/api/products?category=kitchen&search=CUP"}).Expect(t, http.StatusOK, &list)
	if len(list.Products) != 1 || list.Products[0].ProductID != "espresso-cup" {
		t.Fatalf("products = %+v", list)
	}

	cups, knives := s.inventory(t, "espresso-cup"), s.inventory(t, "chef-knife")
	var created orderView
	s.create(t, ada, "first", twoCups+","+oneKnife).Expect(t, http.StatusCreated, &created)
	if created.Status != "confirmed" || created.Total != "114.00" || created.UserID != ada.UserID || len(created.Items) != 2 {
		t.Fatalf("order = %+v", created)
	}
	if got := s.inventory(t, "espresso-cup"); got != cups-2 {
		t.Fatalf("inventory of cups = %d, want %d", got, cups-2)
	}

	// Exactly once, however often and however concurrently it is repeated.
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			response, err := s.orders.Try(t.Context(), testenv.Request{Method: http.MethodPost, Path: "/api/orders", Token: ada.Token, Key: "first",
				Body: `{"items":[` + twoCups + "," + oneKnife + `]}`})
			var again orderView
			if err = errors.Join(err, json.Unmarshal(response.Body, &again)); err != nil || again.OrderID != created.OrderID || response.Header.Get("Idempotency-Replayed") != "true" {
				t.Errorf("repetition = %d %s, %v", response.Status, response.Body, err)
			}
		})
	}
	group.Wait()
	s.create(t, ada, "first", oneKnife).Expect(t, http.StatusUnprocessableEntity, nil)
	if paid := s.payments(t, ada); len(paid) != 1 || paid[0].Status != "paid" || paid[0].Amount != "114.00" || paid[0].OrderID != created.OrderID {
		t.Fatalf("payments = %+v", paid)
	}

	// The amount is the order's: nobody names one.
	s.ledger.Do(t, testenv.Request{Method: http.MethodPost, Path: "/api/payments", Token: ada.Token,
		Body: fmt.Sprintf(`{"orderId":%q,"userId":%q,"amount":0.01}`, created.OrderID, ada.UserID)}).Expect(t, http.StatusForbidden, nil)

	// Another customer sees none of it.
	eve := s.register(t, "eve@example.com")
	for _, request := range []testenv.Request{
		{Path: "/api/orders/" + created.OrderID},
		{Method: http.MethodPost, Path: "/api/orders/" + created.OrderID + "/cancel"},
	} {
		request.Token = eve.Token
		s.orders.Do(t, request).Expect(t, http.StatusNotFound, nil)
	}
	s.ledger.Do(t, testenv.Request{Path: "/api/payments/" + created.PaymentID, Token: eve.Token}).Expect(t, http.StatusNotFound, nil)

	// Cancelled twice, refunded and given back once.
	for range 2 {
		var view orderView
		s.orders.Do(t, testenv.Request{Method: http.MethodPost, Path: "/api/orders/" + created.OrderID + "/cancel", Token: ada.Token}).
			Expect(t, http.StatusOK, &view)
		if view.Status != "cancelled" || len(view.Items) != 2 {
			t.Fatalf("cancelled order = %+v", view)
		}
	}
	if paid := s.payments(t, ada); len(paid) != 1 || paid[0].Status != "refunded" {
		t.Fatalf("payments = %+v", paid)
	}
	if got := s.inventory(t, "espresso-cup"); got != cups {
		t.Errorf("inventory of cups = %d, want %d", got, cups)
	}
	if got := s.inventory(t, "chef-knife"); got != knives {
		t.Errorf("inventory of knives = %d, want %d", got, knives)
	}
}

func TestAFailedOrderGivesBackWhatItTook(t *testing.T) {
	s := startShop(t, "")
	ada := s.register(t, "ada@example.com")
	cups := s.inventory(t, "espresso-cup")
	var problem struct{ OrderID string }

	s.create(t, ada, "k1", twoCups+`,{"productId":"standing-desk","quantity":16}`).Expect(t, http.StatusConflict, &problem)
	var view orderView
	s.orders.Do(t, testenv.Request{Path: "/api/orders/" + problem.OrderID, Token: ada.Token}).Expect(t, http.StatusOK, &view)
	if view.Status != "failed" || view.Failure != "out_of_stock" {
		t.Fatalf("order = %+v", view)
	}
	// The repetition tells the same, though there would be enough by now.
	s.products.Do(t, testenv.Request{Method: http.MethodPut, Path: "/api/products/standing-desk/inventory",
		Token: s.admin(t), Body: `{"quantity":100,"operation":"set"}`}).Expect(t, http.StatusOK, nil)
	s.create(t, ada, "k1", twoCups+`,{"productId":"standing-desk","quantity":16}`).Expect(t, http.StatusConflict, nil)

	// 16 desks cost more than one payment may be.
	s.create(t, ada, "k2", twoCups+`,{"productId":"standing-desk","quantity":16}`).Expect(t, http.StatusPaymentRequired, nil)
	if got := s.inventory(t, "espresso-cup"); got != cups {
		t.Errorf("inventory of cups = %d, want %d", got, cups)
	}
	if got := s.inventory(t, "standing-desk"); got != 100 {
		t.Errorf("inventory of desks = %d, want 100", got)
	}
	if paid := s.payments(t, ada); len(paid) != 1 || paid[0].Status != "declined" {
		t.Errorf("payments = %+v", paid)
	}
	s.create(t, ada, "k3", `{"productId":"no-such-thing","quantity":1}`).Expect(t, http.StatusUnprocessableEntity, nil)
}

func TestAnOrderWaitsForTheReviewOfItsPayment(t *testing.T) {
	s := startShop(t, "")
	admin := s.admin(t)
	desks := s.inventory(t, "standing-desk")
	for decision, want := range map[string]struct {
		answer   int
		reserved int64
	}{"decline": {http.StatusPaymentRequired, 0}, "approve": {http.StatusCreated, 8}} {
		ada := s.register(t, decision+"@example.com")
		for range 2 {
			var held orderView
			s.create(t, ada, "k", eightDesks).Expect(t, http.StatusAccepted, &held)
			if held.Status != "pending" || held.PaymentID != "" {
				t.Fatalf("order = %+v", held)
			}
		}
		if got := s.inventory(t, "standing-desk"); got != desks-8 {
			t.Errorf("inventory = %d, want %d", got, desks-8)
		}
		paid := s.payments(t, ada)
		if len(paid) != 1 || paid[0].Status != "review" {
			t.Fatalf("payments = %+v", paid)
		}
		s.ledger.Do(t, testenv.Request{Method: http.MethodPost, Path: "/api/payments/" + paid[0].PaymentID + "/review", Token: admin, Body: `{"decision":"` + decision + `"}`}).
			Expect(t, http.StatusOK, nil)
		s.create(t, ada, "k", eightDesks).Expect(t, want.answer, nil)
		if got := s.inventory(t, "standing-desk"); got != desks-want.reserved {
			t.Errorf("%s: inventory = %d, want %d", decision, got, desks-want.reserved)
		}
		s.products.Do(t, testenv.Request{Method: http.MethodPut, Path: "/api/products/standing-desk/inventory", Token: admin,
			Body: `{"quantity":15,"operation":"set"}`}).Expect(t, http.StatusOK, nil)
		desks = 15
	}
}

func TestTheLastItemIsSoldOnce(t *testing.T) {
	s := startShop(t, "")
	ada := s.register(t, "ada@example.com")
	s.products.Do(t, testenv.Request{Method: http.MethodPut, Path: "/api/products/chef-knife/inventory",
		Token: s.admin(t), Body: `{"quantity":3,"operation":"set"}`}).Expect(t, http.StatusOK, nil)
	requests := make([]testenv.Request, 10)
	for i := range requests {
		requests[i] = testenv.Request{Method: http.MethodPost, Path: "/api/orders", Token: ada.Token, Body: `{"items":[` + oneKnife + `]}`}
	}
	count := s.orders.AtOnce(t, requests)
	if !maps.Equal(count, map[int]int{http.StatusCreated: 3, http.StatusConflict: 7}) {
		t.Errorf("statuses = %v, want 3 created and 7 conflicts", count)
	}
	if got := s.inventory(t, "chef-knife"); got != 0 {
		t.Errorf("inventory = %d, want 0", got)
	}
}

func TestTheShopOutlivesRedisAndPostgres(t *testing.T) {
	s := startShop(t, "")
	ada := s.register(t, "ada@example.com")
	cups := s.inventory(t, "espresso-cup")

	s.redis.Kill(t)
	s.create(t, ada, "without-redis", twoCups).Expect(t, http.StatusCreated, nil)
	if got := s.inventory(t, "espresso-cup"); got != cups-2 {
		t.Fatalf("inventory without Redis = %d, want %d", got, cups-2)
	}
	s.products.Do(t, testenv.Request{Path: "/health/ready"}).Expect(t, http.StatusOK, nil)
	s.redis.Start(t)

	// A request that meets a stopped database waits for it.
	s.postgres.Stop(t)
	s.products.Do(t, testenv.Request{Path: "/health/ready"}).Expect(t, http.StatusServiceUnavailable, nil)
	s.products.Do(t, testenv.Request{Path: "/health/live"}).Expect(t, http.StatusOK, nil)
	waiting := make(chan testenv.Response, 1)
	go func() {
		response, err := s.orders.Try(t.Context(), testenv.Request{Method: http.MethodPost, Path: "/api/orders", Token: ada.Token, Key: "during-restart",
			Body: `{"items":[` + twoCups + `]}`})
		if err != nil {
			t.Error(err)
		}
		waiting <- response
	}()
	s.postgres.Start(t)
	(<-waiting).Expect(t, http.StatusCreated, nil)
	for _, service := range s.all() {
		service.AwaitReady(t)
	}
	s.create(t, ada, "without-redis", twoCups).Expect(t, http.StatusCreated, nil)
	if got := s.inventory(t, "espresso-cup"); got != cups-4 {
		t.Errorf("inventory = %d, want %d", got, cups-4)
	}
	if paid := s.payments(t, ada); len(paid) != 2 {
		t.Errorf("%d payments, want 2", len(paid))
	}
}

// Whoever has all that order-service knows is order-service, and nobody else.
func TestNoServiceCanActAsAnother(t *testing.T) {
	s := startShop(t, "")
	ada := s.register(t, "ada@example.com")
	var created orderView
	s.create(t, ada, "k", twoCups).Expect(t, http.StatusCreated, &created)
	var keyID uuid.UUID
	var seed []byte
	s.postgres.QueryRow(t, s.orderDB, `SELECT key_id, seed FROM signing_keys`, &keyID, &seed)
	set := string(s.users.Do(t, testenv.Request{Path: "/.well-known/jwks.json"}).Body)
	if strings.Contains(set, keyID.String()) || !strings.Contains(set, `"crv":"Ed25519"`) || strings.Contains(set, `"d"`) {
		t.Errorf("user-service's keys = %s", set)
	}
	const inventory = "/api/products/espresso-cup/inventory"
	type claim struct {
		issuer, subject, audience string
		role                      auth.Role
	}
	for name, test := range map[string]struct {
		claim
		service *testenv.Service
		method  string
		path    string
		want    int
	}{
		"itself":                        {claim{"order-service", "order-service", "product-service", auth.Service}, s.products, http.MethodPut, inventory, http.StatusOK},
		"itself, for another service":   {claim{"order-service", "order-service", "payment-service", auth.Service}, s.products, http.MethodPut, inventory, http.StatusUnauthorized},
		"payment-service":               {claim{"order-service", "payment-service", "product-service", auth.Service}, s.products, http.MethodPut, inventory, http.StatusUnauthorized},
		"payment-service by its name":   {claim{"payment-service", "payment-service", "product-service", auth.Service}, s.products, http.MethodPut, inventory, http.StatusUnauthorized},
		"user-service":                  {claim{"user-service", "user-service", "product-service", auth.Service}, s.products, http.MethodPut, inventory, http.StatusUnauthorized},
		"an administrator":              {claim{"order-service", ada.UserID, auth.Shop, auth.Admin}, s.products, http.MethodPut, inventory, http.StatusUnauthorized},
		"user-service's administrator":  {claim{"user-service", ada.UserID, auth.Shop, auth.Admin}, s.products, http.MethodPut, inventory, http.StatusUnauthorized},
		"a customer, at user-service":   {claim{"user-service", ada.UserID, auth.Shop, auth.Customer}, s.users, http.MethodGet, "/api/users/" + ada.UserID, http.StatusUnauthorized},
		"a customer, at payments":       {claim{"order-service", ada.UserID, auth.Shop, auth.Customer}, s.ledger, http.MethodGet, "/api/payments", http.StatusUnauthorized},
		"a service, at order-service":   {claim{"order-service", "order-service", "order-service", auth.Service}, s.orders, http.MethodGet, "/api/orders", http.StatusUnauthorized},
		"a refund with another's token": {claim{"order-service", "order-service", "user-service", auth.Service}, s.ledger, http.MethodPost, "/api/payments/" + created.PaymentID + "/refund", http.StatusUnauthorized},
	} {
		token, err := auth.Sign(keyID.String(), ed25519.NewKeyFromSeed(seed), test.issuer, auth.Identity{Subject: test.subject, Role: test.role}, time.Minute, test.audience)
		if err != nil {
			t.Fatal(err)
		}
		body := ""
		if test.method == http.MethodPut {
			body = `{"quantity":1,"operation":"add"}`
		}
		if got := test.service.Do(t, testenv.Request{Method: test.method, Path: test.path, Token: token, Body: body}); got.Status != test.want {
			t.Errorf("%s: %d, want %d: %s", name, got.Status, test.want, got.Body)
		}
	}
}

// The database is away, and there is no token: nothing but the id was looked at.
func TestAnIDIsCheckedForItsFormBeforeAnythingElse(t *testing.T) {
	s := startShop(t, "")
	id, token := strings.ToUpper(uuid.NewString()), s.register(t, "ada@example.com").Token
	// From now on these know the key of user-service.
	s.orders.Do(t, testenv.Request{Path: "/api/orders", Token: token}).Expect(t, http.StatusOK, nil)
	s.ledger.Do(t, testenv.Request{Path: "/api/payments", Token: token}).Expect(t, http.StatusOK, nil)
	s.postgres.Stop(t)
	defer s.postgres.Start(t)
	for _, request := range []struct {
		service      *testenv.Service
		method, path string
	}{
		{s.users, http.MethodGet, "/api/users/%s"},
		{s.products, http.MethodGet, "/api/products/%s"},
		{s.products, http.MethodPut, "/api/products/%s/inventory"},
		{s.orders, http.MethodGet, "/api/orders/%s"},
		{s.orders, http.MethodPost, "/api/orders/%s/cancel"},
		{s.ledger, http.MethodGet, "/api/payments/%s"},
		{s.ledger, http.MethodPost, "/api/payments/%s/refund"},
	} {
		for _, id := range []string{"1", "urn:uuid:" + id, "{" + id + "}", strings.ReplaceAll(id, "-", ""), id, strings.Repeat("a", 65), "%27%20OR%201=1", "%00"} {
			path := strings.Replace(request.path, "%s", id, 1)
			if request.service == s.products && id == "1" {
				continue // the form of a product's id
			}
			if got := request.service.Do(t, testenv.Request{Method: request.method, Path: path}); got.Status != http.StatusNotFound {
				t.Errorf("%s %s: %d: %s", request.method, path, got.Status, got.Body)
			}
		}
	}
	s.orders.Do(t, testenv.Request{Method: http.MethodPost, Path: "/api/orders", Token: token, Body: `{"items":[{"productId":"../users","quantity":1}]}`}).
		Expect(t, http.StatusUnprocessableEntity, nil)
	s.ledger.Do(t, testenv.Request{Path: "/api/payments?userId=x", Token: token}).Expect(t, http.StatusUnprocessableEntity, nil)
}

func TestAnOrderLeftPendingIsSettledLater(t *testing.T) {
	const nobody = "http://127.0.0.1:1"
	s := startShop(t, nobody)
	ada := s.register(t, "ada@example.com")
	cups := s.inventory(t, "espresso-cup")
	var left orderView
	s.create(t, ada, "k", twoCups).Expect(t, http.StatusAccepted, &left)
	if left.Status != "pending" {
		t.Fatalf("order = %+v", left)
	}
	s.orders.Do(t, testenv.Request{Method: http.MethodPost, Path: "/api/orders/" + left.OrderID + "/cancel", Token: ada.Token}).
		Expect(t, http.StatusConflict, nil)

	s.settleElsewhere(t, ada, left.OrderID, "confirmed")
	if got := s.inventory(t, "espresso-cup"); got != cups-2 {
		t.Errorf("inventory = %d, want %d", got, cups-2)
	}
	if paid := s.payments(t, ada); len(paid) != 1 || paid[0].Status != "paid" {
		t.Errorf("payments = %+v", paid)
	}
}

// stopPayments returns when the payment service is gone.
func (s *shop) stopPayments(t testing.TB) {
	t.Helper()
	s.ledger.Shutdown()
	testenv.Await(t, "the payment service is gone", func() error {
		if _, err := s.ledger.Try(t.Context(), testenv.Request{Path: "/health/live"}); err == nil {
			return errors.New("still there")
		}
		return nil
	})
}

// settleElsewhere starts another replica of the order service, which reaches
// payments, and returns when it has found the order, whose lease is over, and
// brought it to the status.
func (s *shop) settleElsewhere(t testing.TB, c customer, orderID, status string) {
	t.Helper()
	s.postgres.Exec(t, s.orderDB, `UPDATE orders SET claimed_until = now()`)
	testenv.StartReady(t, order.Service, s.postgres.Env(t, s.orderDB), map[string]string{
		"USER_SERVICE_URL": s.users.URL, "USER_SERVICE_GRPC": s.users.GRPC, "PRODUCT_SERVICE_URL": s.products.URL, "PAYMENT_SERVICE_URL": s.ledger.URL,
	}, s.bus)
	testenv.Await(t, "the order is "+status, func() error {
		var view orderView
		s.orders.Do(t, testenv.Request{Path: "/api/orders/" + orderID, Token: c.Token}).Expect(t, http.StatusOK, &view)
		if view.Status != status {
			return fmt.Errorf("order = %+v", view)
		}
		return nil
	})
}

func TestACancellationLeftHalfwayIsFinishedLater(t *testing.T) {
	s := startShop(t, "")
	ada := s.register(t, "ada@example.com")
	cups := s.inventory(t, "espresso-cup")
	var created orderView
	s.create(t, ada, "k", twoCups).Expect(t, http.StatusCreated, &created)

	s.stopPayments(t)
	cancel := testenv.Request{Method: http.MethodPost, Path: "/api/orders/" + created.OrderID + "/cancel", Token: ada.Token}
	var left orderView
	s.orders.Do(t, cancel).Expect(t, http.StatusAccepted, &left)
	if left.Status != "cancelling" {
		t.Fatalf("order = %+v", left)
	}
	// The items are only given back once the money is.
	if got := s.inventory(t, "espresso-cup"); got != cups-2 {
		t.Errorf("inventory = %d, want %d", got, cups-2)
	}

	s.ledger = testenv.StartReady(t, payment.Service, s.paymentEnv)
	s.settleElsewhere(t, ada, created.OrderID, "cancelled")
	if got := s.inventory(t, "espresso-cup"); got != cups {
		t.Errorf("inventory = %d, want %d", got, cups)
	}
	if paid := s.payments(t, ada); len(paid) != 1 || paid[0].Status != "refunded" {
		t.Errorf("payments = %+v", paid)
	}
}

func TestARepetitionTakesUpWhatACrashLeft(t *testing.T) {
	s := startShop(t, "")
	ada := s.register(t, "ada@example.com")
	cups := s.inventory(t, "espresso-cup")
	var first, again orderView
	s.create(t, ada, "k", twoCups).Expect(t, http.StatusCreated, &first)
	// As a crash between the payment and the confirmation leaves it.
	s.postgres.Exec(t, s.orderDB, `UPDATE orders SET status = 'pending', payment_id = NULL`)
	s.create(t, ada, "k", twoCups).Expect(t, http.StatusCreated, &again)
	if again.OrderID != first.OrderID || again.PaymentID != first.PaymentID || again.Status != "confirmed" {
		t.Errorf("order = %+v, want %+v", again, first)
	}
	if got := s.inventory(t, "espresso-cup"); got != cups-2 {
		t.Errorf("inventory = %d, want %d", got, cups-2)
	}
	if paid := s.payments(t, ada); len(paid) != 1 {
		t.Errorf("payments = %+v", paid)
	}
	// As a crash halfway through undoing leaves it.
	s.orders.Do(t, testenv.Request{Method: http.MethodPost, Path: "/api/orders/" + first.OrderID + "/cancel", Token: ada.Token}).
		Expect(t, http.StatusOK, nil)
	s.postgres.Exec(t, s.orderDB, `UPDATE orders SET status = 'cancelling'`)
	s.orders.Do(t, testenv.Request{Method: http.MethodPost, Path: "/api/orders/" + first.OrderID + "/cancel", Token: ada.Token}).
		Expect(t, http.StatusOK, nil)
	if got := s.inventory(t, "espresso-cup"); got != cups {
		t.Errorf("inventory = %d, want %d", got, cups)
	}
}

func TestMetricsNameRoutesQueriesAndCalls(t *testing.T) {
	s := startShop(t, "")
	ada := s.register(t, "ada@example.com")
	s.create(t, ada, "", twoCups).Expect(t, http.StatusCreated, nil)
	page := string(s.orders.Do(t, testenv.Request{Path: "/metrics"}).Body)
	for _, want := range []string{
		`http_requests_total{method="POST",route="/api/orders",service="order-service",status_code="201"} 1`,
		`http_request_duration_seconds_bucket{method="POST",route="/api/orders",service="order-service",status_code="201",le="+Inf"} 1`,
		`database_queries_total{operation="insert",service="order-service",status="success"}`,
		`service_calls_total{method="POST",service="order-service",status_code="201",target_service="payment-service"} 1`,
		`service_calls_total{method="PUT",service="order-service",status_code="200",target_service="product-service"} 1`,
		`circuit_breaker_state{service="order-service",target="payment-service"} 0`,
	} {
		if !strings.Contains(page, want) {
			t.Errorf("metrics lack %s", want)
		}
	}
}
