package plan

import (
	"testing"

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
