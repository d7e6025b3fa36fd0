package watch

import (
	"fmt"
	"strings"
	"time"

	"github.com/tendhq/tend/api"
	"github.com/tendhq/tend/cmd/terminal"
	"github.com/tendhq/tend/controller/core"
)

// columns are the widths of a table's columns; a column of 0 is left out.
type columns struct {
	name, kind, outcome, revision, ready, tiles, traffic int
}

// columns divides the width of the screen.
func (m Model) columns() columns {
	longest := 8
	for _, w := range m.rows {
		longest = max(longest, terminal.Width(w.Metadata.Name))
	}
	c := columns{name: min(longest, 14), outcome: 11, revision: 20, ready: 5, traffic: 5}
	least, each := 12, 1 // how narrow the revision may be, so that each tile has so much room
	switch {
	case m.width >= 150:
		c = columns{name: min(longest, 30), kind: 11, outcome: 12, revision: 44, ready: 7, traffic: 8}
		least, each = 30, 2
	case m.width >= 110:
		c = columns{name: min(longest, 22), outcome: 12, revision: 30, ready: 7, traffic: 6}
		least, each = 20, 2
	case m.width < 56:
		c.revision, c.traffic, least = 0, 0, 0
	case m.width < 76:
		c.revision, c.traffic, least = 9, 0, 9
	}
	if len(m.traffic) == 0 {
		c.traffic = 0
	}
	used := 2
	for _, width := range []int{c.name, c.kind, c.outcome, c.revision, c.ready, c.traffic, c.traffic, c.traffic} {
		if width > 0 {
			used += width + 1
		}
	}
	c.tiles = max(0, m.width-used)
	for _, w := range m.rows {
		more := each*max(w.Spec.Replicas, len(m.replicas[w.Metadata.Name])) - c.tiles
		if more > 0 && more <= c.revision-least {
			c.tiles, c.revision = c.tiles+more, c.revision-more
		}
	}
	return c
}

// table is a header and the rows around the cursor, in so many lines.
func (m Model) table(room int) []string {
	c := m.columns()
	lines := []string{m.tableHeader(c)}
	if len(m.rows) == 0 {
		text := "nothing is kept"
		if m.filters[paneWorkloads] != "" {
			text = "no workload matches /" + m.filters[paneWorkloads]
		}
		return append(lines, terminal.Cut(m.theme.dim.Render(" "+text), m.width))
	}
	room--
	at := max(0, m.row())
	from := max(0, min(at-room/2, len(m.rows)-room))
	drawn := map[string]drawnRow{}
	for i := from; i < min(from+room, len(m.rows)); i++ {
		w := m.rows[i]
		if i == at {
			lines = append(lines, m.tableRow(c, w, true))
			continue
		}
		row := m.drawn.rows[w.Metadata.Name]
		if of := m.rowState(c, w); row.of != of {
			row = drawnRow{of: of, text: m.tableRow(c, w, false)}
		}
		lines = append(lines, row.text)
		drawn[w.Metadata.Name] = row
	}
	m.drawn.rows = drawn
	return lines
}

// drawnRows are the rows of the frame before: most are the same in the next one.
type drawnRows struct{ rows map[string]drawnRow }

// drawnRow is a row, and all that it was made from.
type drawnRow struct {
	of   rowState
	text string
}

// rowState is what a row is made from, but for the cursor. A workload that has changed is
// another value at another address, and so is the list of its replicas.
type rowState struct {
	columns  columns
	workload *api.Workload
	replicas **api.Replica // the first
	count    int
	traffic  rate
	carries  bool
	theme    *theme
	now      time.Time // where something runs down
}

func (m Model) rowState(c columns, w *api.Workload) rowState {
	s := rowState{columns: c, workload: w, theme: m.theme}
	if all := m.replicas[w.Metadata.Name]; len(all) > 0 {
		s.replicas, s.count = &all[0], len(all)
	}
	s.traffic, s.carries = m.traffic[w.Metadata.Name]
	if w.Status.Deadline != nil {
		s.now = m.now
	}
	return s
}

func (m Model) tableHeader(c columns) string {
	ordered := func(name string, o order) string {
		if m.order == o {
			return name + "↓"
		}
		return name
	}
	var cells []string
	add := func(title string, width int, right bool) {
		if width == 0 {
			return
		}
		if right {
			title = strings.Repeat(" ", max(0, width-terminal.Width(title))) + title
		}
		cells = append(cells, terminal.Fit(title, width))
	}
	name := "NAME"
	if f := m.filters[paneWorkloads]; f != "" {
		name = fmt.Sprintf("/%s %d", f, len(m.rows))
	}
	add(ordered(name, byName), c.name, false)
	add("KIND", c.kind, false)
	add(ordered("OUTCOME", byOutcome), c.outcome, false)
	add("REVISION", c.revision, false)
	add("READY", c.ready, true)
	add("REPLICAS", c.tiles, false)
	add(ordered("REQ/S", byRequests), c.traffic, true)
	add(ordered("ERR/S", byFailures), c.traffic, true)
	add("P99", c.traffic, true)
	return terminal.Cut(m.theme.head.Render("  "+strings.Join(cells, " ")), m.width)
}

// tableRow is one workload. Under the cursor it has a mark, and a background where there
// are colours.
func (m Model) tableRow(c columns, w *api.Workload, chosen bool) string {
	t := m.theme
	paint := func(s style, text string) string {
		if chosen {
			s = s.On(t.selected)
		}
		return s.Render(text)
	}
	l := lookOf(w)
	mark, name := "  ", t.text
	if chosen {
		mark, name = "▸ ", t.text.Bold()
	}
	row := paint(t.accent, mark) + paint(name, terminal.Fit(terminal.Line(w.Metadata.Name), c.name)+" ")
	if c.kind > 0 {
		row += paint(t.dim, terminal.Fit(terminal.Line(w.Kind), c.kind)+" ")
	}
	row += paint(l.style(t), terminal.Fit(l.mark+" "+outcomeOf(w), c.outcome)) + paint(t.text, " ")
	if c.revision > 0 {
		row += m.revisionCell(w, c.revision, paint) + paint(t.text, " ")
	}
	ready := fmt.Sprintf("%d/%d", w.Status.ReadyReplicas, w.Spec.Replicas)
	style := t.text
	if w.Status.ReadyReplicas < w.Spec.Replicas && w.Status.Outcome != string(core.OutcomeComplete) {
		style = t.warn
	}
	row += paint(style, strings.Repeat(" ", max(0, c.ready-len(ready)))+ready+" ")
	row += m.tilesCell(w, c.tiles, chosen, paint)
	if c.traffic > 0 {
		row += m.trafficCells(w, c.traffic, paint)
	}
	return row
}

// trafficCells are what the workload's ingresses carry.
func (m Model) trafficCells(w *api.Workload, width int, paint func(style, string) string) string {
	t := m.theme
	r, known := m.traffic[w.Metadata.Name]
	cell := func(style style, text string) string {
		return paint(style, " "+strings.Repeat(" ", max(0, width-terminal.Width(text)))+text)
	}
	if !known {
		return cell(t.dim, "-") + cell(t.dim, "-") + cell(t.dim, "-")
	}
	failures := t.dim
	if r.failures > 0 {
		failures = t.bad
	}
	return cell(t.text, number(r.requests)) + cell(failures, number(r.failures)) + cell(t.text, latency(r.p99))
}

// number is a rate in five characters at most.
func number(n float64) string {
	switch {
	case n == 0:
		return "0"
	case n < 10:
		return fmt.Sprintf("%.1f", n)
	case n < 10_000:
		return fmt.Sprintf("%.0f", n)
	default:
		return fmt.Sprintf("%.0fk", n/1000)
	}
}

// latency is a duration in five characters at most.
func latency(d time.Duration) string {
	switch {
	case d == 0:
		return "-"
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.1fms", float64(d.Microseconds())/1000)
	case d < time.Second:
		return fmt.Sprintf("%dms", d.Milliseconds())
	default:
		return fmt.Sprintf("%.1fs", d.Seconds())
	}
}

// rolls reports whether a workload's replicas are, or are to be, of two revisions.
func rolls(w *api.Workload) bool {
	s := w.Status
	return s.UpdateRevision != "" && s.UpdateRevision != s.CurrentRevision
}

// revisionCell is the revision in force, or while it rolls both, how far it is, and how
// much time is left.
func (m Model) revisionCell(w *api.Workload, width int, paint func(style, string) string) string {
	t, s := m.theme, w.Status
	if s.Paused {
		const held = "‖ "
		running := *w
		running.Status.Paused = false
		return paint(t.accent, held) + m.revisionCell(&running, width-terminal.Width(held), paint)
	}
	if !rolls(w) {
		text := short(s.UpdateRevision)
		if s.WantedRevision != "" && s.WantedRevision != s.UpdateRevision {
			return paint(t.bad, terminal.Fit("✖ "+s.WantedRevision[:min(4, len(s.WantedRevision))]+" ↩ "+s.UpdateRevision[:min(4, len(s.UpdateRevision))], width))
		}
		if width >= 28 {
			text += " " + terminal.Line(tag(w.Spec.Template.Image))
		}
		return paint(t.dim, terminal.Fit(text, width))
	}
	digits := 4
	if width >= 40 {
		digits = 8
	}
	from, to := "", s.UpdateRevision[:min(digits, len(s.UpdateRevision))]
	if s.CurrentRevision != "" {
		from = s.CurrentRevision[:min(digits, len(s.CurrentRevision))]
	}
	left := ""
	if s.Deadline != nil {
		left = " " + countdown(s.Deadline.Sub(m.now))
	}
	title := from + "→" + to
	bar := width - terminal.Width(title) - 1 - max(5, len(left))
	if bar < 3 {
		title, bar = "", max(0, width-6)
	} else {
		title += " "
	}
	style := t.dim
	if s.Deadline != nil && s.Deadline.Sub(m.now) < 10*time.Second {
		style = t.bad
	}
	return paint(t.text, title) + m.bar(w, bar, paint) + paint(style, terminal.Fit(left, width-terminal.Width(title)-bar))
}

// bar is how far a rollout is: new replicas that are ready, new ones that are not yet, old
// ones.
func (m Model) bar(w *api.Workload, width int, paint func(style, string) string) string {
	t := m.theme
	var ready, coming, old int
	for _, r := range m.replicas[w.Metadata.Name] {
		switch p := phaseOf(r); {
		case isOld(w, r):
			old++
		case p == core.PhaseReady || p == core.PhaseDone:
			ready++
		default:
			coming++
		}
	}
	all := max(ready+coming+old, w.Spec.Replicas, 1)
	upTo := func(n int) int { return (n*width + all/2) / all }
	a, b, c := upTo(ready), upTo(ready+coming), upTo(ready+coming+old)
	return paint(t.good, strings.Repeat("█", a)) + paint(t.warn, strings.Repeat("▓", b-a)) + paint(t.dim, strings.Repeat("▒", c-b)+strings.Repeat("·", width-c))
}

// tag is an image without its registry and folders.
func tag(image string) string {
	image, _, _ = strings.Cut(image, "@")
	return image[strings.LastIndexByte(image, '/')+1:]
}

// tileOf is a replica's tile: the letter of its phase, small where its revision is old.
func (m Model) tileOf(w *api.Workload, r *api.Replica, width int, chosen bool) string {
	p := phaseOf(r)
	letter := letters[p]
	if isOld(w, r) {
		letter = strings.ToLower(letter)
	}
	style := m.theme.tiles[p]
	switch {
	case chosen && width >= 3:
		letter = "[" + letter + "]"
	case chosen && width == 2:
		letter += "]"
	default:
		letter = center(letter, width)
	}
	if chosen {
		style = style.Reverse()
	}
	return style.Render(letter)
}

// tilesCell is a tile for each replica, as wide as there is room for; where there is none
// it is how many are in which phase.
func (m Model) tilesCell(w *api.Workload, width int, chosen bool, paint func(style, string) string) string {
	t, all := m.theme, m.replicas[w.Metadata.Name]
	missing := 0
	if w.Status.Outcome != string(core.OutcomeComplete) {
		missing = max(0, w.Spec.Replicas-len(all))
	}
	count := len(all) + missing
	each, gap := 3, 1
	for each*count+gap*max(0, count-1) > width {
		switch {
		case each > 1:
			each--
		case gap == 1:
			gap = 0
		default:
			return m.phaseCounts(w, missing, width, paint)
		}
	}
	var cell strings.Builder
	space := paint(t.text, strings.Repeat(" ", gap))
	used := 0
	for i := range count {
		if i > 0 {
			cell.WriteString(space)
			used += gap
		}
		if i < len(all) {
			cell.WriteString(m.tileOf(w, all[i], each, chosen && i == min(m.tile, len(all)-1)))
		} else {
			cell.WriteString(paint(t.dim, center("·", each)))
		}
		used += each
	}
	return cell.String() + paint(t.text, strings.Repeat(" ", max(0, width-used)))
}

// center puts a letter in a tile.
func center(text string, width int) string {
	return [...]string{"", text, text + " ", " " + text + " "}[width]
}

// phaseCounts is how many replicas are in which phase.
func (m Model) phaseCounts(w *api.Workload, missing, width int, paint func(style, string) string) string {
	counts, old := map[core.Phase]int{}, map[core.Phase]int{}
	for _, r := range m.replicas[w.Metadata.Name] {
		if isOld(w, r) {
			old[phaseOf(r)]++
		} else {
			counts[phaseOf(r)]++
		}
	}
	cell, used := "", 0
	add := func(style style, letter string, n int) {
		text := fmt.Sprintf("%d%s", n, letter)
		if n == 0 || used+len(text)+1 > width {
			return
		}
		cell += style.Render(text) + paint(m.theme.text, " ")
		used += len(text) + 1
	}
	for _, p := range phases {
		add(m.theme.tiles[p], letters[p], counts[p])
		add(m.theme.tiles[p], strings.ToLower(letters[p]), old[p])
	}
	add(m.theme.dim, "·", missing)
	return cell + paint(m.theme.text, strings.Repeat(" ", max(0, width-used)))
}
