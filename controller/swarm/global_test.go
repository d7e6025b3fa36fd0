package swarm_test

import (
	"context"
	"testing"
	"time"

	swarmapi "github.com/docker/docker/api/types/swarm"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/logs"
)

// names are the beginnings of the names of a workload's replicas.
func (w *world) names(workload string) (all []string) {
	for _, r := range w.ctl.State().Snapshot().Replicas(workload) {
		all = append(all, r.Name[:len("shop_web.node1")])
	}
	return all
}

// A replica on each node has the name of the node, and follows what becomes of the nodes also
// while all has converged.
func TestAReplicaOnEachNodeIsNamedAfterIt(t *testing.T) {
	inTime(t, func(w *world) {
		w.LabelNode("node1", "role", "edge")
		w.LabelNode("node4", "role", "edge")
		w.start(`services: {web: {image: "web:1", deploy: {mode: global, placement: {constraints: [node.labels.role == edge]}}}}`)
		w.converges()
		assert.ElementsMatch(t, []string{"shop_web.node1", "shop_web.node4"}, w.names("web"))
		assert.Equal(t, 2, w.status("web").Desired)
		var lines []string
		require.NoError(t, w.ctl.Logs(context.Background(), "web", false, logs.Options{}, func(l logs.Line) error {
			lines = append(lines, l.Replica[:len("shop_web.node1")])
			return nil
		}))
		assert.ElementsMatch(t, []string{"shop_web.node1", "shop_web.node4"}, lines)

		w.LabelNode("node2", "role", "edge")
		time.Sleep(time.Minute)
		assert.Equal(t, 3, w.status("web").Desired)
		assert.True(t, w.status("web").Converged)
		assert.ElementsMatch(t, []string{"shop_web.node1", "shop_web.node2", "shop_web.node4"}, w.names("web"))
		w.SetAvailability("node4", swarmapi.NodeAvailabilityDrain)
		time.Sleep(time.Minute)
		assert.Equal(t, 2, w.status("web").Desired)
		assert.True(t, w.status("web").Converged)
		assert.ElementsMatch(t, []string{"shop_web.node1", "shop_web.node2"}, w.names("web"))
	})
}
