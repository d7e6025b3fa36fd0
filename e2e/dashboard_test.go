package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var dashboardLink = regexp.MustCompile(`http://tend\.localhost:\d+/#code=\S+`)

// dashboard is the page of a project in Chromium, as `tend dashboard` shows it.
type dashboard struct {
	p   *project
	ctx context.Context
}

// dashboard opens the page. Chromium gives up what it loads while a network interface comes or
// goes (ERR_NETWORK_CHANGED), as the engine's do all the time here. Another link is taken then,
// as the code of one whose answer was lost is used up.
func (p *project) dashboard() *dashboard {
	p.t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.WindowSize(1200, 800))
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox)
	}
	allocator, stop := chromedp.NewExecAllocator(context.Background(), options...)
	p.t.Cleanup(stop)
	ctx, closed := chromedp.NewContext(allocator)
	p.t.Cleanup(closed)
	require.NoError(p.t, chromedp.Do(ctx)) // the browser lives as long as the context of its first use
	d := &dashboard{p, ctx}
	var served *process
	p.await(func() error {
		if served != nil {
			served.end(syscall.SIGINT)
		}
		served = p.start("dashboard")
		link := ""
		p.await(func() error {
			if link = dashboardLink.FindString(served.stdout.String()); link == "" {
				return errors.New("no link is shown")
			}
			return nil
		})
		return d.load(link)
	})
	return d
}

// load loads the page by a link, until the link has let the browser in.
func (d *dashboard) load(link string) error {
	within, cancel := context.WithTimeout(d.ctx, 30*time.Second)
	defer cancel()
	if err := chromedp.Do(within, chromedp.Navigate(link)); err != nil {
		return err
	}
	for within.Err() == nil {
		shown, err := chromedp.Run(within, chromedp.Evaluate[string](`document.querySelector('main')?.className || document.querySelector('main')?.id || ''`))
		if err == nil && shown == "login" {
			return errors.New("the link let nobody in")
		}
		if err == nil && shown != "" {
			return nil
		}
	}
	return errors.New("the page is not loaded")
}

// do takes steps in the browser.
func (d *dashboard) do(steps ...chromedp.Action[chromedp.Void]) {
	d.p.t.Helper()
	within, cancel := context.WithTimeout(d.ctx, time.Minute)
	defer cancel()
	require.NoError(d.p.t, chromedp.Do(within, steps...))
}

// goTo shows another view of the page.
func (d *dashboard) goTo(view string) {
	d.p.t.Helper()
	d.do(chromedp.Evaluate[chromedp.Void](fmt.Sprintf("location.hash = %q", view)))
}

// evaluate returns the value of an expression in the page.
func evaluate[T any](d *dashboard, expression string) (T, error) {
	within, cancel := context.WithTimeout(d.ctx, 10*time.Second)
	defer cancel()
	return chromedp.Run(within, chromedp.Evaluate[T](expression))
}

// sees waits until what a selector finds has a text.
func (d *dashboard) sees(selector, text string) {
	d.p.t.Helper()
	d.p.await(func() error {
		shown, err := evaluate[string](d, fmt.Sprintf(`[...document.querySelectorAll(%q)].map((e) => e.innerText.replace(/\s+/g, ' ')).join(' | ')`, selector))
		if err == nil && !strings.Contains(shown, text) {
			err = fmt.Errorf("%s shows %q", selector, shown)
		}
		return err
	})
}

// has waits until a selector finds so many.
func (d *dashboard) has(n int, selector string) {
	d.p.t.Helper()
	d.p.await(func() error {
		found, err := evaluate[int](d, fmt.Sprintf("document.querySelectorAll(%q).length", selector))
		if err == nil && found != n {
			err = fmt.Errorf("%s finds %d", selector, found)
		}
		return err
	})
}

// The page is shown from the socket, and a replica that is killed there comes back.
func TestTheDashboardShowsAProject(t *testing.T) {
	p := newProject(t, files{"compose.yaml": "services:\n  web: {image: \"${PROBE}\", scale: 2}\n"})
	p.run()
	before := p.awaitReady("web", 2)
	d := p.dashboard()
	d.sees(`[data-workload="web"]`, "2 of 2 ready")
	name := before[0].name()
	d.goTo("#/w/web/replicas")
	d.do(chromedp.Click(chromedp.CSS(fmt.Sprintf(`button[aria-label="Kill %s"]`, name))), chromedp.Click(chromedp.CSS("dialog button[type=submit]")))
	d.sees(".toasts", name+" is killed")
	p.awaitReplicas("web", 2, func(r replica) bool {
		return r.ready() && (r.name() != name || r.State.StartedAt > before[0].State.StartedAt)
	})
}

// On a Swarm the page shows tasks as replicas, follows what is written, and leaves out what a
// Swarm cannot do.
func TestTheDashboardShowsAProjectOnASwarm(t *testing.T) {
	s := newSwarm(t)
	p := newProjectOn(t, s.engine, files{"compose.yaml": onSwarm, "token": "one"})
	p.flags = []string{"--engine", "swarm"}
	tend := p.run()
	d := p.dashboard()
	_, err := evaluate[string](d, "window.loaded = 'once'")
	require.NoError(t, err)
	d.sees("header", p.name+" on a Swarm")
	d.sees(`[data-workload="web"]`, "3 of 3 ready")
	d.sees(`[data-workload="store"]`, "1 of 1 ready")

	t.Log("tasks are told apart by slot and node, and none is killed")
	node, err := s.Info(t.Context())
	require.NoError(t, err)
	d.goTo("#/w/web/replicas")
	for slot := range 3 {
		d.sees("tbody tr", fmt.Sprintf("%s_web.%d.", p.name, slot+1))
	}
	d.sees("tbody tr", "ready running "+node.Name)
	d.sees("main", "Swarm kills no single task")
	d.has(0, "main button[aria-label^=Kill]")

	t.Log("what is written is followed")
	p.edit("compose.yaml", "replicas: 3", "replicas: 2")
	d.has(2, "tbody tr")
	d.goTo("#/w/web/logs")
	d.sees(".lines", "VERSION=1")
	d.goTo("#/w/web/traffic")
	d.sees("main", "the requests of web are not counted")

	t.Log("what cannot work tells why")
	p.edit("compose.yaml", "image: ${PROBE}", "image: tend-e2e/absent:1")
	d.goTo("#/w/web/status")
	d.sees(".explain .obstacle", "was rolled back to")
	d.sees(".explain .obstacle", "tend-e2e/absent:1")
	d.goTo("#/w/web/revisions")
	d.sees(".diff tr", "image tend-e2e/absent:1")
	d.goTo("#/")
	d.sees(`[data-workload="web"]`, "2 of 2 ready")
	d.sees(`[data-workload="web"] .obstacle`, "tend-e2e/absent:1")
	d.has(0, ".toasts .failed")
	loaded, err := evaluate[string](d, "window.loaded")
	require.NoError(t, err)
	assert.Equal(t, "once", loaded, "the page was loaded again")
	tend.stop()
	p.mustTend("down")
}
