package kubernetes

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/tendhq/tend/controller/spec"
)

// probes are those of the spec, by Kubernetes' field, or what says the same as the health
// check of Compose where the spec has none.
func probes(w *spec.Workload) map[string]object {
	all := map[string]object{}
	for field, p := range specProbes(w) {
		all[field] = probe(p)
	}
	check := w.Template.HealthCheck
	if len(all) > 0 || !asks(check) {
		return all
	}
	readiness := healthCheck(check)
	liveness := maps.Clone(readiness)
	readiness["initialDelaySeconds"] = 0
	return map[string]object{"readinessProbe": readiness, "livenessProbe": liveness}
}

// specProbes are the probes of the spec, by their field.
func specProbes(w *spec.Workload) map[string]*spec.Probe {
	all := map[string]*spec.Probe{
		"startupProbe": w.Probes.Startup, "readinessProbe": w.Probes.Readiness, "livenessProbe": w.Probes.Liveness,
	}
	maps.DeleteFunc(all, func(_ string, p *spec.Probe) bool { return p == nil })
	return all
}

// timing is when a probe asks, and how often until it is believed.
func timing(p *spec.Probe) object {
	return object{
		"initialDelaySeconds": seconds(p.InitialDelay),
		"periodSeconds":       seconds(p.Period),
		"timeoutSeconds":      seconds(p.Timeout),
		"successThreshold":    p.SuccessThreshold,
		"failureThreshold":    p.FailureThreshold,
	}
}

func probe(p *spec.Probe) object {
	o := timing(p)
	switch {
	case p.HTTPGet != nil:
		var headers []object
		for _, name := range slices.Sorted(maps.Keys(p.HTTPGet.Headers)) {
			headers = append(headers, object{"name": name, "value": p.HTTPGet.Headers[name]})
		}
		get := object{"path": p.HTTPGet.Path, "port": p.HTTPGet.Port, "scheme": strings.ToUpper(p.HTTPGet.Scheme)}
		o["httpGet"] = get.with("httpHeaders", headers)
	case p.TCPSocket != nil:
		o["tcpSocket"] = object{"port": p.TCPSocket.Port}
	case p.Exec != nil:
		o["exec"] = object{"command": escaped(p.Exec.Command)}
	case p.Postgres != nil:
		// Over TCP: a server that initialises its data listens on its Unix socket only.
		command := []string{"pg_isready", "-h", "127.0.0.1", "-p", strconv.Itoa(p.Postgres.Port), "-U", p.Postgres.User, "-d", p.Postgres.Database}
		o["exec"] = object{"command": escaped(command)}
	}
	return o
}

// asks reports whether a health check says what to ask.
func asks(check *types.HealthCheckConfig) bool {
	return check != nil && !check.Disable && len(check.Test) > 1
}

// healthCheck is a health check as a probe, with Docker's defaults.
func healthCheck(check *types.HealthCheckConfig) object {
	command := escaped(check.Test[1:])
	if check.Test[0] == "CMD-SHELL" {
		command = append([]string{"/bin/sh", "-c"}, command...)
	}
	retries := uint64(3)
	if check.Retries != nil && *check.Retries > 0 {
		retries = *check.Retries
	}
	return object{
		"exec":                object{"command": command},
		"initialDelaySeconds": seconds(durationOr(check.StartPeriod, 0)),
		"periodSeconds":       seconds(durationOr(check.Interval, 30*time.Second)),
		"timeoutSeconds":      seconds(durationOr(check.Timeout, 30*time.Second)),
		"successThreshold":    1,
		"failureThreshold":    retries,
	}
}

func durationOr(d *types.Duration, otherwise time.Duration) time.Duration {
	if d == nil || *d == 0 {
		return otherwise
	}
	return time.Duration(*d)
}

// wholeSeconds notes a time that is no whole number of seconds.
func (e *exporter) wholeSeconds(w *spec.Workload, key string, d time.Duration) {
	if d%time.Second != 0 {
		e.unsupported(w.Name, key, fmt.Sprintf("Kubernetes counts whole seconds: %g became %d", d.Seconds(), seconds(d)))
	}
}

// unsupportedProbes notes what the probes of a spec count in fractions of a second.
func (e *exporter) unsupportedProbes(w *spec.Workload) {
	for field, p := range specProbes(w) {
		e.wholeSeconds(w, field+".initialDelaySeconds", p.InitialDelay)
		e.wholeSeconds(w, field+".periodSeconds", p.Period)
		e.wholeSeconds(w, field+".timeoutSeconds", p.Timeout)
	}
}

// unsupportedHealthCheck notes the same of a health check that a probe is made of.
func (e *exporter) unsupportedHealthCheck(w *spec.Workload) {
	check := w.Template.HealthCheck
	if w.Probes.Any() || !asks(check) {
		return
	}
	e.wholeSeconds(w, "healthcheck.start_period", durationOr(check.StartPeriod, 0))
	e.wholeSeconds(w, "healthcheck.interval", durationOr(check.Interval, 0))
	e.wholeSeconds(w, "healthcheck.timeout", durationOr(check.Timeout, 0))
	if check.StartInterval != nil {
		e.unsupported(w.Name, "healthcheck.start_interval", "a probe has one period: write a startupProbe in a spec")
	}
}
