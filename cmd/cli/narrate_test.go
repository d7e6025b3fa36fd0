package cli

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/tendhq/tend/cmd/terminal"
	"github.com/tendhq/tend/controller/core"
)

func TestARowSaysWhatMattersMost(t *testing.T) {
	for _, c := range []struct {
		name string
		row  row
		want terminal.Row
	}{
		{"what is done", row{outcome: core.OutcomeMoving, ready: 1, desired: 3, obstacle: "1 of 3", did: "Created web-2"}, terminal.Row{State: "Moving 1/3", Text: "Created web-2"}},
		{"what is in the way where nothing is done yet", row{outcome: core.OutcomeMoving, desired: 3, obstacle: "0 of 3"}, terminal.Row{State: "Moving 0/3", Text: "0 of 3"}},
		{"what is waited for", row{outcome: core.OutcomeWaiting, desired: 1, obstacle: "waiting for db", did: "Created web-2"}, terminal.Row{State: "Waiting 0/1", Text: "waiting for db"}},
		{"what does not go on", row{outcome: core.OutcomeStalled, desired: 1, obstacle: "it crashes", did: "Restarted"}, terminal.Row{State: "Stalled 0/1", Text: "it crashes", Mark: terminal.Failed}},
		{"that somebody holds it", row{outcome: core.OutcomePaused, ready: 1, desired: 1, obstacle: "held"}, terminal.Row{State: "Paused 1/1", Text: "held", Mark: terminal.Failed}},
		{"the end", row{outcome: core.OutcomeConverged, ready: 3, desired: 3, did: "Available"}, terminal.Row{State: "Converged 3/3", Mark: terminal.Done}},
		{"a Job's end", row{outcome: core.OutcomeComplete, desired: 1}, terminal.Row{State: "Complete", Mark: terminal.Done}},
		{"that it is gone", row{outcome: removed, did: "Removed web-1"}, terminal.Row{State: "Removed", Mark: terminal.Done}},
	} {
		c.want.Name = "web"
		assert.Equal(t, c.want, c.row.shown("web"), c.name)
	}
}
