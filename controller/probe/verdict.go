package probe

import (
	"time"

	"github.com/tendhq/tend/controller/spec"
)

// verdict turns single results into an opinion, as the kubelet does: it takes
// FailureThreshold failures or SuccessThreshold successes in a row to change it.
type verdict struct {
	passed  bool
	streak  int       // results in a row against passed
	message string    // of the last failure, as long as it has not passed
	since   time.Time // when passed changed
}

// add takes one result.
func (v *verdict) add(p spec.Probe, err error, now time.Time) {
	if passes := err == nil; passes == v.passed {
		v.streak = 0
	} else {
		v.streak++
		threshold := p.FailureThreshold
		if passes {
			threshold = p.SuccessThreshold
		}
		if v.streak >= threshold {
			*v = verdict{passed: passes, since: now}
		}
	}
	if err != nil && !v.passed {
		v.message = err.Error()
	}
}
