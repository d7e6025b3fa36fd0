package page_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/tendhq/tend/api"
	"github.com/tendhq/tend/controller/app"
	"github.com/tendhq/tend/controller/engine/model"
	"github.com/tendhq/tend/controller/observe"
	"github.com/tendhq/tend/controller/spec/load"
	"github.com/tendhq/tend/state"
)

// shop is a project that is kept on an engine in memory, with its page.
type shop struct {
	t       *testing.T
	dir     string
	engine  *model.Engine
	options app.Options
	url     string // of the control API
	stop    func()
}

const compose = `name: shop
services:
  gateway: {image: "gateway:1", depends_on: [web, basket]}
  web: {image: "web:1", scale: 3, depends_on: [db]}
  basket: {image: "basket:1", scale: 2}
  mail: {image: "mail:1"}
  db: {image: "db:1"}
  report: {image: "report:1", restart: "no"}
`

// webSpec is the spec of web. The crash loop of a bad image is soon too slow for it.
const webSpec = `apiVersion: tend/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 3
  progressDeadlineSeconds: 4
  template:
    image: web:1
`

func newShop(t *testing.T) *shop {
	t.Helper()
	e := model.New()
	t.Cleanup(func() { require.NoError(t, e.Close()) })
	for _, image := range []string{"gateway:1", "web:1", "web:2", "basket:1", "mail:1", "db:1"} {
		e.AddImage(image, model.Behavior{HealthCheck: image[:3] == "web", HealthAfter: 300 * time.Millisecond,
			Output: []string{"listening on :8080", "connected to db:5432", "ready"}})
	}
	e.AddImage("web:bad", model.Behavior{Exits: true, After: 100 * time.Millisecond, Code: 1, Output: []string{"panic: no database"}})
	e.AddImage("report:1", model.Behavior{Exits: true, After: 100 * time.Millisecond})
	e.SetLatency(model.OpCreate, 100*time.Millisecond)
	s := &shop{t: t, dir: t.TempDir(), engine: e}
	s.write("compose.yaml", compose)
	s.write("specs/web.yaml", webSpec)
	o := load.Options{ProjectDirectory: s.dir}
	p, err := load.Project(t.Context(), o)
	require.NoError(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	s.options = app.Options{
		Engine: e, Project: p, Spec: o, DataDir: filepath.Join(s.dir, ".tend"), Folders: observe.Folders{Project: p.WorkingDir}, Version: "test",
		API: app.API{Listen: l.Addr().String()}, Log: zap.NewNop(), Say: func(string, ...any) {}, OnEvent: func(*state.Event) {},
	}
	s.url = "http://" + l.Addr().String()
	s.start()
	return s
}

// start keeps the project until stop is called.
func (s *shop) start() {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- app.Run(ctx, s.options) }()
	s.stop = sync.OnceFunc(func() {
		cancel()
		require.NoError(s.t, <-ended)
	})
	s.t.Cleanup(s.stop)
	require.Eventually(s.t, func() bool {
		answer, err := http.Get(s.url + "/healthz")
		if err != nil {
			return false
		}
		_ = answer.Body.Close()
		return answer.StatusCode == http.StatusOK
	}, time.Minute, 10*time.Millisecond)
}

func (s *shop) write(name, text string) {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	require.NoError(s.t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(s.t, os.WriteFile(path, []byte(text), 0o600))
}

func (s *shop) read(name string) string {
	s.t.Helper()
	text, err := os.ReadFile(filepath.Join(s.dir, name))
	require.NoError(s.t, err)
	return string(text)
}

func (s *shop) token(role api.Role) string {
	return strings.TrimSpace(s.read(filepath.Join(".tend", api.TokenFile(role))))
}

// browser is a tab of Chromium. What its console says fails the test.
type browser struct {
	t   *testing.T
	ctx context.Context

	mu       sync.Mutex
	expected []string // that the console may say
}

type step = chromedp.Action[chromedp.Void]

// patience bounds how long a test waits until the browser shows something.
const patience = 30 * time.Second

func newBrowser(t *testing.T) *browser {
	t.Helper()
	if _, err := exec.LookPath("chromium"); err != nil {
		if _, err := exec.LookPath("google-chrome"); err != nil {
			t.Fatal("this test needs Chromium: sudo deploy/setup.sh --test, or apt-get install chromium")
		}
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.WindowSize(1440, 900), chromedp.Flag("hide-scrollbars", true))
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox) // Chromium refuses to run as root with one
	}
	allocator, stop := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(stop)
	ctx, closed := chromedp.NewContext(allocator)
	t.Cleanup(closed)
	b := &browser{t: t, ctx: ctx}
	require.NoError(t, chromedp.Listen(ctx, func(event any) {
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
	}))
	b.do(call(log.Enable, cdp.Empty{}))
	return b
}

// call is a command of the protocol as a step.
func call[P, R any](command cdp.Command[P, R], params P) step {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, command, params)
		return err
	})
}

// expect allows the console to say something.
func (b *browser) expect(text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.expected = append(b.expected, text)
}

func (b *browser) said(text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.expected {
		if strings.Contains(text, e) {
			return
		}
	}
	b.t.Errorf("the browser says: %s", text)
}

func (b *browser) do(steps ...step) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	err := chromedp.Do(ctx, steps...)
	if err != nil {
		b.picture("failed-" + strings.ReplaceAll(b.t.Name(), "/", "-"))
	}
	require.NoError(b.t, err)
}

// evaluate returns the value of an expression. Its arguments are given as args.
func evaluate[T any](b *browser, expression string, args ...any) T {
	b.t.Helper()
	value, err := try[T](b, expression, args...)
	require.NoError(b.t, err)
	return value
}

// try is evaluate for who asks again: it fails while the page is loaded anew.
func try[T any](b *browser, expression string, args ...any) (value T, err error) {
	given, err := json.Marshal(args)
	if err != nil {
		return value, err
	}
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	return chromedp.Run(ctx, chromedp.Evaluate[T](fmt.Sprintf("((args) => (%s))(%s)", expression, given)))
}

// becomes waits until an expression is true.
func (b *browser) becomes(expression string, args ...any) {
	b.t.Helper()
	if !assert.Eventually(b.t, func() bool {
		so, err := try[bool](b, expression, args...)
		return err == nil && so
	}, patience, 20*time.Millisecond, "%s of %v", expression, args) {
		shown, err := try[string](b, `document.title + ' at ' + location + '\n' + document.body.innerText`)
		b.t.Fatalf("the page shows: %s %v", shown, err)
	}
}

// sees waits until something visible has a text.
func (b *browser) sees(selector, text string) {
	b.t.Helper()
	shown := ""
	require.Eventually(b.t, func() bool {
		shown, _ = try[string](b, `[...document.querySelectorAll(args[0])].filter((e) => e.checkVisibility()).map((e) => (e.innerText ?? e.textContent).replace(/\s+/g, ' ')).join(' | ')`, selector)
		return strings.Contains(shown, text)
	}, patience, 20*time.Millisecond, "%s does not show %q", selector, text)
}

func (b *browser) click(selector string) {
	b.t.Helper()
	b.do(chromedp.Click(chromedp.CSS(selector)))
}

// press clicks the button with a text or a label, once there is one.
func (b *browser) press(label string) {
	b.t.Helper()
	b.do(button(label))
}

// button is the click on the button with a text or a label.
func button(label string) step {
	return chromedp.Click(chromedp.Search(fmt.Sprintf(`//button[normalize-space()=%q or @aria-label=%q]`, label, label)))
}

func (b *browser) goTo(view string) {
	b.t.Helper()
	b.do(chromedp.Evaluate[chromedp.Void](fmt.Sprintf("location.hash = %q", view)))
}

// load has the browser load a page, until that shows something. Chromium gives up what it
// loads while a network interface of the machine comes or goes (ERR_NETWORK_CHANGED), as
// an engine's do, and is told to reload.
func (b *browser) load(how step) {
	b.t.Helper()
	b.expect("ERR_NETWORK_CHANGED")
	b.do(chromedp.Evaluate[chromedp.Void](`window.left = true`)) // tells the page that is left from the one that is loaded
	require.Eventually(b.t, func() bool {
		ctx, cancel := context.WithTimeout(b.ctx, patience/4)
		defer cancel()
		err := chromedp.Do(ctx, how)
		how = chromedp.Reload()
		if err != nil {
			return false
		}
		for ctx.Err() == nil {
			shows, err := chromedp.Run(ctx, chromedp.Evaluate[bool](`!window.left && !!document.querySelector('main')?.innerText`))
			if err == nil && shows {
				return true
			}
		}
		return false
	}, 4*patience, 20*time.Millisecond, "the page is not loaded")
	assert.Equal(b.t, 0, evaluate[int](b, `document.querySelectorAll('.late').length`), "a page that is loaded says that it is not")
}

// login logs in by the form.
func (b *browser) login(s *shop, role api.Role) {
	b.t.Helper()
	b.expect("401") // of the question who asks, before the login
	b.load(chromedp.Navigate(s.url + "/"))
	b.do(chromedp.SendKeys(chromedp.CSS("#token"), s.token(role)+"\r"))
	b.sees("header .link", "live")
}

// as shows the page in a size and a scheme.
func (b *browser) as(width, height int64, scheme string) {
	b.t.Helper()
	b.do(call(emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: width, Height: height, DeviceScaleFactor: 1, Mobile: width < 600}),
		call(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}))
}

// pictures is the folder in which pictures are kept; none are without it.
var pictures = os.Getenv("TEND_PICTURES")

func (b *browser) picture(name string) {
	b.t.Helper()
	if pictures == "" {
		return
	}
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	require.NoError(b.t, chromedp.Do(ctx, chromedp.Sleep(300*time.Millisecond))) // until nothing moves any more
	png, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	require.NoError(b.t, err)
	require.NoError(b.t, os.WriteFile(filepath.Join(pictures, name+".png"), png, 0o644))
}
