package kubernetes

import (
	"maps"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"pgregory.net/rapid"

	"github.com/tendhq/tend/controller/spec"
)

// What a spec says in Kubernetes' words comes out as it went in.
func TestASpecIsExportedAsItIs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := deployments.Draw(t, "workload")
		p := &spec.Project{Name: "shop", Workloads: map[string]*spec.Workload{w.Name: w}}
		d := check(t, Export(p, nil)).deployments[w.Name]
		require.NotNil(t, d, "it has its name")

		assert.EqualValues(t, w.Replicas, *d.Spec.Replicas)
		assert.EqualValues(t, w.MinReady/time.Second, d.Spec.MinReadySeconds)
		assert.EqualValues(t, w.ProgressDeadline/time.Second, *d.Spec.ProgressDeadlineSeconds)
		assert.EqualValues(t, w.RevisionHistoryLimit, *d.Spec.RevisionHistoryLimit)
		assert.Equal(t, w.Paused, d.Spec.Paused)
		assert.EqualValues(t, w.Strategy.Type, d.Spec.Strategy.Type)
		if w.Strategy.Type == spec.RollingUpdate {
			assert.Equal(t, w.Strategy.MaxSurge, d.Spec.Strategy.RollingUpdate.MaxSurge.IntValue())
			assert.Equal(t, w.Strategy.MaxUnavailable, d.Spec.Strategy.RollingUpdate.MaxUnavailable.IntValue())
		} else {
			assert.Nil(t, d.Spec.Strategy.RollingUpdate)
		}
		c := d.Spec.Template.Spec.Containers[0]
		sameProbe(t, w.Probes.Startup, c.StartupProbe)
		sameProbe(t, w.Probes.Readiness, c.ReadinessProbe)
		sameProbe(t, w.Probes.Liveness, c.LivenessProbe)
		sameContainer(t, w, d, c)
	})
}

// sameContainer holds a container to its template.
func sameContainer(t *rapid.T, w *spec.Workload, d *appsv1.Deployment, c corev1.Container) {
	assert.Equal(t, w.Image, c.Image)
	assert.EqualValues(t, (w.StopGrace+w.Drain)/time.Second, *d.Spec.Template.Spec.TerminationGracePeriodSeconds)
	require.Len(t, c.Args, len(w.Template.Command))
	for i, word := range w.Template.Command {
		assert.Equal(t, word, expand(c.Args[i]))
	}
	env := map[string]string{}
	for _, v := range c.Env {
		require.Nil(t, v.ValueFrom)
		env[v.Name] = expand(v.Value)
	}
	want := map[string]string{}
	for name, value := range w.Template.Environment {
		want[name] = *value
	}
	assert.Equal(t, want, env)
	limit := resource.NewQuantity(int64(w.Template.MemLimit), resource.BinarySI)
	assert.Zero(t, limit.Cmp(c.Resources.Limits[corev1.ResourceMemory]))
}

// expand is what Kubernetes makes of a text that names no variable that there is:
// https://github.com/kubernetes/kubernetes/blob/v1.34.2/third_party/forked/golang/expansion/expand.go
func expand(text string) string {
	out := []byte{}
	for i := 0; i < len(text); i++ {
		out = append(out, text[i])
		if text[i] == '$' && i+1 < len(text) && text[i+1] == '$' {
			i++
		}
	}
	return string(out)
}

func sameProbe(t *rapid.T, want *spec.Probe, got *corev1.Probe) {
	if want == nil {
		assert.Nil(t, got)
		return
	}
	require.NotNil(t, got)
	assert.EqualValues(t, want.InitialDelay/time.Second, got.InitialDelaySeconds)
	assert.EqualValues(t, want.Period/time.Second, got.PeriodSeconds)
	assert.EqualValues(t, want.Timeout/time.Second, got.TimeoutSeconds)
	assert.EqualValues(t, want.SuccessThreshold, got.SuccessThreshold)
	assert.EqualValues(t, want.FailureThreshold, got.FailureThreshold)
	switch {
	case want.HTTPGet != nil:
		assert.Equal(t, want.HTTPGet.Path, got.HTTPGet.Path)
		assert.Equal(t, want.HTTPGet.Port, got.HTTPGet.Port.IntValue())
		headers := map[string]string{}
		for _, h := range got.HTTPGet.HTTPHeaders {
			headers[h.Name] = h.Value
		}
		assert.Equal(t, want.HTTPGet.Headers, headers)
	case want.TCPSocket != nil:
		assert.Equal(t, want.TCPSocket.Port, got.TCPSocket.Port.IntValue())
	case want.Exec != nil:
		require.Len(t, got.Exec.Command, len(want.Exec.Command))
		for i, word := range want.Exec.Command {
			assert.Equal(t, word, expand(got.Exec.Command[i]))
		}
	}
}

// text has what YAML and Kubernetes might read as something else.
var text = rapid.OneOf(
	rapid.StringMatching(`[$(){}A-Z]{0,8}`),
	rapid.StringMatching(`[ -~\n\té]{0,20}`),
	rapid.SampledFrom([]string{"", "yes", "null", "~", "0x1f", "1e3", "1:30", "- a", "a: b", "007", "2001-01-01", "<<", "\r\n", "#", " x"}),
)

// probeOf draws probes that pass after at most so many successes in a row.
func probeOf(mostSuccesses int) *rapid.Generator[*spec.Probe] {
	return rapid.Custom(func(t *rapid.T) *spec.Probe {
		whole := func(label string, least int) time.Duration {
			return time.Duration(rapid.IntRange(least, 600).Draw(t, label)) * time.Second
		}
		p := &spec.Probe{
			InitialDelay: whole("initialDelaySeconds", 0), Period: whole("periodSeconds", 1), Timeout: whole("timeoutSeconds", 1),
			SuccessThreshold: rapid.IntRange(1, mostSuccesses).Draw(t, "successThreshold"), FailureThreshold: rapid.IntRange(1, 9).Draw(t, "failureThreshold"),
		}
		n := rapid.IntRange(1, 65535).Draw(t, "port")
		switch rapid.IntRange(0, 2).Draw(t, "action") {
		case 0:
			headers := rapid.MapOfN(rapid.StringMatching(`[A-Z][a-z]{1,8}`), text, 0, 2).Draw(t, "headers")
			p.HTTPGet = &spec.HTTPGet{Path: rapid.StringMatching(`/[a-z?=$]{0,8}`).Draw(t, "path"), Port: n, Scheme: rapid.SampledFrom([]string{"http", "https"}).Draw(t, "scheme"), Headers: headers}
		case 1:
			p.TCPSocket = &spec.TCPSocket{Port: n}
		default:
			p.Exec = &spec.Exec{Command: rapid.SliceOfN(text, 1, 3).Draw(t, "command")}
		}
		return p
	})
}

var deployments = rapid.Custom(func(t *rapid.T) *spec.Workload {
	w := &spec.Workload{
		Name: rapid.StringMatching(`[a-z]([-a-z0-9]{0,20}[a-z0-9])?`).Draw(t, "name"), Kind: spec.Deployment,
		Replicas: rapid.IntRange(0, 1000).Draw(t, "replicas"), Paused: rapid.Bool().Draw(t, "paused"), OnFailure: spec.Pause,
		RevisionHistoryLimit: rapid.IntRange(0, 100).Draw(t, "revisionHistoryLimit"),
		Image:                "registry.example/web:1", Revision: "0123456789abcdef", Restart: spec.KubeletRestart,
		StopGrace: time.Duration(rapid.IntRange(0, 300).Draw(t, "grace")) * time.Second,
		Drain:     time.Duration(rapid.IntRange(0, 60).Draw(t, "drainSeconds")) * time.Second,
	}
	minReady := rapid.IntRange(0, 600).Draw(t, "minReadySeconds")
	w.MinReady = time.Duration(minReady) * time.Second
	w.ProgressDeadline = time.Duration(rapid.IntRange(minReady+1, 1000).Draw(t, "progressDeadlineSeconds")) * time.Second
	if w.Strategy = (spec.Strategy{Type: spec.Recreate}); rapid.Bool().Draw(t, "rolling") {
		w.Strategy = spec.Rolling(spec.Amount{Percent: rapid.IntRange(0, 100).Draw(t, "maxSurge")}, spec.Amount{Count: rapid.IntRange(0, 9).Draw(t, "maxUnavailable")}, w.Replicas)
	}
	for _, p := range []struct {
		field         **spec.Probe
		mostSuccesses int
	}{{&w.Probes.Startup, 1}, {&w.Probes.Readiness, 5}, {&w.Probes.Liveness, 1}} {
		if rapid.Bool().Draw(t, "probed") {
			*p.field = probeOf(p.mostSuccesses).Draw(t, "probe")
		}
	}
	env := types.MappingWithEquals{}
	for name, value := range rapid.MapOfN(rapid.StringMatching(`[A-Z]{1,6}`), text, 0, 3).Draw(t, "environment") {
		if !secretVariable(name, value) {
			env[name] = &value
		}
	}
	w.Template = types.ServiceConfig{
		Command: rapid.SliceOfN(text, 0, 3).Draw(t, "command"), Environment: env,
		MemLimit: types.UnitBytes(rapid.Int64Range(0, 1<<40).Draw(t, "mem_limit")),
	}
	return w
})

// Every name has a label of its own, that Kubernetes allows; one that it allows is kept.
func TestEachNameHasALabelOfItsOwn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := keysOf(rapid.MapOfN(rapid.StringMatching(`[a-zA-Z0-9._-]{1,70}|[ab][._][ab]`), rapid.Bool(), 1, 20).Draw(t, "names"))
		all, seen := labels(names), map[string]bool{}
		for name := range maps.Keys(names) {
			assert.Regexp(t, `^[a-z]([-a-z0-9]{0,38}[a-z0-9])?$`, all[name])
			assert.False(t, seen[all[name]], "%s is the label of two names", all[name])
			seen[all[name]] = true
			if label(name) == name {
				assert.Equal(t, name, all[name])
			}
		}
	})
}
