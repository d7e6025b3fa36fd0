package convert

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/controller/spec/load"
)

// Adapt prepares a project for a Swarm, and returns everything of it that cannot be
// honoured there, each with its place. The Swarm publishes ports itself: the ingresses go.
func Adapt(p *spec.Project, at load.Places) (problems spec.Errors) {
	maps.DeleteFunc(p.Workloads, func(_ string, w *spec.Workload) bool {
		if w.Kind == spec.Ingress && w.Backend.ProxyProtocol {
			e := at.Key("services", w.Backend.Service, spec.ExtensionKey, "proxyProtocol")
			problems = append(problems, refuse(e, "proxyProtocol", "no ingress of tend's is between the clients and the service"))
		}
		return w.Kind == spec.Ingress
	})
	check := func(section, name string, merged any) {
		problems = append(problems, refusedKeys(section, name, merged, at)...)
	}
	for _, name := range slices.Sorted(maps.Keys(p.Workloads)) {
		w := p.Workloads[name]
		check("services", w.Name, w.Template)
		problems = append(problems, refusedFields(w, at)...)
		problems = append(problems, refusedGlobal(p, w, at)...)
		if g := w.Global; g != nil {
			reason := w.Strategy.Reason
			w.Strategy = spec.Strategy{Type: spec.RollingUpdate, MaxUnavailable: g.MaxUnavailable.Count, Reason: reason}.WithSurge(g.MaxSurge.Count)
		}
		w.Room, w.FixedHostPorts = 0, nil      // a mesh gives a port to any number of tasks
		w.PullPolicy = types.PullPolicyMissing // the nodes pull
	}
	for _, n := range p.Networks {
		check("networks", n.Key, n.Config)
	}
	return problems
}

// refuse completes an Error about something that a Swarm cannot do.
func refuse(e *spec.Error, what, why string) *spec.Error {
	e.Message, e.Hint = fmt.Sprintf("%s is not supported on a Swarm", what), why
	return e
}

// refusedKeys finds the keys of a service or a network, as compose-go has merged it, that a
// Swarm cannot honour.
func refusedKeys(section, name string, merged any, at load.Places) (problems spec.Errors) {
	content, err := json.Marshal(merged)
	var tree any
	if err != nil || json.Unmarshal(content, &tree) != nil {
		return nil // its hash was made of the same text
	}
	var walk func(v any, path []string, pattern string)
	walk = func(v any, path []string, pattern string) {
		if r, ok := rows[pattern]; ok {
			why := ""
			if r.refuse != nil {
				why = r.refuse(v)
			} else if r.support == refused {
				why = r.remark
			}
			if why != "" {
				what := strings.Join(path[2:], ".")
				if s, ok := v.(string); ok {
					what += ": " + s
				}
				problems = append(problems, refuse(at.Key(path...), what, why))
				return
			}
		}
		switch v := v.(type) {
		case map[string]any:
			for _, key := range slices.Sorted(maps.Keys(v)) {
				next := key
				if isMap[pattern] {
					next = "*"
				}
				if v[key] != nil {
					walk(v[key], slices.Concat(path, []string{key}), pattern+"."+next)
				}
			}
		case []any:
			for i, item := range v {
				walk(item, slices.Concat(path, []string{strconv.Itoa(i)}), pattern+".*")
			}
		}
	}
	walk(tree, []string{section, name}, section+".*")
	return problems
}

// rows are those of the table of Compose's keys, by path; isMap has the paths whose keys
// are names.
var rows, isMap = func() (map[string]row, map[string]bool) {
	all, maps := map[string]row{}, map[string]bool{}
	for _, r := range composeKeys {
		if parent, ok := strings.CutSuffix(r.under, ".*"); ok {
			maps[parent] = true
		}
		for name := range strings.FieldsSeq(r.names) {
			all[strings.TrimPrefix(r.under+"."+name, ".")] = r
		}
	}
	return all, maps
}()

// refusedFields returns an error for each field of a workload's spec, or of x-tend on its
// service, that a Swarm cannot honour.
func refusedFields(w *spec.Workload, at load.Places) (problems spec.Errors) {
	for _, r := range specFields {
		if r.support != refused {
			continue
		}
		for name := range strings.FieldsSeq(r.names) {
			if e, written := at.Field(w.Name, strings.Split(name, ".")...); written {
				problems = append(problems, refuse(e, name, r.remark))
			}
		}
	}
	if w.Autoscaled() && slices.ContainsFunc(w.Autoscaling.Metrics, func(m spec.Metric) bool { return m.Type != spec.Cron && m.Type != spec.Prometheus }) {
		e, _ := at.Field(w.Name, "autoscaling", "metrics") // the metric is the CPU where none is written
		problems = append(problems, refuse(e, "autoscaling by Resource or Ingress", "tend reaches no container on another node: write metrics of Cron or Prometheus"))
	}
	if w.Build != nil {
		problems = append(problems, refuse(at.Key("services", w.Name, "build"), "build", rows["services.*.build"].remark))
	}
	key := func(name, why string) {
		problems = append(problems, refuse(at.Key("services", w.Name, spec.ExtensionKey, name), name, why))
	}
	if w.KeepImages > 0 {
		key("keepImages", "each node has its images: prune them there")
	}
	if w.PullInterval > 0 && refusePullPolicy(cmp.Or(w.Template.PullPolicy, types.PullPolicyMissing)) == "" {
		key("pullInterval", "Swarm does not ask the registry again: write the digest, or another tag")
	}
	return problems
}
