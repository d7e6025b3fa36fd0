package payment_test

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

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
	Amount, RefundedAmount                         float64
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
	service.Do(t, pay(t, "k2", orderID, userID, "4999.99")).Expect(t, http.StatusCreated, nil)
}

// balance is what the transactions of a payment say that was taken for it.
func balance(t *testing.T, service *testenv.Service, userID string) (kinds []string, amount float64) {
	t.Helper()
	var l struct {
		Transactions []struct {
			Kind   string
			Amount float64
		}
	}
	service.Do(t, testenv.Request{Path: "/api/payments/transactions", Token: testenv.Token(t, userID, auth.Customer)}).Expect(t, http.StatusOK, &l)
	for _, happened := range slices.Backward(l.Transactions) {
		kinds = append(kinds, happened.Kind)
		switch happened.Kind {
		case "charge":
			amount += happened.Amount
		case "refund":
			amount -= happened.Amount
		}
	}
	return kinds, amount
}

func TestAPaymentIsRefundedInParts(t *testing.T) {
	service := start(t)
	ada, admin := uuid.NewString(), testenv.Token(t, uuid.NewString(), auth.Admin)
	var p, other view
	service.Do(t, pay(t, "", uuid.NewString(), ada, "10.00")).Expect(t, http.StatusCreated, &p)
	service.Do(t, pay(t, "", uuid.NewString(), uuid.NewString(), "10.00")).Expect(t, http.StatusCreated, &other)
	refund := func(id, key, amount string) testenv.Request {
		return testenv.Request{Method: http.MethodPost, Path: "/api/payments/" + id + "/refund", Token: admin, Key: key, Body: `{"amount":` + amount + `}`}
	}
	service.Do(t, refund(p.PaymentID, "", "3")).Expect(t, http.StatusBadRequest, nil)
	service.Do(t, refund(p.PaymentID, "k0", "0")).Expect(t, http.StatusUnprocessableEntity, nil)
	var group sync.WaitGroup
	for range 6 {
		request := refund(p.PaymentID, "k1", "3.00")
		group.Go(func() {
			response, err := service.Try(t.Context(), request)
			if err != nil || response.Status != http.StatusOK {
				t.Errorf("refund = %d %s, %v", response.Status, response.Body, err)
			}
		})
	}
	group.Wait()
	service.Do(t, refund(p.PaymentID, "k1", "4")).Expect(t, http.StatusUnprocessableEntity, nil)
	service.Do(t, refund(other.PaymentID, "k1", "3.00")).Expect(t, http.StatusUnprocessableEntity, nil)
	service.Do(t, refund(p.PaymentID, "k2", "7.01")).Expect(t, http.StatusConflict, nil)
	// A refusal takes no key: there may be enough for less.
	service.Do(t, refund(p.PaymentID, "k2", "7.00")).Expect(t, http.StatusOK, &p)
	if p.Status != "refunded" || p.RefundedAmount != 10 || p.RefundedAt == "" {
		t.Errorf("payment = %+v", p)
	}
	service.Do(t, refund(p.PaymentID, "k3", "0.01")).Expect(t, http.StatusConflict, nil)
	if kinds, amount := balance(t, service, ada); amount != 0 || !slices.Equal(kinds, []string{"charge", "refund", "refund"}) {
		t.Errorf("transactions = %v, %v", kinds, amount)
	}
	// The rest of one that was refunded in part.
	service.Do(t, refund(other.PaymentID, "k4", "2.50")).Expect(t, http.StatusOK, &other)
	if other.Status != "paid" || other.RefundedAmount != 2.5 {
		t.Errorf("payment = %+v", other)
	}
	whole := refund(other.PaymentID, "", "")
	whole.Body = ""
	service.Do(t, whole).Expect(t, http.StatusOK, &other)
	if kinds, amount := balance(t, service, other.UserID); amount != 0 || len(kinds) != 3 || other.RefundedAmount != 10 {
		t.Errorf("transactions = %v, %v of %+v", kinds, amount, other)
	}
}

func TestALargePaymentWaitsForAReview(t *testing.T) {
	service := start(t)
	ada, customer, admin := uuid.NewString(), testenv.Token(t, uuid.NewString(), auth.Customer), testenv.Token(t, uuid.NewString(), auth.Admin)
	for _, test := range []struct {
		decision, kinds string
		want            int
	}{{"approve", "hold charge", http.StatusCreated}, {"decline", "hold decline", http.StatusPaymentRequired}} {
		ada := uuid.NewString()
		request := pay(t, test.decision, uuid.NewString(), ada, "5000")
		for range 2 {
			service.Do(t, request).Expect(t, http.StatusLocked, nil)
		}
		// Nobody pays the same order around the review.
		again := request
		again.Key = test.decision + "-again"
		service.Do(t, again).Expect(t, http.StatusConflict, nil)
		var l list
		service.Do(t, testenv.Request{Path: "/api/payments", Token: testenv.Token(t, ada, auth.Customer)}).Expect(t, http.StatusOK, &l)
		review := testenv.Request{Method: http.MethodPost, Path: "/api/payments/" + l.Payments[0].PaymentID + "/review", Token: customer, Body: `{"decision":"` + test.decision + `"}`}
		service.Do(t, review).Expect(t, http.StatusForbidden, nil)
		review.Token = admin
		refund := review
		refund.Path, refund.Body = "/api/payments/"+l.Payments[0].PaymentID+"/refund", ""
		service.Do(t, refund).Expect(t, http.StatusNotFound, nil)
		for range 2 {
			service.Do(t, review).Expect(t, http.StatusOK, nil)
		}
		service.Do(t, request).Expect(t, test.want, nil)
		if kinds, _ := balance(t, service, ada); strings.Join(kinds, " ") != test.kinds {
			t.Errorf("%s: transactions = %v", test.decision, kinds)
		}
		review.Body = `{"decision":"` + map[string]string{"approve": "decline", "decline": "approve"}[test.decision] + `"}`
		service.Do(t, review).Expect(t, http.StatusConflict, nil)
		review.Body = `{"decision":"perhaps"}`
		service.Do(t, review).Expect(t, http.StatusUnprocessableEntity, nil)
	}
	service.Do(t, testenv.Request{Method: http.MethodPost, Path: "/api/payments/" + ada + "/review", Token: admin, Body: `{"decision":"approve"}`}).
		Expect(t, http.StatusNotFound, nil)
}

func TestAPaymentThatNobodyReviewsIsDeclined(t *testing.T) {
	pg := testenv.SharedPostgres(t)
	service := testenv.StartReady(t, payment.Service, pg.Env(t, pg.NewDatabase(t)), map[string]string{"REVIEW_SECONDS": "2"})
	ada := uuid.NewString()
	request := pay(t, "k", uuid.NewString(), ada, "5000")
	service.Do(t, request).Expect(t, http.StatusLocked, nil)
	testenv.Await(t, "the payment is declined", func() error {
		if answer := service.Do(t, request); answer.Status != http.StatusPaymentRequired {
			return fmt.Errorf("the payment is answered with %d", answer.Status)
		}
		return nil
	})
	if kinds, _ := balance(t, service, ada); strings.Join(kinds, " ") != "hold decline" {
		t.Errorf("transactions = %v", kinds)
	}
}

func TestTooManyPaymentsInAMinuteAreDeclined(t *testing.T) {
	pg := testenv.SharedPostgres(t)
	service := testenv.StartReady(t, payment.Service, pg.Env(t, pg.NewDatabase(t)), map[string]string{"FRAUD_PAYMENTS_PER_MINUTE": "3"})
	ada := uuid.NewString()
	requests := make([]testenv.Request, 8)
	for i := range requests {
		requests[i] = pay(t, "", uuid.NewString(), ada, "1")
	}
	count := service.AtOnce(t, requests)
	if !maps.Equal(count, map[int]int{http.StatusCreated: 3, http.StatusPaymentRequired: 5}) {
		t.Errorf("statuses = %v, want 3 made and 5 declined", count)
	}
	service.Do(t, pay(t, "", uuid.NewString(), uuid.NewString(), "1")).Expect(t, http.StatusCreated, nil)
}

func TestAPaymentMethodIsItsUsersAndValid(t *testing.T) {
	service := start(t)
	ada, eve := uuid.NewString(), uuid.NewString()
	adaToken, eveToken := testenv.Token(t, ada, auth.Customer), testenv.Token(t, eve, auth.Customer)
	add := func(body string) testenv.Request {
		return testenv.Request{Method: http.MethodPost, Path: "/api/payments/methods", Token: adaToken, Body: body}
	}
	const card = `"brand":"Visa","last4":"1111","expiryMonth":12,"expiryYear":`
	next := strconv.Itoa(time.Now().Year() + 1)
	var m struct{ PaymentMethodID, Last4 string }
	for range 2 {
		response := service.Do(t, add(`{"token":"tok_1NvBqG2eZvKYlo2C",`+card+next+`}`))
		response.Expect(t, http.StatusCreated, &m)
		if strings.Contains(string(response.Body), "tok_") {
			t.Errorf("the token is told: %s", response.Body)
		}
	}
	for _, body := range []string{
		`{"token":"4111111111111111",` + card + next + `}`,
		`{"token":"tok_4111111111111111",` + card + next + `}`,
		`{"token":"tok-4111-1111-1111-1111",` + card + next + `}`,
		`{"token":"short",` + card + next + `}`,
		`{"token":"tok_1NvBqG2eZvKYlo2C","brand":"4111111111111111","last4":"1111","expiryMonth":12,"expiryYear":` + next + `}`,
		`{"token":"tok_1NvBqG2eZvKYlo2C","brand":"Visa","last4":"11111","expiryMonth":13,"expiryYear":1999}`,
	} {
		service.Do(t, add(body)).Expect(t, http.StatusUnprocessableEntity, nil)
	}
	var l struct {
		PaymentMethods []struct{ PaymentMethodID string }
	}
	service.Do(t, testenv.Request{Path: "/api/payments/methods", Token: adaToken}).Expect(t, http.StatusOK, &l)
	if len(l.PaymentMethods) != 1 || l.PaymentMethods[0].PaymentMethodID != m.PaymentMethodID {
		t.Errorf("methods = %+v", l)
	}
	service.Do(t, testenv.Request{Path: "/api/payments/methods", Token: eveToken}).Expect(t, http.StatusOK, &l)
	if len(l.PaymentMethods) != 0 {
		t.Errorf("another's methods = %+v", l)
	}

	with := func(userID, methodID string) testenv.Request {
		request := pay(t, "", uuid.NewString(), userID, "1")
		request.Body = strings.TrimSuffix(request.Body, "}") + `,"paymentMethodId":"` + methodID + `"}`
		return request
	}
	var p struct{ PaymentMethodID string }
	service.Do(t, with(ada, m.PaymentMethodID)).Expect(t, http.StatusCreated, &p)
	if p.PaymentMethodID != m.PaymentMethodID {
		t.Errorf("payment = %+v", p)
	}
	service.Do(t, with(eve, m.PaymentMethodID)).Expect(t, http.StatusPaymentRequired, nil)
	service.Do(t, with(ada, uuid.NewString())).Expect(t, http.StatusPaymentRequired, nil)
	service.Do(t, with(ada, "x")).Expect(t, http.StatusUnprocessableEntity, nil)

	remove := testenv.Request{Method: http.MethodDelete, Path: "/api/payments/methods/" + m.PaymentMethodID, Token: eveToken}
	service.Do(t, remove).Expect(t, http.StatusNotFound, nil)
	remove.Token = adaToken
	service.Do(t, remove).Expect(t, http.StatusNoContent, nil)
	service.Do(t, remove).Expect(t, http.StatusNotFound, nil)
	service.Do(t, with(ada, m.PaymentMethodID)).Expect(t, http.StatusPaymentRequired, nil)
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
