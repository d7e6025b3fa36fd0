package controller

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/state"
)

// scaleCollector tells of the autoscaler's last decisions.
type scaleCollector struct{ store *state.Store }

var (
	scaleBoundsDesc = prometheus.NewDesc("tend_autoscaler_replicas", "Replicas of a workload that is scaled by metrics: min, max and desired.", []string{"workload", "bound"}, nil)
	scaleActiveDesc = prometheus.NewDesc("tend_autoscaler_active", "1 while the metrics of a workload can be read, so far as a decision needs them.", []string{"workload"}, nil)
)

// Describe implements prometheus.Collector.
func (c *scaleCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- scaleBoundsDesc
	ch <- scaleActiveDesc
}

// Collect implements prometheus.Collector.
func (c *scaleCollector) Collect(ch chan<- prometheus.Metric) {
	snap := c.store.Snapshot()
	for _, s := range snap.Scales() {
		row, written := snap.Workload(s.Workload)
		if !written || !row.Spec.Autoscaled() {
			continue
		}
		a := row.Spec.Autoscaling
		for bound, n := range map[string]int{"min": a.MinReplicas, "max": a.MaxReplicas, "desired": a.Bound(s.Replicas)} {
			ch <- prometheus.MustNewConstMetric(scaleBoundsDesc, prometheus.GaugeValue, float64(n), s.Workload, bound)
		}
		ch <- prometheus.MustNewConstMetric(scaleActiveDesc, prometheus.GaugeValue, gauge(s.Reason != core.MetricsMissing), s.Workload)
	}
}
