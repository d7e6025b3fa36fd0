package load

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/tendhq/tend/controller/spec"
)

// rollout sets how replicas are replaced: by the spec, or else by deploy.update_config,
// or else as in Kubernetes.
func (b *builder) rollout(w *spec.Workload) {
	w.SharedMounts = b.sharedMounts()
	w.FixedHostPorts = fixedHostPorts(w.DirectPorts())
	w.Room = room(w)
	if w.Kind != spec.Deployment {
		w.Strategy = spec.Strategy{Type: spec.Recreate, Reason: fmt.Sprintf("it is a %s", w.Kind)}
		if w.Kind == spec.Job {
			b.checkExclusive(w, w.Replicas)
		}
		return
	}
	explicit := b.document.maxSurge != nil
	startFirst, stopFirst := false, false
	quarter := spec.Amount{Percent: 25}
	maxSurge, maxUnavailable := quarter, quarter
	if b.global() {
		w.Global = &spec.Global{}
		maxSurge, maxUnavailable = spec.Amount{Count: 1}, spec.Amount{}
	}
	if b.document.strategy == nil && !explicit && b.document.maxUnavailable == nil {
		if update := b.updateConfig(); update != nil {
			maxSurge, maxUnavailable = b.readUpdateConfig(w, update)
			startFirst = update.Order == "start-first"
			stopFirst = !startFirst
		}
	}
	if b.document.strategy != nil && *b.document.strategy == spec.Recreate {
		w.Strategy = spec.Strategy{Type: spec.Recreate, Reason: "its spec says Recreate"}
		b.checkExclusive(w, w.Replicas)
		return
	}
	maxSurge, maxUnavailable = valueOr(b.document.maxSurge, maxSurge), valueOr(b.document.maxUnavailable, maxUnavailable)
	w.Strategy = spec.Rolling(maxSurge, maxUnavailable, w.Replicas)
	if w.Global != nil {
		w.Strategy.MaxSurge = min(w.Strategy.MaxSurge, w.Replicas)
	}
	if w.Autoscaling != nil {
		w.Autoscaling.MaxSurge, w.Autoscaling.MaxUnavailable = maxSurge, maxUnavailable
	}

	w.SurgeAsked = explicit || startFirst

	if !b.checkExclusive(w, w.Replicas) {
		return
	}
	surge, reason := w.Strategy.MaxSurge, ""
	switch contended := w.Contended(); {
	case !w.SurgeAsked && len(contended) > 0:
		surge, reason = 0, "it writes to "+strings.Join(contended, ", ")
	case w.Template.NetworkMode == "host" && !explicit:
		surge, reason = 0, "a second process would find its ports on the host's network taken"
	case w.NetworkJoined() != "" && !explicit:
		surge, reason = 0, "a second process would find its ports in the network of "+w.NetworkJoined()+" taken"
	case w.Room > 0 && w.Room-w.Replicas < surge:
		surge, reason = w.Room-w.Replicas, "another container cannot have "+b.exclusive(w)
	case surge == 0 && explicit:
		reason = "its spec says maxSurge: 0"
	case stopFirst:
		reason = "deploy.update_config.order is stop-first, also where it is left out"
	}
	if explicit && surge < w.Strategy.MaxSurge {
		b.failSpec("set maxSurge: 0 and maxUnavailable: 1",
			fmt.Sprintf("maxSurge asks for a second container beside the first, but only one can hold %s", b.exclusive(w)),
			"strategy", "rollingUpdate", "maxSurge")
		return
	}
	w.Strategy = w.Strategy.WithSurge(surge)
	if surge == 0 {
		w.Strategy.Reason = reason
	}
	if w.Global != nil {
		w.Global = &spec.Global{MaxSurge: maxSurge, MaxUnavailable: maxUnavailable}
		if surge == 0 {
			w.Global.MaxSurge = spec.Amount{}
		}
	}
}

// global reports whether each node of a Swarm is to run one replica.
func (b *builder) global() bool { return b.service.Deploy != nil && b.service.Deploy.Mode == "global" }

func (b *builder) updateConfig() *types.UpdateConfig {
	if b.service.Deploy == nil {
		return nil
	}
	return b.service.Deploy.UpdateConfig
}

// readUpdateConfig reads deploy.update_config with Swarm's meaning.
func (b *builder) readUpdateConfig(w *spec.Workload, update *types.UpdateConfig) (maxSurge, maxUnavailable spec.Amount) {
	if update.MaxFailureRatio != 0 {
		b.fail("remove it", "max_failure_ratio is not supported: a rollout goes on only when each replica has become available",
			"deploy", "update_config", "max_failure_ratio")
	}
	if b.document.minReady == nil {
		w.MinReady = max(
			b.duration(update.Delay, "deploy", "update_config", "delay"),
			b.duration(update.Monitor, "deploy", "update_config", "monitor"))
	}
	parallelism := valueOr(update.Parallelism, 1)
	most := uint64(w.Replicas)
	if w.Global != nil {
		most = maxReplicas
	}
	if parallelism == 0 || parallelism > most {
		parallelism = most // 0 means all at once
	}
	batch := spec.Amount{Count: int(parallelism)}
	if update.Order == "start-first" {
		return batch, spec.Amount{}
	}
	return spec.Amount{}, batch
}

// onFailure is the spec's, or else that of deploy.update_config.
func (b *builder) onFailure() spec.OnFailure {
	update := b.updateConfig()
	if b.document.onFailure != nil || update == nil || b.kind() == spec.Job {
		return valueOr(b.document.onFailure, spec.Rollback)
	}
	switch action := update.FailureAction; action {
	case "", string(spec.Rollback):
		return spec.Rollback
	case string(spec.Pause):
		return spec.Pause
	default:
		b.fail("write rollback, which goes back to what worked, or pause, which stops a failed rollout where it is",
			fmt.Sprintf("failure_action: %s is not supported: a revision that failed on one replica would be brought to all", action),
			"deploy", "update_config", "failure_action")
		return spec.Rollback
	}
}

// drain sets how long a Deployment's replica goes on serving clients that have not
// heard that it leaves. It refuses a drain longer than the grace: the grace bounds the
// requests that the replica has accepted.
func (b *builder) drain(w *spec.Workload) {
	if w.Kind != spec.Deployment {
		return
	}
	w.Drain = valueOr(b.document.drain, defaultDrain)
	if b.document.drain != nil && w.Drain > w.StopGrace {
		b.failSpec(fmt.Sprintf("set stop_grace_period to %v or more, or shorten drainSeconds", w.Drain),
			fmt.Sprintf("drainSeconds (%v) is longer than the grace in which a replica ends what it was asked until then (stop_grace_period, %v)",
				w.Drain, w.StopGrace),
			"drainSeconds")
	}
}

// checkExclusive refuses more replicas than can share what the service claims for
// itself, and returns whether it found no mistake.
func (b *builder) checkExclusive(w *spec.Workload, replicas int) bool {
	if replicas <= 1 || w.Room == 0 || replicas <= w.Room {
		return true
	}
	claim := b.exclusive(w)
	message := fmt.Sprintf("%d replicas cannot all have %s", replicas, claim)
	switch {
	case w.ContainerName != "":
		b.fail("remove container_name (replicas are found by the service's name), or run one replica", message, "container_name")
	case len(w.FixedHostPorts) > 0 || strings.HasPrefix(claim, "the "):
		if b.noIngress && b.whyNoIngress != "" {
			message += fmt.Sprintf(", and no ingress holds it for them: %s", b.whyNoIngress)
		}
		b.fail(fmt.Sprintf(`publish a range with a port for each ("8000-%d:80"), or none and reach the replicas through a gateway, or run one replica`, 8000+replicas),
			message, "ports")
	default:
		b.fail("remove the address (replicas are found by the service's name), or run one replica", message, "networks")
	}
	return false
}

// room is how many containers of a workload can exist side by side; 0 is without a
// limit.
func room(w *spec.Workload) int {
	if w.ContainerName != "" || len(w.FixedHostPorts) > 0 || fixedAddress(w.Template) != "" {
		return 1
	}
	room := 0
	for _, p := range w.DirectPorts() {
		if first, last, ok := hostPorts(p); ok && last > first && (room == 0 || last-first+1 < room) {
			room = last - first + 1
		}
	}
	return room
}

// exclusive names the setting that bounds room.
func (b *builder) exclusive(w *spec.Workload) string {
	switch address := fixedAddress(w.Template); {
	case w.ContainerName != "":
		return fmt.Sprintf("the name %q", w.ContainerName)
	case len(w.FixedHostPorts) > 0:
		return "host port " + strings.Join(w.FixedHostPorts, ", ")
	case address != "":
		return "address " + address
	}
	for _, p := range w.Template.Ports {
		if first, last, ok := hostPorts(p); ok && last-first+1 == w.Room {
			return fmt.Sprintf("the %d host ports %s", last-first+1, p.Published)
		}
	}
	return ""
}

// fixedAddress is the first address on a network that the service claims.
func fixedAddress(service types.ServiceConfig) string {
	for _, key := range service.NetworksByPriority() {
		if n := service.Networks[key]; n != nil {
			if address := n.Ipv4Address + n.Ipv6Address; address != "" {
				return address
			}
		}
	}
	return ""
}

// fixedHostPorts are the host ports that only one container can hold.
func fixedHostPorts(ports []types.ServicePortConfig) (fixed []string) {
	for _, p := range ports {
		first, last, ok := hostPorts(p)
		if !ok || first != last {
			continue
		}
		ip := p.HostIP
		switch {
		case ip == "":
			ip = "0.0.0.0"
		case strings.Contains(ip, ":"):
			ip = "[" + ip + "]"
		}
		fixed = append(fixed, fmt.Sprintf("%s:%d/%s", ip, first, p.Protocol))
	}
	slices.Sort(fixed)
	return slices.Compact(fixed)
}

// hostPorts is the range of host ports of a published port; ok is false where the
// engine chooses any.
func hostPorts(p types.ServicePortConfig) (first, last int, ok bool) {
	from, to, isRange := strings.Cut(p.Published, "-")
	first, err := strconv.Atoi(from)
	if err != nil || first == 0 {
		return 0, 0, false
	}
	if !isRange {
		return first, first, true
	}
	last, err = strconv.Atoi(to)
	return first, last, err == nil
}
