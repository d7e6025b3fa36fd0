//go:build all

package e2e_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/log"
	cdpruntime "github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// TestACustomerInChromiumNoticesNoUpdate has one customer after the other shop in Chromium
// while the pages, the gateway, the services and both Redis are replaced. What the browser's console says fails it.
func TestACustomerInChromiumNoticesNoUpdate(t *testing.T) {
	p, gateway := newShop(t, "")
	up := p.tend("up", "--timeout", "4m")
	require.Zero(t, up.code, "%s", up)
	s := newShopper(t, gateway)

	updated := make(chan struct{})
	var updates sync.WaitGroup
	updates.Go(func() {
		defer close(updated)
		for _, service := range []string{"web", "gateway", "user-service", "product-service", "order-service", "payment-service", "redis-cache", "redis-events"} {
			for _, args := range [][]string{{"rollout", "restart", service}, {"wait", service, "--timeout", "3m"}} {
				if done := p.tend(args...); !assert.Zero(t, done.code, "%s", done) {
					return
				}
			}
		}
	})
	orders := 0
	for shopping := true; shopping; orders++ {
		s.shops()
		select {
		case <-updated:
			shopping = false
		default:
		}
	}
	updates.Wait()
	t.Logf("%d customers have ordered", orders)
	assert.Greater(t, orders, 3)

	p.mustTend("down", "-v")
	assert.Empty(t, p.leftovers())
}

// shopper is a tab of Chromium in a network namespace of its own: where network interfaces
// of its machine come and go, as an engine's do, Chromium gives up what it loads.
type shopper struct {
	t    *testing.T
	ctx  context.Context
	shop string
}

func newShopper(t *testing.T, shop string) *shopper {
	var browser *exec.Cmd
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.WindowSize(1200, 900), chromedp.ModifyCmdFunc(func(cmd *exec.Cmd) {
		inside := exec.Command("unshare", append([]string{"--net", "sh", "-c", `ip link set lo up && exec "$@"`, "sh", cmd.Path}, cmd.Args[1:]...)...)
		cmd.Path, cmd.Args, browser = inside.Path, inside.Args, cmd
	}))
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox)
	}
	allocator, stop := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(stop)
	ctx, closed := chromedp.NewContext(allocator)
	t.Cleanup(closed)
	s := &shopper{t: t, ctx: ctx, shop: shop}
	require.NoError(t, chromedp.Listen(ctx, s.listen))
	s.do(chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, log.Enable, cdp.Empty{})
		return err
	}))
	address := strings.TrimPrefix(shop, "http://")
	inside, err := listenIn(browser.Process.Pid, address)
	require.NoError(t, err)
	t.Cleanup(func() { _ = inside.Close() })
	go func() {
		for {
			client, err := inside.Accept()
			if err != nil {
				return
			}
			go forward(client, address)
		}
	}()
	return s
}

// listenIn listens in the network namespace of a process.
func listenIn(pid int, address string) (net.Listener, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	own, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return nil, err
	}
	defer own.Close()
	its, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", pid))
	if err != nil {
		return nil, err
	}
	defer its.Close()
	if err := unix.Setns(int(its.Fd()), unix.CLONE_NEWNET); err != nil {
		return nil, fmt.Errorf("enter the browser's network: %w", err)
	}
	l, err := net.Listen("tcp", address)
	if back := unix.Setns(int(own.Fd()), unix.CLONE_NEWNET); back != nil {
		panic(back) // the thread would go on in the wrong network
	}
	return l, err
}

// forward passes on what a client and an address say to each other.
func forward(client net.Conn, address string) {
	defer client.Close()
	server, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	defer server.Close()
	passOn(client, server)
}

func (s *shopper) listen(event any) {
	switch e := event.(type) {
	case *cdpruntime.EventExceptionThrown:
		s.t.Errorf("the browser says: an exception: %s", e.ExceptionDetails.Text)
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError || e.Entry.Level == log.EntryLevelWarning {
			s.t.Errorf("the browser says: %s %s", e.Entry.Text, e.Entry.URL)
		}
	}
}

// shops has somebody new find a cup, buy it and leave.
func (s *shopper) shops() {
	s.t.Helper()
	s.do(chromedp.Navigate(s.shop))
	s.sees("h1", "Good things")
	s.fill("Search the shop", "espresso cup")
	s.press("Search")
	s.sees(".found", "1 product")
	s.press("Espresso Cup")
	s.sees("h1", "Espresso Cup")
	s.press("Add to basket")
	s.sees(".count", "1")
	s.press("Basket 1 item")
	s.press("Go to checkout")
	s.press("Make an account")
	for label, text := range map[string]string{"First name": "Ada", "Last name": "Lovelace", "Email address": strings.ToLower(rand.Text()) + "@example.com", "Password": "correct horse"} {
		s.fill(label, text)
	}
	s.press("Make an account")
	s.sees("h1", "Checkout")
	for label, text := range map[string]string{"Recipient": "Ada Lovelace", "Street and number": "12 St James's Square", "Postal code": "SW1Y 4JH", "City": "London", "Country": "gb"} {
		s.fill(label, text)
	}
	s.press("Save address")
	s.sees(".choice", "12 St James's Square")
	for label, text := range map[string]string{"Card brand": "Visa", "Last four digits": "4242", "Expiry": "12/40"} {
		s.fill(label, text)
	}
	s.press("Save card")
	s.sees(".choice", "Visa ending in 4242")
	s.press("Place order")
	s.sees("h1", "Your order")
	s.sees(".badge", "Completed")
	s.press("Sign out")
	s.sees("h1", "Good things")
}

// shopperPatience is how long a customer waits: longer than the gateway holds a request.
const shopperPatience = time.Minute

func (s *shopper) do(actions ...chromedp.Action[chromedp.Void]) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.ctx, shopperPatience)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		text, shown := chromedp.Run(s.ctx, chromedp.Evaluate[string](`document.body.innerText`))
		require.NoError(s.t, err, "the page shows %q, %v", text, shown)
	}
}

// becomes waits until an expression is true, which finds its arguments in args.
func (s *shopper) becomes(expression string, args ...any) {
	s.t.Helper()
	given, err := json.Marshal(args)
	require.NoError(s.t, err)
	s.do(chromedp.Poll[chromedp.Void](fmt.Sprintf("((args) => %s)(%s)", expression, given), chromedp.WithPollingTimeout(0)))
}

// sees waits until what matches the selector shows a text.
func (s *shopper) sees(selector, text string) {
	s.t.Helper()
	s.becomes(`[...document.querySelectorAll(args[0])].map((e) => (e.innerText ?? '').replace(/\s+/g, ' ')).join(' | ').includes(args[1])`, selector, text)
}

// press clicks the button or the link that has a name: that of the page, before that of its frame.
func (s *shopper) press(name string) {
	s.t.Helper()
	named := fmt.Sprintf(`*[self::button or self::a][not(@disabled)][normalize-space()=%q or @aria-label=%q]`, name, name)
	s.do(chromedp.Click(chromedp.Search(fmt.Sprintf(`//main//%[1]s | //%[1]s[not(//main//%[1]s)]`, named))))
}

// fill types into the field that has a label, in place of what is there.
func (s *shopper) fill(label, text string) {
	s.t.Helper()
	s.becomes(`(() => {
		const field = [...document.querySelectorAll('input, select')].find((e) => e.ariaLabel === args[0] || [...e.labels].some((l) => l.innerText.trim() === args[0]))
		field?.focus()
		field?.select?.()
		return !!field && document.activeElement === field
	})()`, label)
	s.do(chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, input.InsertText, input.InsertTextParams{Text: text})
		return err
	}))
}
