package observe

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/plan"
	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/state"
)

// Anybody can write labels. Whatever they are, there is a plan, and a container whose
// number was not written by Compose or tend is left alone: two labels that read as one
// number would be two containers of it.
func FuzzLabels(f *testing.F) {
	for _, number := range []string{"1", "2", "01", "+1", " 1", "0", "-1", "1e0", "99999999999999999999", "x", ""} {
		f.Add("web", number, "rev1", "", "db:service_healthy:true", "False", "running")
	}
	f.Add("web", "1", "rev1", "migrate", ":::,,a", "True", "exited")
	f.Add("", "1", "", "", "", "", "dead")
	f.Fuzz(func(t *testing.T, service, number, revision, hook, dependsOn, oneoff, status string) {
		now := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
		c := engine.Container{
			ID: "a1", Name: "shop-web-1", State: engine.State(status), Created: now, StartedAt: now,
			Labels: map[string]string{
				spec.LabelProject: "shop", spec.LabelService: service, spec.LabelContainerNumber: number, spec.LabelRevision: revision,
				spec.LabelHook: hook, spec.LabelDependsOn: dependsOn, spec.LabelOneoff: oneoff,
			},
		}
		store := state.New(func([]state.Change) {})
		store.Update(func(tx *state.Tx) { (&Observer{ends: newEnds()}).put(tx, c) })
		snap := store.Snapshot()
		in := plan.Input{Now: now.Add(time.Hour), Workload: service}
		for _, r := range snap.Replicas("") {
			require.NotEmpty(t, service)
			in.Replicas = append(in.Replicas, r.Replica)
		}
		for _, h := range snap.HookRuns("") {
			require.Zero(t, h.Number, "a hook is no replica of any number")
			in.HookRuns = append(in.HookRuns, h.HookRun)
		}
		for _, s := range []*spec.Workload{nil, {Name: service, Kind: spec.Deployment, Replicas: 1, Revision: "rev2"}, {Name: service, Kind: spec.Database, Replicas: 1, Revision: "rev2"}} {
			in.Spec = s
			p := plan.Compute(in)
			n, err := strconv.Atoi(number)
			corrupt := err != nil || n < 1 || strconv.Itoa(n) != number
			for _, a := range p.Actions {
				require.False(t, corrupt && a.ID == c.ID && hook == "", "%s on a container of number %q", a, number)
			}
		}
	})
}
