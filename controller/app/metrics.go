package app

import (
	"runtime"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tendhq/tend/controller/recorder"
)

// describe adds the metrics of the process around the controller.
func describe(r prometheus.Registerer, version string, recording *recorder.Recorder) {
	r.MustRegister(
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "tend_build_info", Help: "1, with the version of tend and of Go.",
			ConstLabels: prometheus.Labels{"version": version, "goversion": runtime.Version()},
		}, func() float64 { return 1 }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "tend_recorder_queue_depth", Help: "Plans that wait to be recorded.",
		}, func() float64 { return float64(recording.Waiting()) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "tend_recorder_dropped_total", Help: "Plans that were not recorded, as more came than could be written.",
		}, func() float64 { return float64(recording.Dropped()) }),
	)
}
