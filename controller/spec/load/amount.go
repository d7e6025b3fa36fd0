package load

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/tendhq/tend/controller/spec"
)

// amount is a number of replicas, or a percentage of them.
type amount struct {
	count, percent int
}

// parsePercent reads "25%".
func parsePercent(s string) (amount, error) {
	digits, found := strings.CutSuffix(s, "%")
	n, err := strconv.ParseUint(digits, 10, 16)
	if !found || err != nil {
		return amount{}, fmt.Errorf("%q is not a percentage", s)
	}
	return amount{percent: int(n)}, nil
}

func (a amount) zero() bool { return a.count == 0 && a.percent == 0 }

func (a amount) roundedUp(replicas int) int   { return a.count + (a.percent*replicas+99)/100 }
func (a amount) roundedDown(replicas int) int { return a.count + a.percent*replicas/100 }

// rolling resolves a rolling update as Kubernetes does.
func rolling(maxSurge, maxUnavailable amount, replicas int) spec.Strategy {
	s := spec.Strategy{Type: spec.RollingUpdate, MaxUnavailable: min(maxUnavailable.roundedDown(replicas), replicas)}
	return s.WithSurge(maxSurge.roundedUp(replicas))
}
