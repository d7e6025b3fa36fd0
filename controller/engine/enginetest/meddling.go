package enginetest

import (
	"fmt"
	"slices"

	"pgregory.net/rapid"

	"github.com/tendhq/tend/controller/engine"
)

// An engine refuses what makes no sense in ways that do not concern tend, so outsiders
// do only what makes sense.

// which draws one of the containers that is selects.
func (p *pair) which(t *rapid.T, is func(container) bool) (c container, ok bool) {
	candidates := slices.DeleteFunc(slices.Clone(p.now.Containers), func(c container) bool { return !is(c) })
	if len(candidates) == 0 {
		return c, false
	}
	return draw(t, "container", candidates...), true
}

func existing(c container) bool { return c.State != "" }
func running(c container) bool  { return c.State == engine.Running }
func paused(c container) bool   { return c.State == engine.Paused }
func alive(c container) bool    { return running(c) || paused(c) }

// outsider has somebody meddle with a container, on both sides.
func (p *pair) outsider(what string, c container, meddle func(s *side, id string)) {
	p.Helper()
	_ = p.do(fmt.Sprintf("%s #%d", what, c.Number), func(s *side) (any, error) {
		meddle(s, s.ids[c.Number])
		return nil, nil
	})
}

func (p *pair) kill(t *rapid.T) bool {
	return p.meddle(t, "kill", alive, func(s *side, id string) { s.Outsider.Kill(p, id) })
}

func (p *pair) exit(t *rapid.T) bool {
	c, ok := p.which(t, running)
	if ok {
		code := draw(t, "code", 0, 1, 3)
		p.outsider(fmt.Sprintf("exit %d of", code), c, func(s *side, id string) { s.Outsider.Exit(p, id, code) })
	}
	return ok
}

func (p *pair) setHealth(t *rapid.T) bool {
	c, ok := p.which(t, func(c container) bool { return running(c) && c.Health != engine.NoHealthCheck })
	if ok {
		h := draw(t, "health", engine.Healthy, engine.Unhealthy)
		p.outsider(string(h), c, func(s *side, id string) { s.Outsider.SetHealth(p, id, h) })
	}
	return ok
}

func (p *pair) pause(t *rapid.T) bool {
	return p.meddle(t, "pause", running, func(s *side, id string) { s.Outsider.Pause(p, id) })
}

func (p *pair) unpause(t *rapid.T) bool {
	return p.meddle(t, "unpause", paused, func(s *side, id string) { s.Outsider.Unpause(p, id) })
}

func (p *pair) removeByForce(t *rapid.T) bool {
	return p.meddle(t, "rm -f", existing, func(s *side, id string) { s.Outsider.Remove(p, id) })
}

func (p *pair) rename(t *rapid.T) bool {
	c, ok := p.which(t, existing)
	name := draw(t, "name", names...)
	if !ok || p.taken(name) {
		return false
	}
	p.outsider("rename to "+name, c, func(s *side, id string) { s.Outsider.Rename(p, id, s.named(name)) })
	return true
}

// meddle draws one of the containers that fits selects, and does something to it.
func (p *pair) meddle(t *rapid.T, what string, fits func(container) bool, act func(s *side, id string)) bool {
	c, ok := p.which(t, fits)
	if ok {
		p.outsider(what, c, act)
	}
	return ok
}

func (p *pair) taken(name string) bool {
	return slices.ContainsFunc(p.now.Containers, func(c container) bool { return c.Name == p.sides[0].named(name) })
}

func (p *pair) join(t *rapid.T) bool {
	c, network, ok := p.whichNetwork(t, false)
	if ok {
		p.outsider("join "+network+":", c, func(s *side, id string) { s.Outsider.Join(p, id, network) })
	}
	return ok
}

func (p *pair) leave(t *rapid.T) bool {
	c, network, ok := p.whichNetwork(t, true)
	if ok {
		p.outsider("leave "+network+":", c, func(s *side, id string) { s.Outsider.Leave(p, id, network) })
	}
	return ok
}

// whichNetwork draws a network, and a container that has joined it or has not.
func (p *pair) whichNetwork(t *rapid.T, joined bool) (c container, network string, ok bool) {
	network = p.sides[0].named(draw(t, "network", keys...))
	if !slices.ContainsFunc(p.now.Networks, func(n object) bool { return n.Name == network }) {
		return c, network, false
	}
	c, ok = p.which(t, func(c container) bool {
		_, none := c.Networks["none"]
		_, in := c.Networks[network]
		return !none && in == joined && !p.made[c.Number].publishes
	})
	return c, network, ok
}
