package model

import (
	"time"

	"github.com/tendhq/tend/controller/engine"
)

// Docker's health checks: how often they are made where nobody says, and how
// many results are kept.
const (
	probeInterval = 30 * time.Second
	probesKept    = 5
)

// beginHealth has the health check of a container begin.
func (e *Engine) beginHealth(c *instance) {
	c.Health, c.HealthySince = engine.Starting, time.Time{}
	result := engine.Healthy
	if c.behavior.Sick {
		result = engine.Unhealthy
	}
	e.inRun(c, c.behavior.HealthAfter, func() { e.setHealth(c, result) })
}

func (e *Engine) setHealth(c *instance, h engine.Health) {
	if c.Health == h {
		return
	}
	c.Health = h
	switch {
	case h != engine.Healthy:
		c.HealthySince = time.Time{}
	case c.HealthySince.IsZero():
		c.HealthySince = e.agenda.Now
	}
	e.emit(c, "health_status")
}

// doubtHealth is what Docker does after a pause: it says that a container is
// healthy, and tells of it, only after another probe.
func (e *Engine) doubtHealth(c *instance) {
	if c.Health != engine.Healthy {
		return
	}
	c.Health = engine.Starting
	e.inRun(c, c.interval, func() {
		if c.Health == engine.Starting {
			e.setHealth(c, engine.Healthy)
		}
	})
}

// health is what Docker says of it at the given instant.
func (c *instance) health(now time.Time) (h engine.Health, since time.Time) {
	switch {
	case c.Health == engine.NoHealthCheck:
		return engine.NoHealthCheck, since
	case c.State != engine.Running:
		return engine.Starting, since
	case c.Health != engine.Healthy:
		return c.Health, since
	}
	// What came before the probes that are still remembered is forgotten.
	forgotten := max(now.Sub(c.HealthySince)/c.interval-(probesKept-1), 0)
	return engine.Healthy, c.HealthySince.Add(forgotten * c.interval)
}
