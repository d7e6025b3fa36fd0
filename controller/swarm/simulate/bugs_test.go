package simulate

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/simulate/bugtest"
)

// bugs are the planted ones. BUG stands for the switch.
var bugs = []bugtest.Bug{
	{Name: "run a Job again", File: "plan/services/steps.go",
		Old: "ranAlready := s.desired", New: "ranAlready := !BUG && s.desired"},
	{Name: "run a Job again that is gone", File: "plan/services/target.go",
		Old: "return t.desired.Replicas > 0 && len(", New: "return !BUG && t.desired.Replicas > 0 && len("},
	{Name: "choose the node of a volume anew", File: "plan/services/nodes.go",
		Old: "	if holder == \"\" {", New: "	if holder == \"\" || BUG {"},
	{Name: "ignore a pause", File: "plan/services/steps.go",
		Old: "case s.paused() && rolls:", New: "case !BUG && s.paused() && rolls:"},
	{Name: "leave out the hooks", File: "plan/services/steps.go",
		Old: "	return s.runHooks(o)", New: "	return BUG || s.runHooks(o)"},
	{Name: "take back what works", File: "plan/services/target.go",
		Old: "!runs || t.Now.Before(at)", New: "!runs || !BUG && t.Now.Before(at)"},
	{Name: "never go back", File: "plan/services/target.go",
		Old: "	if next.back() == \"\" {", New: "	if BUG || next.back() == \"\" {"},
	{Name: "keep what nothing uses", File: "plan/services/project.go",
		Old: "o.ours && !stays[name] && !needed[name] {", New: "!BUG && o.ours && !stays[name] && !needed[name] {"},
	{Name: "leave what somebody has changed", File: "plan/services/steps.go",
		Old: "	case !s.try(s.Service.ID):", New: "	case BUG || !s.try(s.Service.ID):"},
	{Name: "plan by an old list", File: "swarm/swarm.go",
		Old: "	if err != nil {\n		l.since = time.Time{}\n		return false", New: "	if err != nil && (!BUG || l.seen.nodes == nil) {\n		l.since = time.Time{}\n		return false"},
	{Name: "start a second writer", File: "plan/services/steps.go",
		Old: "case s.recreates() && s.runs() &&", New: "case !BUG && s.recreates() && s.runs() &&"},
	{Name: "touch what is somebody else's", File: "swarm/look.go",
		Old: "if is, why := ours(s, l.project.Name, l.options.Folders); !is {", New: "if is, why := ours(s, l.project.Name, l.options.Folders); !is && !BUG {"},
	{Name: "keep on one node what is on each", File: "plan/services/nodes.go",
		Old: "len(local) == 0 || s.desired.Global != nil {", New: "len(local) == 0 || !BUG && s.desired.Global != nil {"},
	{Name: "count nodes that are drained", File: "plan/services/nodes.go",
		Old: "return n.Availability == swarm.NodeAvailabilityActive && Fits(", New: "return (BUG || n.Availability == swarm.NodeAvailabilityActive) && Fits("},
}

// TestPlantedBugs, with -search, builds the simulation with all bugs, switches on one at a
// time, and expects a history to fail, from the seed on that is given, that passes without it.
func TestPlantedBugs(t *testing.T) {
	if !*searchFlag {
		t.Log("only the places are checked; make simulate-swarm-bugs looks for the bugs")
		bugtest.Plant(t, "../..", bugs)
		return
	}
	binary := bugtest.Build(t, "../..", bugs)
	for _, b := range bugs {
		f := binary.Finding(t, b.Name, *seedFlag, 400)
		require.NotNil(t, f, "nothing finds: %s", b.Name)
		t.Logf("| %s | %d | %s |", b.Name, f.Seed, f.Message)
	}
	require.Nil(t, binary.Failing(t, "", *seedFlag, 5), "without a bug nothing fails")
}

// TestFirstFailure runs histories until one fails, for TestPlantedBugs.
func TestFirstFailure(t *testing.T) {
	if os.Getenv("PLANTED_BUG") == "" {
		*historiesFlag = min(*historiesFlag, 5)
	}
	bugtest.FirstFailure(t, *seedFlag, *historiesFlag, func(seed uint64) string {
		failed, _ := history(t, seed, false)
		return failed
	})
}
