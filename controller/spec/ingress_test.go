package spec

import (
	"testing"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/stretchr/testify/assert"
)

func TestPortsInARowAreOne(t *testing.T) {
	port := func(ip, published string, target uint32) types.ServicePortConfig {
		return types.ServicePortConfig{HostIP: ip, Published: published, Target: target, Protocol: "tcp"}
	}
	for _, c := range []struct {
		name  string
		ports []types.ServicePortConfig
		want  []string
	}{
		{"a written range", []types.ServicePortConfig{port("", "8000", 80), port("", "8001", 81), port("", "8002", 82)}, []string{"8000-8002"}},
		{"to one port", []types.ServicePortConfig{port("", "8000", 80), port("", "8001", 80)}, []string{"8000", "8001"}},
		{"with a gap", []types.ServicePortConfig{port("", "8000", 80), port("", "8002", 82)}, []string{"8000", "8002"}},
		{"of two addresses", []types.ServicePortConfig{port("127.0.0.1", "8000", 80), port("::1", "8001", 81)}, []string{"127.0.0.1:8000", "[::1]:8001"}},
		{"written twice", []types.ServicePortConfig{port("", "8000", 80), port("", "8000", 80)}, []string{"8000"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := &Workload{Name: "web", Kind: Deployment, Template: types.ServiceConfig{Ports: c.ports}}
			var got []string
			for _, h := range w.HostPorts() {
				got = append(got, h.String())
			}
			assert.Equal(t, c.want, got)
			assert.Empty(t, w.DirectPorts())
		})
	}
}

func TestAPortOverlapsWhatHasItsAddress(t *testing.T) {
	for _, c := range []struct {
		ip, published string
		want          bool
	}{
		{"", "0.0.0.0:8080/tcp", true},
		{"", "127.0.0.1:8081/tcp", true},
		{"127.0.0.1", "0.0.0.0:8080/tcp", true},
		{"127.0.0.1", "127.0.0.1:8080/tcp", true},
		{"127.0.0.1", "10.0.0.1:8080/tcp", false},
		{"", "[::1]:8080/tcp", true},
		{"", "0.0.0.0:8080/udp", false},
		{"", "0.0.0.0:8082/tcp", false},
		{"", "0.0.0.0:8000-9000/tcp", false}, // the engine chooses
	} {
		h := HostPort{IP: c.ip, First: 8080, Last: 8081}
		assert.Equal(t, c.want, h.Overlaps(c.published), "%s and %s", h, c.published)
	}
}

// Where a port leads to and what it speaks reaches a running ingress; who has it does not.
func TestOnlyAnotherPortWantsAnotherIngress(t *testing.T) {
	revision := func(image string, port types.ServicePortConfig, networks ...string) string {
		s := types.ServiceConfig{Ports: []types.ServicePortConfig{port}, Networks: map[string]*types.ServiceNetworkConfig{}}
		for _, n := range networks {
			s.Networks[n] = nil
		}
		web := &Workload{Name: "web", Kind: Deployment, Template: s}
		p := &Project{Workloads: map[string]*Workload{"web": web}}
		for _, w := range NewIngresses(p, web, image, false) {
			p.Workloads[w.Name] = w
		}
		assert.NoError(t, p.SetHashes())
		for name, w := range p.Workloads {
			if name != "web" {
				return w.Revision
			}
		}
		return ""
	}
	port := types.ServicePortConfig{Published: "8080", Target: 80, Protocol: "tcp"}
	one := revision("tend/ingress:1", port, "default")
	assert.NotEmpty(t, one)
	elsewhere, speaking, public := port, port, port
	elsewhere.Target, speaking.AppProtocol, public.HostIP = 3000, "http", "10.0.0.1"
	assert.Equal(t, one, revision("tend/ingress:2", port, "default"), "another tend")
	assert.Equal(t, one, revision("tend/ingress:1", elsewhere, "default"), "another target")
	assert.Equal(t, one, revision("tend/ingress:1", speaking, "default"), "another protocol")
	assert.NotEqual(t, one, revision("tend/ingress:1", public, "default"), "another address")
	assert.Equal(t, one, revision("tend/ingress:1", port, "default", "back"), "another network")
}

// The port is published on a network where it is reached, and the engine is told so, as
// another one may be joined later that it would take instead.
func TestAnIngressPublishesOnANetworkThatIsNotInternal(t *testing.T) {
	p := &Project{Networks: map[string]Network{"shop_a": {Config: types.NetworkConfig{Internal: true}}, "shop_b": {}, "shop_c": {}}}
	for _, c := range []struct {
		networks []string
		want     string
	}{
		{[]string{"c", "a", "b"}, "b"},
		{[]string{"a"}, "a"},
	} {
		w := &Workload{Name: "web", Kind: Deployment, NetworkKeys: map[string]string{}, Template: types.ServiceConfig{
			Ports: []types.ServicePortConfig{{Published: "8080", Target: 80, Protocol: "tcp"}}, Networks: map[string]*types.ServiceNetworkConfig{},
		}}
		for _, key := range c.networks {
			w.NetworkKeys["shop_"+key] = key
			w.Template.Networks[key] = &types.ServiceNetworkConfig{Priority: 7, GatewayPriority: 7}
		}
		ingress := NewIngresses(p, w, "tend/ingress:1", false)[0]
		assert.Equal(t, "shop_"+c.want, ingress.Backend.Network)
		assert.Len(t, ingress.Template.Networks, len(c.networks))
		for key, n := range ingress.Template.Networks {
			assert.Equal(t, key == c.want, n != nil && n.GatewayPriority == 1, key)
		}
	}
}
