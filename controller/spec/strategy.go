package spec

import (
	"fmt"
	"strconv"
	"strings"
)

// Amount is a number of replicas, or a percentage of them.
type Amount struct{ Count, Percent int }

// ParsePercent reads "25%".
func ParsePercent(s string) (Amount, error) {
	digits, found := strings.CutSuffix(s, "%")
	n, err := strconv.ParseUint(digits, 10, 16)
	if !found || err != nil {
		return Amount{}, fmt.Errorf("%q is not a percentage", s)
	}
	return Amount{Percent: int(n)}, nil
}

// IsZero reports whether the amount is 0, of any number of replicas.
func (a Amount) IsZero() bool { return a.Count == 0 && a.Percent == 0 }

func (a Amount) roundedUp(replicas int) int   { return a.Count + (a.Percent*replicas+99)/100 }
func (a Amount) roundedDown(replicas int) int { return a.Count + a.Percent*replicas/100 }

// Rolling resolves a rolling update as Kubernetes does.
func Rolling(maxSurge, maxUnavailable Amount, replicas int) Strategy {
	s := Strategy{Type: RollingUpdate, MaxUnavailable: min(maxUnavailable.roundedDown(replicas), replicas)}
	return s.WithSurge(maxSurge.roundedUp(replicas))
}

// Global is the update strategy of a Deployment with deploy.mode: global. Each node of a
// Swarm runs one replica of it, and one machine runs one.
type Global struct {
	// MaxSurge and MaxUnavailable are as they are written, for any number of nodes.
	MaxSurge, MaxUnavailable Amount
}

// WithSurge returns the strategy with so many containers beyond those wanted. Without
// any, one container has to go before the next can come.
func (s Strategy) WithSurge(surge int) Strategy {
	s.MaxSurge = surge
	if surge == 0 && s.MaxUnavailable == 0 {
		s.MaxUnavailable = 1
	}
	return s
}
