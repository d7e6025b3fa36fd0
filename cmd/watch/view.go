package watch

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/tendhq/tend/api"
	"github.com/tendhq/tend/cmd/terminal"
	"github.com/tendhq/tend/controller/core"
)

// The smallest screen that a frame fits on.
const (
	leastWidth  = 40
	leastHeight = 10
)

// View implements tea.Model: how the terminal is to be. What it shows is a painter's.
func (m Model) View() tea.View {
	v := tea.NewView(" ") // one that is empty is drawn over and over
	v.AltScreen = true
	v.WindowTitle = "tend " + terminal.Line(m.project.Metadata.Name)
	return v
}

// Frame is the screen: as many lines as it is high, none wider than it is.
func (m Model) Frame() string {
	if m.width < leastWidth || m.height < leastHeight {
		return m.tooSmall()
	}
	var body []string
	room := m.height - 2
	switch {
	case m.help:
		body = m.helpLines(room)
	case m.detail != nil:
		body = m.detailLines(room)
	default:
		body = m.listLines(room)
	}
	for len(body) < room {
		body = append(body, "")
	}
	lines := append([]string{m.header()}, body[:room]...)
	lines = append(lines, m.footer())
	for i, line := range lines {
		lines[i] = strings.TrimRight(line, " ") // what is not written costs nothing to draw
	}
	return strings.Join(lines, "\n")
}

// tooSmall says so, in as much room as there is.
func (m Model) tooSmall() string {
	text := fmt.Sprintf("tend watch needs %d×%d characters, and this terminal has %d×%d", leastWidth, leastHeight, m.width, m.height)
	lines := terminal.Wrap(text, m.width)
	return strings.Join(lines[:min(len(lines), max(1, m.height))], "\n")
}

// header is the project, how many workloads have which outcome, and whether the controller
// answers.
func (m Model) header() string {
	t := m.theme
	counts := map[core.Outcome]int{}
	for _, w := range m.workloads {
		counts[core.Outcome(w.Status.Outcome)]++
	}
	left := t.brand.Render(" tend ") + " " + t.text.Bold().Render(terminal.Line(cmp.Or(m.project.Metadata.Name, "…")))
	right := m.link()
	for _, words := range []bool{true, false} {
		middle := "  " + plural(len(m.workloads), "workload")
		for _, o := range outcomes {
			if counts[o] == 0 {
				continue
			}
			text := fmt.Sprintf("%s %d", looks[o].mark, counts[o])
			if words {
				text += " " + strings.ToLower(string(o))
			}
			middle += "  " + looks[o].style(t).Render(text)
		}
		if gap := m.width - terminal.Width(left) - terminal.Width(middle) - terminal.Width(right); gap > 0 {
			return left + middle + strings.Repeat(" ", gap) + right
		}
	}
	return terminal.Fit(left, max(0, m.width-terminal.Width(right))) + right
}

// link tells whether the controller answers, and the time.
func (m Model) link() string {
	t, clock := m.theme, m.now.Format(time.TimeOnly)
	switch {
	case !m.heard:
		return t.dim.Render("○ connecting ") + clock
	case m.away != nil:
		return t.bad.Render("○ controller away for "+sinceText(m.now, m.since)) + " " + clock
	case m.project.Status.Version != m.version:
		return t.warn.Render(fmt.Sprintf("● controller %s, this is %s ", terminal.Line(m.project.Status.Version), m.version)) + clock
	case !m.project.Status.Ready:
		return t.warn.Render("● "+terminal.Cut(terminal.Line(m.project.Status.Message), m.width/2)) + " " + clock
	case m.readOnly():
		return t.accent.Render("● read-only ") + clock
	default:
		return t.good.Render("● live ") + clock
	}
}

// footer is the question that is asked, the filter that is typed, the last command line and
// what came of it, or the keys.
func (m Model) footer() string {
	t := m.theme
	fit := func(text string) string { return terminal.Fit(text, m.width) }
	switch {
	case m.ask != nil:
		return fit(t.warn.Bold().Render(" "+m.ask.text+" y/n ") + t.dim.Render("  $ "+m.ask.command))
	case m.typing:
		return fit(t.accent.Render(" /") + m.filters[m.filtered()] + "▏" + t.dim.Render("  enter keeps it, esc takes it away"))
	case m.said.command != "" && m.now.Sub(m.said.at) < saidFor:
		return fit(m.saidText())
	case m.help:
		return fit(t.dim.Render(" any key goes back"))
	}
	var text strings.Builder
	for _, hint := range m.hints() {
		key, does, _ := strings.Cut(hint, " ")
		next := " " + t.accent.Bold().Render(key) + " " + t.dim.Render(does) + " "
		if terminal.Width(text.String())+terminal.Width(next) > m.width {
			break
		}
		text.WriteString(next)
	}
	return fit(text.String())
}

// saidFor is how long a command line stays.
const saidFor = 15 * time.Second

func (m Model) saidText() string {
	t := m.theme
	command := " $ " + m.said.command
	switch {
	case !m.said.done:
		return t.accent.Render(command) + t.dim.Render("  …")
	case m.said.err != nil:
		return t.bad.Render(" ✖ "+terminal.Line(m.said.err.Error())) + t.dim.Render(" "+command)
	default:
		return t.accent.Render(command) + t.good.Render("  ✔")
	}
}

// hints are the keys that matter most here.
func (m Model) hints() []string {
	var all []string
	if m.detail != nil {
		all = []string{"esc back", "tab page", "? help"}
	} else {
		all = []string{"enter open", "/ filter", "? help", "q quit"}
	}
	if !m.readOnly() {
		all = append(all, "+- scale", "r restart", "p pause", "c continue", "u undo")
	}
	if m.kills() {
		all = append(all, "x kill")
	}
	if m.detail != nil {
		return append(all, "q close")
	}
	return append(all, "s sort", "tab events")
}

// helpLines are all keys, with the command lines that do the same.
func (m Model) helpLines(room int) []string {
	t := m.theme
	var lines []string
	for _, group := range bindings {
		if group.about == "Do" && m.readOnly() {
			continue
		}
		lines = append(lines, t.head.Render(" "+group.about))
		for _, b := range group.keys {
			if b.keys == killKey && !m.kills() {
				continue
			}
			lines = append(lines, terminal.Cut("  "+t.accent.Render(terminal.Fit(b.keys, 8))+" "+terminal.Fit(b.does, 34)+" "+t.dim.Render(b.command), m.width))
		}
	}
	lines = append(lines, t.head.Render(" A replica")+t.dim.Render("  in small letters: of an older revision"))
	tiles := " "
	for i, p := range phases {
		tiles += " " + t.tiles[p].Render(" "+letters[p]+" ") + " " + terminal.Fit(string(p), 10)
		if (i+1)%5 == 0 {
			lines, tiles = append(lines, terminal.Cut(tiles, m.width)), " "
		}
	}
	lines = append(lines, "  "+t.dim.Render("· is wanted, and not there"))
	for i := range lines {
		lines[i] = terminal.Cut(lines[i], m.width)
	}
	return lines[:min(len(lines), room)]
}

// rule is a line with a title.
func (m Model) rule(title string, active bool) string {
	line := m.theme.dim
	if active {
		line = m.theme.accent
	}
	title = terminal.Cut(title, m.width-5)
	return line.Render("── ") + title + " " + line.Render(strings.Repeat("─", max(0, m.width-4-terminal.Width(title))))
}

// listLines are the workloads, what is the matter with the chosen one, and the events.
func (m Model) listLines(room int) []string {
	strip := m.strip()
	events := m.feedEvents()
	forTable := min(len(m.rows), max(3, (room-len(strip)-2)*3/5)) + 1
	forEvents := room - forTable - len(strip) - 1
	lines := m.table(forTable)
	lines = append(lines, strip...)
	lines = append(lines, m.rule(m.feedTitle(len(events)), m.pane == paneEvents))
	return append(lines, m.eventLines(events, forEvents, m.back, false)...)
}

func (m Model) feedTitle(shown int) string {
	title := "events"
	if m.filters[paneEvents] != "" {
		title += fmt.Sprintf(" /%s %d of %d", m.filters[paneEvents], shown, len(m.events))
	}
	if m.back > 0 {
		title += fmt.Sprintf(" (%d newer below)", m.back)
	}
	return m.theme.head.Render(title)
}

// strip says of the chosen workload what is in its way and what to do, and of the chosen
// replica how it is. It has four lines, whatever it says, so that nothing jumps.
func (m Model) strip() []string {
	w, ok := m.chosen()
	if !ok {
		return []string{m.rule("", m.pane == paneWorkloads), "", "", ""}
	}
	t := m.theme
	title := t.head.Render(terminal.Line(w.Metadata.Name)) + t.dim.Render(fmt.Sprintf(" %s · %s · %d of %d", strings.ToLower(terminal.Line(w.Kind)), terminal.Line(w.Spec.Template.Image), m.row()+1, len(m.rows)))
	lines := []string{m.rule(terminal.Cut(title, m.width-4), m.pane == paneWorkloads)}
	add := func(text string) { lines = append(lines, terminal.Cut(text, m.width)) }
	add(m.replicaLine(w))
	add(m.obstacle(w))
	switch next := w.Status.Next; {
	case w.Status.Remedy != "":
		add(" " + t.dim.Render("→ ") + terminal.Line(w.Status.Remedy))
	case next != nil && next.At.After(m.now):
		add(m.nextLine(*next))
	default:
		add("")
	}
	return lines
}

func (m Model) nextLine(next api.Change) string {
	return " " + m.theme.dim.Render("in "+countdown(next.At.Sub(m.now))+": "+terminal.Line(next.What))
}

// obstacle is what is in the way of a workload, in one line.
func (m Model) obstacle(w *api.Workload) string {
	l := lookOf(w)
	style := l.style(m.theme)
	text := terminal.Line(w.Status.Obstacle)
	if text == "" {
		text = fmt.Sprintf("%d of %d replicas available", w.Status.AvailableReplicas, w.Spec.Replicas)
	}
	return " " + style.Render(l.mark+" "+outcomeOf(w)) + " " + text
}

// outcomeOf is the outcome of a workload, in a word.
func outcomeOf(w *api.Workload) string { return cmp.Or(terminal.Line(w.Status.Outcome), "Unknown") }

// replicaLine is how the chosen replica is.
func (m Model) replicaLine(w *api.Workload) string {
	r, ok := m.replica()
	if !ok {
		return m.theme.dim.Render(" no replica")
	}
	text := " " + m.tileOf(w, r, 3, false) + " " + terminal.Line(r.Metadata.Name) + " " + terminal.Line(r.Status.Phase)
	facts := []string{short(r.Spec.Revision)}
	if !r.Status.StartedAt.IsZero() && r.Status.ExitCode == nil {
		facts = append(facts, "for "+sinceText(m.now, r.Status.StartedAt))
	}
	if r.Status.ExitCode != nil {
		facts = append(facts, fmt.Sprintf("code %d", *r.Status.ExitCode))
	}
	if r.Status.Restarts > 0 {
		facts = append(facts, plural(r.Status.Restarts, "restart"))
	}
	text += m.theme.dim.Render(" · " + strings.Join(facts, " · "))
	if r.Status.Blocker != "" {
		text += " " + m.theme.warn.Render(terminal.Line(r.Status.Blocker))
	}
	return text
}

// short is the first characters of a revision.
func short(revision string) string {
	return cmp.Or(terminal.Line(revision[:min(len(revision), 8)]), "-")
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// eventLines are the last events that fit in some lines, but for those that are scrolled
// away; whole breaks their messages instead of cutting them.
func (m Model) eventLines(events []api.Event, room, back int, whole bool) []string {
	if room <= 0 {
		return nil
	}
	var lines []string // from the last one up
	for i := len(events) - 1 - back; i >= 0 && len(lines) < room; i-- {
		lines = append(lines, reversed(m.eventLine(events[i], whole))...)
	}
	lines = reversed(lines[:min(len(lines), room)])
	if len(events) == 0 {
		lines = []string{m.theme.dim.Render(" no events")}
	}
	return lines
}

func reversed(lines []string) []string {
	back := make([]string, 0, len(lines))
	for i := len(lines) - 1; i >= 0; i-- {
		back = append(back, lines[i])
	}
	return back
}

// eventLine is one event, in one line or more.
func (m Model) eventLine(e api.Event, whole bool) []string {
	t := m.theme
	mark, style := " ", t.text
	if e.Type == string(core.Warning) {
		mark, style = "!", t.warn
	}
	names, reason := 12, terminal.Line(e.Reason)
	if m.width >= 110 {
		names, reason = 20, terminal.Fit(reason, 22)
	}
	message := terminal.Line(e.Message)
	if e.Actor != "" {
		message += ", asked by " + terminal.Line(e.Actor)
	}
	if e.Count > 1 {
		message += fmt.Sprintf(" (%d times)", e.Count)
	}
	lead := t.dim.Render(e.LastTimestamp.Local().Format(time.TimeOnly)) + " " + style.Render(mark) + " " +
		terminal.Fit(terminal.Line(cmp.Or(e.Workload, "project")), names) + " "
	indent := terminal.Width(lead)
	text := style.Bold().Render(reason) + " " + message
	if !whole {
		return []string{lead + terminal.Cut(text, m.width-indent)}
	}
	var lines []string
	for i, part := range terminal.Wrap(text, m.width-indent) {
		if i > 0 {
			lead = strings.Repeat(" ", indent)
		}
		lines = append(lines, lead+part)
	}
	return lines
}
