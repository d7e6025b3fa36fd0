package load

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"go.yaml.in/yaml/v3"

	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/controller/spec/syntax"
)

// maxChains bounds the chains of dependencies. compose-go looks for a cycle by
// following each of them from each service, and where every service of one layer needs
// every one of the next, they multiply.
const maxChains = 1_000_000

// veryMany is where counting stops.
const veryMany = 1 << 40

// checkChains refuses dependencies whose chains compose-go could not follow in time.
func (l *loading) checkChains() spec.Errors {
	c := chains{needs: map[string]map[string]bool{}, from: map[string]int{}}
	for _, s := range l.sources {
		if len(s.at) > 0 {
			c.add(s.at[1], s.root)
			continue
		}
		_, services := syntax.Entry(s.root, "services")
		for name, service := range syntax.Pairs(services) {
			c.add(name.Value, service)
		}
	}
	all, most := 0, ""
	for _, name := range slices.Sorted(maps.Keys(c.needs)) {
		n := c.count(name)
		if all += n; n > c.from[most] {
			most = name
		}
	}
	if all <= maxChains {
		return nil
	}
	e := l.sources.locate("services", most, "depends_on")
	e.Message = fmt.Sprintf("the services have more than %d chains of dependencies, and Compose follows each; most begin here", maxChains)
	e.Hint = "have a service depend on what it needs itself, and not on what that needs in turn"
	return spec.Errors{e}
}

// chains counts chains of dependencies.
type chains struct {
	needs map[string]map[string]bool
	// from is how many chains begin with a service, up to veryMany.
	from map[string]int
}

// add adds the services that a service needs by any of its keys, as compose-go does.
func (c *chains) add(service string, definition *yaml.Node) {
	needs := c.needs[service]
	if needs == nil {
		needs = map[string]bool{}
		c.needs[service] = needs
	}
	_, dependsOn := syntax.Entry(definition, "depends_on")
	for name := range syntax.Pairs(dependsOn) {
		needs[name.Value] = true
	}
	for _, key := range []string{"depends_on", "links", "volumes_from"} {
		_, list := syntax.Entry(definition, key)
		for _, n := range items(list) {
			name, _, _ := strings.Cut(n.Value, ":")
			needs[name] = true
		}
	}
	for _, key := range []string{"network_mode", "ipc", "pid", "uts", "cgroup"} {
		if _, n := syntax.Entry(definition, key); n != nil {
			if name, ok := strings.CutPrefix(n.Value, types.ServicePrefix); ok {
				needs[name] = true
			}
		}
	}
}

// count returns how many chains begin with a service. It leaves a cycle to compose-go
// to refuse.
func (c *chains) count(service string) int {
	if n, known := c.from[service]; known {
		return n
	}
	c.from[service] = 0 // while it is being counted
	n := 1
	for name := range c.needs[service] {
		n = min(n+c.count(name), veryMany)
	}
	c.from[service] = n
	return n
}
