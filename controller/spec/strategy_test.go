package spec_test

import (
	"testing"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/stretchr/testify/assert"

	"github.com/tendhq/tend/controller/spec"
)

func TestPercentagesAreRoundedAsInKubernetes(t *testing.T) {
	percent := func(n int) spec.Amount { return spec.Amount{Percent: n} }
	count := func(n int) spec.Amount { return spec.Amount{Count: n} }
	for _, c := range []struct {
		surge, unavailable spec.Amount
		replicas           int
		want               spec.Strategy
	}{
		{percent(25), percent(25), 1, spec.Strategy{Type: spec.RollingUpdate, MaxSurge: 1, MaxUnavailable: 0}},
		{percent(25), percent(25), 4, spec.Strategy{Type: spec.RollingUpdate, MaxSurge: 1, MaxUnavailable: 1}},
		{percent(25), percent(25), 10, spec.Strategy{Type: spec.RollingUpdate, MaxSurge: 3, MaxUnavailable: 2}},
		{percent(0), percent(10), 5, spec.Strategy{Type: spec.RollingUpdate, MaxSurge: 0, MaxUnavailable: 1}}, // both come to 0
		{percent(25), percent(25), 0, spec.Strategy{Type: spec.RollingUpdate, MaxSurge: 0, MaxUnavailable: 1}},
		{percent(100), percent(100), 3, spec.Strategy{Type: spec.RollingUpdate, MaxSurge: 3, MaxUnavailable: 3}},
		{count(2), count(9), 3, spec.Strategy{Type: spec.RollingUpdate, MaxSurge: 2, MaxUnavailable: 3}},
	} {
		assert.Equal(t, c.want, spec.Rolling(c.surge, c.unavailable, c.replicas))
	}
}

// 0.29 of a core is less than 290 thousandths as Compose's number, and is meant to be those.
func TestCoresAreRoundedToThousandths(t *testing.T) {
	w := &spec.Workload{Template: types.ServiceConfig{CPUS: 0.29, MemLimit: 64}}
	assert.EqualValues(t, 290, w.CPULimit())
	assert.EqualValues(t, 290, w.CPURequest(), "what may be used is given, where nothing is kept")
	w.Template.Deploy = &types.DeployConfig{Resources: types.Resources{
		Limits: &types.Resource{NanoCPUs: 0.57, MemoryBytes: 128}, Reservations: &types.Resource{NanoCPUs: 0.1, MemoryBytes: 32},
	}}
	w.Template.MemLimit = 0
	assert.EqualValues(t, 570, w.CPULimit())
	assert.EqualValues(t, 100, w.CPURequest())
	assert.EqualValues(t, 128, w.MemoryLimit())
	assert.EqualValues(t, 32, w.MemoryRequest())
}
