package plan

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/spec"
)

func TestAPortThatAContainerPublishesIsNoReasonToWait(t *testing.T) {
	w := newWorld()
	ingress := defaults(spec.Ingress)
	ingress.Strategy = spec.Strategy{Type: spec.Recreate}
	ingress.Backend = &spec.Backend{Service: "web", HostPort: spec.HostPort{First: 8080, Last: 8080, Target: 80}}
	w.apply(ingress)
	w.neighbours = holders("shop-web-1")
	s := Compute(w.input()).Status
	assert.Equal(t, core.OutcomeConverged, s.Outcome)
	assert.Equal(t, "host port 8080 is published by shop-web-1: it is held through updates once that has been replaced, when it closes for a moment", s.Obstacle)
	assert.Equal(t, "`tend rollout restart web` replaces it at a time of your choosing", s.Remedy)
}

// Whoever has a port, or takes it when it is started again, is told of by name.
func TestAPortIsHeldByWhoeverTakesIt(t *testing.T) {
	port := spec.HostPort{First: 8080, Last: 8080, Target: 80}
	ingress := &spec.Workload{Kind: spec.Ingress, Replicas: 1, Backend: &spec.Backend{Service: "web", HostPort: port}}
	neighbour := func(name string, state core.State, ports ...string) core.Replica {
		return core.Replica{Name: name, State: state, HostPorts: ports}
	}
	in := Input{Neighbours: []core.Replica{
		neighbour("web-3", core.Running, "0.0.0.0:8080/tcp"), neighbour("web-2", core.Exited, "0.0.0.0:53/udp", "127.0.0.1:8080/tcp"),
		neighbour("web-1", core.Paused, "[::]:8080/tcp"), neighbour("web-4", core.Created, "0.0.0.0:8080/tcp"),
		neighbour("web-5", core.Running, "0.0.0.0:8081/tcp"), neighbour("web-6", core.Exited, "0.0.0.0:8081/tcp"),
	}}
	assert.Equal(t, []string{"web-1", "web-2", "web-3"}, in.portHolders(ingress))
	assert.Empty(t, in.portHolders(nil))
	assert.Empty(t, in.portHolders(&spec.Workload{Kind: spec.Deployment}))

	assert.Zero(t, in.afterHolders(ingress).Replicas)
	assert.Equal(t, 1, ingress.Replicas)
	for _, r := range []core.Replica{{State: core.Running}, {State: core.Created, InFlight: core.CreateReplica}} {
		in.Replicas = []core.Replica{r}
		assert.Same(t, ingress, in.afterHolders(ingress), "it keeps the port that it has")
	}
	for _, r := range []core.Replica{{State: core.Exited}, {State: core.Exited, InFlight: core.RemoveReplica}} {
		in.Replicas = []core.Replica{r}
		assert.Zero(t, in.afterHolders(ingress).Replicas)
	}
}

// An ingress has one name, whatever its number: while what is left of it cannot be removed,
// there is no other one.
func TestAnIngressHasOneNumber(t *testing.T) {
	ingress := defaults(spec.Ingress)
	ingress.Strategy = spec.Strategy{Type: spec.Recreate}
	ingress.Backend = &spec.Backend{Service: "web", HostPort: spec.HostPort{First: 8080, Last: 8080, Target: 80}}
	left := core.Replica{Workload: "web:8080", Kind: spec.Ingress, Number: 1, Name: "shop-web-8080-ingress", ID: "a", Revision: ingress.Revision, State: core.Created, Created: noon.Add(-time.Minute)}
	in := Input{
		Now: noon, Workload: "web:8080", Spec: ingress, Replicas: []core.Replica{left},
		Rollout: core.Rollout{Workload: "web:8080", Revision: ingress.Revision, Tries: map[string]core.Try{"a": {State: core.Created, Count: 2, At: noon, Error: "removal is already in progress"}}},
	}
	assert.Empty(t, Compute(in).Actions)
	in.Replicas = nil
	assert.Len(t, Compute(in).Actions, 1)
}
