package watch

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/tendhq/tend/api"
)

// binding is a key and what it does, for the help.
type binding struct{ keys, does, command string }

// bindings are all keys, by what they are about.
var bindings = []struct {
	about string
	keys  []binding
}{
	{"Look", []binding{
		{"↑ ↓ j k", "choose a workload", ""},
		{"← → h l", "choose a replica", ""},
		{"enter", "open the workload", "tend describe NAME"},
		{"tab", "workloads or events, or next page", ""},
		{"1 … 5", "a page of the open workload", ""},
		{"space", "compare with this revision", "tend rollout history NAME"},
		{"/", "filter", ""},
		{"s", "sort by another column", ""},
		{"esc q", "back, quit", ""},
	}},
	{"Do", []binding{
		{"+ -", "one replica more, less", "tend scale NAME --replicas N"},
		{"r", "restart all its replicas", "tend rollout restart NAME"},
		{"p", "pause the rollout", "tend rollout pause NAME"},
		{"c", "continue it", "tend rollout resume NAME"},
		{"u", "back to the revision before", "tend rollout undo NAME"},
		{killKey, "kill the chosen replica", "tend kill REPLICA"},
		{"P C", "pause all, continue all", "tend rollout pause …"},
	}},
}

// killKey kills the chosen replica.
const killKey = "x"

// key does what a key asks for.
func (m Model) key(k tea.KeyPressMsg) (tea.Model, tea.Cmd) {
	name := k.String()
	if name == "ctrl+c" {
		return m, tea.Quit
	}
	switch {
	case m.ask != nil:
		return m.answer(name)
	case m.typing:
		return m.write(k)
	case m.help:
		m.help = false
		return m, nil
	}
	if verb, cmd, ok := m.verb(name); ok {
		return verb, cmd
	}
	if m.detail != nil {
		return m.detailKey(name)
	}
	switch name {
	case "q":
		return m, tea.Quit
	case "?":
		m.help = true
	case "/":
		m.typing = true
	case "esc":
		m = m.filter("")
		m.back = 0
	case "tab", "shift+tab":
		m.pane = (m.pane + 1) % panes
	case "s":
		m.order = (m.order + 1) % orders
		m = m.arrange()
	case "enter":
		if w, ok := m.chosen(); ok {
			return m.open(w.Metadata.Name)
		}
	case "left", "h":
		m.tile = max(0, min(m.tile, len(m.replicas[m.cursor])-1)-1)
	case "right", "l":
		m.tile = max(0, min(m.tile+1, len(m.replicas[m.cursor])-1))
	default:
		m = m.move(name)
	}
	return m, nil
}

// steps are how far a key moves the cursor, in rows, or in screens.
var steps = map[string]struct{ rows, screens int }{
	"up": {-1, 0}, "k": {-1, 0}, "down": {1, 0}, "j": {1, 0}, "pgup": {0, -1}, "ctrl+b": {0, -1}, "pgdown": {0, 1}, "ctrl+f": {0, 1},
	"home": {-1 << 20, 0}, "g": {-1 << 20, 0}, "end": {1 << 20, 0}, "G": {1 << 20, 0},
}

// step is how many rows a key moves; 0 for another key.
func (m Model) step(key string) int {
	s := steps[key]
	return s.rows + s.screens*max(1, m.height/2)
}

// move moves the cursor, or scrolls the events.
func (m Model) move(key string) Model {
	by := m.step(key)
	switch {
	case by == 0:
	case m.pane == paneEvents:
		m.back = max(0, min(m.back-by, len(m.feedEvents())-1))
	case len(m.rows) > 0:
		to := max(0, min(m.row()+by, len(m.rows)-1))
		m.cursor, m.tile = m.rows[to].Metadata.Name, 0
	}
	return m
}

// write edits the filter of the pane.
func (m Model) write(k tea.KeyPressMsg) (tea.Model, tea.Cmd) {
	text := m.filters[m.filtered()]
	switch k.String() {
	case "enter":
		m.typing = false
	case "esc":
		m.typing = false
		m = m.filter("")
	case "backspace":
		if runes := []rune(text); len(runes) > 0 {
			m = m.filter(string(runes[:len(runes)-1]))
		}
	default:
		if k.Text != "" {
			m = m.filter(text + k.Text)
		}
	}
	return m, nil
}

// filtered is the pane that a filter is for. A detail filters its own events and logs by
// the one of the events.
func (m Model) filtered() pane {
	if m.detail != nil {
		return paneEvents
	}
	return m.pane
}

func (m Model) filter(text string) Model {
	m.filters[m.filtered()] = text
	m.back = 0
	return m.arrange()
}

var errReadOnly = errors.New("this token can only read")

// verb has something done that a key stands for; ok is false for another key.
func (m Model) verb(key string) (Model, tea.Cmd, bool) {
	if !strings.Contains("+-=rpcuxPC", key) || key == "" {
		return m, nil, false
	}
	if m.readOnly() {
		m.said = said{command: key, done: true, err: errReadOnly, at: m.now}
		return m, nil, true
	}
	if key == "P" || key == "C" {
		return m.all(key), nil, true
	}
	w, ok := m.chosen()
	if !ok {
		return m, nil, true
	}
	name := w.Metadata.Name
	rollout := func(verb string, do func(context.Context, string) error) (Model, tea.Cmd, bool) {
		m, cmd := m.do("tend rollout "+verb+" "+name, func(ctx context.Context) error { return do(ctx, name) })
		return m, cmd, true
	}
	switch key {
	case "r":
		return rollout("restart", m.verbs.Restart)
	case "p":
		return rollout("pause", m.verbs.Pause)
	case "c":
		return rollout("resume", m.verbs.Resume)
	case "u":
		return rollout("undo", m.verbs.Undo)
	case killKey:
		return m.kill(), nil, true
	case "-":
		return m.scale(w, -1)
	default:
		return m.scale(w, 1)
	}
}

// settles is how long a number of replicas stays as it is before it is asked for: whoever
// wants three more presses a key three times.
const settles = 250 * time.Millisecond

// scaling is a number of replicas that is being asked for.
type scaling struct {
	workload string
	to       int
	// asked is true once it was sent.
	asked bool
}

// scale changes the number of replicas to ask for.
func (m Model) scale(w *api.Workload, by int) (Model, tea.Cmd, bool) {
	from := w.Spec.Replicas
	if m.scaling.workload == w.Metadata.Name {
		from = m.scaling.to
	}
	m.scaling = scaling{workload: w.Metadata.Name, to: max(0, from+by)}
	m.said = said{command: m.scaling.command(), at: m.now}
	settled := m.scaling
	return m, tea.Tick(settles, func(time.Time) tea.Msg { return scaleMsg(settled) }), true
}

func (s scaling) command() string {
	return fmt.Sprintf("tend scale %s --replicas %d", s.workload, s.to)
}

// settled asks for a number of replicas, unless it has changed since.
func (m Model) settled(s scaleMsg) (Model, tea.Cmd) {
	if m.scaling != scaling(s) {
		return m, nil
	}
	m.scaling.asked = true
	return m.do(m.scaling.command(), func(ctx context.Context) error { return m.verbs.Scale(ctx, s.workload, s.to) })
}

// scaled forgets the number of replicas that was asked for once it is in force.
func (m Model) scaled() Model {
	for _, w := range m.workloads {
		if m.scaling.asked && w.Metadata.Name == m.scaling.workload && w.Spec.Replicas == m.scaling.to {
			m.scaling = scaling{}
		}
	}
	return m
}

// kills reports whether a replica can be killed here: Swarm's API kills no task.
func (m Model) kills() bool { return !m.readOnly() && !m.project.Status.Swarm }

// kill asks before the replica that is chosen is killed.
func (m Model) kill() Model {
	if r, ok := m.replica(); ok && m.kills() {
		name := r.Metadata.Name
		m.ask = &question{"kill " + name + "?", "tend kill " + name, func(ctx context.Context) error { return m.verbs.Kill(ctx, name) }}
	}
	return m
}

// all asks before every rollout is paused, or goes on.
func (m Model) all(key string) Model {
	verb, do := "pause", m.verbs.Pause
	if key == "C" {
		verb, do = "resume", m.verbs.Resume
	}
	var names []string
	for _, w := range m.workloads {
		if hasRollout(w) {
			names = append(names, w.Metadata.Name)
		}
	}
	command := fmt.Sprintf("for w in %s; do tend rollout %s $w; done", strings.Join(names, " "), verb)
	m.ask = &question{fmt.Sprintf("%s all %d rollouts?", verb, len(names)), command, func(ctx context.Context) error {
		var failed []error
		for _, name := range names {
			failed = append(failed, do(ctx, name))
		}
		return errors.Join(failed...)
	}}
	return m
}

// answer takes the answer to a question.
func (m Model) answer(key string) (tea.Model, tea.Cmd) {
	q := m.ask
	m.ask = nil
	if key == "y" || key == "Y" || key == "enter" {
		return m.do(q.command, q.do)
	}
	return m, nil
}

// do has an effect, under the command line that does the same.
func (m Model) do(command string, effect func(context.Context) error) (Model, tea.Cmd) {
	m.said = said{command: command, at: m.now}
	ctx := m.ctx
	return m, func() tea.Msg { return doneMsg{command, effect(ctx)} }
}

// hasRollout reports whether a workload's rollout can be paused: a Job has none.
func hasRollout(w *api.Workload) bool { return w.Kind != "Job" }
