package probe

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/tendhq/tend/controller/spec"
)

// Each result is + or -, and so is the verdict after it.
func TestThresholdsCountResultsInARow(t *testing.T) {
	for _, c := range []struct {
		name             string
		passed           bool
		success, failure int
		results, want    string
	}{
		{"readiness begins unready", false, 1, 3, "-----", "-----"},
		{"one success is enough", false, 1, 3, "--+-+", "--+++"},
		{"three failures in a row", true, 1, 3, "--+--+---+", "++++++++-+"},
		{"two successes in a row", false, 2, 1, "+-++-+++", "---+--++"},
		{"liveness begins live", true, 1, 2, "-+--", "+++-"},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := verdict{passed: c.passed}
			p := spec.Probe{SuccessThreshold: c.success, FailureThreshold: c.failure}
			got := ""
			for _, r := range c.results {
				var err error
				if r == '-' {
					err = errors.New("no")
				}
				v.add(p, err, time.Time{})
				if v.passed {
					got += "+"
				} else {
					got += "-"
				}
			}
			assert.Equal(t, c.want, got)
		})
	}
}

func TestVerdictKeepsWhenItChangedAndWhyItFailedLast(t *testing.T) {
	p := spec.Probe{SuccessThreshold: 1, FailureThreshold: 2}
	at := func(second int64) time.Time { return time.Unix(second, 0) }
	v := verdict{}
	v.add(p, errors.New("refused"), at(1))
	assert.Equal(t, verdict{message: "refused"}, v)
	v.add(p, nil, at(2))
	assert.Equal(t, verdict{passed: true, since: at(2)}, v)
	v.add(p, errors.New("slow"), at(3))
	assert.Equal(t, verdict{passed: true, since: at(2), streak: 1}, v)
	v.add(p, errors.New("slower"), at(4))
	assert.Equal(t, verdict{since: at(4), message: "slower"}, v)
	v.add(p, errors.New("gone"), at(5))
	assert.Equal(t, verdict{since: at(4), message: "gone"}, v)
}
