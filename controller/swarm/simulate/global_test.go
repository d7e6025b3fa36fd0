package simulate

import (
	"fmt"
	"testing"
	"time"

	swarmapi "github.com/docker/docker/api/types/swarm"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/spec"
)

// Whatever becomes of a node while what runs on each is updated, and whenever: all other nodes
// get the next revision, and it is not taken back.
func TestANodeThatIsLostInAnUpdateHoldsUpNobody(t *testing.T) {
	harms := map[string]func(*world, string){
		"is drained":        func(w *world, node string) { w.swarm.SetAvailability(node, swarmapi.NodeAvailabilityDrain) },
		"stops":             func(w *world, node string) { w.swarm.StopNode(node) },
		"is cut off":        func(w *world, node string) { w.swarm.CutNode(node) },
		"leaves for good":   func(w *world, node string) { w.swarm.RemoveNode(node) },
		"is paused":         func(w *world, node string) { w.swarm.SetAvailability(node, swarmapi.NodeAvailabilityPause) },
		"rests for a while": func(*world, string) {},
	}
	const each = 11 * time.Second // for a task of web:3 to get healthy, and the pause after it
	for harm, do := range harms {
		for i, node := range []string{"node1", "node4", "node6"} {
			if harm == "leaves for good" && node != "node6" {
				continue // it would take data with it
			}
			for _, after := range []time.Duration{2 * time.Second, 4*time.Second + time.Duration(2*i)*each, 4*time.Second + time.Duration(2*i+1)*each} {
				t.Run(fmt.Sprintf("%s %s after %s", node, harm, after), func(t *testing.T) {
					failed, told := inWorld(t, files, 0, true, func(w *world) {
						w.swarm.AddNode("node6", swarmapi.NodeRoleWorker)
						w.start()
						w.idle(time.Minute)
						w.written = w.written.clone()
						w.written.images["agent"] = "3"
						w.write()
						w.idle(after)
						do(w, node)
						w.idle(4 * time.Minute)
						if has := w.runAgent("web:3", node); has != 5 {
							w.tellAll()
							w.fail("5 other nodes are to have the next revision, and %d have", has)
						}
						w.rest()
					})
					require.Empty(t, failed, told)
				})
			}
		}
	}
}

// runAgent counts the nodes other than one that run an image of agent.
func (w *world) runAgent(image, but string) (n int) {
	for _, t := range w.judge.truth.Tasks {
		c := t.Spec.ContainerSpec
		if c.Labels[spec.LabelService] == "agent" && unpinned(c.Image) == image && t.State == swarmapi.TaskStateRunning && w.judge.node(t.NodeID) != but {
			n++
		}
	}
	return n
}
