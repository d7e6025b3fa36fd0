package e2e_test

import (
	"context"
	"encoding/json"
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

	"github.com/tendhq/tend/api"
)

// raw asks the API for a list.
func raw[T any](p *project, path string) (list api.List[T]) {
	p.t.Helper()
	require.NoError(p.t, json.Unmarshal([]byte(p.mustTend("get", "--raw", path)), &list))
	return list
}

// What goes through an ingress is told, and so is what its replicas write.
func TestTheAPITellsOfTrafficAndLogs(t *testing.T) {
	p, address := publishing(t, published)
	p.run()
	c := ask(t, address)
	p.await(func() error {
		for _, of := range raw[api.Traffic](p, "/api/v1/traffic").Items {
			for _, s := range of.Samples {
				if of.Workload == "web" && s.Requests > 0 && s.P99 > 0 {
					assert.Zero(t, s.Failures)
					return nil
				}
			}
		}
		return errors.New("no requests are told")
	})
	c.end(t)
	replica := p.replica("web").name()
	p.await(func() error {
		for _, line := range raw[api.LogLine](p, "/api/v1/workloads/web/logs").Items {
			if line.Replica == replica && !line.Time.IsZero() {
				return nil
			}
		}
		return errors.New("no line of the replica is told")
	})
}

var dashboardLink = regexp.MustCompile(`http://tend\.localhost:\d+/#code=\S+`)

// The page is shown from the socket, and a replica that is killed there comes back.
func TestTheDashboardShowsAProject(t *testing.T) {
	p := newProject(t, files{"compose.yaml": "services:\n  web: {image: \"${PROBE}\", scale: 2}\n"})
	p.run()
	before := p.awaitReady("web", 2)
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.WindowSize(1200, 800))
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox)
	}
	allocator, stop := chromedp.NewExecAllocator(context.Background(), options...)
	defer stop()
	ctx, closed := chromedp.NewContext(allocator)
	defer closed()
	require.NoError(t, chromedp.Do(ctx)) // the browser lives as long as the context of its first use
	// Chromium gives up what it loads while a network interface comes or goes
	// (ERR_NETWORK_CHANGED), as the engine's do all the time here. Another link is taken
	// then, as the code of one whose answer was lost is used up.
	var dashboard *process
	p.await(func() error {
		if dashboard != nil {
			dashboard.end(syscall.SIGINT)
		}
		dashboard = p.start("dashboard")
		link := ""
		p.await(func() error {
			if link = dashboardLink.FindString(dashboard.stdout.String()); link == "" {
				return errors.New("no link is shown")
			}
			return nil
		})
		within, cancel := context.WithTimeout(ctx, 30*time.Second)
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
	})
	sees := func(selector, text string) {
		t.Helper()
		p.await(func() error {
			within, cancel := context.WithTimeout(ctx, 10*time.Second)
			defer cancel()
			shown, err := chromedp.Run(within, chromedp.Evaluate[string](fmt.Sprintf(`[...document.querySelectorAll(%q)].map((e) => e.innerText.replace(/\s+/g, ' ')).join(' | ')`, selector)))
			if err == nil && !strings.Contains(shown, text) {
				err = fmt.Errorf("%s shows %q", selector, shown)
			}
			return err
		})
	}
	sees(`[data-workload="web"]`, "2 of 2 ready")
	within, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	name := before[0].name()
	require.NoError(t, chromedp.Do(within, chromedp.Evaluate[chromedp.Void]("location.hash = '#/w/web/replicas'"),
		chromedp.Click(chromedp.CSS(fmt.Sprintf(`button[aria-label="Kill %s"]`, name))), chromedp.Click(chromedp.CSS("dialog button[type=submit]"))))
	sees(".toasts", name+" is killed")
	p.awaitReplicas("web", 2, func(r replica) bool {
		return r.ready() && (r.name() != name || r.State.StartedAt > before[0].State.StartedAt)
	})
	dashboard.end(syscall.SIGINT)
}
