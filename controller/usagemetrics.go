package controller

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tendhq/tend/controller/plan"
	"github.com/tendhq/tend/controller/usage"
	"github.com/tendhq/tend/state"
)

// usageCollector turns the samples of the replicas into metrics. A scrape has samples
// taken for as long as scrapes go on.
type usageCollector struct {
	store   *state.Store
	sampler *usage.Sampler
}

var (
	ofReplica = []string{"workload", "replica"}

	cpuDesc              = prometheus.NewDesc("tend_container_cpu_seconds_total", "CPU time that a replica's container has used.", ofReplica, nil)
	periodsDesc          = prometheus.NewDesc("tend_container_cpu_periods_total", "Periods in which a container with a limit on the CPU wanted to run.", ofReplica, nil)
	throttledPeriodsDesc = prometheus.NewDesc("tend_container_cpu_throttled_periods_total", "Periods in which it reached its limit.", ofReplica, nil)
	throttledDesc        = prometheus.NewDesc("tend_container_cpu_throttled_seconds_total", "How long its processes have waited for that, added up over cores.", ofReplica, nil)
	memoryDesc           = prometheus.NewDesc("tend_container_memory_bytes", "The working set of a replica's container.", ofReplica, nil)
	memoryLimitDesc      = prometheus.NewDesc("tend_container_memory_limit_bytes", "The limit on its memory, or what the machine has.", ofReplica, nil)
	receivedDesc         = prometheus.NewDesc("tend_container_network_received_bytes_total", "Bytes that a replica's container has received.", ofReplica, nil)
	sentDesc             = prometheus.NewDesc("tend_container_network_sent_bytes_total", "Bytes that it has sent.", ofReplica, nil)
)

// Describe implements prometheus.Collector.
func (c *usageCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		cpuDesc, periodsDesc, throttledPeriodsDesc, throttledDesc, memoryDesc, memoryLimitDesc, receivedDesc, sentDesc,
	} {
		ch <- d
	}
}

// Collect implements prometheus.Collector. Of two containers of one number, as a person can
// make them, the one that was created last is told of.
func (c *usageCollector) Collect(ch chan<- prometheus.Metric) {
	type replica struct {
		workload string
		number   int
	}
	last := map[replica]*state.Replica{}
	for _, row := range c.store.Snapshot().Replicas("") {
		of := replica{row.Workload, row.Number}
		if before := last[of]; plan.IsRunning(row.Replica) && (before == nil || row.Created.After(before.Created)) {
			last[of] = row
		}
	}
	samples := c.sampler.Latest()
	for of, row := range last {
		s, sampled := samples[row.ID]
		if !sampled {
			continue
		}
		send := func(d *prometheus.Desc, kind prometheus.ValueType, value float64) {
			ch <- prometheus.MustNewConstMetric(d, kind, value, of.workload, strconv.Itoa(of.number))
		}
		send(cpuDesc, prometheus.CounterValue, s.CPU.Seconds())
		send(periodsDesc, prometheus.CounterValue, float64(s.Periods))
		send(throttledPeriodsDesc, prometheus.CounterValue, float64(s.Throttled))
		send(throttledDesc, prometheus.CounterValue, s.ThrottledFor.Seconds())
		send(memoryDesc, prometheus.GaugeValue, float64(s.Memory))
		send(memoryLimitDesc, prometheus.GaugeValue, float64(s.MemoryLimit))
		send(receivedDesc, prometheus.CounterValue, float64(s.Received))
		send(sentDesc, prometheus.CounterValue, float64(s.Sent))
	}
}

// running are the IDs of the replicas that run.
func (c *Controller) running() (ids []string) {
	for _, row := range c.store.Snapshot().Replicas("") {
		if plan.IsRunning(row.Replica) {
			ids = append(ids, row.ID)
		}
	}
	return ids
}
