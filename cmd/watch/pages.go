package watch

import (
	"fmt"
	"strings"
	"time"

	"github.com/tendhq/tend/api"
	"github.com/tendhq/tend/cmd/terminal"
)

// detailLines are the row of the workload, the pages' names and the page.
func (m Model) detailLines(room int) []string {
	d := m.detail
	w, ok := m.chosen()
	if !ok {
		return []string{"", m.theme.warn.Render(" " + d.workload + " is not kept any more")}
	}
	c := m.columns()
	lines := []string{m.tableHeader(c), m.tableRow(c, w, true), m.tabs()}
	room -= len(lines)
	switch d.page {
	case pageStatus:
		status := m.statusLines(w)
		lines = append(lines, scrolled(status, d.scroll, room)...)
		if left := room - len(status) - 2; left > 0 {
			lines = append(lines, "", m.rule(m.theme.head.Render("events"), false))
			lines = append(lines, m.eventLines(m.ownEvents(w), left, 0, false)...)
		}
		return lines
	case pageReplicas:
		return append(lines, m.replicaLines(w, room)...)
	case pageRevisions:
		return append(lines, m.revisionLines(w, room)...)
	case pageEvents:
		own := m.ownEvents(w)
		return append(lines, m.eventLines(own, room, min(d.scroll, max(0, len(own)-1)), true)...)
	default:
		return append(lines, m.logLines(room)...)
	}
}

// ownEvents are the events of a workload that the filter lets through.
func (m Model) ownEvents(w *api.Workload) []api.Event {
	var own []api.Event
	for _, e := range m.feedEvents() {
		if e.Workload == w.Metadata.Name {
			own = append(own, e)
		}
	}
	return own
}

// tabs are the names of the pages.
func (m Model) tabs() string {
	t := m.theme
	var all []string
	for p := range pages {
		name := fmt.Sprintf(" %d %s ", p+1, p)
		if p == m.detail.page {
			name = t.accent.Bold().Reverse().Render(name)
		} else {
			name = t.dim.Render(name)
		}
		all = append(all, name)
	}
	line := " " + strings.Join(all, "")
	if f := m.filters[paneEvents]; f != "" && m.detail.page >= pageEvents {
		line += t.accent.Render("  /" + f)
	}
	return terminal.Cut(line, m.width)
}

// scrolled are the lines of a page from where it is scrolled to.
func scrolled(lines []string, scroll, room int) []string {
	from := max(0, min(scroll, len(lines)-room))
	return lines[from:min(len(lines), from+room)]
}

// statusLines are the obstacle, the remedy, what is in the way, and the conditions.
func (m Model) statusLines(w *api.Workload) []string {
	t, s := m.theme, w.Status
	var lines []string
	say := func(name string, style style, text string) {
		if text == "" {
			return
		}
		for i, part := range terminal.Wrap(terminal.Line(text), m.width-14) {
			if i > 0 {
				name = ""
			}
			lines = append(lines, " "+t.head.Render(terminal.Fit(name, 11))+" "+style.Render(part))
		}
	}
	l := lookOf(w)
	say("Outcome", l.style(t), l.mark+" "+outcomeOf(w))
	say("Obstacle", t.text, s.Obstacle)
	say("Remedy", t.text, s.Remedy)
	if s.Paused {
		say("Paused", t.accent, "‖ the rollout is held, or the next one will be")
	}
	if s.Next != nil && s.Next.At.After(m.now) {
		say("Next", t.text, "in "+countdown(s.Next.At.Sub(m.now))+": "+s.Next.What)
	}
	if s.Deadline != nil {
		say("Deadline", t.text, "in "+countdown(s.Deadline.Sub(m.now))+", unless the rollout makes progress")
	}
	say("Waits for", t.text, strings.Join(s.WaitsFor, ", "))
	for i, b := range s.Blockers {
		say([]string{"In its way", ""}[min(i, 1)], t.warn, b)
	}
	say("Replicas", t.text, fmt.Sprintf("%d desired; %d there: %d updated, %d ready, %d available", w.Spec.Replicas, s.Replicas, s.UpdatedReplicas, s.ReadyReplicas, s.AvailableReplicas))
	say("Image", t.text, w.Spec.Template.Image)
	say("Revision", t.text, fmt.Sprintf("%s written, %s in force, %s the last that was complete", short(w.Spec.Revision), short(s.UpdateRevision), short(s.CurrentRevision)))
	strategy := w.Spec.Strategy.Type
	if r := w.Spec.Strategy.RollingUpdate; r != nil {
		strategy += fmt.Sprintf(", %d more and %d less at most", r.MaxSurge, r.MaxUnavailable)
	}
	say("Strategy", t.text, strategy)
	say("", t.text, w.Spec.Strategy.Reason)
	var needs []string
	for _, d := range w.Spec.DependsOn {
		needs = append(needs, d.Name+" ("+d.Condition+")")
	}
	say("Depends on", t.text, strings.Join(needs, ", "))
	if len(s.Conditions) > 0 {
		lines = append(lines, "")
	}
	for _, c := range s.Conditions {
		mark, style := "✔", t.good
		if c.Status != "True" {
			mark, style = "✖", t.warn
		}
		say(c.Type, style, fmt.Sprintf("%s %s for %s, %s", mark, c.Status, sinceText(m.now, c.LastTransitionTime), c.Reason))
		say("", t.dim, c.Message)
	}
	return lines
}

// replicaLines are the replicas around the one that is chosen.
func (m Model) replicaLines(w *api.Workload, room int) []string {
	t, all := m.theme, m.replicas[w.Metadata.Name]
	if len(all) == 0 {
		return []string{t.dim.Render(" no replica")}
	}
	longest := 4
	for _, r := range all {
		longest = max(longest, terminal.Width(r.Metadata.Name))
	}
	longest = min(longest, max(12, m.width/3))
	wide := m.width >= 120
	line := func(mark, tile, name, phase, revision, restarts, age, more string) string {
		text := mark + " " + tile + " " + terminal.Fit(name, longest) + " " + terminal.Fit(phase, 10) + " " + terminal.Fit(revision, 9) + " "
		return terminal.Cut(text+terminal.Fit(restarts, 8)+" "+terminal.Fit(age, 5)+" "+more, m.width)
	}
	lines := []string{t.head.Render(line(" ", "   ", "NAME", "PHASE", "REVISION", "RESTARTS", "AGE", "WHY"))}
	room--
	at := min(m.tile, len(all)-1)
	from := max(0, min(at-room/2, len(all)-room))
	for i := from; i < min(len(all), from+room); i++ {
		r := all[i]
		mark := " "
		if i == at {
			mark = t.accent.Render("▸")
		}
		more := t.warn.Render(terminal.Line(r.Status.Blocker))
		if r.Status.Blocker == "" && wide {
			more = t.dim.Render(terminal.Line(facts(r)))
		}
		lines = append(lines, line(mark, m.tileOf(w, r, 3, i == at), terminal.Line(r.Metadata.Name), terminal.Line(r.Status.Phase), short(r.Spec.Revision),
			fmt.Sprint(r.Status.Restarts), sinceText(m.now, r.Status.StartedAt), more))
	}
	return lines
}

// facts are where a replica is reached and what it was made from.
func facts(r *api.Replica) string {
	parts := []string{tag(r.Spec.Image)}
	parts = append(parts, r.Status.Ports...)
	return strings.Join(parts, "  ")
}

// revisionLines are the revisions, the newest first, and how two of them differ.
func (m Model) revisionLines(w *api.Workload, room int) []string {
	t, d := m.theme, m.detail
	switch {
	case d.failed != nil:
		return []string{t.bad.Render(terminal.Cut(" "+terminal.Line(d.failed.Error()), m.width))}
	case len(d.revisions) == 0:
		return []string{t.dim.Render(" no revisions")}
	}
	from, to := d.compared()
	lines := []string{t.head.Render(terminal.Cut("   "+terminal.Fit("NUMBER", 7)+terminal.Fit("REVISION", 10)+terminal.Fit("AGE", 6)+terminal.Fit("REPLICAS", 10)+"IMAGE", m.width))}
	shown := max(1, min(len(d.revisions), room/2-1))
	first := max(0, min(d.chosen-shown/2, len(d.revisions)-shown))
	for i := first; i < first+shown; i++ {
		r := d.revisions[i]
		state, style := "", t.text
		switch r.Metadata.Name {
		case w.Status.UpdateRevision:
			state, style = "in force", t.good
		case w.Status.WantedRevision:
			state, style = "failed", t.bad
		}
		mark := "  "
		switch {
		case i == d.chosen:
			mark = t.accent.Render("▸ ")
		case r.Spec.Number == from || r.Spec.Number == to:
			mark = t.accent.Render("◂ ")
		}
		text := " " + mark + terminal.Fit(fmt.Sprint(r.Spec.Number), 7) + terminal.Fit(short(r.Metadata.Name), 10) + terminal.Fit(sinceText(m.now, r.Spec.CreatedAt), 6) +
			terminal.Fit(fmt.Sprint(r.Status.Replicas), 10) + terminal.Line(r.Spec.Image) + "  " + style.Render(state)
		lines = append(lines, terminal.Cut(text, m.width))
	}
	if from == to {
		return lines
	}
	lines = append(lines, m.rule(t.head.Render(fmt.Sprintf("%d → %d", from, to))+t.dim.Render("  space compares with the one that is chosen"), false))
	return append(lines, m.diffLines(from, to)...)
}

// diffLines are the fields in which two revisions differ.
func (m Model) diffLines(from, to int) []string {
	t, d := m.theme, m.detail.diff
	switch {
	case d.from != from || d.to != to:
		return []string{t.dim.Render(" …")}
	case d.err != nil:
		return []string{t.bad.Render(terminal.Cut(" "+terminal.Line(d.err.Error()), m.width))}
	case len(d.differences) == 0:
		return []string{t.dim.Render(terminal.Cut(" no field differs that a spec holds", m.width))}
	}
	var lines []string
	for _, f := range d.differences {
		lines = append(lines, terminal.Cut(" "+t.head.Render(terminal.Line(f.Field)), m.width))
		if f.Concealed {
			lines = append(lines, t.dim.Render(terminal.Cut("   ~ differs, and may be secret", m.width)))
			continue
		}
		if f.From != "" {
			lines = append(lines, t.bad.Render(terminal.Cut("   - "+terminal.Line(f.From), m.width)))
		}
		if f.To != "" {
			lines = append(lines, t.good.Render(terminal.Cut("   + "+terminal.Line(f.To), m.width)))
		}
	}
	return lines
}

// logLines are the last lines that the replicas wrote, but for those that are scrolled away.
func (m Model) logLines(room int) []string {
	t, d := m.theme, m.detail
	var lines []string // from the last one up
	if d.logEnded != nil {
		lines = append(lines, t.bad.Render(terminal.Cut(" "+terminal.Line(d.logEnded.Error()), m.width)))
	}
	back := min(d.scroll, max(0, len(d.lines)-1))
	for i := len(d.lines) - 1; i >= 0 && len(lines) < room; i-- {
		l := d.lines[i]
		if !matches(m.filters[paneEvents], l.Replica, l.Text) {
			continue
		}
		if back > 0 {
			back--
			continue
		}
		name := terminal.Cut(terminal.Line(l.Replica), max(10, m.width/4))
		lines = append(lines, terminal.Cut(t.dim.Render(l.Time.Local().Format(time.TimeOnly))+" "+m.nameStyle(l.Replica).Render(name)+" "+terminal.Line(l.Text), m.width))
	}
	if len(lines) == 0 {
		return []string{t.dim.Render(" no output yet")}
	}
	return reversed(lines)
}

// nameStyle gives each replica a colour of its own.
func (m Model) nameStyle(replica string) style {
	sum := 0
	for _, b := range []byte(replica) {
		sum += int(b)
	}
	styles := [...]style{m.theme.accent, m.theme.good, m.theme.warn, m.theme.bad}
	return styles[sum%len(styles)]
}
