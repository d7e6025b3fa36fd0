package kubernetes

import (
	"fmt"
	"slices"
	"time"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/tendhq/tend/controller/spec"
)

// workload adds a workload, its hooks and what bounds the number of its replicas.
func (e *exporter) workload(w *spec.Workload) {
	if len(w.PreRollout) > 0 {
		e.hooks(w)
	}
	switch w.Kind {
	case spec.Database:
		e.database(w)
	case spec.Job:
		e.job(w)
	default:
		e.deployment(w)
	}
}

func (e *exporter) deployment(w *spec.Workload) {
	fields := object{
		"selector":             object{"matchLabels": e.selector(w)},
		"strategy":             strategy(w),
		"minReadySeconds":      seconds(w.MinReady),
		"revisionHistoryLimit": w.RevisionHistoryLimit,
		"paused":               w.Paused,
		"template":             e.template(w, e.container(w), object{}),
		// Kubernetes wants more than minReadySeconds, of which a fraction was rounded up.
		"progressDeadlineSeconds": max(seconds(w.ProgressDeadline), seconds(w.MinReady)+1),
	}
	least := w.Replicas
	scaled := w.Autoscaling != nil && e.autoscaler(w)
	if scaled && w.Autoscaled() {
		least = w.Autoscaling.MinReplicas // and replicas are left to the autoscaler
	} else {
		fields["replicas"] = w.Replicas
	}
	e.add("Deployment", e.services[w.Name], e.awaitingHooks(w), object{"spec": fields})
	if least > 1 {
		e.add("PodDisruptionBudget", e.services[w.Name], e.ofWorkload(w), object{"spec": object{
			"maxUnavailable": max(1, w.Strategy.MaxUnavailable),
			"selector":       object{"matchLabels": e.selector(w)},
		}})
	}
}

// strategy is how a Deployment replaces replicas. Percentages are kept where the number
// of replicas changes by itself. Without a surge tend waits until the old replica is gone;
// Kubernetes does so with Recreate alone, and two that write to one volume would damage it.
func strategy(w *spec.Workload) object {
	alone := most(w) == 1 && w.Strategy.MaxSurge == 0 && slices.ContainsFunc(w.Template.Volumes, func(v types.ServiceVolumeConfig) bool {
		return v.Type == types.VolumeTypeVolume && v.Source != "" && !v.ReadOnly && !w.Shares(v.Target)
	})
	if w.Strategy.Type == spec.Recreate || alone {
		return object{"type": "Recreate"}
	}
	surge, unavailable := any(w.Strategy.MaxSurge), any(w.Strategy.MaxUnavailable)
	if a := w.Autoscaling; a != nil && !(a.MaxSurge.IsZero() && a.MaxUnavailable.IsZero()) {
		surge, unavailable = amount(a.MaxSurge), amount(a.MaxUnavailable)
	}
	return object{"type": "RollingUpdate", "rollingUpdate": object{"maxSurge": surge, "maxUnavailable": unavailable}}
}

func amount(a spec.Amount) any {
	if a.Percent > 0 {
		return fmt.Sprintf("%d%%", a.Percent)
	}
	return a.Count
}

// database adds a Database. Its volume is a claim of its own, which outlives it.
func (e *exporter) database(w *spec.Workload) {
	if e.isCluster(w) {
		e.cluster(w)
		return
	}
	fields := object{
		"selector":             object{"matchLabels": e.selector(w)},
		"serviceName":          e.services[w.Name],
		"replicas":             w.Replicas,
		"minReadySeconds":      seconds(w.MinReady),
		"revisionHistoryLimit": w.RevisionHistoryLimit,
		"updateStrategy":       object{"type": "RollingUpdate"},
		"template":             e.template(w, e.container(w), object{}),
		"volumeClaimTemplates": []object{{
			"metadata": object{"name": dataClaim},
			"spec":     claim("ReadWriteOnce"),
		}},
	}
	e.add("StatefulSet", e.services[w.Name], e.awaitingHooks(w), object{"spec": fields})
}

// job adds a Job. A Job's template cannot be changed, so that each revision is a Job of its
// own, as each revision runs once.
func (e *exporter) job(w *spec.Workload) {
	policy := "OnFailure"
	if w.Restart.Condition == spec.RestartNone {
		policy = "Never"
	}
	fields := object{
		"parallelism":  w.Replicas,
		"completions":  w.Replicas,
		"backoffLimit": w.BackoffLimit,
		"suspend":      w.Paused,
		"template":     e.template(w, e.container(w), object{"restartPolicy": policy}),
	}
	if w.ActiveDeadline > 0 {
		fields["activeDeadlineSeconds"] = seconds(w.ActiveDeadline)
	}
	e.add("Job", e.services[w.Name]+"-"+revision(w), e.ofWorkload(w), object{"spec": fields})
}

// hooks adds the Job of a revision's pre-rollout hooks. They run one after the other: all
// but the last as its init containers.
func (e *exporter) hooks(w *spec.Workload) {
	e.result.Hooks = true
	var containers []object
	var timeout time.Duration
	for _, h := range w.PreRollout {
		c := e.bareContainer(w)
		c["name"], c["args"] = h.Name, escaped(h.Command)
		containers = append(containers, c)
		timeout += h.Timeout
	}
	last := len(containers) - 1
	more := object{"restartPolicy": "OnFailure"}.with("initContainers", containers[:last])
	template := e.template(w, containers[last], more)
	// Nothing that is sent to the workload may reach its hooks.
	meta := template["metadata"].(object)
	delete(meta["labels"].(map[string]string), labelName)
	e.add("Job", e.services[w.Name]+"-pre-rollout-"+revision(w),
		object{"labels": map[string]string{labelName: e.services[w.Name], labelProject: label(e.project.Name), labelHooks: "job"}},
		object{"spec": object{"activeDeadlineSeconds": seconds(timeout), "template": template}})
}

// awaitingHooks is the metadata of a workload, which has its hooks complete first.
func (e *exporter) awaitingHooks(w *spec.Workload) object {
	meta := e.ofWorkload(w)
	if len(w.PreRollout) > 0 {
		meta["labels"].(map[string]string)[labelHooks] = "awaited"
	}
	return meta
}

// revision is the part of a workload's revision that stands in names.
func revision(w *spec.Workload) string { return w.Revision[:min(8, len(w.Revision))] }

// seconds are whole seconds, as Kubernetes counts them, rounded up.
func seconds(d time.Duration) int { return int((d + time.Second - 1) / time.Second) }

// hasSpec reports whether a workload has a spec, beside its Compose service.
func (e *exporter) hasSpec(w *spec.Workload) bool { return slices.Contains(e.project.Specs, w.Name) }
