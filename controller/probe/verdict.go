package probe

import (
	"time"

	"github.com/tendhq/tend/controller/spec"
)

// verdict turns single results into an opinion, as the kubelet does: it takes
// FailureThreshold failures or SuccessThreshold successes in a row to change it.
type verdict struct {
	passed  bool
	streak  int // results in a row against passed
	message string
	since   time.Time
}

// add takes one result and says whether the opinion changed.
func (v *verdict) add(p spec.Probe, err error, now time.Time) bool {
	if (err == nil) == v.passed {
		v.streak = 0
		return false
	}
	v.streak++
	threshold := p.SuccessThreshold
	if err != nil {
		threshold = p.FailureThreshold
	}
	if v.streak < threshold {
		return false
	}
	*v = verdict{passed: err == nil, since: now}
	if err != nil {
		v.message = err.Error()
	}
	return true
}
