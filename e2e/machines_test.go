//go:build all

package e2e_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/e2e/kit"
	"github.com/tendhq/tend/e2e/kit/kittest"
)

// machines are a Swarm, and a project there that is looked at from one of its managers.
type machines struct {
	*project
	swarm *kit.Swarm
}

// newMachines starts three managers and two workers, with a project that is looked at from the
// manager of that index.
func newMachines(t *testing.T, from int, content files) *machines {
	s := kittest.NewSwarm(t, 3, 2)
	for _, n := range s.Nodes {
		require.NoError(t, n.Copy(t.Context(), docker.Client, probe, newProbe))
	}
	return &machines{project: newProjectOn(t, engine{s.Nodes[from].Client}, content), swarm: s}
}

// on is a command of tend on a machine.
func (m *machines) on(n *kit.Node, args ...string) []string {
	return slices.Concat(n.Inside(), []string{tend, "--host", n.DaemonHost()}, args)
}

// tendOn runs a command of tend on a machine to its end.
func (m *machines) tendOn(n *kit.Node, args ...string) result {
	m.t.Helper()
	command := m.on(n, args...)
	return m.exec(command[0], command[1:]...)
}

// startOn starts a command of tend on a machine.
func (m *machines) startOn(n *kit.Node, args ...string) *process {
	m.t.Helper()
	command := m.on(n, args...)
	return m.startProgram(command[0], command[1:]...)
}
