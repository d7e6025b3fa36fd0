package kit

import "github.com/tendhq/tend/api"

// AtRest reports whether what runs of a workload is what is written.
func AtRest(w api.Workload) bool {
	return w.Status.ObservedGeneration == w.Metadata.Generation && w.Status.Converged
}

// RolledBack reports whether a workload is kept at another revision than the wanted one,
// as that has failed.
func RolledBack(w api.Workload) bool {
	return w.Status.UpdateRevision != w.Status.WantedRevision
}
