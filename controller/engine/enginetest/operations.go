package enginetest

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/tendhq/tend/controller/engine"
)

// The operations are about these objects. Names are few, so that they meet.
var (
	names    = []string{"1", "2", "3"}
	keys     = []string{"a", "b"} // of networks
	volume   = "v"
	absent   = "absent"
	runnable = []string{Runs, SlowStop, Stubborn}
)

// draw draws one of some values, each about as likely as the others; rapid.SampledFrom
// prefers the first ones.
func draw[V any](t *rapid.T, what string, from ...V) V {
	return from[rapid.Uint64().Draw(t, what)%uint64(len(from))]
}

// any draws any container, a removed one included, but mostly one that mostly selects.
func (p *pair) any(t *rapid.T, mostly func(container) bool) (number int, ok bool) {
	var numbers []int
	for number := range p.made {
		c := p.now.container(number)
		if existing(c) || number == len(p.made)-4 {
			numbers = append(numbers, number)
		}
		if existing(c) && mostly(c) {
			numbers = append(numbers, slices.Repeat([]int{number}, 8)...)
		}
	}
	if len(numbers) == 0 {
		return 0, false
	}
	return draw(t, "container", numbers...), true
}

func (s *side) spec(name string, service types.ServiceConfig) engine.ContainerSpec {
	spec := engine.ContainerSpec{
		Name: s.named(name), Project: s.Project, Service: service, Labels: s.labels(),
		Networks: map[string]string{}, Volumes: map[string]string{volume: s.named(volume)},
	}
	for _, key := range keys {
		spec.Networks[key] = s.named(key)
	}
	return spec
}

func (p *pair) create(t *rapid.T) bool {
	if !slices.ContainsFunc(names, func(name string) bool { return !p.taken(name) }) {
		return false
	}
	candidates := append(slices.Clone(names), "not/a/name")
	for _, name := range names {
		if !p.taken(name) {
			candidates = append(candidates, slices.Repeat([]string{name}, 8)...)
		}
	}
	name := draw(t, "name", candidates...)
	image := draw(t, "image", append(slices.Repeat(runnable, 5), Broken, absent)...)
	networks := draw(t, "networks", nil, []string{"a"}, []string{"b"}, []string{"a", "b"})
	mounts, checked := draw(t, "mounts", false, false, true), draw(t, "checked", false, true)
	publishes := len(networks) > 0 && draw(t, "publishes", false, true)
	restarts := draw(t, "restarts", false, false, true)

	service := types.ServiceConfig{Name: "s", NetworkMode: "none"}
	if len(networks) > 0 {
		service.NetworkMode, service.Networks = "", map[string]*types.ServiceNetworkConfig{}
		for _, key := range networks {
			service.Networks[key] = nil
		}
	}
	if mounts {
		service.Volumes = []types.ServiceVolumeConfig{{Type: types.VolumeTypeVolume, Source: volume, Target: "/data"}}
	}
	if checked {
		service.HealthCheck = healthCheck()
	}
	if publishes {
		service.Ports = []types.ServicePortConfig{{HostIP: "127.0.0.1", Published: strconv.Itoa(p.port), Target: 80, Protocol: "tcp"}}
	}
	what := fmt.Sprintf("create #%d %s of %s, networks %v, mounts %t, checked %t, publishes %t, restarts %t",
		len(p.made), name, image, networks, mounts, checked, publishes, restarts)
	err := p.do(what, func(s *side) (any, error) {
		service.Image = s.Image(image)
		spec := s.spec(name, service)
		if restarts {
			spec.RestartPolicy = "unless-stopped"
		}
		id, err := s.Engine.Create(p.Context(), spec)
		if err == nil {
			s.ids = append(s.ids, id)
		}
		return nil, err
	})
	if err == nil {
		p.made = append(p.made, &made{image: image, publishes: publishes})
	}
	return true
}

func (p *pair) start(t *rapid.T) bool {
	number, ok := p.any(t, func(c container) bool { return !alive(c) })
	if !ok || p.made[number].refused {
		return false
	}
	err := p.do(fmt.Sprintf("start #%d", number), func(s *side) (any, error) {
		return nil, s.Engine.Start(p.Context(), s.ids[number])
	})
	p.made[number].refused = err != nil && p.now.container(number).State != engine.Paused
	return true
}

func (p *pair) stop(t *rapid.T) bool {
	number, ok := p.any(t, alive)
	if !ok {
		return false
	}
	grace := time.Minute
	if p.made[number].image == Stubborn {
		grace = draw(t, "grace", 0, time.Second)
	}
	_ = p.do(fmt.Sprintf("stop #%d within %s", number, grace), func(s *side) (any, error) {
		return nil, s.Engine.Stop(p.Context(), s.ids[number], grace)
	})
	return true
}

func (p *pair) remove(t *rapid.T) bool {
	number, ok := p.any(t, existing)
	if !ok {
		return false
	}
	_ = p.do(fmt.Sprintf("remove #%d", number), func(s *side) (any, error) {
		return nil, s.Engine.Remove(p.Context(), s.ids[number], true)
	})
	return true
}

func (p *pair) disableRestart(t *rapid.T) bool {
	number, ok := p.any(t, func(c container) bool { return c.RestartPolicy != "no" })
	if !ok {
		return false
	}
	_ = p.do(fmt.Sprintf("disable the restarts of #%d", number), func(s *side) (any, error) {
		return nil, s.Engine.SetRestartPolicy(p.Context(), s.ids[number], "no")
	})
	return true
}

func (p *pair) exec(t *rapid.T) bool {
	number, ok := p.any(t, running)
	if !ok {
		return false
	}
	code := draw(t, "code", 0, 7)
	_ = p.do(fmt.Sprintf("exec in #%d", number), func(s *side) (any, error) {
		var output bytes.Buffer
		e := command("-say=said", fmt.Sprintf("-code=%d", code))
		e.Stdout = &output
		code, err := s.Engine.Exec(p.Context(), s.ids[number], e)
		return fmt.Sprint(code, output.String()), err
	})
	return true
}

func (p *pair) inspect(t *rapid.T) bool {
	number, ok := p.any(t, existing)
	if !ok {
		return false
	}
	_ = p.do(fmt.Sprintf("inspect #%d", number), func(s *side) (any, error) {
		_, err := s.Engine.Container(p.Context(), s.ids[number])
		return nil, err
	})
	return true
}

func (p *pair) createNetwork(t *rapid.T) bool {
	p.makeNetwork(draw(t, "network", keys...))
	return true
}

func (p *pair) makeNetwork(key string) {
	_ = p.do("create network "+key, func(s *side) (any, error) {
		return nil, s.Engine.CreateNetwork(p.Context(), engine.NetworkSpec{Name: s.named(key), Labels: s.labels()})
	})
}

func (p *pair) removeNetwork(t *rapid.T) bool {
	key := draw(t, "network", keys...)
	_ = p.do("remove network "+key, func(s *side) (any, error) { return nil, s.removeNetwork(p, key) })
	return true
}

// removeNetwork removes a network as tend does, by its ID.
func (s *side) removeNetwork(t T, key string) error {
	networks, err := s.Engine.Networks(t.Context(), s.Project)
	require.NoError(t, err)
	for _, n := range networks {
		if n.Name == s.named(key) {
			return s.Engine.RemoveNetwork(t.Context(), n.ID)
		}
	}
	return nil
}

func (p *pair) createVolume(*rapid.T) bool {
	_ = p.do("create volume", func(s *side) (any, error) {
		return nil, s.Engine.CreateVolume(p.Context(), engine.VolumeSpec{Name: s.named(volume), Labels: s.labels()})
	})
	return true
}

func (p *pair) removeVolume(*rapid.T) bool {
	_ = p.do("remove volume", func(s *side) (any, error) {
		return nil, s.Engine.RemoveVolume(p.Context(), s.named(volume))
	})
	return true
}
