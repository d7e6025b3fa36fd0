package watch

import (
	"charm.land/lipgloss/v2"

	"github.com/tendhq/tend/api"
	"github.com/tendhq/tend/controller/core"
)

// theme is how a frame is coloured. Every colour goes with a letter, a mark or a word, so
// that a frame reads without it.
type theme struct {
	brand, text, dim, accent, good, warn, bad, head lipgloss.Style
	selected                                        lipgloss.Style
	old                                             lipgloss.Style
	tiles                                           map[core.Phase]lipgloss.Style
}

func newTheme(dark bool) *theme {
	pick := lipgloss.LightDark(dark)
	style := func(light, dark string) lipgloss.Style {
		return lipgloss.NewStyle().Foreground(pick(lipgloss.Color(light), lipgloss.Color(dark)))
	}
	tile := func(background string) lipgloss.Style {
		return lipgloss.NewStyle().Foreground(lipgloss.Color("#ffffff")).Background(lipgloss.Color(background)).Bold(true)
	}
	t := &theme{
		brand:    lipgloss.NewStyle().Foreground(lipgloss.Color("#ffffff")).Background(lipgloss.Color("#6639ba")).Bold(true),
		text:     lipgloss.NewStyle(),
		dim:      style("#6e7781", "#8b949e"),
		accent:   style("#0969da", "#58a6ff"),
		good:     style("#1a7f37", "#3fb950"),
		warn:     style("#9a6700", "#d29922"),
		bad:      style("#cf222e", "#ff7b72"),
		head:     style("#57606a", "#8b949e").Bold(true),
		selected: lipgloss.NewStyle().Background(pick(lipgloss.Color("#ddf4ff"), lipgloss.Color("#1f2f46"))),
		old:      style("#57606a", "#8b949e"),
		tiles: map[core.Phase]lipgloss.Style{
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
	style func(*theme) lipgloss.Style
	// urgency is the place in the order by outcome: what needs a person comes first.
	urgency int
}

var looks = map[core.Outcome]look{
	core.OutcomeStalled:   {"✖", func(t *theme) lipgloss.Style { return t.bad }, 0},
	core.OutcomePaused:    {"‖", func(t *theme) lipgloss.Style { return t.accent }, 1},
	core.OutcomeWaiting:   {"◔", func(t *theme) lipgloss.Style { return t.warn }, 2},
	core.OutcomeMoving:    {"◐", func(t *theme) lipgloss.Style { return t.warn }, 3},
	"":                    {"○", func(t *theme) lipgloss.Style { return t.dim }, 4},
	core.OutcomeConverged: {"●", func(t *theme) lipgloss.Style { return t.good }, 5},
	core.OutcomeComplete:  {"✔", func(t *theme) lipgloss.Style { return t.good }, 6},
}

// outcomes are in the order of urgency, those that have a name.
var outcomes = []core.Outcome{core.OutcomeStalled, core.OutcomePaused, core.OutcomeWaiting, core.OutcomeMoving, core.OutcomeConverged, core.OutcomeComplete}

func lookOf(w api.Workload) look { return looks[core.Outcome(w.Status.Outcome)] }
