package model_test

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/tendhq/tend/controller/swarm/manager"
	"github.com/tendhq/tend/controller/swarm/manager/managertest"
	"github.com/tendhq/tend/controller/swarm/manager/model"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func imageOf(name string) string { return name + ":1" }

// newSwarm makes a Swarm that has the suite's images.
func newSwarm(t *testing.T) *model.Swarm {
	t.Helper()
	s := model.New()
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	for name, behavior := range managertest.Images {
		s.AddImage(imageOf(name), behavior)
	}
	return s
}

func TestConformance(t *testing.T) {
	var projects atomic.Int64
	managertest.Run(t, func(t *testing.T) managertest.Harness {
		outside := newSwarm(t)
		outside.Refuse(manager.ErrNoSwarm)
		return managertest.Harness{Manager: newSwarm(t), Outside: outside, Project: fmt.Sprintf("p%d", projects.Add(1)), Image: imageOf}
	})
}
