// Package watch is the full-screen view of a project: tend watch. What it shows comes from
// the API's status and events, and it concludes nothing of its own. The model is a value:
// a message in, a model and a frame out; the effects are the commands that an update
// returns, and the feed that sends the messages.
package watch

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/tendhq/tend/api"
	"github.com/tendhq/tend/controller/core"
)

// Verbs are what a person can have done. A verb that is nil cannot be done here.
type Verbs struct {
	Scale                        func(ctx context.Context, workload string, replicas int) error
	Pause, Resume, Restart, Undo func(ctx context.Context, workload string) error
	Kill                         func(ctx context.Context, replica string) error
}

// Sources are what a detail asks for when it is opened.
type Sources struct {
	Revisions func(ctx context.Context, workload string) ([]api.Revision, error)
	// Diff tells how two revisions differ, by their numbers.
	Diff func(ctx context.Context, workload string, from, to int) ([]api.Difference, error)
	// Logs passes on the output of a workload's replicas, the last lines and then each new
	// one, until ctx ends.
	Logs func(ctx context.Context, workload string, line func(api.LogLine)) error
}

// The messages of the feed.
type (
	// changesMsg is what has changed; first is everything there is, in the place of what
	// was known.
	changesMsg struct {
		first     bool
		session   api.Session // known of the first
		project   *api.Project
		workloads []workloadChange
		replicas  []replicaChange
		events    []api.Event
	}
	workloadChange struct {
		*api.Workload
		gone bool
	}
	replicaChange struct {
		*api.Replica
		gone bool
	}
	trafficMsg map[string]rate
	// awayMsg tells why the controller does not answer.
	awayMsg struct{ err error }
	tickMsg time.Time
)

// The messages of the effects.
type (
	// scaleMsg tells that a number of replicas has been chosen for a moment.
	scaleMsg scaling
	doneMsg  struct {
		command string
		err     error
	}
	revisionsMsg struct {
		workload  string
		revisions []api.Revision
		err       error
	}
	diffMsg struct {
		workload    string
		from, to    int
		differences []api.Difference
		err         error
	}
	logsMsg struct {
		// log is the reading that the lines are of.
		log   *logReading
		lines []api.LogLine
		err   error
	}
)

// mostEvents and mostLines bound what is remembered.
const (
	mostEvents = 1000
	mostLines  = 2000
)

// pane is a part of the screen that has the keys.
type pane int

const (
	paneWorkloads pane = iota
	paneEvents
	panes
)

// order is by what the workloads are sorted.
type order int

const (
	byName order = iota
	byOutcome
	byRequests
	byFailures
	orders
)

func (o order) String() string { return [...]string{"name", "outcome", "requests", "failures"}[o] }

// said is the command line of the last verb, and what came of it.
type said struct {
	command string
	done    bool
	err     error
	at      time.Time
}

// question is asked before something that cannot be taken back.
type question struct {
	text, command string
	do            func(context.Context) error
}

// Model is all that a frame is made from.
type Model struct {
	version string
	verbs   Verbs
	sources Sources
	ctx     context.Context //nolint:containedctx // bounds the effects, which have no other place to get it from

	width, height int
	dark          bool
	theme         *theme
	now           time.Time

	project api.Project
	away    error // why the controller does not answer; nil while it does
	since   time.Time
	heard   bool // something was heard of the controller
	session api.Session

	workloads []*api.Workload           // by name
	rows      []*api.Workload           // those that are shown, in order
	replicas  map[string][]*api.Replica // of each workload, by number
	events    []api.Event
	traffic   map[string]rate
	drawn     *drawnRows

	pane    pane
	order   order
	cursor  string // the name of the workload that is chosen
	tile    int    // the place of the replica that is chosen
	back    int    // how many events the feed is scrolled back
	filters [panes]string
	typing  bool
	help    bool
	ask     *question
	said    said
	scaling scaling
	detail  *detail
}

// newModel returns a model that knows nothing yet.
func newModel(ctx context.Context, o Options, now time.Time) Model {
	return Model{
		version: o.Version, verbs: o.Verbs, sources: o.Sources, ctx: ctx, width: 80, height: 24,
		dark: true, theme: newTheme(true), now: now, since: now, replicas: map[string][]*api.Replica{}, traffic: map[string]rate{}, drawn: &drawnRows{},
	}
}

// Init implements tea.Model.
func (m Model) Init() tea.Cmd { return tea.Batch(tea.RequestBackgroundColor, tick()) }

// tick has the clocks on the screen go on.
func tick() tea.Cmd { return tea.Every(time.Second, func(t time.Time) tea.Msg { return tickMsg(t) }) }

// Update implements tea.Model.
func (m Model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
	case tea.BackgroundColorMsg:
		m.dark, m.theme = msg.IsDark(), newTheme(msg.IsDark())
	case tickMsg:
		m.now = time.Time(msg)
		return m, tick()
	case tea.KeyPressMsg:
		return m.key(msg)
	case tea.PasteMsg:
		if m.typing {
			m = m.filter(m.filters[m.pane] + strings.ReplaceAll(msg.Content, "\n", ""))
		}
	case scaleMsg:
		return m.settled(msg)
	case changesMsg:
		m = m.changed(msg)
	case trafficMsg:
		m.traffic = msg
		if m.order >= byRequests {
			m = m.arrange()
		}
	case awayMsg:
		m = m.linked(msg.err)
	case doneMsg:
		m.said = said{command: msg.command, done: true, err: msg.err, at: m.now}
		if msg.err != nil {
			m.scaling = scaling{}
		}
	default:
		return m.hear(msg)
	}
	return m, nil
}

// linked notes whether the controller answers.
func (m Model) linked(err error) Model {
	if (err == nil) != (m.away == nil) || !m.heard {
		m.since = m.now
	}
	m.away, m.heard = err, true
	return m
}

// changed returns the model with a message's changes applied.
func (m Model) changed(c changesMsg) Model {
	m = m.linked(nil)
	m.replicas = maps.Clone(m.replicas)
	if c.first {
		m.session = c.session
		m.workloads, m.replicas, m.events = nil, map[string][]*api.Replica{}, nil
	}
	if c.project != nil {
		m.project = *c.project
	}
	if len(c.workloads) > 0 {
		m.workloads = slices.Clone(m.workloads)
	}
	for _, w := range c.workloads {
		i, known := slices.BinarySearchFunc(m.workloads, w.Metadata.Name, func(have *api.Workload, name string) int { return cmp.Compare(have.Metadata.Name, name) })
		m.workloads = put(m.workloads, i, known, w.Workload, w.gone)
	}
	copied := map[string]bool{}
	for _, r := range c.replicas {
		of := r.Spec.Workload
		if !copied[of] {
			copied[of], m.replicas[of] = true, slices.Clone(m.replicas[of])
		}
		i, known := slices.BinarySearchFunc(m.replicas[of], r.Replica, compareReplicas)
		m.replicas[of] = put(m.replicas[of], i, known, r.Replica, r.gone)
	}
	m.events = append(m.events, c.events...)
	m.events = m.events[max(0, len(m.events)-mostEvents):]
	return m.scaled().arrange()
}

// put puts a value at its place in a sorted list, or takes it away.
func put[T any](list []T, at int, known bool, v T, gone bool) []T {
	switch {
	case known && gone:
		return slices.Delete(list, at, at+1)
	case known:
		list[at] = v
	case !gone:
		return slices.Insert(list, at, v)
	}
	return list
}

// compareReplicas orders the replicas of a workload by number.
func compareReplicas(a, b *api.Replica) int {
	return cmp.Or(cmp.Compare(a.Spec.Number, b.Spec.Number), cmp.Compare(a.Status.ContainerID, b.Status.ContainerID))
}

// arrange filters and sorts the workloads, and keeps the cursor on one that is shown.
func (m Model) arrange() Model {
	m.rows = make([]*api.Workload, 0, len(m.workloads))
	for _, w := range m.workloads {
		if matches(m.filters[paneWorkloads], w.Metadata.Name, w.Kind, w.Status.Outcome, w.Spec.Template.Image) {
			m.rows = append(m.rows, w)
		}
	}
	if m.order != byName {
		slices.SortStableFunc(m.rows, m.compare)
	}
	if m.row() < 0 && len(m.rows) > 0 && m.detail == nil {
		m.cursor, m.tile = m.rows[0].Metadata.Name, 0
	}
	return m
}

// compare compares two workloads by what they are sorted by, but for the name.
func (m Model) compare(a, b *api.Workload) int {
	switch x, y := m.traffic[a.Metadata.Name], m.traffic[b.Metadata.Name]; m.order {
	case byOutcome:
		return cmp.Compare(lookOf(a).urgency, lookOf(b).urgency)
	case byRequests:
		return cmp.Compare(y.requests, x.requests)
	case byFailures:
		return cmp.Compare(y.failures, x.failures)
	}
	return 0
}

// matches reports whether one of some texts contains a filter, whatever its case.
func matches(filter string, texts ...string) bool {
	filter = strings.ToLower(filter)
	return filter == "" || slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(strings.ToLower(text), filter) })
}

// readOnly reports whether nothing can be changed by who looks.
func (m Model) readOnly() bool { return m.session.Role == string(api.Reader) }

// row is the place of the cursor among the rows, or -1.
func (m Model) row() int {
	return slices.IndexFunc(m.rows, func(w *api.Workload) bool { return w.Metadata.Name == m.cursor })
}

// chosen is the workload under the cursor, or the one whose detail is open.
func (m Model) chosen() (*api.Workload, bool) {
	i := slices.IndexFunc(m.workloads, func(w *api.Workload) bool { return w.Metadata.Name == m.cursor })
	if i < 0 {
		return nil, false
	}
	return m.workloads[i], true
}

// replica is the one that is chosen.
func (m Model) replica() (*api.Replica, bool) {
	all := m.replicas[m.cursor]
	if len(all) == 0 {
		return nil, false
	}
	return all[min(m.tile, len(all)-1)], true
}

// feedEvents are the events that the feed shows.
func (m Model) feedEvents() []api.Event {
	if m.filters[paneEvents] == "" {
		return m.events
	}
	var shown []api.Event
	for _, e := range m.events {
		if matches(m.filters[paneEvents], e.Workload, e.Reason, e.Message, e.Type, e.Actor) {
			shown = append(shown, e)
		}
	}
	return shown
}

// isOld reports whether a replica is of another revision than the one in force.
func isOld(w *api.Workload, r *api.Replica) bool {
	return w.Status.UpdateRevision != "" && r.Spec.Revision != w.Status.UpdateRevision
}

// phaseOf is the phase of a replica.
func phaseOf(r *api.Replica) core.Phase { return core.Phase(r.Status.Phase) }
