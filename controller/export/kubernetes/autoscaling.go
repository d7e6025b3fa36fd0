package kubernetes

import (
	"fmt"
	"math"

	"github.com/tendhq/tend/controller/spec"
)

// autoscaler adds the HorizontalPodAutoscaler of a Deployment, and reports whether there is
// one: metrics that only tend reads make none.
func (e *exporter) autoscaler(w *spec.Workload) bool {
	a := w.Autoscaling
	var metrics []object
	for _, m := range a.Metrics {
		switch m.Type {
		case spec.CPU, spec.Memory:
			target := object{"type": "Utilization", "averageUtilization": m.Utilization}
			metrics = append(metrics, object{"type": "Resource", "resource": object{"name": string(m.Type), "target": target}})
		case spec.Cron:
			e.unsupported(w.Name, "autoscaling.metrics", "a schedule needs KEDA in the cluster: write it as a trigger of the type cron of a ScaledObject there")
		default:
			e.unsupported(w.Name, "autoscaling.metrics", fmt.Sprintf("%s needs an adapter in the cluster: write it as an External metric there", m.Type))
		}
	}
	if len(metrics) == 0 {
		e.unsupported(w.Name, "autoscaling", "no metric of it is left, so that replicas is a fixed number")
		return false
	}
	for key, rules := range map[string]spec.ScalingRules{"scaleUp": a.ScaleUp, "scaleDown": a.ScaleDown} {
		if math.Abs(rules.Tolerance-spec.DefaultScaleUp.Tolerance) > 1e-9 {
			e.unsupported(w.Name, "autoscaling.behavior."+key+".tolerance", "the cluster has one tolerance for all, 0.1 unless its administrator says otherwise")
		}
	}
	e.add("HorizontalPodAutoscaler", e.services[w.Name], e.ofWorkload(w), object{"spec": object{
		"scaleTargetRef": object{"apiVersion": "apps/v1", "kind": "Deployment", "name": e.services[w.Name]},
		"minReplicas":    a.MinReplicas,
		"maxReplicas":    a.MaxReplicas,
		"metrics":        metrics,
		"behavior":       object{"scaleUp": scalingRules(a.ScaleUp), "scaleDown": scalingRules(a.ScaleDown)},
	}})
	return true
}

func scalingRules(r spec.ScalingRules) object {
	var policies []object
	for _, p := range r.Policies {
		kind, value := "Pods", p.Amount.Count
		if p.Amount.Percent > 0 {
			kind, value = "Percent", p.Amount.Percent
		}
		policies = append(policies, object{"type": kind, "value": value, "periodSeconds": seconds(p.Period)})
	}
	return object{
		"stabilizationWindowSeconds": seconds(r.Window),
		"selectPolicy":               string(r.SelectPolicy),
	}.with("policies", policies)
}
