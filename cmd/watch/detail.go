package watch

import (
	"context"
	"slices"
	"sync"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/tendhq/tend/api"
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
	revisions []api.Revision // the newest first
	failed    error          // why the revisions are not there
	// chosen is the place of the revision that is chosen, and marked the number of the one
	// that it is compared with; 0 for the one in force, or where that is chosen for the one
	// before it.
	chosen, marked int
	diff           diffMsg
	log            *logReading
	lines          []api.LogLine
	logEnded       error
}

// logReading is a running reading of logs. Its lines are fetched in batches.
type logReading struct {
	stop context.CancelFunc
	mu   sync.Mutex
	// lines are those that were not fetched yet; more is closed once there are some.
	lines []api.LogLine
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
		return m.arrange(), nil
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
	case "space":
		return m.mark()
	default:
		by := m.step(key)
		switch d.page {
		case pageRevisions:
			return m.choose(d.chosen + by)
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

// choose chooses a revision, and fetches how it differs from the one it is compared with.
func (m Model) choose(at int) (tea.Model, tea.Cmd) {
	d := *m.detail
	d.chosen = max(0, min(at, len(d.revisions)-1))
	m.detail = &d
	from, to := d.compared()
	if from == 0 || from == to {
		return m, nil
	}
	ctx, fetch, workload := m.ctx, m.sources.Diff, d.workload
	return m, func() tea.Msg {
		differences, err := fetch(ctx, workload, from, to)
		return diffMsg{workload, from, to, differences, err}
	}
}

// mark has the revision that is chosen compared with all others, or no more.
func (m Model) mark() (tea.Model, tea.Cmd) {
	d := *m.detail
	if len(d.revisions) == 0 {
		return m, nil
	}
	number := d.revisions[d.chosen].Spec.Number
	if d.marked == number {
		number = 0
	}
	d.marked = number
	m.detail = &d
	return m.choose(d.chosen)
}

// compared are the numbers of the two revisions that are compared, the older one first;
// 0 where there is only one.
func (d detail) compared() (from, to int) {
	if len(d.revisions) < 2 {
		return 0, 0
	}
	chosen, other := d.revisions[d.chosen], d.marked
	if other == 0 {
		for i, r := range d.revisions {
			if r.Status.InForce {
				other = r.Spec.Number
				if i == d.chosen {
					other = d.revisions[min(i+1, len(d.revisions)-1)].Spec.Number
				}
			}
		}
	}
	return min(chosen.Spec.Number, other), max(chosen.Spec.Number, other)
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
			d.revisions, d.failed = slices.Clone(msg.revisions), msg.err
			slices.Reverse(d.revisions)
			m.detail = &d
			return m.choose(0)
		}
	case diffMsg:
		if from, to := d.compared(); msg.workload == d.workload && msg.from == from && msg.to == to {
			d.diff = msg
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
func (l *logReading) add(line api.LogLine) {
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

// next waits for lines and takes them, but for those that come at once.
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
