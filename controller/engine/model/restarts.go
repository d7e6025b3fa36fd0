package model

import (
	"strconv"
	"strings"
	"time"

	"github.com/tendhq/tend/controller/engine"
)

// The engine's restart policies.
const (
	noRestart            = "no"
	restartAlways        = "always"
	restartUnlessStopped = "unless-stopped"
	restartOnFailure     = "on-failure"
)

// The engine waits longer before each restart, until a run has lasted.
const (
	firstBackoff = 100 * time.Millisecond
	maxBackoff   = time.Minute
	lasted       = 10 * time.Second
)

// engineRestarts reports whether the engine starts a container again whose process has
// just ended.
func (c *instance) engineRestarts() bool {
	policy, most, _ := strings.Cut(c.RestartPolicy, ":")
	limit, _ := strconv.Atoi(most)
	switch policy {
	case restartAlways, restartUnlessStopped:
		return !c.signalled
	case restartOnFailure:
		return !c.signalled && c.ExitCode != 0 && (limit == 0 || c.RestartCount < limit)
	default:
		return false
	}
}

// restart starts a container again after a while.
func (e *Engine) restart(c *instance) {
	if c.FinishedAt.Sub(c.StartedAt) >= lasted {
		c.restartDelay = 0
	}
	c.restartDelay = min(max(2*c.restartDelay, firstBackoff), maxBackoff)
	run := c.run
	e.agenda.After(c.restartDelay, func() {
		if c.run != run || c.State != engine.Restarting {
			return
		}
		if err := e.start(c, false); err != nil {
			c.State = engine.Exited
			c.ended()
		}
	})
}
