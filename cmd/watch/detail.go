package watch

import (
	"context"
	"slices"
	"sync"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/tendhq/tend/api"
	"github.com/tendhq/tend/controller/logs"
)

// page is one of the pages of a workload.
type page int

const (
	pageStatus page = iota
	pageReplicas
	pageRevisions
	pageEvents
	pageLogs
	pages
)

func (p page) String() string {
	return [...]string{"Status", "Replicas", "Revisions", "Events", "Logs"}[p]
}

// detail is what is open of one workload, the one under the cursor.
type detail struct {
	workload string
	page     page
	// scroll is how many lines the page is scrolled: down from its top, or for events and
	// logs back from their end.
	scroll    int
	revisions []api.Revision
	failed    error // why the revisions are not there
	log       *logReading
	lines     []logs.Line
	logEnded  error
}

// logReading is a running reading of logs. Its lines are fetched in batches.
type logReading struct {
	stop context.CancelFunc
	mu   sync.Mutex
	// lines are those that were not fetched yet; more is closed once there are some.
	lines []logs.Line
	more  chan struct{}
	ended error
	over  bool
}

// open opens a workload.
func (m Model) open(workload string) (tea.Model, tea.Cmd) {
	m.detail = &detail{workload: workload}
	return m, nil
}

// detailKey does what a key asks for while a workload is open.
func (m Model) detailKey(key string) (tea.Model, tea.Cmd) {
	d := *m.detail
	m.detail = &d
	switch key {
	case "q", "esc":
		if key == "esc" && m.filters[paneEvents] != "" {
			return m.filter(""), nil
		}
		d.close()
		m.detail = nil
		return m, nil
	case "?":
		m.help = true
	case "/":
		m.typing = d.page == pageEvents || d.page == pageLogs
	case "1", "2", "3", "4", "5":
		return m.turn(page(key[0] - '1'))
	case "tab", "enter":
		return m.turn((d.page + 1) % pages)
	case "shift+tab":
		return m.turn((d.page + pages - 1) % pages)
	case "left", "h":
		m.tile = max(0, m.tile-1)
	case "right", "l":
		m.tile = max(0, min(m.tile+1, len(m.replicas[m.cursor])-1))
	default:
		by := m.step(key)
		switch d.page {
		case pageReplicas:
			m.tile = max(0, min(m.tile+by, len(m.replicas[m.cursor])-1))
		case pageEvents, pageLogs:
			d.scroll = max(0, d.scroll-by)
		default:
			d.scroll = max(0, d.scroll+by)
		}
	}
	return m, nil
}

// turn shows a page, and fetches what it needs.
func (m Model) turn(to page) (tea.Model, tea.Cmd) {
	d := *m.detail
	d.close()
	d.page, d.scroll, d.log, d.lines, d.logEnded = to, 0, nil, nil, nil
	m.detail = &d
	switch to {
	case pageRevisions:
		return m, m.fetchRevisions()
	case pageLogs:
		ctx, stop := context.WithCancel(m.ctx)
		d.log = &logReading{stop: stop, more: make(chan struct{})}
		read := m.sources.Logs
		return m, tea.Batch(func() tea.Msg {
			d.log.end(read(ctx, d.workload, d.log.add))
			return nil
		}, d.log.next)
	}
	return m, nil
}

func (m Model) fetchRevisions() tea.Cmd {
	ctx, fetch, workload := m.ctx, m.sources.Revisions, m.detail.workload
	return func() tea.Msg {
		all, err := fetch(ctx, workload)
		return revisionsMsg{workload, all, err}
	}
}

// close ends what a page reads.
func (d detail) close() {
	if d.log != nil {
		d.log.stop()
	}
}

// hear takes what an effect has fetched for the page that is open.
func (m Model) hear(msg tea.Msg) (tea.Model, tea.Cmd) {
	if m.detail == nil {
		return m, nil
	}
	d := *m.detail
	switch msg := msg.(type) {
	case revisionsMsg:
		if msg.workload == d.workload {
			d.revisions, d.failed = msg.revisions, msg.err
		}
	case logsMsg:
		if msg.log != d.log {
			return m, nil
		}
		d.lines = append(d.lines[:len(d.lines):len(d.lines)], msg.lines...)
		d.lines = d.lines[max(0, len(d.lines)-mostLines):]
		if msg.lines == nil {
			d.logEnded = msg.err
			m.detail = &d
			return m, nil
		}
		m.detail = &d
		return m, d.log.next
	}
	m.detail = &d
	return m, nil
}

// add adds a line.
func (l *logReading) add(line logs.Line) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, line)
	l.lines = l.lines[max(0, len(l.lines)-mostLines):]
	l.wake()
}

// end notes that there will be no more lines.
func (l *logReading) end(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over, l.ended = true, err
	l.wake()
}

func (l *logReading) wake() {
	select {
	case <-l.more:
	default:
		close(l.more)
	}
}

// next waits for lines and takes them, at most ten times a second.
func (l *logReading) next() tea.Msg {
	l.mu.Lock()
	more := l.more
	l.mu.Unlock()
	<-more
	time.Sleep(pace)
	l.mu.Lock()
	defer l.mu.Unlock()
	msg := logsMsg{log: l, lines: slices.Clone(l.lines), err: l.ended}
	l.lines = nil
	if !l.over {
		l.more = make(chan struct{})
	}
	return msg
}
