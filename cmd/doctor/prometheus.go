package doctor

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/tendhq/tend/controller/prometheus"
)

// Targets tells which targets of a Prometheus server are down.
func Targets(server string, targets []prometheus.Target, err error) (all []Finding) {
	const check = "target"
	if err != nil {
		return []Finding{find(Failure, check, server, err.Error(), "start Prometheus, or name its URL with --prometheus")}
	}
	down := 0
	for _, t := range targets {
		if t.Health == "down" {
			down++
			all = append(all, find(Failure, check, t.Labels["job"]+" "+t.ScrapeURL, t.LastError, "have it answer there, or take it out of Prometheus' configuration"))
		}
	}
	if down == 0 {
		all = append(all, find(OK, check, server, fmt.Sprintf("none of %d targets is down", len(targets)), ""))
	}
	return all
}

// Alerts tells which alerts of a Prometheus server fire: of the severity critical as
// failures, all others as warnings.
func Alerts(server string, alerts []prometheus.Alert, err error) (all []Finding) {
	const check = "alert"
	if err != nil {
		return []Finding{find(Failure, check, server, err.Error(), "start Prometheus, or name its URL with --prometheus")}
	}
	for _, a := range alerts {
		if a.State != "firing" {
			continue
		}
		level := Warning
		if a.Labels["severity"] == "critical" {
			level = Failure
		}
		message := cmp.Or(a.Annotations["summary"], a.Annotations["description"], "it fires")
		remedy := cmp.Or(a.Annotations["runbook_url"], "look at "+strings.TrimSuffix(server, "/")+"/alerts")
		object := strings.TrimSpace(a.Labels["alertname"] + " " + cmp.Or(a.Labels["service"], a.Labels["instance"]))
		all = append(all, find(level, check, object, message, remedy))
	}
	if len(all) == 0 {
		all = append(all, find(OK, check, server, "none fires", ""))
	}
	return all
}
