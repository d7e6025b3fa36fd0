package kubernetes

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/stretchr/testify/assert"
	networkingv1 "k8s.io/api/networking/v1"
	"pgregory.net/rapid"

	"github.com/tendhq/tend/controller/spec"
)

// By the policies two workloads reach each other if and only if they share a network, and
// the world is reached from a network that is not internal.
func TestPoliciesAllowWhatNetworksAllow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := &spec.Project{Name: "shop", Workloads: map[string]*spec.Workload{}, Networks: map[string]spec.Network{}}
		for _, key := range []string{"a", "b_1", "c"} {
			p.Networks["shop_"+key] = spec.Network{Key: key, Name: "shop_" + key, Config: types.NetworkConfig{Internal: rapid.Bool().Draw(t, key+" is internal")}}
		}
		for i := range 4 {
			w := &spec.Workload{Name: fmt.Sprintf("w%d", i), Kind: spec.Deployment, Replicas: 1, Strategy: spec.Strategy{Type: spec.Recreate}}
			w.Template.Networks = map[string]*types.ServiceNetworkConfig{}
			for _, n := range p.Networks {
				if rapid.Bool().Draw(t, w.Name+" is in "+n.Key) {
					w.Template.Networks[n.Key] = nil
				}
			}
			if len(w.Template.Networks) > 0 { // as every service is in one, unless it says otherwise
				p.Workloads[w.Name] = w
			}
		}

		c := check(t, Export(p, nil))
		for _, from := range p.Workloads {
			sends := slices.ContainsFunc(slices.Collect(maps.Keys(from.Template.Networks)), func(key string) bool { return !p.Networks["shop_"+key].Config.Internal })
			assert.Equal(t, sends, reaches(c, from.Name, nil), "%s sends to the world", from.Name)
			for _, to := range p.Workloads {
				shared := slices.ContainsFunc(slices.Collect(maps.Keys(from.Template.Networks)), func(key string) bool { _, in := to.Template.Networks[key]; return in })
				labels := c.deployments[to.Name].Spec.Template.Labels
				assert.Equal(t, shared, reaches(c, from.Name, labels) && admits(c, to.Name, c.deployments[from.Name].Spec.Template.Labels), "%s reaches %s", from.Name, to.Name)
			}
		}
	})
}

// reaches reports whether the policies that select a Deployment let something out to what
// has the labels, at any port; without labels, to the world.
func reaches(c cluster, deployment string, labels map[string]string) bool {
	for _, p := range c.policies {
		if !selects(p.Spec.PodSelector.MatchLabels, c.deployments[deployment].Spec.Template.Labels) {
			continue
		}
		for _, rule := range p.Spec.Egress {
			if len(rule.Ports) == 0 && matches(rule.To, labels) {
				return true
			}
		}
	}
	return false
}

// admits reports whether they let something in from what has the labels.
func admits(c cluster, deployment string, labels map[string]string) bool {
	for _, p := range c.policies {
		if !selects(p.Spec.PodSelector.MatchLabels, c.deployments[deployment].Spec.Template.Labels) {
			continue
		}
		for _, rule := range p.Spec.Ingress {
			if len(rule.Ports) == 0 && matches(rule.From, labels) {
				return true
			}
		}
	}
	return false
}

func matches(peers []networkingv1.NetworkPolicyPeer, labels map[string]string) bool {
	return len(peers) == 0 || labels != nil && slices.ContainsFunc(peers, func(p networkingv1.NetworkPolicyPeer) bool {
		return selects(p.PodSelector.MatchLabels, labels)
	})
}
