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
