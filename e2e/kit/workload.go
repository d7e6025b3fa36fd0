package kit

import (
	"slices"

	"github.com/tendhq/tend/api"
)

// AtRest reports whether what runs of a workload is what is written.
func AtRest(w api.Workload) bool {
	return w.Status.ObservedGeneration == w.Metadata.Generation && w.Status.Converged
}

// RolledBack reports whether the revision that is written was given up.
func RolledBack(w api.Workload) bool {
	return slices.ContainsFunc(w.Status.Conditions, func(c api.Condition) bool { return c.Reason == "RolledBack" })
}
