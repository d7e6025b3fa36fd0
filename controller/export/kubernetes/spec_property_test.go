package kubernetes

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"pgregory.net/rapid"
	"sigs.k8s.io/yaml"

	"github.com/tendhq/tend/controller/spec/load"
)

// probeFields are those of a container that are fields of a spec.
var probeFields = []string{"startupProbe", "readinessProbe", "livenessProbe"}

// Kubernetes' own types read the fields in the file of a spec, and what is exported has each
// of them, as it is written there.
func TestTheFieldsOfASpecAreThoseOfKubernetes(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "compose.yaml"), []byte("services: {web: {image: web, restart: always, stop_grace_period: 60s, cpus: 1, mem_limit: 1g}}\n"))
	rapid.Check(t, func(t *rapid.T) {
		written := specOfDeployment.Draw(t, "spec")
		r := exportedSpec(t, dir, "Deployment", written)
		c := check(t, r)
		d := c.deployments["web"]
		container := d.Spec.Template.Spec.Containers[0]
		has(t, part(written, probeFields...), container)

		own := append(slices.Clone(probeFields), "autoscaling", "onFailure", "drainSeconds", "preRollout")
		same := maps.Clone(written)
		maps.DeleteFunc(same, func(name string, _ any) bool { return slices.Contains(own, name) })
		if scaling, ok := written["autoscaling"].(map[string]any); ok {
			has(t, scaling, c.autoscalers["web"].Spec)
			assert.Nil(t, d.Spec.Replicas)
		} else {
			inReplicas(t, same, int(*d.Spec.Replicas))
		}
		has(t, same, d.Spec)

		if seconds := written["drainSeconds"]; seconds == 0 {
			assert.Nil(t, container.Lifecycle)
		} else if seconds != nil {
			assert.EqualValues(t, seconds, container.Lifecycle.PreStop.Sleep.Seconds)
		}
		listed := slices.ContainsFunc(r.Unsupported, func(u Unsupported) bool { return u.Key == "onFailure" })
		assert.Equal(t, written["onFailure"] != "pause", listed, "Kubernetes pauses")
		sameHooks(t, written["preRollout"], c)
	})
}

// The same holds of a Job.
func TestTheFieldsOfAJobAreThoseOfKubernetes(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "compose.yaml"), []byte("services: {web: {image: web, restart: \"no\"}}\n"))
	rapid.Check(t, func(t *rapid.T) {
		written := some(t, map[string]any{
			"backoffLimit":          rapid.IntRange(0, 1000).Draw(t, "backoffLimit"),
			"activeDeadlineSeconds": rapid.IntRange(1, 86400).Draw(t, "activeDeadlineSeconds"),
		})
		for _, j := range check(t, exportedSpec(t, dir, "Job", written)).jobs {
			has(t, written, j.Spec)
		}
	})
}

// exportedSpec writes the spec of the service web, and exports the project.
func exportedSpec(t *rapid.T, dir, kind string, fields map[string]any) Result {
	text, err := yaml.Marshal(map[string]any{"apiVersion": "tend/v1", "kind": kind, "metadata": map[string]any{"name": "web"}, "spec": fields})
	require.NoError(t, err)
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "specs"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "specs", "web.yaml"), text, 0o644))
	p, err := load.Project(context.Background(), load.Options{ProjectDirectory: dir, Name: "shop", IngressImage: "tend/ingress"})
	require.NoError(t, err, "%s", text)
	require.Contains(t, p.Specs, "web")
	return Export(p, nil)
}

// has holds that a type of Kubernetes knows fields, and that an object has them.
func has[T appsv1.DeploymentSpec | batchv1.JobSpec | autoscalingv2.HorizontalPodAutoscalerSpec | corev1.Container](t *rapid.T, fields map[string]any, object T) {
	text, err := yaml.Marshal(fields)
	require.NoError(t, err)
	require.NoError(t, yaml.UnmarshalStrict(text, new(T)), "%s", text)
	within(t, tree(t, fields), tree(t, object), "")
}

func tree(t *rapid.T, v any) (out any) {
	text, err := json.Marshal(v)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &out))
	return out
}

// within holds that a tree has all of another one. A field that is left out is one of its
// type's zero value.
func within(t *rapid.T, want, got any, path string) {
	switch want := want.(type) {
	case map[string]any:
		fields, ok := got.(map[string]any)
		require.True(t, ok || len(want) == 0, "%s is not there", path)
		for name, value := range want {
			within(t, value, fields[name], path+"."+name)
		}
	case []any:
		items, _ := got.([]any)
		require.Len(t, items, len(want), path)
		for i, value := range want {
			within(t, value, items[i], fmt.Sprintf("%s[%d]", path, i))
		}
	default:
		if got == nil {
			got = reflect.Zero(reflect.TypeOf(want)).Interface()
		}
		assert.Equal(t, want, got, path)
	}
}

// inReplicas has the numbers of a strategy be what Kubernetes makes of them.
func inReplicas(t *rapid.T, fields map[string]any, replicas int) {
	strategy, _ := fields["strategy"].(map[string]any)
	rolling, _ := strategy["rollingUpdate"].(map[string]any)
	if rolling == nil {
		return
	}
	number := func(name string, up bool) int {
		amount := intstr.Parse(fmt.Sprint(rolling[name]))
		n, err := intstr.GetScaledValueFromIntOrPercent(&amount, replicas, up)
		require.NoError(t, err)
		return n
	}
	surge, unavailable := number("maxSurge", true), min(number("maxUnavailable", false), replicas)
	if surge == 0 && unavailable == 0 {
		unavailable = 1
	}
	fields["strategy"] = map[string]any{"type": "RollingUpdate", "rollingUpdate": map[string]any{"maxSurge": surge, "maxUnavailable": unavailable}}
}

// sameHooks holds the Job of hooks to what is written.
func sameHooks(t *rapid.T, written any, c cluster) {
	hooks, _ := written.([]map[string]any)
	if len(hooks) == 0 {
		assert.Empty(t, c.jobs)
		return
	}
	require.Len(t, c.jobs, 1)
	for _, j := range c.jobs {
		all := slices.Concat(j.Spec.Template.Spec.InitContainers, j.Spec.Template.Spec.Containers)
		require.Len(t, all, len(hooks))
		sum := 0
		for i, hook := range hooks {
			assert.Equal(t, hook["name"], all[i].Name)
			assert.Equal(t, hook["command"], all[i].Args)
			sum += hook["timeoutSeconds"].(int)
		}
		assert.EqualValues(t, sum, *j.Spec.ActiveDeadlineSeconds)
	}
}

// part are some of the fields of a mapping.
func part(fields map[string]any, names ...string) map[string]any {
	fields = maps.Clone(fields)
	maps.DeleteFunc(fields, func(name string, _ any) bool { return !slices.Contains(names, name) })
	return fields
}

// some leaves out fields at random.
func some(t *rapid.T, fields map[string]any) map[string]any {
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if !rapid.Bool().Draw(t, name+" is written") {
			delete(fields, name)
		}
	}
	return fields
}

// words need no escape.
var words = rapid.SliceOfN(rapid.StringMatching(`[a-z0-9 ./=-]{1,12}`), 1, 3)

func probeAsWritten(t *rapid.T, name string, successes int) map[string]any {
	n := func(field string, least, most int) int { return rapid.IntRange(least, most).Draw(t, name+"."+field) }
	p := some(t, map[string]any{
		"initialDelaySeconds": n("initialDelaySeconds", 0, 600), "periodSeconds": n("periodSeconds", 1, 600), "timeoutSeconds": n("timeoutSeconds", 1, 600),
		"successThreshold": n("successThreshold", 1, successes), "failureThreshold": n("failureThreshold", 1, 9),
	})
	switch n("action", 0, 2) {
	case 0:
		get := some(t, map[string]any{
			"path":        rapid.StringMatching(`/[a-z?=]{0,8}`).Draw(t, "path"),
			"scheme":      rapid.SampledFrom([]string{"HTTP", "HTTPS"}).Draw(t, "scheme"),
			"httpHeaders": []map[string]any{{"name": "Accept", "value": "a: b"}, {"name": "Host", "value": "shop"}},
		})
		get["port"] = n("port", 1, 65535)
		p["httpGet"] = get
	case 1:
		p["tcpSocket"] = map[string]any{"port": n("port", 1, 65535)}
	default:
		p["exec"] = map[string]any{"command": words.Draw(t, "command")}
	}
	return p
}

func amountAsWritten(t *rapid.T, name string, least int) any {
	if rapid.Bool().Draw(t, name+" is a percentage") { // 0% is read as the number 0
		return fmt.Sprintf("%d%%", rapid.IntRange(1, 100).Draw(t, name))
	}
	return rapid.IntRange(least, 100).Draw(t, name)
}

func autoscalingAsWritten(t *rapid.T) map[string]any {
	rules := func(name string) map[string]any {
		var policies []map[string]any
		for range rapid.IntRange(1, 3).Draw(t, "policies of "+name) {
			policies = append(policies, map[string]any{
				"type": rapid.SampledFrom([]string{"Pods", "Percent"}).Draw(t, "type"), "value": rapid.IntRange(1, 200).Draw(t, "value"),
				"periodSeconds": rapid.IntRange(1, 1800).Draw(t, "periodSeconds"),
			})
		}
		return some(t, map[string]any{
			"stabilizationWindowSeconds": rapid.IntRange(0, 3600).Draw(t, "stabilizationWindowSeconds"),
			"selectPolicy":               rapid.SampledFrom([]string{"Max", "Min", "Disabled"}).Draw(t, "selectPolicy"),
			"policies":                   policies,
		})
	}
	resource := func(name string) map[string]any {
		target := map[string]any{"type": "Utilization", "averageUtilization": rapid.IntRange(1, 300).Draw(t, name)}
		return map[string]any{"type": "Resource", "resource": map[string]any{"name": name, "target": target}}
	}
	least := rapid.IntRange(1, 10).Draw(t, "minReplicas")
	a := some(t, map[string]any{
		"minReplicas": least,
		"metrics":     []map[string]any{resource("cpu"), resource("memory")},
		"behavior":    some(t, map[string]any{"scaleUp": rules("scaleUp"), "scaleDown": rules("scaleDown")}),
	})
	a["maxReplicas"] = rapid.IntRange(least, 50).Draw(t, "maxReplicas")
	return a
}

var specOfDeployment = rapid.Custom(func(t *rapid.T) map[string]any {
	minReady := rapid.IntRange(0, 500).Draw(t, "minReadySeconds")
	strategy := map[string]any{"type": "Recreate"}
	if rapid.Bool().Draw(t, "rolling") {
		strategy = map[string]any{"type": "RollingUpdate", "rollingUpdate": map[string]any{
			"maxSurge": amountAsWritten(t, "maxSurge", 1), "maxUnavailable": amountAsWritten(t, "maxUnavailable", 0),
		}}
	}
	var hooks []map[string]any
	for i := range rapid.IntRange(1, 3).Draw(t, "hooks") {
		hooks = append(hooks, map[string]any{"name": fmt.Sprintf("hook-%d", i), "command": words.Draw(t, "command"), "timeoutSeconds": rapid.IntRange(1, 900).Draw(t, "timeoutSeconds")})
	}
	fields := some(t, map[string]any{
		"minReadySeconds":         minReady,
		"progressDeadlineSeconds": rapid.IntRange(601, 3600).Draw(t, "progressDeadlineSeconds"),
		"revisionHistoryLimit":    rapid.IntRange(0, 100).Draw(t, "revisionHistoryLimit"),
		"paused":                  rapid.Bool().Draw(t, "paused"),
		"strategy":                strategy,
		"drainSeconds":            rapid.IntRange(0, 60).Draw(t, "drainSeconds"),
		"onFailure":               rapid.SampledFrom([]string{"pause", "rollback"}).Draw(t, "onFailure"),
		"preRollout":              hooks,
		"startupProbe":            probeAsWritten(t, "startupProbe", 1),
		"readinessProbe":          probeAsWritten(t, "readinessProbe", 9),
		"livenessProbe":           probeAsWritten(t, "livenessProbe", 1),
		"replicas":                rapid.IntRange(0, 1000).Draw(t, "replicas"),
		"autoscaling":             autoscalingAsWritten(t),
	})
	if fields["autoscaling"] != nil {
		delete(fields, "replicas")
	}
	return fields
})
