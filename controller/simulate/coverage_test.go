package simulate

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/engine/model"
)

// cell is a fault that befalls an operation.
type cell struct{ op, fault string }

// coverage counts how often each cell was reached. The zero value has none.
type coverage struct{ cells map[cell]int }

func (c *coverage) count(op, fault string) { c.addTo(cell{op, fault}, 1) }

func (c *coverage) addTo(at cell, n int) {
	if c.cells == nil {
		c.cells = map[cell]int{}
	}
	c.cells[at] += n
}

func (c *coverage) add(other coverage) {
	for at, n := range other.cells {
		c.addTo(at, n)
	}
}

// operations are all that the loop asks for.
var operations = []model.Op{
	model.OpContainers, model.OpContainer, model.OpCreate, model.OpStart, model.OpStop, model.OpRemove, model.OpSetRestartPolicy, model.OpConnect,
	model.OpLogs, model.OpExec, model.OpImage, model.OpPull, model.OpNetworks, model.OpCreateNetwork, model.OpVolumes,
	model.OpCreateVolume, model.OpStats, model.OpEvents, opLoad, opCommit, opReplace, opTell, model.OpAttach,
}

// matrix is what there is to reach.
func matrix() []cell {
	var all []cell
	for _, op := range operations {
		for _, f := range faults {
			if f.of(&call{op: op}, moods{crash: 1, lies: true, away: true}) {
				all = append(all, cell{string(op), f.name})
			}
		}
	}
	for _, kind := range streamFaults {
		all = append(all, cell{"events", kind})
	}
	for _, kind := range meddling {
		all = append(all, cell{"outsider", kind})
	}
	return append(all, cell{"outsider", "create"}, cell{"spec file", "invalid"}, cell{"volume", "missing"}, cell{"volume", "swapped"},
		cell{"image", "built anew"}, cell{"autoscaler", "scales"}, cell{"service", "taken out and written again"},
		cell{"ingress", "connection breaks"}, cell{"ingress", "connections"}, cell{"ingress", "another release"},
		cell{"joiner", string(core.CreateReplica)}, cell{"joiner", string(core.StartReplica)}, cell{"joiner", "goes first"})
}

// missing are the cells that were not reached.
func (c *coverage) missing() (missing []string) {
	for _, at := range matrix() {
		if c.cells[at] == 0 {
			missing = append(missing, at.op+": "+at.fault)
		}
	}
	return missing
}

// String is a line for each operation.
func (c coverage) String() string {
	var b strings.Builder
	op := ""
	for _, at := range slices.SortedFunc(maps.Keys(c.cells), func(a, b cell) int { return strings.Compare(a.op+"\x00"+a.fault, b.op+"\x00"+b.fault) }) {
		if at.op != op {
			op = at.op
			fmt.Fprintf(&b, "\n  %s: ", op)
		} else {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%s %d", at.fault, c.cells[at])
	}
	return strings.TrimPrefix(b.String(), "\n")
}
