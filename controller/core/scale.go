package core

import "time"

// Scale is what the autoscaler has decided for a workload, and all that its next decision
// depends on.
type Scale struct {
	// Replicas is how many are wanted, since ScaledAt; zero where that never changed.
	Replicas int
	ScaledAt time.Time
	// Recommendations are those within the stabilisation windows, and Changes those within
	// the periods of the policies, oldest first.
	Recommendations []Recommendation
	Changes         []ScaleChange
	// Metrics are those of the last decision, in the order of the spec.
	Metrics []ScaleMetric
	// Reason and Message tell why it is Replicas, and not more or less.
	Reason, Message string
	// Since is when Reason began to hold; Warned is true once an event has told that the
	// metrics are missing.
	Since  time.Time
	Warned bool
}

// Recommendation is the number of replicas that the metrics asked for at an instant.
type Recommendation struct {
	At       time.Time
	Replicas int
}

// ScaleChange is a change of the wanted number; below 0 where there are fewer since.
type ScaleChange struct {
	At time.Time
	By int
}

// ScaleMetric is a metric as it was read last.
type ScaleMetric struct {
	// Name, Current and Target are in words; Current is empty where it is not known.
	Name, Current, Target string
	// Replicas is how many it asks for.
	Replicas int
	// Error is why it could not be read; empty where it could.
	Error string
}

// The reasons of a Scale. All but MetricsMissing are those of
// Kubernetes' conditions.
const (
	WithinRange         = "DesiredWithinRange"
	ScaleUpStabilized   = "ScaleUpStabilized"
	ScaleDownStabilized = "ScaleDownStabilized"
	ScaleUpLimit        = "ScaleUpLimit"
	ScaleDownLimit      = "ScaleDownLimit"
	TooManyReplicas     = "TooManyReplicas"
	TooFewReplicas      = "TooFewReplicas"
	MetricsMissing      = "MetricsMissing"
)
