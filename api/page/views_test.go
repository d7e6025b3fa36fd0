package page_test

import (
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/api"
	"github.com/tendhq/tend/api/client"
)

const web = `[data-workload="web"]`

// tiles waits until web has so many tiles of a phase, and no other.
func (b *browser) tiles(n int, phase string) {
	b.t.Helper()
	b.becomes(`['', '.' + args[2]].every((c) => document.querySelectorAll(args[0] + ' .tile' + c).length === args[1])`, web, n, phase)
}

// writes puts a text in the place of the editor's.
func (b *browser) writes(text string) {
	b.t.Helper()
	b.do(chromedp.SetValue(chromedp.CSS("textarea"), text), chromedp.Evaluate[chromedp.Void](`document.querySelector('textarea').dispatchEvent(new Event('input', {bubbles: true}))`))
}

func TestAWorkloadIsScaled(t *testing.T) {
	s := newShop(t)
	b := newBrowser(t)
	b.login(s, api.Admin)
	b.tiles(3, "ready")
	b.picture("overview-light")
	b.as(1440, 900, "dark")
	b.picture("overview-dark")
	b.press("Scale up web to 4")
	b.sees(".toasts", "web: 4 replicas are written")
	b.sees(web, "4 of 4 ready")
	b.tiles(4, "ready")
	assert.Contains(t, s.read("specs/web.yaml"), "replicas: 4")
	b.sees(".event", "by admin token")
	b.press("Scale down web to 3")
	b.tiles(3, "ready")
}

func TestARolloutFinishes(t *testing.T) {
	s := newShop(t)
	b := newBrowser(t)
	b.as(1440, 900, "light")
	b.login(s, api.Admin)
	b.goTo("#/w/web/status")
	b.tiles(3, "ready")
	s.write("specs/web.yaml", strings.Replace(webSpec, "web:1", "web:2", 1))
	b.sees(web+" .rollout", "of 3 replicas at")
	b.sees(web+" .explain", "Next: nothing: the controller is at work")
	b.picture("rollout")
	b.goTo("#/")
	b.sees(web, "Moving")
	b.picture("page-light")
	b.as(1440, 900, "dark")
	b.picture("page-dark")
	b.goTo("#/w/web/status")
	b.sees(web+" .outcome", "Converged")
	b.sees(".explain", "Nothing is in its way")
	b.goTo("#/w/web/revisions")
	b.sees(".in-force", "web:2")
	b.sees(".diff tr", "image web:1 web:2")
	b.picture("revisions")
	b.press("Go back to 1")
	b.sees(".in-force", "web:1")
}

func TestAFailedRolloutTellsWhyAndWhatToDo(t *testing.T) {
	s := newShop(t)
	b := newBrowser(t)
	b.as(1440, 900, "light")
	b.login(s, api.Admin)
	b.goTo("#/w/web/status")
	b.tiles(3, "ready")
	s.write("specs/web.yaml", strings.Replace(webSpec, "web:1", "web:bad", 1))
	b.sees(web+" .deadline", "0:0")
	b.picture("failing")
	b.sees(web+" .outcome", "Stalled")
	b.sees(".explain .obstacle", "no progress for 4s")
	b.sees(".explain .remedy", "another revision is tried as soon as it is written")
	b.sees(web, "3 ready")
	b.picture("failed")
	b.goTo("#/")
	b.sees(web, "Stalled")
	b.picture("overview-stalled")
}

func TestAReplicaIsKilledAndComesBack(t *testing.T) {
	s := newShop(t)
	b := newBrowser(t)
	b.login(s, api.Admin)
	b.goTo("#/w/web/replicas")
	b.tiles(3, "ready")
	b.press("Kill shop-web-2")
	b.sees("dialog", "Kill shop-web-2?")
	b.picture("kill")
	b.do(chromedp.KeyEvent(kb.Escape))
	b.sees("table", "shop-web-2")
	b.becomes(`!document.querySelector('dialog')`)
	b.press("Kill shop-web-2")
	b.click("dialog button[type=submit]")
	b.sees(".toasts", "shop-web-2 is killed")
	b.goTo("#/w/web/events")
	b.sees(".event", "Killed shop-web-2 by admin token")
	b.sees(".event", "Restarted shop-web-2")
	b.tiles(3, "ready")
}

func TestASpecIsEditedWithAMistakeAndWithout(t *testing.T) {
	s := newShop(t)
	b := newBrowser(t)
	b.as(1440, 900, "light")
	b.login(s, api.Admin)
	b.goTo("#/w/web/spec")
	b.sees(".verdict", "valid")
	b.writes(strings.Replace(webSpec, "replicas: 3", "replicaz: 3", 1))
	b.sees(".verdict", "1 problem")
	b.sees(".problems", "web.yaml:5:3")
	b.sees(".problems", "replicas")
	b.becomes(`[...document.querySelectorAll('button')].find((e) => e.innerText === 'Save').disabled`)
	b.picture("mistake")
	b.press("web.yaml:5:3")
	assert.Equal(t, strings.Index(webSpec, "replicas: 3"), evaluate[int](b, `document.querySelector('textarea').selectionStart`))

	b.writes(strings.Replace(webSpec, "replicas: 3", "replicas: 2", 1))
	b.sees(".verdict", "valid")
	b.press("Save")
	b.sees(".toasts", "web.yaml is written")
	b.tiles(2, "ready")
	assert.Equal(t, strings.Replace(webSpec, "replicas: 3", "replicas: 2", 1), s.read("specs/web.yaml"))

	b.expect("412")
	s.write("specs/web.yaml", webSpec+"# theirs\n")
	b.writes(strings.Replace(webSpec, "replicas: 3", "replicas: 5", 1))
	b.sees(".verdict", "valid")
	b.press("Save")
	b.sees(".banner", "Somebody else has changed the file since")
	assert.Contains(t, s.read("specs/web.yaml"), "# theirs")
	b.press("Look at theirs")
	b.becomes(`document.querySelector('textarea').value.endsWith('# theirs\n')`)
}

func TestLogsAreShownAndFollowed(t *testing.T) {
	s := newShop(t)
	b := newBrowser(t)
	b.login(s, api.Reader)
	b.goTo("#/w/web/logs")
	b.sees(".lines", "shop-web-3 listening on :8080")
	b.picture("logs")
	lines := evaluate[int](b, `document.querySelectorAll('.line').length`)
	for _, c := range containers(t, s, "web")[:1] {
		s.engine.Kill(c, 137)
	}
	b.becomes(`document.querySelectorAll('.line').length > args[0]`, lines)
}

func containers(t *testing.T, s *shop, workload string) (ids []string) {
	t.Helper()
	c, err := client.Dial(s.options.DataDir)
	require.NoError(t, err)
	list, err := c.Replicas(t.Context(), workload)
	require.NoError(t, err)
	for _, r := range list.Items {
		ids = append(ids, r.Status.ContainerID)
	}
	return ids
}

func TestTheLogin(t *testing.T) {
	s := newShop(t)
	b := newBrowser(t)
	b.as(1440, 900, "light")
	b.expect("401")
	b.expect("403")
	b.load(chromedp.Navigate(s.url + "/"))
	b.sees("main", "Token")
	b.picture("login")
	b.do(chromedp.SendKeys(chromedp.CSS("#token"), "c0ffee\r"))
	b.sees(".failed", "the token is not one of this project's")
	evaluate[string](b, `document.querySelector('#token').value = ''`)
	b.do(chromedp.SendKeys(chromedp.CSS("#token"), s.token(api.Reader)+"\r"))
	b.sees("header", "read only")
	b.tiles(3, "ready")
	const buttons = `[...document.querySelectorAll('button')].map((e) => e.innerText).join()`
	assert.Equal(t, "Log out", evaluate[string](b, buttons))
	shown := map[string]string{"status": "Conditions", "replicas": "shop-web-1", "revisions": "in force", "events": "Created", "spec": "Conditions"}
	for tab, text := range shown {
		b.goTo("#/w/web/" + tab)
		b.sees(web+" > section", text)
		assert.Equal(t, "Log out", evaluate[string](b, buttons), tab)
		assert.False(t, evaluate[bool](b, `!!document.querySelector('textarea')`))
	}
	b.load(chromedp.Reload())
	b.sees("header", "read only")
	assert.Empty(t, evaluate[string](b, `document.cookie`), "scripts cannot read the session")
	b.press("Log out")
	b.sees("main", "Token")
	b.load(chromedp.Reload())
	b.sees("main", "Token")
}

func TestALinkLogsIn(t *testing.T) {
	s := newShop(t)
	b := newBrowser(t)
	c, err := client.Dial(s.options.DataDir)
	require.NoError(t, err)
	link, err := c.MakeLink(t.Context(), api.Admin)
	require.NoError(t, err)
	url := strings.Replace(s.url, "127.0.0.1", "tend.localhost", 1) + "/#code=" + link.Code
	b.load(chromedp.Navigate(url))
	b.sees("header", "admin token")
	b.tiles(3, "ready")
	assert.NotContains(t, evaluate[string](b, `location.href`), link.Code)

	b.expect("403")
	b.do(chromedp.Navigate("about:blank"))
	b.load(chromedp.Navigate(url))
	b.sees("header", "admin token")
	b.sees("main", "ready") // a browser that the link let in is in when it is opened again
	b.expect("401")
	b.press("Log out")
	b.sees("main", "Token")
	b.do(chromedp.Navigate("about:blank"))
	b.load(chromedp.Navigate(url))
	b.sees(".toasts", "the link was used before")
}

func TestAPageOfAnotherOriginGetsNothing(t *testing.T) {
	s := newShop(t)
	b := newBrowser(t)
	b.login(s, api.Admin)
	b.tiles(3, "ready")
	b.expect("CORS")
	b.expect("403")
	b.expect("ERR_FAILED")
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<!doctype html>other") }))
	t.Cleanup(other.Close)
	b.do(chromedp.Navigate(other.URL))
	evil := `Promise.all([
		fetch(args[0] + '/api/v1/workloads', {credentials: 'include'}).then((r) => r.text(), () => 'refused'),
		fetch(args[0] + '/api/v1/workloads/web/rollout/pause', {method: 'POST', mode: 'no-cors', credentials: 'include'}).then(() => 'sent', () => 'refused'),
	])`
	b.do(chromedp.Evaluate[chromedp.Void](fmt.Sprintf(`((args) => %s)([%q]).then((r) => { document.title = r.join(' ') })`, evil, s.url)))
	b.becomes(`document.title.startsWith('refused ')`)
	c, err := client.Dial(s.options.DataDir)
	require.NoError(t, err)
	workload, err := c.Workload(t.Context(), "web")
	require.NoError(t, err)
	assert.NotEqual(t, "Paused", workload.Status.Outcome)

	conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	require.NoError(t, err)
	defer conn.Close()
	_, err = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n")
	require.NoError(t, err)
	answer, err := io.ReadAll(conn)
	require.NoError(t, err)
	assert.Contains(t, string(answer), "421 Misdirected Request")
}

func TestAControllerThatGoesAwayComesBack(t *testing.T) {
	s := newShop(t)
	b := newBrowser(t)
	b.expect("ERR_")
	b.login(s, api.Admin)
	b.tiles(3, "ready")
	s.stop()
	b.sees("header .link", "not connected")
	s.write("specs/web.yaml", strings.Replace(webSpec, "replicas: 3", "replicas: 4", 1))
	s.options.Version = "newer"
	s.start()
	b.sees("header .link", "live")
	b.tiles(4, "ready")
	b.sees(".banner", "The controller is of version newer now, and this page of test")
	b.load(button("Reload"))
	b.tiles(4, "ready")
	b.becomes(`!document.querySelector('.banner')`)
}

func TestTheKeyboardIsEnough(t *testing.T) {
	s := newShop(t)
	b := newBrowser(t)
	b.login(s, api.Admin)
	b.tiles(3, "ready")
	focused := func() string {
		return evaluate[string](b, `(document.activeElement.ariaLabel || document.activeElement.innerText || '')`)
	}
	reach := func(name string) {
		t.Helper()
		for range 60 {
			if focused() == name {
				return
			}
			b.do(chromedp.KeyEvent(kb.Tab))
		}
		t.Fatalf("Tab does not lead to %q", name)
	}
	reach("Scale up web to 4")
	assert.NotEqual(t, "none", evaluate[string](b, `getComputedStyle(document.activeElement).outlineStyle`), "the focus can be seen")
	b.do(chromedp.KeyEvent(kb.Enter))
	b.tiles(4, "ready")
	b.do(chromedp.Evaluate[chromedp.Void](`document.activeElement.blur()`))
	reach("web")
	b.do(chromedp.KeyEvent(kb.Enter))
	b.sees(".tabs", "Revisions")
	reach("Pause")
	b.do(chromedp.KeyEvent(kb.Enter))
	b.sees(web+" .outcome", "Paused")
	reach("Resume")
	b.do(chromedp.KeyEvent(kb.Enter))
	b.sees(web+" .outcome", "Converged")
}

// The test answers the browser in the API's place: with all samples first, and with one new
// sample when the browser asks for those since the last.
func TestTrafficIsDrawn(t *testing.T) {
	s := newShop(t)
	b := newBrowser(t)
	b.as(1440, 900, "light")
	samples := &strings.Builder{}
	var newest string
	for i := range 180 {
		at := time.Now().Add(time.Duration(i-180) * 5 * time.Second).UTC().Format(time.RFC3339Nano)
		newest = at
		failures := 0
		if i > 120 && i < 130 {
			failures = 4
		}
		fmt.Fprintf(samples, `{"time":%q,"requests":%d,"failures":%d,"p50":0.005,"p99":%g},`, at, 200+i%23*4, failures, 0.025+float64(i%17)/200)
	}
	answer := func(samples string) string {
		return `{"items":[{"metadata":{"name":"web:8080"},"workload":"web","samples":[` + strings.TrimSuffix(samples, ",") + `]}]}`
	}
	script := fmt.Sprintf(`const real = window.fetch, answers = new Map([['', %q], [%q, %q]]);
		window.fetch = (path, o) => path.startsWith('/api/v1/traffic?since=') ? Promise.resolve(new Response(answers.get(path.slice(22)))) : real(path, o)`,
		answer(samples.String()), newest, answer(fmt.Sprintf(`{"time":%q,"requests":777,"failures":0}`, time.Now().UTC().Format(time.RFC3339Nano))))
	b.do(call(page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: script}))
	b.login(s, api.Reader)
	b.goTo("#/w/web/traffic")
	b.sees("figure", "Requests per second")
	b.becomes(`document.querySelectorAll('figure canvas').length === 3`)
	assert.Contains(t, evaluate[string](b, `document.querySelector('figure [role=img]').ariaLabel`), "Requests per second: requests")
	b.becomes(`document.querySelector('figure [role=img]').ariaLabel === 'Requests per second: requests 777 /s'`)
	b.picture("traffic-light")
	b.as(1440, 900, "dark")
	b.picture("traffic-dark")
	b.goTo("#/map")
	b.sees("svg", "gateway")
	b.picture("map")
}

// Nothing is cut off at the width of a phone, in either scheme.
func TestThePageFitsAPhone(t *testing.T) {
	s := newShop(t)
	b := newBrowser(t)
	b.as(390, 844, "light")
	b.login(s, api.Admin)
	b.tiles(3, "ready")
	for i, view := range []string{"#/", "#/map", "#/events", "#/w/web/status", "#/w/web/replicas", "#/w/web/revisions", "#/w/web/logs", "#/w/web/spec", "#/w/web/traffic"} {
		b.as(390, 844, []string{"light", "dark"}[i%2])
		b.goTo(view)
		b.sees("main", "")
		b.picture("phone-" + strings.ReplaceAll(strings.TrimPrefix(view, "#/"), "/", "-"))
		assert.LessOrEqual(t, evaluate[int](b, `document.documentElement.scrollWidth`), 390, view)
	}
}

// Whoever loads the page gets it in one breath. The licences are there to be read, and are
// not loaded with it.
func TestThePageIsSmall(t *testing.T) {
	total := int64(0)
	require.NoError(t, filepath.WalkDir(".", func(path string, e fs.DirEntry, err error) error {
		loaded := map[string]bool{".html": true, ".css": true, ".js": true, ".mjs": true, ".svg": true}
		if err != nil || !loaded[filepath.Ext(path)] {
			return err
		}
		info, err := e.Info()
		if err == nil {
			total += info.Size()
		}
		return err
	}))
	assert.Less(t, total, int64(150_000))
	assert.Greater(t, total, int64(50_000), "uPlot alone is more")
}
