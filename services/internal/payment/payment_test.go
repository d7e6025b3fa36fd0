package payment_test

import (
	"fmt"
	"net/http"
	"os"
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/tendhq/tend/services/internal/auth"
	"github.com/tendhq/tend/services/internal/payment"
	"github.com/tendhq/tend/services/internal/testenv"
)

func TestMain(m *testing.M) { os.Exit(testenv.Run(m)) }

func start(t *testing.T) *testenv.Service {
	t.Helper()
	pg := testenv.SharedPostgres(t)
	return testenv.StartReady(t, payment.Service, pg.Env(t, pg.NewDatabase(t)))
}

type view struct {
	PaymentID, OrderID, UserID, Status, RefundedAt string
	Amount                                         float64
}

type list struct {
	Payments               []view
	TotalCount, TotalPages int
}

// pay asks for a payment as order-service does.
func pay(t *testing.T, key, orderID, userID, amount string) testenv.Request {
	t.Helper()
	return testenv.Request{Method: http.MethodPost, Path: "/api/payments", Token: testenv.Token(t, "order-service", auth.Service), Key: key,
		Body: fmt.Sprintf(`{"orderId":%q,"userId":%q,"amount":%s}`, orderID, userID, amount)}
}

func TestAPaymentIsMadeOnceForItsOrder(t *testing.T) {
	service := start(t)
	ada, eve, orderID := uuid.NewString(), uuid.NewString(), uuid.NewString()
	ids := make(chan string, 10)
	var group sync.WaitGroup
	for range cap(ids) {
		request := pay(t, "k", orderID, ada, "19.99")
		group.Go(func() {
			response, err := service.Try(t.Context(), request)
			if err != nil {
				t.Error(err)
				return
			}
			var p view
			response.Expect(t, http.StatusCreated, &p)
			ids <- p.PaymentID
		})
	}
	group.Wait()
	close(ids)
	id := <-ids
	for other := range ids {
		if other != id {
			t.Errorf("one key made the payments %s and %s", id, other)
		}
	}
	service.Do(t, pay(t, "k", orderID, ada, "20.00")).Expect(t, http.StatusUnprocessableEntity, nil)
	service.Do(t, pay(t, "k2", orderID, ada, "19.99")).Expect(t, http.StatusConflict, nil)
	service.Do(t, pay(t, "", orderID, ada, "0.01")).Expect(t, http.StatusConflict, nil)
	service.Do(t, pay(t, "k3", orderID, eve, "19.99")).Expect(t, http.StatusConflict, nil)

	var l list
	service.Do(t, testenv.Request{Path: "/api/payments", Token: testenv.Token(t, ada, auth.Customer)}).Expect(t, http.StatusOK, &l)
	if l.TotalCount != 1 || l.TotalPages != 1 || len(l.Payments) != 1 || l.Payments[0].Amount != 19.99 || l.Payments[0].UserID != ada {
		t.Errorf("payments = %+v", l)
	}
	// Nor is it paid again once it was refunded.
	service.Do(t, testenv.Request{Method: http.MethodPost, Path: "/api/payments/" + id + "/refund", Token: testenv.Token(t, "order-service", auth.Service)}).
		Expect(t, http.StatusOK, nil)
	service.Do(t, pay(t, "k4", orderID, ada, "19.99")).Expect(t, http.StatusConflict, nil)
}

// A client names no amount and no order: neither would be one.
func TestOnlyOrderServiceAsksForAPayment(t *testing.T) {
	service := start(t)
	ada := uuid.NewString()
	for name, token := range map[string]string{
		"a customer, for itself": testenv.Token(t, ada, auth.Customer),
		"an administrator":       testenv.Token(t, ada, auth.Admin),
	} {
		request := pay(t, "", uuid.NewString(), ada, "0.01")
		request.Token = token
		if got := service.Do(t, request); got.Status != http.StatusForbidden {
			t.Errorf("%s gets %d: %s", name, got.Status, got.Body)
		}
	}
	request := pay(t, "", uuid.NewString(), ada, "0.01")
	request.Token = testenv.Token(t, "product-service", auth.Service)
	service.Do(t, request).Expect(t, http.StatusUnauthorized, nil)
	for _, body := range []string{
		`{"orderId":"x","userId":"` + ada + `","amount":1}`,
		`{"orderId":"` + uuid.NewString() + `","userId":"` + ada + `","amount":0}`,
		`{"orderId":"` + uuid.NewString() + `","userId":"` + ada + `"}`,
		`{"orderId":"` + uuid.NewString() + `","amount":1}`,
	} {
		request.Token, request.Body = testenv.Token(t, "order-service", auth.Service), body
		service.Do(t, request).Expect(t, http.StatusUnprocessableEntity, nil)
	}
}

func TestADeclinedPaymentStaysDeclined(t *testing.T) {
	service := start(t)
	orderID, userID := uuid.NewString(), uuid.NewString()
	for range 2 {
		service.Do(t, pay(t, "k", orderID, userID, "10000.01")).Expect(t, http.StatusPaymentRequired, nil)
	}
	service.Do(t, pay(t, "k2", orderID, userID, "10000.00")).Expect(t, http.StatusCreated, nil)
}

func TestOnlyServicesAndAdministratorsRefund(t *testing.T) {
	service := start(t)
	customer, service2 := testenv.Token(t, uuid.NewString(), auth.Customer), testenv.Token(t, "order-service", auth.Service)
	var p view
	service.Do(t, pay(t, "", uuid.NewString(), uuid.NewString(), "1")).Expect(t, http.StatusCreated, &p)
	refund := testenv.Request{Method: http.MethodPost, Path: "/api/payments/" + p.PaymentID + "/refund", Token: customer}
	service.Do(t, refund).Expect(t, http.StatusForbidden, nil)
	refund.Token = service2
	var first, second view
	service.Do(t, refund).Expect(t, http.StatusOK, &first)
	service.Do(t, refund).Expect(t, http.StatusOK, &second)
	if first.Status != "refunded" || first.RefundedAt == "" || first != second {
		t.Errorf("refunds = %+v, %+v", first, second)
	}
	refund.Path = "/api/payments/" + uuid.NewString() + "/refund"
	service.Do(t, refund).Expect(t, http.StatusNotFound, nil)
}

func TestPaymentsAreTheirOwners(t *testing.T) {
	service := start(t)
	ada, eve := uuid.NewString(), uuid.NewString()
	adaToken, eveToken, admin := testenv.Token(t, ada, auth.Customer), testenv.Token(t, eve, auth.Customer), testenv.Token(t, "admin", auth.Admin)
	var p view
	service.Do(t, pay(t, "", uuid.NewString(), ada, "1")).Expect(t, http.StatusCreated, &p)
	for _, test := range []struct {
		token, path string
		want        int
	}{
		{adaToken, "/" + p.PaymentID, http.StatusOK},
		{eveToken, "/" + p.PaymentID, http.StatusNotFound},
		{admin, "/" + p.PaymentID, http.StatusOK},
		{"", "/" + p.PaymentID, http.StatusUnauthorized},
		{adaToken, "?userId=" + ada, http.StatusOK},
		{eveToken, "?userId=" + ada, http.StatusForbidden},
		{admin, "?userId=" + ada, http.StatusOK},
		{admin, "?userId=x", http.StatusUnprocessableEntity},
		{admin, "", http.StatusUnprocessableEntity},
	} {
		if got := service.Do(t, testenv.Request{Path: "/api/payments" + test.path, Token: test.token}); got.Status != test.want {
			t.Errorf("%s: %d, want %d: %s", test.path, got.Status, test.want, got.Body)
		}
	}
}
