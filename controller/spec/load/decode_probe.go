package load

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"time"
	"unicode"

	"go.yaml.in/yaml/v3"

	"github.com/tendhq/tend/controller/spec"
)

// Defaults of Kubernetes core/v1.
const (
	defaultProbePeriod           = 10 * time.Second
	defaultProbeTimeout          = time.Second
	defaultProbeSuccessThreshold = 1
	defaultProbeFailureThreshold = 3
)

// leastProbeSeconds keeps a slip of the finger from making probes without a pause.
const leastProbeSeconds = 0.01

// headerName is a token of RFC 9110, section 5.6.2.
var headerName = regexp.MustCompile("^[-!#$%&'*+.^_`|~0-9A-Za-z]+$")

func (d *decoder) probeFields() fields {
	return fields{
		"startupProbe":   func(name string, n *yaml.Node) { d.probes.Startup = d.probe(name, n, 1) },
		"readinessProbe": func(name string, n *yaml.Node) { d.probes.Readiness = d.probe(name, n, maxSeconds) },
		"livenessProbe":  func(name string, n *yaml.Node) { d.probes.Liveness = d.probe(name, n, 1) },
	}
}

// probe reads a probe whose successThreshold is at most mostSuccesses.
func (d *decoder) probe(name string, n *yaml.Node, mostSuccesses int) *spec.Probe {
	p := &spec.Probe{
		Period:           defaultProbePeriod,
		Timeout:          defaultProbeTimeout,
		SuccessThreshold: defaultProbeSuccessThreshold,
		FailureThreshold: defaultProbeFailureThreshold,
	}
	var actions []string
	action := func(read func(name string, n *yaml.Node)) func(string, *yaml.Node) {
		return func(name string, n *yaml.Node) {
			actions = append(actions, name)
			read(name, n)
		}
	}
	duration := func(target *time.Duration, least float64) func(string, *yaml.Node) {
		return func(name string, n *yaml.Node) {
			if seconds, ok := d.fraction(name, n, least); ok {
				*target = seconds
			}
		}
	}
	threshold := func(target *int, most int) func(string, *yaml.Node) {
		return func(name string, n *yaml.Node) {
			if count := d.count(name, n, 1, most); count != nil {
				*target = *count
			}
		}
	}
	d.mapping(name, n, fields{
		"httpGet":             action(func(name string, n *yaml.Node) { p.HTTPGet = d.httpGet(name, n) }),
		"tcpSocket":           action(func(name string, n *yaml.Node) { p.TCPSocket = d.tcpSocket(name, n) }),
		"exec":                action(func(name string, n *yaml.Node) { p.Exec = d.exec(name, n) }),
		"postgres":            action(func(name string, n *yaml.Node) { p.Postgres = d.postgres(name, n) }),
		"initialDelaySeconds": duration(&p.InitialDelay, 0),
		"periodSeconds":       duration(&p.Period, leastProbeSeconds),
		"timeoutSeconds":      duration(&p.Timeout, leastProbeSeconds),
		"successThreshold":    threshold(&p.SuccessThreshold, mostSuccesses),
		"failureThreshold":    threshold(&p.FailureThreshold, maxSeconds),
	})
	switch {
	case n.Kind != yaml.MappingNode:
	case len(actions) == 0:
		d.fail(n, "add httpGet, tcpSocket, exec or postgres", "%s does not say what to ask", name)
	case len(actions) > 1:
		d.fail(n, "keep one of them", "%s has %s, but a probe asks one thing", name, strings.Join(actions, " and "))
	}
	return p
}

func (d *decoder) httpGet(name string, n *yaml.Node) *spec.HTTPGet {
	h := &spec.HTTPGet{Path: "/", Scheme: "http"}
	d.mapping(name, n, fields{
		"path": func(name string, n *yaml.Node) {
			h.Path = d.text(name, n, "write a path, as /health")
			if _, err := url.Parse("http://replica/" + strings.TrimPrefix(h.Path, "/")); err != nil {
				d.fail(n, "write a path, as /health", "%s cannot be %q", name, h.Path)
			}
		},
		"port":        d.port(&h.Port),
		"scheme":      func(name string, n *yaml.Node) { h.Scheme = strings.ToLower(d.oneOf(name, n, "HTTP", "HTTPS")) },
		"httpHeaders": func(name string, n *yaml.Node) { h.Headers = d.headers(name, n) },
	}, "port")
	return h
}

func (d *decoder) headers(name string, n *yaml.Node) map[string]string {
	headers := map[string]string{}
	d.list(name, n, func(name string, n *yaml.Node) {
		var key, value string
		d.mapping(name, n, fields{
			"name": func(name string, n *yaml.Node) {
				key = d.text(name, n, "write the name of a header")
				if key != "" && !headerName.MatchString(key) {
					d.fail(n, "write the name of a header, as X-Probe", "%s cannot be %q", name, key)
				}
			},
			"value": func(name string, n *yaml.Node) {
				if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!str" {
					d.wrongType(name, n, "a string")
					return
				}
				if value = n.Value; strings.ContainsFunc(value, unicode.IsControl) {
					d.fail(n, "write it without control characters", "%s cannot be %q", name, value)
				}
			},
		}, "name", "value")
		for other := range headers {
			if strings.EqualFold(key, other) {
				d.fail(n, "keep one of the two", "the header %s was given before", other)
			}
		}
		headers[key] = value
	})
	return headers
}

func (d *decoder) tcpSocket(name string, n *yaml.Node) *spec.TCPSocket {
	s := &spec.TCPSocket{}
	d.mapping(name, n, fields{"port": d.port(&s.Port)}, "port")
	return s
}

func (d *decoder) exec(name string, n *yaml.Node) *spec.Exec {
	e := &spec.Exec{}
	d.mapping(name, n, fields{
		"command": func(name string, n *yaml.Node) { e.Command = d.command(name, n) },
	}, "command")
	return e
}

func (d *decoder) postgres(name string, n *yaml.Node) *spec.Postgres {
	const defaultPort = 5432
	p := &spec.Postgres{Port: defaultPort}
	d.mapping(name, n, fields{
		"port": d.port(&p.Port),
		"user": func(name string, n *yaml.Node) { p.User = d.text(name, n, "write the name of a role, or remove it") },
		"database": func(name string, n *yaml.Node) {
			p.Database = d.text(name, n, "write the name of a database, or remove it")
		},
	})
	return p
}

func (d *decoder) port(target *int) func(name string, n *yaml.Node) {
	return func(name string, n *yaml.Node) {
		if port := d.count(name, n, 1, maxPort); port != nil {
			*target = *port
		}
	}
}

// list reads the items of a list.
func (d *decoder) list(name string, n *yaml.Node, read func(name string, n *yaml.Node)) {
	if n.Kind != yaml.SequenceNode {
		d.wrongType(name, n, "a list")
		return
	}
	for i, item := range n.Content {
		read(fmt.Sprintf("%s[%d]", name, i), item)
	}
}
