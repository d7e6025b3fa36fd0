package e2e_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/tendhq/tend/services/internal/testenv"
)

// bad is a request that no honest client sends, and what it gets.
type bad struct {
	name, method, path, token, body string
	want                            int
}

// TestWhatBadRequestsGet sends each of them, in turn, and then looks whether anything has
// changed. That a refusal is a problem document, and that what is answered is in the
// contract, is checked of each by the services' own harness.
func TestWhatBadRequestsGet(t *testing.T) {
	s := startShop(t, "")
	ada, eve, admin := s.register(t, "ada@example.com"), s.register(t, "eve@example.com"), s.admin(t)
	var o orderView
	s.create(t, ada, "hers", twoCups).Expect(t, http.StatusCreated, &o)
	var method struct{ PaymentMethodID string }
	s.ledger.Do(t, testenv.Request{Method: http.MethodPost, Path: "/api/payments/methods", Token: ada.Token,
		Body: card(time.Now().Year() + 1)}).Expect(t, http.StatusCreated, &method)
	var home struct{ AddressID string }
	s.users.Do(t, testenv.Request{Method: http.MethodPost, Path: "/api/users/" + ada.UserID + "/addresses", Token: ada.Token, Body: address}).
		Expect(t, http.StatusCreated, &home)
	before := s.state(t)

	all := 0
	for service, requests := range map[*testenv.Service][]bad{
		s.users:    append(badUsers(ada, eve, home.AddressID), wrongTokens(ada, "GET", "/api/users/"+ada.UserID)...),
		s.products: append(badProducts(eve, admin), wrongTokens(ada, "PUT", "/api/products/desk-lamp/inventory")...),
		s.orders:   append(badOrders(ada, eve, o), wrongTokens(ada, "GET", "/api/orders/"+o.OrderID)...),
		s.ledger:   append(badPayments(ada, eve, admin, o, method.PaymentMethodID), wrongTokens(ada, "GET", "/api/payments/"+o.PaymentID)...),
	} {
		for _, r := range requests {
			all++
			got := service.Do(t, testenv.Request{Method: r.method, Path: r.path, Token: r.token, Body: r.body})
			if got.Status != r.want {
				t.Errorf("%s: %s %s gets %d, want %d: %s", r.name, r.method, r.path, got.Status, r.want, got.Body)
			}
			if strings.Contains(strings.ToLower(string(got.Body)), "sqlstate") || strings.Contains(string(got.Body), "goroutine ") {
				t.Errorf("%s: the answer tells of what is inside: %s", r.name, got.Body)
			}
		}
	}
	if after := s.state(t); after != before {
		t.Errorf("after them there is %s, and before there was %s", after, before)
	}
	if all < 200 {
		t.Errorf("%d requests, want 200", all)
	}
}

const address = `{"recipient":"Ada Lovelace","street":"12 St James's Square","postalCode":"SW1Y 4JH","city":"London","country":"GB"}`

// card is a payment method that expires in a year.
func card(year int) string {
	return fmt.Sprintf(`{"token":"tok_1NvBqG2eZvKYlo2C","brand":"Visa","last4":"1111","expiryMonth":12,"expiryYear":%d}`, year)
}

// state is what all databases hold that somebody might want to change.
func (s *shop) state(t testing.TB) string {
	t.Helper()
	var users, products, orders, payments string
	s.postgres.QueryRow(t, s.userDB, `SELECT concat((SELECT string_agg(user_id || email || first_name || last_name || role || password_hash, ',' ORDER BY user_id) FROM users),
		(SELECT string_agg(a::text, ',' ORDER BY address_id) FROM addresses a))`, &users)
	s.postgres.QueryRow(t, s.productDB, `SELECT string_agg(product_id || price || inventory, ',' ORDER BY product_id) FROM products`, &products)
	s.postgres.QueryRow(t, s.orderDB, `SELECT string_agg(order_id || status || total, ',' ORDER BY order_id) FROM orders`, &orders)
	s.postgres.QueryRow(t, s.paymentDB, `SELECT concat((SELECT string_agg(payment_id || status || amount || refunded_amount, ',' ORDER BY payment_id) FROM payments),
		(SELECT string_agg(m::text, ',' ORDER BY method_id) FROM payment_methods m))`, &payments)
	return users + products + orders + payments
}

// injections are texts that would be more than text to a careless program.
func injections() map[string]string {
	return map[string]string{
		"SQL, always true": `' OR '1'='1`, "SQL, a second statement": `'; DROP TABLE users; --`, "SQL, a union": `' UNION SELECT password_hash FROM users --`,
		"SQL, time": `'||pg_sleep(10)||'`, "SQL, stacked in dollars": `$$; SELECT 1; $$`, "a shell": "$(reboot) `reboot` ; reboot", "a template": `{{7*7}}${7*7}<%=7*7%>`,
		"a path": `../../../../etc/passwd`, "LDAP": `*)(uid=*))(|(uid=*`, "XML": `<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>&e;`,
		"a script": `<script>alert(1)</script>`, "a log line": "x\r\nINFO forged", "a header": "x\r\nX-Role: admin",
	}
}

// bodies are no JSON objects, for an endpoint that wants one.
func bodies(method, path, token string) (all []bad) {
	for name, test := range map[string]struct {
		body string
		want int
	}{
		"no JSON": {`name=ada&role=admin`, 400}, "half of it": {`{"a":`, 400}, "an array": {`[]`, 400}, "a string": {`"x"`, 400}, "a number": {`1`, 400},
		"two objects": {`{}{}`, 400}, "an unknown field": {`{"__proto__":{"admin":true}}`, 400}, "very deep": {strings.Repeat("[", 20000), 400},
		"more than 64 KiB": {`{"x":"` + strings.Repeat("x", 70<<10) + `"}`, 413}, "more than 64 KiB of blanks": {strings.Repeat(" ", 70<<10) + `{}`, 413},
	} {
		all = append(all, bad{"a body that is " + name, method, path, token, test.body, test.want})
	}
	return all
}

// wrongTokens are tokens that prove nothing, for an endpoint that wants one.
func wrongTokens(c customer, method, path string) (all []bad) {
	parts := strings.Split(c.Token, ".")
	encode := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	admin := encode(fmt.Sprintf(`{"iss":"user-service","sub":%q,"aud":["shop"],"role":"admin","exp":9999999999}`, c.UserID))
	for name, token := range map[string]string{
		"no token": "", "three dots": "...", "no signature": parts[0] + "." + parts[1] + ".", "another's signature": parts[0] + "." + admin + "." + parts[2],
		"no algorithm": encode(`{"alg":"none","typ":"JWT"}`) + "." + admin + ".", "a secret for a key": encode(`{"alg":"HS256","kid":"x"}`) + "." + admin + "." + encode("x"),
		"a key from elsewhere": encode(`{"alg":"EdDSA","jku":"http://evil.example/jwks","kid":"x"}`) + "." + admin + "." + parts[2],
		"a key in a file":      encode(`{"alg":"EdDSA","kid":"../../../dev/null"}`) + "." + admin + "." + parts[2],
		"a very long one":      strings.Repeat("a", 8000),
	} {
		all = append(all, bad{"a token: " + name, method, path, token, "", http.StatusUnauthorized})
	}
	return all
}

func badUsers(ada, eve customer, addressID string) []bad {
	self, hers := "/api/users/"+eve.UserID, "/api/users/"+ada.UserID
	register := func(name, body string, want int) bad {
		return bad{name, http.MethodPost, "/api/users/register", "", body, want}
	}
	all := []bad{
		register("a role for oneself", `{"email":"m@example.com","password":"correct horse","firstName":"M","lastName":"A","role":"admin"}`, 400),
		register("an id for oneself", `{"email":"m@example.com","password":"correct horse","firstName":"M","lastName":"A","userId":"`+ada.UserID+`"}`, 400),
		register("an email that is taken, in capitals", `{"email":"ADA@EXAMPLE.COM","password":"correct horse","firstName":"M","lastName":"A"}`, 409),
		register("a number for a name", `{"email":"m@example.com","password":"correct horse","firstName":1,"lastName":"A"}`, 422),
		register("an object for an email", `{"email":{"$ne":null},"password":"correct horse","firstName":"M","lastName":"A"}`, 422),
		register("two addresses", `{"email":"m@example.com,ada@example.com","password":"correct horse","firstName":"M","lastName":"A"}`, 422),
		register("a header in an email", `{"email":"m@example.com\r\nBcc: x@example.com","password":"correct horse","firstName":"M","lastName":"A"}`, 422),
		register("a NUL", `{"email":"m@example.com","password":"correct horse","firstName":"M\u0000","lastName":"A"}`, 422),
		register("half a character", `{"email":"m@example.com","password":"correct horse","firstName":"\ud800\u0007","lastName":"A"}`, 422),
		register("a common password", `{"email":"m@example.com","password":"password1","firstName":"M","lastName":"A"}`, 422),
		{"an operator for a password", http.MethodPost, "/api/users/login", "", `{"email":"ada@example.com","password":{"$gt":""}}`, 422},
		{"no password", http.MethodPost, "/api/users/login", "", `{"email":"ada@example.com"}`, 422},
		{"a wrong password", http.MethodPost, "/api/users/login", "", `{"email":"ada@example.com","password":"wrong horse"}`, 401},
		{"another's profile", http.MethodGet, hers, eve.Token, "", 404},
		{"another's profile, changed", http.MethodPatch, hers, eve.Token, `{"firstName":"Eve"}`, 404},
		{"a role for oneself, later", http.MethodPatch, self, eve.Token, `{"role":"admin"}`, 400},
		{"an email for oneself", http.MethodPatch, self, eve.Token, `{"email":"ada@example.com"}`, 400},
		{"a hash for oneself", http.MethodPatch, self, eve.Token, `{"password_hash":"x"}`, 400},
		{"another's addresses", http.MethodGet, hers + "/addresses", eve.Token, "", 404},
		{"an address for another", http.MethodPost, hers + "/addresses", eve.Token, address, 404},
		{"another's address", http.MethodPut, hers + "/addresses/" + addressID, eve.Token, address, 404},
		{"another's address, as one's own", http.MethodPut, self + "/addresses/" + addressID, eve.Token, address, 404},
		{"another's address, removed", http.MethodDelete, self + "/addresses/" + addressID, eve.Token, "", 404},
		{"an address with an owner", http.MethodPost, self + "/addresses", eve.Token, strings.Replace(address, "{", `{"userId":"`+ada.UserID+`",`, 1), 400},
		{"a method that is none", "BREW", self, eve.Token, "", 405},
	}
	for name, text := range injections() {
		all = append(all, bad{name + " to log in", http.MethodPost, "/api/users/login", "", fmt.Sprintf(`{"email":%q,"password":"x"}`, text), 0})
		if strings.ContainsAny(text, "\r\n") {
			all[len(all)-1].want = 422
		} else {
			all[len(all)-1].want = 401
		}
	}
	all = append(all, bodies(http.MethodPost, "/api/users/register", "")...)
	return append(all, bodies(http.MethodPatch, self, eve.Token)...)
}

func badProducts(eve customer, admin string) []bad {
	inventory := "/api/products/desk-lamp/inventory"
	put := func(name, token, body string, want int) bad {
		return bad{name, http.MethodPut, inventory, token, body, want}
	}
	all := []bad{
		put("a customer's inventory", eve.Token, `{"quantity":1,"operation":"add"}`, 403),
		put("less than nothing", admin, `{"quantity":-1,"operation":"add"}`, 422),
		put("half of one", admin, `{"quantity":0.5,"operation":"add"}`, 422),
		put("too many", admin, `{"quantity":1000001,"operation":"add"}`, 422),
		put("more than a number holds", admin, `{"quantity":1e400,"operation":"add"}`, 422),
		put("digits in a string", admin, `{"quantity":"1","operation":"add"}`, 422),
		put("another operation", admin, `{"quantity":1,"operation":"drop"}`, 422),
		put("a price beside it", admin, `{"quantity":1,"operation":"set","price":0.01}`, 400),
		put("more than there is", admin, `{"quantity":1000000,"operation":"subtract"}`, 409),
		put("nothing", admin, `{}`, 422),
		put("null", admin, `{"quantity":null,"operation":null}`, 422),
		{"a page before the first", http.MethodGet, "/api/products?page=0", "", "", 422},
		{"a page beyond numbers", http.MethodGet, "/api/products?page=99999999999999999999", "", "", 422},
		{"all at once", http.MethodGet, "/api/products?limit=1000000", "", "", 422},
		{"a search without end", http.MethodGet, "/api/products?search=" + strings.Repeat("a", 5000), "", "", 422},
		{"a NUL", http.MethodGet, "/api/products?search=%00", "", "", 422},
		{"half a character", http.MethodGet, "/api/products?category=%ff", "", "", 422},
		{"another's path", http.MethodGet, "/api/products/..%2f..%2fetc%2fpasswd", "", "", 404},
		{"a product without end", http.MethodGet, "/api/products/" + strings.Repeat("a", 100), "", "", 404},
		{"recommendations for a service", http.MethodGet, "/api/products/recommendations", "", "", 401},
	}
	for name, text := range injections() {
		all = append(all, bad{name + " as a product", http.MethodGet, "/api/products/" + escape(text), "", "", 404},
			bad{name + " as a product's inventory", http.MethodPut, "/api/products/" + escape(text) + "/inventory", admin, `{"quantity":1,"operation":"set"}`, 404})
	}
	return append(all, bodies(http.MethodPut, inventory, admin)...)
}

func badOrders(ada, eve customer, o orderView) []bad {
	post := func(name, body string, want int) bad {
		return bad{name, http.MethodPost, "/api/orders", eve.Token, body, want}
	}
	all := []bad{
		{"another's order", http.MethodGet, "/api/orders/" + o.OrderID, eve.Token, "", 404},
		{"another's order, cancelled", http.MethodPost, "/api/orders/" + o.OrderID + "/cancel", eve.Token, "", 404},
		{"another's history", http.MethodGet, "/api/orders/" + o.OrderID + "/history", eve.Token, "", 404},
		{"another's stream", http.MethodGet, "/api/orders/" + o.OrderID + "/events", eve.Token, "", 404},
		{"the report", http.MethodGet, "/api/orders/report", eve.Token, "", 403},
		post("a price of one's own", `{"items":[{"productId":"standing-desk","quantity":1,"price":0.01}]}`, 400),
		post("a total of one's own", `{"items":[{"productId":"standing-desk","quantity":1}],"total":0.01}`, 400),
		post("another's name", `{"items":[{"productId":"standing-desk","quantity":1}],"userId":"`+ada.UserID+`"}`, 400),
		post("paid already", `{"items":[{"productId":"standing-desk","quantity":1}],"status":"confirmed"}`, 400),
		post("less than nothing", `{"items":[{"productId":"standing-desk","quantity":-1}]}`, 422),
		post("nothing", `{"items":[{"productId":"standing-desk","quantity":0}]}`, 422),
		post("half of one", `{"items":[{"productId":"standing-desk","quantity":0.5}]}`, 422),
		post("more than a number holds", `{"items":[{"productId":"standing-desk","quantity":9223372036854775808}]}`, 422),
		post("the same twice", `{"items":[{"productId":"standing-desk","quantity":1},{"productId":"standing-desk","quantity":1}]}`, 422),
		post("no items", `{"items":[]}`, 422),
		post("too many items", `{"items":[`+strings.TrimSuffix(strings.Repeat(`{"productId":"x","quantity":1},`, 51), ",")+`]}`, 422),
		post("an unknown product", `{"items":[{"productId":"no-such","quantity":1}]}`, 422),
		post("a method that is no id", `{"items":[{"productId":"standing-desk","quantity":1}],"paymentMethodId":"x"}`, 422),
	}
	for name, text := range injections() {
		all = append(all, post(name+" as a product", fmt.Sprintf(`{"items":[{"productId":%q,"quantity":1}]}`, text), 422),
			bad{name + " as an order", http.MethodGet, "/api/orders/" + escape(text), eve.Token, "", 404})
	}
	return append(all, bodies(http.MethodPost, "/api/orders", eve.Token)...)
}

func badPayments(ada, eve customer, admin string, o orderView, methodID string) []bad {
	pay := fmt.Sprintf(`{"orderId":%q,"userId":%q,"amount":1}`, uuid.New(), ada.UserID)
	refund := "/api/payments/" + o.PaymentID + "/refund"
	year := time.Now().Year() + 1
	method := func(name, field, value string) bad {
		was := map[string]string{"token": `"tok_1NvBqG2eZvKYlo2C"`, "brand": `"Visa"`, "last4": `"1111"`, "expiryMonth": "12", "expiryYear": strconv.Itoa(year)}[field]
		return bad{name, http.MethodPost, "/api/payments/methods", eve.Token, strings.Replace(card(year), was, value, 1), 422}
	}
	all := []bad{
		{"a customer who charges", http.MethodPost, "/api/payments", eve.Token, pay, 403},
		{"an administrator who charges", http.MethodPost, "/api/payments", admin, pay, 403},
		{"a customer who refunds", http.MethodPost, refund, ada.Token, "", 403},
		{"a refund of a part without a key", http.MethodPost, refund, admin, `{"amount":25.01}`, 400},
		{"a refund of less than nothing", http.MethodPost, refund, admin, `{"amount":-1}`, 400},
		{"a refund of a thousandth", http.MethodPost, refund, admin, `{"amount":0.001}`, 400},
		{"a refund of nobody's payment", http.MethodPost, "/api/payments/" + uuid.NewString() + "/refund", admin, "", 404},
		{"a customer who reviews", http.MethodPost, "/api/payments/" + o.PaymentID + "/review", ada.Token, `{"decision":"approve"}`, 403},
		{"a review of what is paid", http.MethodPost, "/api/payments/" + o.PaymentID + "/review", admin, `{"decision":"decline"}`, 409},
		{"another decision", http.MethodPost, "/api/payments/" + o.PaymentID + "/review", admin, `{"decision":"keep"}`, 422},
		{"another's payment", http.MethodGet, "/api/payments/" + o.PaymentID, eve.Token, "", 404},
		{"another's payments", http.MethodGet, "/api/payments?userId=" + ada.UserID, eve.Token, "", 403},
		{"another's transactions", http.MethodGet, "/api/payments/transactions?userId=" + ada.UserID, eve.Token, "", 403},
		{"another's payment method", http.MethodDelete, "/api/payments/methods/" + methodID, eve.Token, "", 404},
		method("a card's number", "token", `"4111111111111111"`), method("a card's number in a token", "token", `"tok_4111111111111111"`),
		method("a card's number as a brand", "brand", `"4111111111111111"`), method("letters for digits", "last4", `"11a1"`),
		method("a thirteenth month", "expiryMonth", "13"), method("a card of the past", "expiryYear", "1999"), method("a card of the far future", "expiryYear", "3000"),
	}
	for name, text := range injections() {
		all = append(all, method(name+" as a token", "token", fmt.Sprintf("%q", text)))
	}
	return append(all, bodies(http.MethodPost, "/api/payments/methods", eve.Token)...)
}

// escape writes every byte of a text as a path has it.
func escape(text string) (escaped string) {
	for _, b := range []byte(text) {
		escaped += fmt.Sprintf("%%%02X", b)
	}
	return escaped
}

// TestWhatForgedEventsGet has somebody who may write to the bus send what no service does.
// Each is a dead letter of whoever consumes its type, or nothing at all, and changes nothing.
func TestWhatForgedEventsGet(t *testing.T) {
	s := startShop(t, "")
	ada := s.register(t, "ada@example.com")
	var o orderView
	s.create(t, ada, "hers", twoCups).Expect(t, http.StatusCreated, &o)
	testenv.Await(t, "her order is counted", func() error {
		var handled int
		s.postgres.QueryRow(t, s.productDB, `SELECT count(*) FROM inbox`, &handled)
		if handled < 2 {
			return fmt.Errorf("%d events", handled)
		}
		return nil
	})
	before := s.state(t)
	created := func(items string) string {
		return fmt.Sprintf(`{"orderId":%q,"userId":%q,"items":%s,"total":1,"saga":"choreographed"}`, uuid.New(), ada.UserID, items)
	}
	client := s.redis.Client()
	defer client.Close()
	want := map[string]int{}
	for _, forged := range []struct {
		eventType, data string
		dead            int // letters
	}{
		{"order.created", `null`, 0}, {"order.created", `{}`, 0}, {"order.created", `[]`, 1}, {"order.created", `"x"`, 1}, {"order.created", `{"orderId":7}`, 1},
		{"order.created", `{"orderId":"' OR 1=1 --"}`, 1}, {"order.created", created(`{"productId":"desk-lamp"}`), 1},
		{"order.created", created(`[{"productId":"desk-lamp","quantity":-1000}]`), 1}, {"order.created", created(`[{"productId":"desk-lamp","quantity":0}]`), 1},
		{"order.created", created(`[{"productId":"desk-lamp","quantity":0.5}]`), 1}, {"order.created", created(`[{"productId":"desk-lamp","quantity":9223372036854775808}]`), 1},
		{"order.created", created(`[{"productId":"desk-lamp","quantity":9223372036854775807}]`), 0}, {"order.created", created(`[{"productId":"'; DROP TABLE products; --","quantity":1}]`), 0},
		{"order.completed", `{"orderId":1}`, 1}, {"order.completed", `{"items":"all"}`, 1}, {"inventory.release_requested", `{"orderId":[]}`, 1},
		{"inventory.release_requested", fmt.Sprintf(`{"orderId":%q}`, o.OrderID), 0}, // which has nothing reserved by events
		{"payment.requested", `{"orderId":"x","userId":"y","amount":1}`, 1}, {"payment.requested", fmt.Sprintf(`{"orderId":%q,"userId":%q,"amount":-1}`, uuid.New(), ada.UserID), 1},
		{"payment.requested", fmt.Sprintf(`{"orderId":%q,"userId":%q,"amount":1e30}`, uuid.New(), ada.UserID), 1},
		{"payment.refund_requested", `{"paymentId":"x"}`, 1}, {"payment.refund_requested", fmt.Sprintf(`{"orderId":%q,"paymentId":%q}`, o.OrderID, uuid.New()), 1},
		{"payment.processed", fmt.Sprintf(`{"orderId":%q,"paymentId":%q}`, o.OrderID, uuid.New()), 0}, {"payment.failed", fmt.Sprintf(`{"orderId":%q}`, o.OrderID), 0},
		{"inventory.expired", fmt.Sprintf(`{"orderId":%q}`, o.OrderID), 0}, {"inventory.released", fmt.Sprintf(`{"orderId":%q}`, o.OrderID), 0},
		{"inventory.rejected", fmt.Sprintf(`{"orderId":%q}`, o.OrderID), 0}, {"payment.refunded", fmt.Sprintf(`{"orderId":%q,"refundedAmount":"all"}`, o.OrderID), 1},
		{"user.admin", `{"userId":"x"}`, 0}, {"", `{}`, 3}, {"order.created", `{"x":"` + strings.Repeat("x", 70<<10) + `"}`, 3},
	} {
		event := fmt.Sprintf(`{"eventId":%q,"eventType":%q,"data":%s}`, uuid.New(), forged.eventType, forged.data)
		if err := client.Do(t.Context(), "XADD", "domain-events", "*", "event", event).Err(); err != nil {
			t.Fatal(err)
		}
		if forged.dead > 0 {
			want[event] = forged.dead
		}
	}
	testenv.AwaitFor(t, 3*time.Minute, "those that cannot be handled are dead letters", func() error {
		dead := map[string]int{}
		for _, service := range []string{"order-service", "product-service", "payment-service"} {
			for _, m := range client.XRange(t.Context(), "domain-events.dead."+service, "-", "+").Val() {
				dead[m.Values["event"].(string)]++
			}
		}
		if !maps.Equal(dead, want) {
			var differ []string
			for event := range want {
				if dead[event] != want[event] {
					differ = append(differ, fmt.Sprintf("%d times %.120s", dead[event], event))
				}
			}
			for event := range dead {
				if want[event] == 0 {
					differ = append(differ, fmt.Sprintf("dead is %.120s", event))
				}
			}
			return errors.New(strings.Join(differ, "\n"))
		}
		return nil
	})
	if after := s.state(t); after != before {
		t.Errorf("after them there is %s, and before there was %s", after, before)
	}
}
