package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/chromedp/chromedp"
)

// browse has a browser show the page of a controller, until stop is called.
func browse(ctx context.Context, c *kept) (tab context.Context, stop func(), err error) {
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.WindowSize(1440, 900))
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox) // Chromium refuses to run as root with one
	}
	allocator, end := chromedp.NewExecAllocator(ctx, options...)
	tab, closed := chromedp.NewContext(allocator)
	stop = func() {
		closed()
		end()
	}
	shown := 0
	err = chromedp.Do(tab, chromedp.Navigate("http://"+c.address+"/")) // begins the browser, which ends with its context
	opening, cancel := context.WithTimeout(tab, time.Minute)
	defer cancel()
	for err == nil && shown < c.replicas {
		shown, err = chromedp.Run(opening, chromedp.Evaluate[int](`document.querySelectorAll('.tile.ready').length`))
	}
	if err != nil {
		stop()
		return nil, nil, fmt.Errorf("the page shows %d replicas of %d: %w", shown, c.replicas, err)
	}
	return tab, stop, nil
}

// watching has the page note when a tile changes: who, to what, and when, in milliseconds.
const watching = `
window.ready = new Map();
window.seen = [];
window.look = () => {
  const at = performance.timeOrigin + performance.now();
  for (const tile of document.querySelectorAll('.tile')) {
    const replica = tile.title.split(':')[0], ready = tile.classList.contains('ready');
    if (window.ready.get(replica) !== ready) window.seen.push({ replica, ready, at });
    window.ready.set(replica, ready);
  }
};
window.look();
window.seen = [];
new MutationObserver(window.look).observe(document.querySelector('.cards'), { subtree: true, childList: true, attributes: true });
true`

// measurePage measures from a change at the engine until the tile in the page has changed.
func measurePage(ctx context.Context, o options, c *kept) ([]row, error) {
	tab, stop, err := browse(ctx, c)
	if err != nil {
		return nil, err
	}
	defer stop()
	if _, err := chromedp.Run(tab, chromedp.Evaluate[bool](watching)); err != nil {
		return nil, err
	}
	changes, err := c.churn(o.duration)
	if err != nil {
		return nil, err
	}
	noted, err := chromedp.Run(tab, chromedp.Evaluate[[]struct {
		Replica string
		Ready   bool
		At      float64
	}](`window.seen`))
	if err != nil {
		return nil, err
	}
	var seen []change
	for _, n := range noted {
		seen = append(seen, change{Replica: n.Replica, Ready: n.Ready, At: time.UnixMicro(int64(n.At * 1000))})
	}
	return []row{onScreen("A change at the engine → in the page", c.size, changes, seen)}, nil
}

// measureIdle measures what the controller takes while nothing happens, with a page that
// somebody has open and without.
func measureIdle(ctx context.Context, o options, c *kept) ([]row, error) {
	idle := func() (float64, error) {
		time.Sleep(time.Second) // what was begun ends
		before, err := c.usage()
		if err != nil {
			return 0, err
		}
		time.Sleep(2 * o.duration)
		after, err := c.usage()
		return (after.CPU - before.CPU).Seconds() / (2 * o.duration).Seconds(), err
	}
	without, err := idle()
	if err != nil {
		return nil, err
	}
	_, stop, err := browse(ctx, c)
	if err != nil {
		return nil, err
	}
	defer stop()
	with, err := idle()
	return []row{{
		What: "CPU of the controller, idle", Details: fmt.Sprintf("%s, %s each", c.size, 2*o.duration), Target: "the same with a page open",
		Seen: fmt.Sprintf("%s without a page, %s with one", percent(without), percent(with)), Met: with-without < 0.001,
	}}, err
}
