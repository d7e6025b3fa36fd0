package controller

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/engine/model"
	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/state/durable/durabletest"
)

const scaledWeb = `
web:
  image: plain:1
  deploy: {resources: {limits: {cpus: "0.5", memory: 100M}}}`

// scaledBy is a spec of web with two to eight replicas that follows some metrics.
func scaledBy(metrics string, more ...string) string {
	return `kind: Deployment
metadata: {name: web}
spec:
  replicas: 3
` + strings.Join(more, "\n") + `
  autoscaling:
    minReplicas: 2
    maxReplicas: 8
    metrics: ` + metrics

}

const halfTheCPU = `[{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 50}}}]`

// under lets time pass in which the replicas share a load, in cores.
func (w *world) under(load float64, d time.Duration) {
	w.t.Helper()
	for ; d > 0; d -= time.Second {
		all, err := w.engine.Containers(w.ctx, "p")
		assert.NoError(w.t, err)
		for _, c := range all {
			if c.State == engine.Running {
				w.engine.SetUse(c.ID, load/float64(w.running()), 0)
			}
		}
		w.pass(time.Second)
	}
}

func TestReplicasFollowTheCPU(t *testing.T) {
	inWorld(t, func(w *world) {
		w.write(scaledWeb, scaledBy(halfTheCPU))
		w.converge()
		assert.Equal(t, 3, w.running(), "it begins with what is written")
		w.under(1.2, 8*time.Minute) // 1.2 cores are half of what 4.8 replicas are given
		assert.Equal(t, 5, w.running())
		assert.True(t, w.heard("web Autoscaled: from 3 to "))
		w.under(100, 8*time.Minute)
		assert.Equal(t, 8, w.running(), "maxReplicas")
		w.under(0.1, 4*time.Minute)
		assert.Equal(t, 8, w.running(), "the stabilisation window has not passed")
		w.under(0.1, 3*time.Minute)
		assert.Equal(t, 2, w.running(), "minReplicas")
		scale := w.ctl.State().Snapshot().Scale("web")
		assert.Equal(t, core.TooFewReplicas, scale.Reason)
		assert.Equal(t, "cpu is 10%, and the target is 50%, which asks for 1, and minReplicas is 2", scale.Message)
	})
}

func TestTheNumberOutlastsARestart(t *testing.T) {
	inWorld(t, func(w *world) {
		w.stop()
		w.durable = &durabletest.Memory{}
		w.start()
		w.write(scaledWeb, scaledBy(halfTheCPU))
		w.converge()
		w.under(1.8, 6*time.Minute)
		assert.Equal(t, 7, w.running())
		w.restart()
		w.write(scaledWeb, scaledBy(halfTheCPU))
		w.converge()
		assert.Equal(t, 7, w.running())
		w.under(1.8, 2*time.Minute)
		assert.Equal(t, 7, w.running())
	})
}

// What tend has lost is not in force again with what is written: that is where it began.
func TestALostStateChangesNoNumber(t *testing.T) {
	inWorld(t, func(w *world) {
		w.write(scaledWeb, scaledBy(halfTheCPU))
		w.converge()
		w.under(1.8, 6*time.Minute)
		assert.Equal(t, 7, w.running())
		other := w.engine.Truth()[0]
		other.Name, other.Labels = "other", maps.Clone(other.Labels)
		delete(other.Labels, spec.LabelContainerNumber) // a stranger's, which is none of the replicas
		w.engine.Put(other, model.Behavior{})
		w.converge()
		w.writes()
		w.restart()
		w.write(scaledWeb, scaledBy(halfTheCPU))
		w.under(1.8, 2*time.Minute)
		assert.Equal(t, 7, w.running())
		assert.Empty(t, w.writes())
	})
}

func TestAnEditedBoundIsInForceAtOnce(t *testing.T) {
	inWorld(t, func(w *world) {
		w.write(scaledWeb, scaledBy(halfTheCPU))
		w.under(1.2, 8*time.Minute)
		w.write(scaledWeb, strings.Replace(scaledBy(halfTheCPU), "maxReplicas: 8", "maxReplicas: 4", 1))
		w.converge()
		assert.Equal(t, 4, w.running())
		w.write(scaledWeb, "kind: Deployment\nmetadata: {name: web}\nspec: {replicas: 1}")
		w.converge()
		assert.Equal(t, 1, w.running(), "without autoscaling it is what is written")
		w.write(scaledWeb, strings.Replace(scaledBy(halfTheCPU), "replicas: 3", "replicas: 0", 1))
		w.under(0, time.Minute)
		assert.Zero(t, w.running(), "with none written there is no autoscaling")
	})
}

// A rollout keeps to maxSurge and maxUnavailable of the number at the time.
func TestARolloutKeepsItsBoundsWhileTheNumberChanges(t *testing.T) {
	inWorld(t, func(w *world) {
		rolling := "  minReadySeconds: 20\n  strategy: {rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}"
		w.write(scaledWeb, scaledBy(halfTheCPU, rolling))
		w.converge()
		w.write(strings.Replace(scaledWeb, "plain:1", "plain:2", 1), scaledBy(halfTheCPU, rolling))
		for range 300 {
			w.under(1.2, time.Second)
			wanted := 3
			if s := w.ctl.State().Snapshot().Scale("web"); s != nil {
				wanted = s.Replicas
			}
			assert.LessOrEqual(t, len(w.containers()), wanted+1)
			assert.GreaterOrEqual(t, w.running(), 3)
		}
		w.converge()
		assert.Equal(t, 5, w.running())
	})
}

func TestAnEventTellsOfMetricsThatAreMissing(t *testing.T) {
	inWorld(t, func(w *world) {
		w.write(scaledWeb, scaledBy(`[{type: Prometheus, prometheus: {url: "http://127.0.0.1:1", query: up, target: {type: Value, value: 1}}}]`))
		w.converge()
		w.pass(45 * time.Second)
		assert.False(t, w.heard("MetricsMissing"))
		w.pass(10 * time.Minute)
		assert.True(t, w.heard(`web MetricsMissing: the number of replicas stays at 3: "up" cannot be read: `))
		assert.Equal(t, 3, w.running())
		count := 0
		for _, e := range w.events {
			if strings.Contains(e, "MetricsMissing") {
				count++
			}
		}
		assert.Equal(t, 1, count, "once")
	})
}

// This one runs in real time, as it asks a server.
func TestReplicasFollowAQuery(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		assert.Equal(t, "sum(jobs)", r.URL.Query().Get("query"))
		fmt.Fprint(w, `{"status": "success", "data": {"resultType": "vector", "result": [{"metric": {}, "value": [0, "90"]}, {"metric": {}, "value": [0, "10.5"]}]}}`)
	}))
	defer server.Close()
	read := AskPrometheus(t.Context(), specOf(t, server.URL))
	assert.InDelta(t, 100.5, read["web"][0].Value, 1e-9)
	assert.Empty(t, read["web"][0].Error)
}

func specOf(t *testing.T, url string) map[string][]spec.Metric {
	t.Helper()
	return map[string][]spec.Metric{"web": {{Type: spec.Prometheus, URL: url, Query: "sum(jobs)", AverageValue: 10}}}
}
