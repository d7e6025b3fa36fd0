package e2e_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/tendhq/tend/services/internal/testenv"
	"github.com/tendhq/tend/services/web"
)

// startGateway runs the gateway in front of the shop and its pages, and returns its URL.
func startGateway(t *testing.T, s *shop) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "gateway")
	// The flags are the Makefile's, so that what was compiled once is compiled.
	build := exec.Command("go", "build", "-C", "../gateway", "-trimpath", "-ldflags", "-s -w", "-o", program, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the gateway: %v\n%s", err, output)
	}
	pages := testenv.StartReady(t, web.Service)
	host := func(service *testenv.Service) string { return strings.TrimPrefix(service.URL, "http://") }
	port := freePort(t)
	var output bytes.Buffer
	gateway := exec.Command(program)
	gateway.Env = []string{
		"HOME=/", "PORT=" + port, "METRICS_PORT=" + freePort(t), "INTERNAL_PORT=" + freePort(t),
		"JWKS_URL=" + s.users.URL + "/.well-known/jwks.json", "WEB=" + host(pages),
		"USER_SERVICE=" + host(s.users), "PRODUCT_SERVICE=" + host(s.products), "ORDER_SERVICE=" + host(s.orders), "PAYMENT_SERVICE=" + host(s.ledger),
	}
	gateway.Stdout, gateway.Stderr = &output, &output
	gateway.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := gateway.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = gateway.Process.Kill()
		_ = gateway.Wait()
		if t.Failed() {
			t.Logf("the gateway's log:\n%s", &output)
		}
	})
	url := "http://127.0.0.1:" + port
	testenv.Await(t, "the gateway is ready", func() error {
		response, err := http.Get(url + "/health/ready")
		if err == nil {
			err = response.Body.Close()
		}
		return err
	})
	return url
}

func unzipped(t *testing.T, content string) string {
	t.Helper()
	reader, err := gzip.NewReader(strings.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(reader)
	if err != nil {
		t.Fatal(err)
	}
	return string(plain)
}

func freePort(t *testing.T) string {
	t.Helper()
	listener := testenv.Listen(t)
	defer listener.Close()
	_, port, _ := strings.Cut(listener.Addr().String(), ":")
	return port
}

// TestTheShopInABrowser goes through the shop as a customer and as an administrator do, in
// Chromium, by the gateway. What the console says fails it, and so does what axe-core finds.
func TestTheShopInABrowser(t *testing.T) {
	s := startShopWith(t, "", "choreographed")
	s.products.Do(t, testenv.Request{Method: http.MethodPut, Path: "/api/products/climbing-rope/inventory", Token: s.admin(t), Body: `{"quantity":0,"operation":"set"}`}).
		Expect(t, http.StatusOK, nil)
	url := startGateway(t, s)
	smallAndStrict(t, url)

	b := newBrowser(t, url)
	looksAround(b)
	fillsTheBasket(b)
	signsUp(b)
	pays(b)
	followsAnOrder(b, s)
	changesTheProfile(b)
	keepsNoToken(b)
	changesTheStock(b, s)
	opensEveryAddress(b)
	goesByKeyboard(b)
}

func looksAround(b *browser) {
	b.t.Helper()
	b.open("/")
	b.sees("h1", "Good things")
	b.sees(".found", "16 products")
	b.looksRight("catalogue")
	b.press("Next")
	b.sees(".pages", "Page 2 of 2")
	b.becomes(`document.querySelectorAll('.product').length === 4`)

	b.fill("Search the shop", "cup")
	b.press("Search")
	b.sees("h1", "Results for “cup”")
	b.sees(".found", "1 product")
	b.fill("Search the shop", "no such thing")
	b.press("Search")
	b.sees(".found", "Nothing was found")

	b.press("Shop")
	b.press("Sport")
	b.sees("h1", "Sport")
	b.sees(".found", "4 products")
	b.sees(".product .none", "Sold out")
	// A change of page is told, and going back is possible.
	b.becomes(`document.activeElement === document.querySelector('h1') && document.title === 'Sport · Shop'`)
	b.back()
	b.sees("h1", "Good things")
}

func fillsTheBasket(b *browser) {
	b.t.Helper()
	b.press("Kitchen")
	b.sees("h1", "Kitchen")
	b.sees(".found", "4 products") // else a click may meet what was there before
	b.press("Espresso Cup")
	b.sees("h1", "Espresso Cup")
	b.sees(".price", "€12.50")
	b.looksRight("product")
	b.press("One more of Espresso Cup")
	b.press("Add to basket")
	b.sees(".toast", "Espresso Cup is in your basket.")
	b.press("Kitchen")
	b.sees("h1", "Kitchen")
	b.sees(".found", "4 products") // else a click may meet what was there before
	b.press("Add French Press to the basket")
	b.sees(".count", "3")
	b.open("/basket") // a reload keeps it
	b.sees(".sum", "€59.90")
	b.looksRight("basket")
	b.press("Remove French Press")
	b.sees(".sum", "€25.00")
	b.press("Go to checkout")
}

func signsUp(b *browser) {
	b.t.Helper()
	b.sees("h1", "Sign in")
	b.looksRight("sign-in")
	b.press("Make an account")
	b.sees("h1", "Make an account")
	b.fill("First name", "Ada")
	b.fill("Last name", "Lovelace")
	b.fill("Email address", "ada@example.com")
	b.fill("Password", "password")
	b.expect("422")
	b.press("Make an account")
	b.sees(".wrong", "is one of the most common passwords")
	b.becomes(`document.activeElement.name === 'password' && document.activeElement.getAttribute('aria-invalid') === 'true'`)
	b.looksRight("sign-up")
	b.fill("Password", "correct horse")
	b.press("Make an account")
	b.sees("h1", "Checkout")
}

func pays(b *browser) {
	b.t.Helper()
	b.fill("Recipient", "Ada Lovelace")
	b.fill("Street and number", "12 St James's Square")
	b.fill("Postal code", "SW1Y 4JH")
	b.fill("City", "London")
	b.fill("Country", "gb")
	b.looksRight("checkout-empty")
	b.press("Save address")
	b.sees(".choice", "12 St James's Square, SW1Y 4JH London, GB")
	b.fill("Card brand", "Visa")
	b.fill("Last four digits", "4242")
	b.fill("Expiry", "12/40")
	b.press("Save card")
	b.sees(".choice", "Visa ending in 4242")
	b.looksRight("checkout")
	b.press("Place order")
	b.sees("h1", "Your order")
	b.sees(".badge", "Completed")
	b.sees(".history", "Being settled")
	b.sees(".history", "Completed")
	b.sees(".sum", "€25.00")
	b.sees(".count", "0")
	b.looksRight("order")
	b.press("All your orders")
	b.sees(".order", "2 × Espresso Cup")
	b.looksRight("orders")
}

// followsAnOrder has one wait for the review of its payment: what an administrator decides
// is seen without a reload, and so is a cancellation.
func followsAnOrder(b *browser, s *shop) {
	b.t.Helper()
	b.press("Shop")
	b.press("Office")
	b.sees("h1", "Office")
	b.sees(".found", "4 products")
	b.press("Standing Desk")
	for n := 2; n <= 8; n++ {
		b.press("One more of Standing Desk")
		b.sees("output", strconv.Itoa(n))
	}
	b.press("Add to basket")
	b.press("Basket 8 items")
	b.press("Go to checkout")
	b.press("Place order")
	b.sees(".badge", "Being settled")
	b.looksRight("order-pending")

	userID, admin := s.login(b.t, "ada@example.com").UserID, s.login(b.t, "admin@example.com").Token
	var held struct{ Payments []paymentView }
	s.ledger.Do(b.t, testenv.Request{Path: "/api/payments?userId=" + userID, Token: admin}).Expect(b.t, http.StatusOK, &held)
	s.ledger.Do(b.t, testenv.Request{Method: http.MethodPost, Path: "/api/payments/" + held.Payments[0].PaymentID + "/review", Token: admin, Body: `{"decision":"approve"}`}).
		Expect(b.t, http.StatusOK, nil)
	b.sees(".badge", "Completed")
	b.press("Cancel this order")
	b.sees(".badge", "Cancelled")
}

func changesTheProfile(b *browser) {
	b.t.Helper()
	b.press("Profile")
	b.sees(".kept", "Visa ending in 4242")
	b.fill("First name", "Augusta Ada")
	b.press("Save name")
	b.sees(".toast", "Your name is saved.")
	b.press("Remove Visa ending in 4242")
	b.sees("main", "You have saved no card yet.")
	b.press("Add a card")
	b.looksRight("profile")

	b.open("/profile") // the session was in memory
	b.sees("h1", "Sign in")
	b.fill("Email address", "ada@example.com")
	b.fill("Password", "wrong horse")
	b.expect("401")
	b.press("Sign in")
	b.sees("[role=alert]", "The email address or the password is wrong.")
	b.fill("Password", "correct horse")
	b.enter()
	b.sees("h1", "Your profile")
	b.becomes(`document.querySelector('[name=firstName]')?.value === 'Augusta Ada'`)
}

// keepsNoToken sees that nothing that outlives the page has the session's token.
func keepsNoToken(b *browser) {
	b.t.Helper()
	if kept := evaluate[string](b, `JSON.stringify({...localStorage}) + JSON.stringify({...sessionStorage}) + document.cookie`); kept != `{"basket":"{}"}{}` {
		b.t.Errorf("the browser keeps %s", kept)
	}
}

func changesTheStock(b *browser, s *shop) {
	b.t.Helper()
	b.press("Sign out")
	b.sees("h1", "Good things")
	b.press("Sign in")
	b.fill("Email address", "admin@example.com")
	b.fill("Password", "correct horse")
	b.enter()
	b.press("Stock")
	b.sees("h1", "Stock")
	b.looksRight("stock")
	before := s.inventory(b.t, "espresso-cup")
	b.fill("Number of Espresso Cup", "12")
	b.press("Save the stock of Espresso Cup")
	b.sees(".toast", fmt.Sprintf("Espresso Cup: %d in stock.", before+12))
	b.do(chromedp.SetValue(chromedp.CSS(`[aria-label="Change of Espresso Cup"]`), "set"))
	b.fill("Number of Espresso Cup", "7")
	b.press("Save the stock of Espresso Cup")
	b.sees(".toast", "Espresso Cup: 7 in stock.")
	if got := s.inventory(b.t, "espresso-cup"); got != 7 {
		b.t.Errorf("inventory = %d, want 7", got)
	}
	b.press("Shop")
	b.press("Kitchen")
	b.sees("h1", "Kitchen")
	b.sees(".found", "4 products") // else a click may meet what was there before
	b.sees(".product .few", "Only 7 left")
}

// opensEveryAddress loads the address of each page, as from a bookmark.
func opensEveryAddress(b *browser) {
	b.t.Helper()
	for path, heading := range map[string]string{
		"/": "Good things", "/products/espresso-cup": "Espresso Cup", "/basket": "Your basket is empty", "/checkout": "Sign in", "/orders": "Sign in",
		"/orders/x": "Sign in", "/profile": "Sign in", "/sign-in": "Sign in", "/sign-up": "Make an account", "/stock": "Sign in",
	} {
		b.open(path)
		b.sees("h1", heading)
	}
	b.expect("404")
	b.open("/no/such/page")
	b.sees("h1", "There is nothing here")
}

func goesByKeyboard(b *browser) {
	b.t.Helper()
	b.open("/")
	b.sees(".found", "16 products")
	b.tabTo("Skip to the content")
	b.enter()
	b.becomes(`document.activeElement.id === 'main'`)
	b.tabTo("Chef's Knife")
	b.enter()
	b.sees("h1", "Chef's Knife")
	b.tabTo("Add to basket")
	b.enter()
	b.sees(".count", "1")
}

// smallAndStrict sees that what the pages are made of comes with a policy under which no other
// code runs, is kept by browsers for as long as it is right, and is small.
func smallAndStrict(t *testing.T, url string) {
	t.Helper()
	get := func(path string, gzip bool) (*http.Response, string) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Accept-Encoding", map[bool]string{true: "gzip", false: "identity"}[gzip])
		response, err := http.DefaultTransport.RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return response, string(body)
	}
	t.Cleanup(http.DefaultTransport.(*http.Transport).CloseIdleConnections)
	index, page := get("/", false)
	for header, want := range map[string]string{"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Cross-Origin-Opener-Policy": "same-origin"} {
		if got := strings.Join(index.Header.Values(header), ","); got != want {
			t.Errorf("%s of the page is %q, want %q", header, got, want)
		}
	}
	policies := index.Header.Values("Content-Security-Policy")
	if len(policies) != 1 || !strings.HasPrefix(policies[0], "default-src 'none'; script-src 'self'; style-src 'self';") || strings.Contains(policies[0], "unsafe") {
		t.Errorf("Content-Security-Policy is %q", policies)
	}
	if api, _ := get("/api/products", false); api.Header.Get("Content-Security-Policy") != "default-src 'none'; frame-ancestors 'none'" {
		t.Errorf("Content-Security-Policy of the API is %q", api.Header.Get("Content-Security-Policy"))
	}
	script := 0
	assets := regexp.MustCompile(`/assets/[^"]+`).FindAllString(page, -1)
	if len(assets) != 3 {
		t.Errorf("the page names %v", assets)
	}
	for _, asset := range assets {
		plain, body := get(asset, false)
		if plain.StatusCode != http.StatusOK || plain.Header.Get("Cache-Control") != "public, max-age=31536000, immutable" {
			t.Errorf("%s: %s, %v", asset, plain.Status, plain.Header)
		}
		zipped, short := get(asset, true)
		if zipped.Header.Get("Content-Encoding") != "gzip" || len(short) >= len(body) || unzipped(t, short) != body {
			t.Errorf("%s is not compressed, or differs: %d bytes of %d", asset, len(short), len(body))
		}
		if strings.HasSuffix(asset, ".js") {
			script += len(body)
		}
		other, _ := get(regexp.MustCompile(`-[A-Z0-9]{8}`).ReplaceAllString(asset, "-ANOTHER0"), false)
		if other.StatusCode != http.StatusOK || other.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s of another version: %s, %v", asset, other.Status, other.Header)
		}
	}
	if script == 0 || script > 200_000 {
		t.Errorf("the page has %d bytes of script, more than 200 KB", script)
	}
}
