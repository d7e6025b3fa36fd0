package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tendhq/tend/controller/swarm/convert"
	"github.com/tendhq/tend/controller/swarm/manager/docker"
)

// The engines of --engine.
const (
	dockerEngine = "docker"
	swarmEngine  = "swarm"
	modelEngine  = "model"
)

// ofOneMachine are the commands that have no meaning on a Swarm.
var ofOneMachine = []string{"build", "pull", "release", "simulate", "ingress", "kill", "doctor", "migrate"}

// chooseEngine checks --engine, and has a project read for it.
func (f *flags) chooseEngine(c *cobra.Command) error {
	switch {
	case f.engine == dockerEngine:
	case f.engine == modelEngine && c.Name() == "run":
	case f.engine == modelEngine:
		return usage(c, fmt.Errorf("only run keeps a project in memory"))
	case f.engine != swarmEngine:
		return usage(c, fmt.Errorf("there is no engine %q: docker keeps containers, swarm services, and model keeps a project in memory", f.engine))
	case slices.Contains(ofOneMachine, c.Name()):
		return usage(c, fmt.Errorf("%s does not work on a Swarm, and neither do %s", c.Name(), strings.Join(ofOneMachine, ", ")))
	default:
		f.spec.Adapt = convert.Adapt
	}
	return nil
}

// swarm makes a client of the Swarm's manager, and fails where there is none.
func (f *flags) swarm(ctx context.Context) (*docker.Manager, error) {
	m, err := docker.New(f.host)
	if err != nil {
		return nil, err
	}
	if _, err := m.Info(ctx); err != nil {
		return nil, errors.Join(err, m.Close())
	}
	return m, nil
}
