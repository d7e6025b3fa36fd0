package spec

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Difference is one field in which two revisions of a workload differ.
type Difference struct {
	// Field is the path of the field, with Compose's and the spec's names.
	Field string
	// From and To are the values; empty where there is none. Both are empty where
	// Concealed is true, as they may be secret.
	From, To  string
	Concealed bool
}

// shownFields are the keys of a Compose service whose values hold no secret.
var shownFields = fieldSet(`image ports expose networks volumes tmpfs user group_add working_dir read_only
	cap_add cap_drop privileged security_opt userns_mode cgroup cgroup_parent device_cgroup_rules devices
	deploy cpu_count cpu_percent cpu_period cpu_quota cpu_rt_period cpu_rt_runtime cpu_shares cpus cpuset
	mem_limit mem_reservation mem_swappiness memswap_limit oom_kill_disable oom_score_adj pids_limit shm_size
	hostname domainname container_name init ipc pid uts platform runtime ulimits sysctls stdin_open tty
	stop_grace_period stop_signal network_mode dns dns_opt dns_search extra_hosts links external_links
	secrets configs healthcheck probes direct gpus isolation mac_address volumes_from`)

// concealedFields are fields below those that may hold a secret all the same.
var concealedFields = fieldSet("healthcheck.test headers command password")

func fieldSet(names string) map[string]bool {
	set := map[string]bool{}
	for name := range strings.FieldsSeq(names) {
		set[name] = true
	}
	return set
}

// concealed reports whether the values of a field may be secret.
func concealed(field string) bool {
	root, _, _ := strings.Cut(field, ".")
	if !shownFields[root] || concealedFields[field] {
		return true
	}
	return slices.ContainsFunc(strings.Split(field, "."), func(part string) bool { return concealedFields[part] })
}

// Differences lists how the containers of two specs of a workload differ, by field.
// Revisions may also differ in what a spec does not hold, as the content of a secret;
// then the list is empty.
func Differences(from, to *Workload) ([]Difference, error) {
	before, err := fields(from)
	if err != nil {
		return nil, err
	}
	after, err := fields(to)
	if err != nil {
		return nil, err
	}
	names := slices.Collect(maps.Keys(before))
	for name := range after {
		if before[name] == nil {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	var all []Difference
	for _, name := range names {
		removed, added := without(before[name], after[name]), without(after[name], before[name])
		for i := range max(len(removed), len(added)) {
			d := Difference{Field: name, Concealed: concealed(name)}
			if i < len(removed) && !d.Concealed {
				d.From = removed[i]
			}
			if i < len(added) && !d.Concealed {
				d.To = added[i]
			}
			all = append(all, d)
		}
	}
	return slices.CompactFunc(all, func(a, b Difference) bool { return a.Concealed && a == b }), nil
}

// without returns the values that are not among others, each as often as it is missing
// there.
func without(values, others []string) (rest []string) {
	left := slices.Clone(others)
	for _, v := range values {
		if i := slices.Index(left, v); i >= 0 {
			left = slices.Delete(left, i, i+1)
		} else {
			rest = append(rest, v)
		}
	}
	return rest
}

// fields are all that a container is made from, by path. A list has several values.
func fields(w *Workload) (map[string][]string, error) {
	text, err := json.Marshal(containerTemplate(w))
	if err != nil {
		return nil, fmt.Errorf("compare the templates of %s: %w", w.Name, err)
	}
	var tree map[string]any
	if err := json.Unmarshal(text, &tree); err != nil {
		return nil, fmt.Errorf("compare the templates of %s: %w", w.Name, err)
	}
	if w.Direct && len(w.Template.Ports) > 0 {
		tree["direct"] = true
	}
	if w.Kind == Deployment {
		probes := map[string]any{}
		for name, p := range map[string]*Probe{"startup": w.Probes.Startup, "readiness": w.Probes.Readiness, "liveness": w.Probes.Liveness} {
			if p != nil {
				probes[name] = p.fields()
			}
		}
		tree["probes"] = probes
	}
	out := map[string][]string{}
	flatten(out, "", tree)
	return out, nil
}

// fields are those of a probe, as a spec writes them.
func (p *Probe) fields() map[string]any {
	all := map[string]any{
		"initialDelaySeconds": p.InitialDelay.Seconds(), "periodSeconds": p.Period.Seconds(), "timeoutSeconds": p.Timeout.Seconds(),
		"successThreshold": p.SuccessThreshold, "failureThreshold": p.FailureThreshold,
	}
	switch {
	case p.HTTPGet != nil:
		all["httpGet"] = map[string]any{"path": p.HTTPGet.Path, "port": p.HTTPGet.Port, "scheme": p.HTTPGet.Scheme, "headers": p.HTTPGet.Headers}
	case p.TCPSocket != nil:
		all["tcpSocket"] = map[string]any{"port": p.TCPSocket.Port}
	case p.Exec != nil:
		all["exec"] = map[string]any{"command": p.Exec.Command}
	case p.Postgres != nil:
		all["postgres"] = map[string]any{"port": p.Postgres.Port, "user": p.Postgres.User, "database": p.Postgres.Database, "password": p.Postgres.Password}
	}
	return all
}

// flatten adds the leaves under a path.
func flatten(out map[string][]string, path string, v any) {
	switch v := v.(type) {
	case nil:
	case map[string]any:
		for key, below := range v {
			if path != "" {
				key = path + "." + key
			}
			flatten(out, key, below)
		}
	case map[string]string:
		for key, below := range v {
			flatten(out, path+"."+key, below)
		}
	case []string:
		out[path] = append(out[path], v...)
	case []any:
		for _, item := range v {
			out[path] = append(out[path], leaf(item))
		}
	default:
		out[path] = append(out[path], leaf(v))
	}
}

// leaf is a value as text: a string as it is, anything else as JSON.
func leaf(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(text)
}
