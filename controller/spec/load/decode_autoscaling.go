package load

import (
	"fmt"
	"net/url"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/tendhq/tend/controller/spec"
)

// The most seconds that autoscaling/v2 allows.
const (
	maxWindow = 3600
	maxPeriod = 1800
)

// readAutoscaling reads spec.autoscaling, with the defaults of Kubernetes.
func (d *decoder) readAutoscaling(name string, n *yaml.Node) {
	a := &spec.Autoscaling{MinReplicas: 1, ScaleUp: spec.DefaultScaleUp, ScaleDown: spec.DefaultScaleDown}
	d.autoscaling = a
	d.mapping(name, n, fields{
		"minReplicas": func(name string, n *yaml.Node) {
			if least := d.count(name, n, 1, maxReplicas); least != nil {
				a.MinReplicas = *least
			}
		},
		"maxReplicas": func(name string, n *yaml.Node) {
			if most := d.count(name, n, 1, maxReplicas); most != nil {
				a.MaxReplicas = *most
			}
		},
		"metrics": func(name string, n *yaml.Node) {
			d.list(name, n, func(name string, n *yaml.Node) { a.Metrics = append(a.Metrics, d.metric(name, n)) })
		},
		"behavior": func(name string, n *yaml.Node) {
			d.mapping(name, n, fields{
				"scaleUp":   func(name string, n *yaml.Node) { d.readScalingRules(name, n, &a.ScaleUp) },
				"scaleDown": func(name string, n *yaml.Node) { d.readScalingRules(name, n, &a.ScaleDown) },
			})
		},
	}, "maxReplicas")
	if a.MaxReplicas != 0 && a.MaxReplicas < a.MinReplicas {
		d.fail(n, "make maxReplicas larger, or minReplicas smaller", "%s: maxReplicas (%d) is less than minReplicas (%d)", name, a.MaxReplicas, a.MinReplicas)
	}
	if len(a.Metrics) == 0 {
		a.Metrics = []spec.Metric{{Type: spec.CPU, Utilization: 80}}
	}
}

// metricKeys are the types of metrics, each with the key that it is described under.
var metricKeys = map[string]string{"Resource": "resource", "Ingress": "ingress", "Prometheus": "prometheus", "Cron": "cron"}

func (d *decoder) metric(name string, n *yaml.Node) (m spec.Metric) {
	kind, described := "", map[string]bool{}
	describe := func(key string, read func(name string, n *yaml.Node)) func(string, *yaml.Node) {
		return func(name string, n *yaml.Node) {
			described[key] = true
			read(name, n)
		}
	}
	target := func(types ...string) func(string, *yaml.Node) {
		return func(name string, n *yaml.Node) { d.readTarget(name, n, &m, types...) }
	}
	d.mapping(name, n, fields{
		"type": func(name string, n *yaml.Node) { kind = d.oneOf(name, n, "Resource", "Ingress", "Prometheus", "Cron") },
		"resource": describe("resource", func(name string, n *yaml.Node) {
			d.mapping(name, n, fields{
				"name": func(name string, n *yaml.Node) {
					m.Type = spec.MetricType(d.oneOf(name, n, string(spec.CPU), string(spec.Memory)))
				},
				"target": target("Utilization"),
			}, "name", "target")
		}),
		"ingress": describe("ingress", func(name string, n *yaml.Node) {
			m.Type = spec.Requests
			d.mapping(name, n, fields{
				"name":   func(name string, n *yaml.Node) { d.oneOf(name, n, string(spec.Requests)) },
				"target": target("AverageValue"),
			}, "name", "target")
		}),
		"prometheus": describe("prometheus", func(name string, n *yaml.Node) {
			m.Type = spec.Prometheus
			d.mapping(name, n, fields{
				"url":    func(name string, n *yaml.Node) { m.URL = d.address(name, n) },
				"query":  func(name string, n *yaml.Node) { m.Query = d.text(name, n, "write a query in PromQL, of one value") },
				"target": target("Value", "AverageValue"),
			}, "url", "query", "target")
		}),
		"cron": describe("cron", func(name string, n *yaml.Node) {
			m.Type = spec.Cron
			d.readSchedule(name, n, &m.Schedule)
		}),
	}, "type")
	if key := metricKeys[kind]; key != "" && (!described[key] || len(described) > 1) {
		d.fail(n, fmt.Sprintf("write %s, and nothing of another type", key), "%s of type %s has to have %s", name, kind, key)
	}
	return m
}

// readSchedule reads the times of a metric of the type Cron.
func (d *decoder) readSchedule(name string, n *yaml.Node, s *spec.Schedule) {
	const hint = `write the times as those of a CronJob, as "0 8 * * 1-5", and the time zone as "Europe/Berlin"`
	d.mapping(name, n, fields{
		"timeZone": func(name string, n *yaml.Node) { s.TimeZone = d.text(name, n, hint) },
		"start":    func(name string, n *yaml.Node) { s.Start = d.text(name, n, hint) },
		"end":      func(name string, n *yaml.Node) { s.End = d.text(name, n, hint) },
		"desiredReplicas": func(name string, n *yaml.Node) {
			if replicas := d.count(name, n, 1, maxReplicas); replicas != nil {
				s.Replicas = *replicas
			}
		},
	}, "timeZone", "start", "end", "desiredReplicas")
	if s.TimeZone == "" || s.Start == "" || s.End == "" {
		return
	}
	if _, _, err := s.At(time.Now()); err != nil {
		d.fail(n, hint, "%s: %v", name, err)
	} else if s.Start == s.End {
		d.fail(n, "write two different times", "%s: start and end are the same", name)
	}
}

// readTarget reads the target of a metric, which has one of some types.
func (d *decoder) readTarget(name string, n *yaml.Node, m *spec.Metric, types ...string) {
	kind, values := "", map[string]bool{}
	d.mapping(name, n, fields{
		"type": func(name string, n *yaml.Node) { kind = d.oneOf(name, n, types...) },
		"averageUtilization": func(name string, n *yaml.Node) {
			values["Utilization"] = true
			if percent := d.count(name, n, 1, maxSeconds); percent != nil {
				m.Utilization = *percent
			}
		},
		"value":        func(name string, n *yaml.Node) { values["Value"], m.Value = true, d.positive(name, n) },
		"averageValue": func(name string, n *yaml.Node) { values["AverageValue"], m.AverageValue = true, d.positive(name, n) },
	}, "type")
	if kind != "" && (!values[kind] || len(values) > 1) {
		key := map[string]string{"Utilization": "averageUtilization", "Value": "value", "AverageValue": "averageValue"}[kind]
		d.fail(n, fmt.Sprintf("write %s, and no other value", key), "%s of type %s has to have %s", name, kind, key)
	}
}

func (d *decoder) readScalingRules(name string, n *yaml.Node, rules *spec.ScalingRules) {
	d.mapping(name, n, fields{
		"stabilizationWindowSeconds": func(name string, n *yaml.Node) {
			if seconds := d.count(name, n, 0, maxWindow); seconds != nil {
				rules.Window = time.Duration(*seconds) * time.Second
			}
		},
		"selectPolicy": func(name string, n *yaml.Node) {
			if s := d.oneOf(name, n, string(spec.MaxChange), string(spec.MinChange), string(spec.DisabledChange)); s != "" {
				rules.SelectPolicy = spec.PolicySelect(s)
			}
		},
		"tolerance": func(name string, n *yaml.Node) { rules.Tolerance = d.float(name, n, 0) },
		"policies": func(name string, n *yaml.Node) {
			rules.Policies = nil
			d.list(name, n, func(name string, n *yaml.Node) { rules.Policies = append(rules.Policies, d.policy(name, n)) })
			if len(rules.Policies) == 0 {
				d.fail(n, "write a policy, or selectPolicy: Disabled for no change", "%s is empty", name)
			}
		},
	})
}

func (d *decoder) policy(name string, n *yaml.Node) (p spec.ScalingPolicy) {
	kind, value := "", 0
	d.mapping(name, n, fields{
		"type": func(name string, n *yaml.Node) { kind = d.oneOf(name, n, "Pods", "Percent") },
		"value": func(name string, n *yaml.Node) {
			if v := d.count(name, n, 1, maxSeconds); v != nil {
				value = *v
			}
		},
		"periodSeconds": func(name string, n *yaml.Node) {
			if seconds := d.count(name, n, 1, maxPeriod); seconds != nil {
				p.Period = time.Duration(*seconds) * time.Second
			}
		},
	}, "type", "value", "periodSeconds")
	if p.Amount.Count = value; kind == "Percent" {
		p.Amount = spec.Amount{Percent: value}
	}
	return p
}

// address reads the URL of a server.
func (d *decoder) address(name string, n *yaml.Node) string {
	const hint = `write it as "http://prometheus:9090"`
	text := d.text(name, n, hint)
	if u, err := url.Parse(text); text != "" && (err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "") {
		d.fail(n, hint, "%s is not the URL of a server", name)
		return ""
	}
	return text
}

// positive reads a number above 0.
func (d *decoder) positive(name string, n *yaml.Node) float64 {
	const least = 1e-9
	return d.float(name, n, least)
}

// float reads a number that need not be whole.
func (d *decoder) float(name string, n *yaml.Node, least float64) (value float64) {
	const most = 1e15
	if tag := n.ShortTag(); tag != "!!int" && tag != "!!float" {
		d.wrongType(name, n, "a number")
		return 0
	}
	if err := n.Decode(&value); err != nil || !(value >= least && value <= most) {
		d.fail(n, fmt.Sprintf("write a number from %g to %g", least, most), "%s cannot be %s", name, n.Value)
		return 0
	}
	return value
}

// autoscaling sets how the number of replicas follows metrics, and refuses what cannot be.
func (b *builder) autoscaling(w *spec.Workload) {
	a := w.Autoscaling
	if a == nil {
		return
	}
	if w.Strategy.MaxSurge == 0 {
		a.MaxSurge = spec.Amount{}
	}
	if w.Room > 0 && a.MaxReplicas > w.Room {
		b.checkExclusive(w, a.MaxReplicas)
		return
	}
	for i, m := range a.Metrics {
		path := []string{"autoscaling", "metrics", fmt.Sprint(i)}
		switch {
		case m.Type == spec.CPU && w.CPURequest() == 0:
			b.failSpec("write deploy.resources.limits.cpus or deploy.resources.reservations.cpus, of which it is a percentage",
				"the service says of no CPU that it is given", path...)
		case m.Type == spec.Memory && w.MemoryRequest() == 0:
			b.failSpec("write deploy.resources.limits.memory or deploy.resources.reservations.memory, of which it is a percentage",
				"the service says of no memory that it is given", path...)
		case m.Type == spec.Requests && len(w.HostPorts()) == 0:
			b.failSpec("publish a port that an ingress can hold, or follow another metric",
				"no ingress holds a port of the service, so that nobody counts its requests", path...)
		}
	}
}
