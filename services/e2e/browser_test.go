package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/tendhq/tend/services/internal/testenv"
)

// browser is a tab of Chromium. What its console says fails the test.
type browser struct {
	t   *testing.T
	ctx context.Context
	url string // of the gateway
	axe string // the source of axe-core

	mu       sync.Mutex
	expected []string // that the console may say
}

type action = chromedp.Action[chromedp.Void]

// patience bounds how long a test waits until the browser shows something.
const patience = 30 * time.Second

func newBrowser(t *testing.T, url string) *browser {
	t.Helper()
	if _, err := exec.LookPath("chromium"); err != nil {
		if _, err := exec.LookPath("google-chrome"); err != nil {
			t.Fatal("this test needs Chromium: sudo deploy/setup.sh --test, or apt-get install chromium")
		}
	}
	axe, err := os.ReadFile("../web/testdata/axe.min.js")
	if err != nil {
		t.Fatal(err)
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.Flag("hide-scrollbars", true))
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox) // Chromium refuses to run as root with one
	}
	allocator, stop := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(stop)
	ctx, closed := chromedp.NewContext(allocator)
	t.Cleanup(closed)
	b := &browser{t: t, ctx: ctx, url: url, axe: string(axe)}
	if err := chromedp.Listen(ctx, b.listen); err != nil {
		t.Fatal(err)
	}
	b.do(call(log.Enable, cdp.Empty{}))
	b.as(1280, "light")
	return b
}

func (b *browser) listen(event any) {
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		text := e.ExceptionDetails.Text
		if e.ExceptionDetails.Exception != nil {
			text += " " + e.ExceptionDetails.Exception.Description
		}
		b.said("an exception: " + text)
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeWarning {
			b.said(fmt.Sprintf("the console: %s", e.Args[0].Value))
		}
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError || e.Entry.Level == log.EntryLevelWarning {
			b.said(fmt.Sprintf("the log: %s %s", e.Entry.Text, e.Entry.URL))
		}
	}
}

// call is a command of the protocol as an action.
func call[P, R any](command cdp.Command[P, R], params P) action {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, command, params)
		return err
	})
}

// expect allows the console to say something once.
func (b *browser) expect(text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.expected = append(b.expected, text)
}

func (b *browser) said(text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, e := range b.expected {
		if strings.Contains(text, e) {
			b.expected = append(b.expected[:i], b.expected[i+1:]...)
			return
		}
	}
	b.t.Errorf("the browser says: %s", text)
}

func (b *browser) do(actions ...action) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		b.picture("failed")
		b.t.Fatal(err)
	}
}

// try returns the value of an expression, which finds its arguments in args.
func try[T any](b *browser, expression string, args ...any) (value T, err error) {
	given, err := json.Marshal(args)
	if err != nil {
		return value, err
	}
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	return chromedp.Run(ctx, chromedp.Evaluate[T](fmt.Sprintf("((args) => (%s))(%s)", expression, given), chromedp.EvalAwaitPromise))
}

func evaluate[T any](b *browser, expression string, args ...any) T {
	b.t.Helper()
	value, err := try[T](b, expression, args...)
	if err != nil {
		b.t.Fatal(err)
	}
	return value
}

// becomes waits until an expression is true.
func (b *browser) becomes(expression string, args ...any) {
	b.t.Helper()
	deadline := time.Now().Add(patience)
	for {
		so, err := try[bool](b, expression, args...)
		if err == nil && so {
			return
		}
		if time.Now().After(deadline) {
			b.picture("failed")
			b.t.Fatalf("never: %s of %v, %v", expression, args, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// sees waits until what matches the selector and is visible has a text.
func (b *browser) sees(selector, text string) {
	b.t.Helper()
	b.becomes(`[...document.querySelectorAll(args[0])].filter((e) => e.checkVisibility()).map((e) => (e.innerText ?? e.textContent).replace(/\s+/g, ' ')).join(' | ').includes(args[1])`, selector, text)
}

// open loads an address, as somebody who types it.
func (b *browser) open(path string) {
	b.t.Helper()
	// Chromium gives up what it loads while a network interface of the machine comes or
	// goes, as an engine's do, and is asked again.
	testenv.AwaitFor(b.t, 2*patience, "the page "+path+" loads", func() error {
		ctx, cancel := context.WithTimeout(b.ctx, patience/4)
		defer cancel()
		return chromedp.Do(ctx, chromedp.Navigate(b.url+path))
	})
	b.becomes(`!!document.querySelector('h1')`)
}

// press clicks the button or the link that has a name, once there is one to click: that of the page,
// before that of its frame.
func (b *browser) press(name string) {
	b.t.Helper()
	named := fmt.Sprintf(`*[self::button or self::a or self::summary][not(@disabled)][normalize-space()=%q or @aria-label=%q]`, name, name)
	b.do(chromedp.Click(chromedp.Search(fmt.Sprintf(`//main//%[1]s | //%[1]s[not(//main//%[1]s)]`, named))))
}

// fill types into the field that has a label, in place of what is there.
func (b *browser) fill(label, text string) {
	b.t.Helper()
	b.becomes(`(() => {
		const field = [...document.querySelectorAll('input, select')].find((e) => e.ariaLabel === args[0] || [...e.labels].some((l) => l.innerText.trim() === args[0]))
		field?.focus()
		field?.select?.()
		return !!field && document.activeElement === field
	})()`, label)
	b.do(call(input.InsertText, input.InsertTextParams{Text: text}))
}

// enter presses the key, which sends a form and follows a link.
func (b *browser) enter() {
	b.t.Helper()
	b.do(chromedp.KeyEvent(kb.Enter))
}

// tabTo presses the tabulator until what has a text has the focus, which can be seen.
func (b *browser) tabTo(text string) {
	b.t.Helper()
	for range 20 {
		b.do(chromedp.KeyEvent(kb.Tab))
		if evaluate[string](b, `document.activeElement.innerText.trim()`) == text {
			if !evaluate[bool](b, `getComputedStyle(document.activeElement).outlineStyle !== 'none'`) {
				b.t.Errorf("nobody sees that %q has the focus", text)
			}
			return
		}
	}
	b.t.Fatalf("no tabulator leads to %q", text)
}

// back goes to the page before.
func (b *browser) back() {
	b.t.Helper()
	b.do(chromedp.Evaluate[chromedp.Void](`history.back()`))
}

// as shows the page in a width and a scheme.
func (b *browser) as(width int64, scheme string) {
	b.t.Helper()
	b.do(call(emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: width, Height: 900, DeviceScaleFactor: 1, Mobile: width < 600}),
		call(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
			{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"},
		}}))
}

// looksRight checks the page, wide and narrow, light and dark: axe-core finds nothing (labels,
// roles, contrast) in either width and either scheme, and nothing is wider than the window.
func (b *browser) looksRight(name string) {
	b.t.Helper()
	b.becomes(`!document.querySelector('.waiting') && !document.querySelector('.toast.shown')`)
	if !evaluate[bool](b, `'axe' in window`) {
		b.do(chromedp.Evaluate[chromedp.Void](b.axe))
	}
	for _, width := range []int64{1280, 390} {
		for _, scheme := range []string{"light", "dark"} {
			b.as(width, scheme)
			b.picture(fmt.Sprintf("%s-%d-%s", name, width, scheme))
			if wide := evaluate[int64](b, `document.documentElement.scrollWidth`); wide > width {
				b.t.Errorf("%s, %d px: the page is %d px wide", name, width, wide)
			}
			if (width == 1280) != (scheme == "light") {
				continue // each width and each scheme was seen
			}
			found := evaluate[string](b, `axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']})
				.then((r) => r.violations.flatMap((v) => v.nodes.map((n) => v.id + ': ' + n.html + ' ' + n.failureSummary)).join('\n'))`)
			if found != "" {
				b.t.Errorf("%s, %d px, %s:\n%s", name, width, scheme, found)
			}
		}
	}
	b.as(1280, "light")
}

// pictures is the folder in which pictures are kept; none are without it.
var pictures = os.Getenv("WEB_PICTURES")

func (b *browser) picture(name string) {
	b.t.Helper()
	if pictures == "" {
		return
	}
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	png, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err == nil {
		err = os.WriteFile(filepath.Join(pictures, name+".png"), png, 0o644)
	}
	if err != nil {
		b.t.Error(err)
	}
}
