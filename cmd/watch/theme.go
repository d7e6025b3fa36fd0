package watch

import (
	"image/color"

	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/x/ansi"

	"github.com/tendhq/tend/api"
	"github.com/tendhq/tend/controller/core"
)

// style is how text is shown. What it begins with is worked out once, as a frame has
// hundreds of texts.
type style struct {
	foreground, background color.Color
	bold, reverse          bool
	begin                  string
}

func (s style) ready() style {
	var b ansi.Style
	if s.bold {
		b = b.Bold()
	}
	if s.reverse {
		b = b.Reverse(true)
	}
	if s.foreground != nil {
		b = b.ForegroundColor(s.foreground)
	}
	if s.background != nil {
		b = b.BackgroundColor(s.background)
	}
	s.begin = ""
	if len(b) > 0 {
		s.begin = b.String()
	}
	return s
}

// Bold, Reverse and On return the style with one thing more.
func (s style) Bold() style                     { s.bold = true; return s.ready() }
func (s style) Reverse() style                  { s.reverse = true; return s.ready() }
func (s style) On(background color.Color) style { s.background = background; return s.ready() }

// Render returns text in the style.
func (s style) Render(text string) string {
	if s.begin == "" || text == "" {
		return text
	}
	return s.begin + text + ansi.ResetStyle
}

// theme is how a frame is coloured. Every colour goes with a letter, a mark or a word, so
// that a frame reads without it.
type theme struct {
	brand, text, dim, accent, good, warn, bad, head style
	// selected is the background of the chosen row.
	selected color.Color
	tiles    map[core.Phase]style
}

func newTheme(dark bool) *theme {
	pick := lipgloss.LightDark(dark)
	text := func(light, dark string) style {
		return style{foreground: pick(lipgloss.Color(light), lipgloss.Color(dark))}.ready()
	}
	tile := func(background string) style {
		return style{foreground: lipgloss.Color("#ffffff"), background: lipgloss.Color(background), bold: true}.ready()
	}
	t := &theme{
		brand:    tile("#6639ba"),
		dim:      text("#6e7781", "#8b949e"),
		accent:   text("#0969da", "#58a6ff"),
		good:     text("#1a7f37", "#3fb950"),
		warn:     text("#9a6700", "#d29922"),
		bad:      text("#cf222e", "#ff7b72"),
		head:     text("#57606a", "#8b949e").Bold(),
		selected: pick(lipgloss.Color("#ddf4ff"), lipgloss.Color("#1f2f46")),
		tiles: map[core.Phase]style{
			core.PhaseCreating: tile("#57606a"), core.PhaseStarting: tile("#9a6700"), core.PhaseReady: tile("#1a7f37"),
			core.PhaseUnready: tile("#bc4c00"), core.PhaseUnhealthy: tile("#cf222e"), core.PhaseDraining: tile("#0969da"),
			core.PhaseStopping: tile("#6639ba"), core.PhaseExited: tile("#a40e26"), core.PhaseDone: tile("#116329"),
			core.PhaseLeftover: tile("#424a53"), "": tile("#57606a"),
		},
	}
	return t
}

// letters are how the phases read without colour.
var letters = map[core.Phase]string{
	core.PhaseCreating: "C", core.PhaseStarting: "S", core.PhaseReady: "R", core.PhaseUnready: "U", core.PhaseUnhealthy: "H",
	core.PhaseDraining: "D", core.PhaseStopping: "T", core.PhaseExited: "X", core.PhaseDone: "E", core.PhaseLeftover: "L", "": "?",
}

// phases are in the order in which a replica passes through them.
var phases = []core.Phase{
	core.PhaseCreating, core.PhaseStarting, core.PhaseReady, core.PhaseUnready, core.PhaseUnhealthy,
	core.PhaseDraining, core.PhaseStopping, core.PhaseExited, core.PhaseDone, core.PhaseLeftover,
}

// look is how an outcome is shown.
type look struct {
	mark  string
	style func(*theme) style
	// urgency is the place in the order by outcome: what needs a person comes first.
	urgency int
}

var looks = map[core.Outcome]look{
	core.OutcomeStalled:   {"✖", func(t *theme) style { return t.bad }, 0},
	core.OutcomePaused:    {"‖", func(t *theme) style { return t.accent }, 1},
	core.OutcomeWaiting:   {"◔", func(t *theme) style { return t.warn }, 2},
	core.OutcomeMoving:    {"◐", func(t *theme) style { return t.warn }, 3},
	"":                    {"○", func(t *theme) style { return t.dim }, 4},
	core.OutcomeConverged: {"●", func(t *theme) style { return t.good }, 5},
	core.OutcomeComplete:  {"✔", func(t *theme) style { return t.good }, 6},
}

// outcomes are in the order of urgency, those that have a name.
var outcomes = []core.Outcome{core.OutcomeStalled, core.OutcomePaused, core.OutcomeWaiting, core.OutcomeMoving, core.OutcomeConverged, core.OutcomeComplete}

func lookOf(w *api.Workload) look { return looks[core.Outcome(w.Status.Outcome)] }
