package cli

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tendhq/tend/api"
	"github.com/tendhq/tend/controller/core"
)

// goals are the states that wait waits for.
var goals = map[string]func(api.Workload) (bool, error){
	"converged": func(w api.Workload) (bool, error) { return current(w) && w.Status.Converged, nil },
	"available": func(w api.Workload) (bool, error) { return current(w) && holds(w, core.Available), nil },
	"complete": func(w api.Workload) (bool, error) {
		if current(w) && holds(w, core.Failed) {
			return false, fmt.Errorf("%s: %s", w.Metadata.Name, w.Status.Obstacle)
		}
		return current(w) && holds(w, core.Complete), nil
	},
}

// current reports whether a status was made from the present spec.
func current(w api.Workload) bool { return w.Status.ObservedGeneration == w.Metadata.Generation }

// holds reports whether a condition is true.
func holds(w api.Workload, t core.ConditionType) bool {
	return slices.ContainsFunc(w.Status.Conditions, func(c api.Condition) bool {
		return c.Type == string(t) && c.Status == "True"
	})
}

func newWait(f *flags) *cobra.Command {
	var goal string
	c := &cobra.Command{
		Use:   "wait WORKLOAD…",
		Short: "Wait until workloads are converged, available or complete",
		Long: `Wait until workloads are converged, available or, of a Job, complete.

It ends with 1 where no more waiting can help, or after --timeout, and says what is in the way.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			reached, ok := goals[goal]
			if !ok {
				return usage(c, fmt.Errorf("--for takes one of %s, and not %q", strings.Join(slices.Sorted(maps.Keys(goals)), ", "), goal))
			}
			controller, err := f.dial()
			if err != nil {
				return err
			}
			tell := newNarrator("wait")
			defer tell.close()
			return f.await(c.Context(), controller, args, tell, reached)
		},
	}
	c.Flags().StringVar(&goal, "for", "converged", "what to wait for: converged, available, or (a Job) complete")
	must(c.RegisterFlagCompletionFunc("for", states))
	f.waits(c.Flags())
	return c
}
