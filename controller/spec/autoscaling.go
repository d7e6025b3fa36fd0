package spec

import (
	"cmp"
	"math"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
)

// Autoscaling is between which numbers of replicas, and by what, a Deployment is scaled. The
// fields and their meaning are those of Kubernetes autoscaling/v2.
type Autoscaling struct {
	MinReplicas, MaxReplicas int
	Metrics                  []Metric
	ScaleUp, ScaleDown       ScalingRules
	// MaxSurge and MaxUnavailable are those of a rolling update as they are written, as
	// percentages are of the replicas at the time.
	MaxSurge, MaxUnavailable Amount
}

// MetricType is what a metric is read from.
type MetricType string

// The metrics.
const (
	// CPU and Memory are what the engine says that the replicas use.
	CPU    MetricType = "cpu"
	Memory MetricType = "memory"
	// Requests is how many requests, or connections where the port does not speak HTTP,
	// come in at the service's ingresses in a second.
	Requests MetricType = "requestsPerSecond"
	// Prometheus is the answer to a query.
	Prometheus MetricType = "prometheus"
	// Cron is the time.
	Cron MetricType = "cron"
)

// Metric is one measure that the number of replicas follows. Exactly one of Utilization,
// Value, AverageValue and Schedule is not zero.
type Metric struct {
	Type MetricType
	// Utilization is the percentage of what they are given that replicas are to use on
	// average; of CPU and Memory.
	Utilization int
	// Value is what all replicas together are to have, and AverageValue what each is to
	// have on average; of Requests (AverageValue) and Prometheus.
	Value, AverageValue float64
	// URL is where Prometheus is, and Query what it is asked.
	URL, Query string
	// Schedule is when how many replicas are wanted; of Cron.
	Schedule Schedule
}

// PolicySelect says which one of several policies bounds a change.
type PolicySelect string

// The choices of autoscaling/v2.
const (
	MaxChange      PolicySelect = "Max"
	MinChange      PolicySelect = "Min"
	DisabledChange PolicySelect = "Disabled"
)

// ScalingRules bound the changes in one direction.
type ScalingRules struct {
	// Window is for how long recommendations are looked back at.
	Window       time.Duration
	SelectPolicy PolicySelect
	Policies     []ScalingPolicy
	// Tolerance is how far, as a part of the target, a metric may be off it without a change.
	Tolerance float64
}

// ScalingPolicy bounds the change within a period, by a number of replicas or a percentage
// of those that there were at its beginning.
type ScalingPolicy struct {
	Amount Amount
	Period time.Duration
}

// DefaultScaleUp and DefaultScaleDown are the rules of Kubernetes where none are written.
var (
	DefaultScaleUp = ScalingRules{
		SelectPolicy: MaxChange, Tolerance: 0.1,
		Policies: []ScalingPolicy{{Amount: Amount{Count: 4}, Period: 15 * time.Second}, {Amount: Amount{Percent: 100}, Period: 15 * time.Second}},
	}
	DefaultScaleDown = ScalingRules{
		Window: 300 * time.Second, SelectPolicy: MaxChange, Tolerance: 0.1,
		Policies: []ScalingPolicy{{Amount: Amount{Percent: 100}, Period: 15 * time.Second}},
	}
)

// Bound returns the number nearest to n that is allowed.
func (a *Autoscaling) Bound(n int) int { return min(max(n, a.MinReplicas), a.MaxReplicas) }

// Autoscaled reports whether the number of replicas is decided by the autoscaler. As in
// Kubernetes it is not while no replicas are written.
func (w *Workload) Autoscaled() bool { return w.Autoscaling != nil && w.Replicas > 0 }

// WithReplicas returns the workload with another number of replicas, and the percentages
// of a rollout of that.
func (w *Workload) WithReplicas(n int) *Workload {
	scaled := *w
	scaled.Replicas = n
	if w.Strategy.Type == RollingUpdate {
		reason := w.Strategy.Reason
		scaled.Strategy = Rolling(w.Autoscaling.MaxSurge, w.Autoscaling.MaxUnavailable, n)
		scaled.Strategy.Reason = reason
	}
	return &scaled
}

// CPURequest is what a container of the template is given, in thousandths of a core, as
// Kubernetes means a request: the reservation, or else the limit; 0 where neither is written.
func (w *Workload) CPURequest() int64 {
	return cmp.Or(milli(float32(w.resources().Reservations.NanoCPUs)), w.CPULimit())
}

// CPULimit is what a container of the template may use, in thousandths of a core; 0 where
// nothing is written.
func (w *Workload) CPULimit() int64 {
	return milli(cmp.Or(float32(w.resources().Limits.NanoCPUs), w.Template.CPUS))
}

// milli are cores in thousandths. Compose reads them with seven digits.
func milli(cores float32) int64 { return int64(math.Round(float64(cores) * 1000)) }

// MemoryRequest is the same of the memory, in bytes.
func (w *Workload) MemoryRequest() int64 {
	return cmp.Or(int64(cmp.Or(w.resources().Reservations.MemoryBytes, w.Template.MemReservation)), w.MemoryLimit())
}

// MemoryLimit is the memory that a container of the template may use, in bytes; 0 where
// nothing is written.
func (w *Workload) MemoryLimit() int64 {
	return int64(cmp.Or(w.resources().Limits.MemoryBytes, w.Template.MemLimit))
}

// resources are those of deploy, without a nil in them.
func (w *Workload) resources() (r struct{ Limits, Reservations types.Resource }) {
	if w.Template.Deploy == nil {
		return r
	}
	if l := w.Template.Deploy.Resources.Limits; l != nil {
		r.Limits = *l
	}
	if l := w.Template.Deploy.Resources.Reservations; l != nil {
		r.Reservations = *l
	}
	return r
}
