package services

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/swarm"
)

// Differences names the fields in which a service differs from a spec, without what Swarm
// fills in and what is counted elsewhere.
func Differences(has, wanted swarm.ServiceSpec) []string {
	if force := wanted.TaskTemplate.ForceUpdate; force < has.TaskTemplate.ForceUpdate {
		wanted.TaskTemplate.ForceUpdate = has.TaskTemplate.ForceUpdate
	}
	a, b := normal(has, wanted), normal(wanted, wanted)
	var names []string
	compare("", a, b, &names)
	slices.Sort(names)
	return names
}

// compare collects the paths of mappings at which two trees differ.
func compare(path string, a, b any, names *[]string) {
	ma, isMap := a.(map[string]any)
	mb, isMapToo := b.(map[string]any)
	if !isMap || !isMapToo {
		if !reflect.DeepEqual(a, b) {
			*names = append(*names, path)
		}
		return
	}
	keys := maps.Clone(ma)
	maps.Copy(keys, mb)
	for key := range keys {
		compare(strings.TrimPrefix(path+"."+key, "."), orEmpty(ma[key], mb[key]), orEmpty(mb[key], ma[key]), names)
	}
}

// orEmpty is a value, or an empty mapping beside one, so that the field in it is named.
func orEmpty(v, beside any) any {
	if _, isMap := beside.(map[string]any); v == nil && isMap {
		return map[string]any{}
	}
	return v
}

// normal is a spec as a tree without what is empty or Swarm's default, beside the one that
// is wanted.
func normal(s, wanted swarm.ServiceSpec) map[string]any {
	content, err := json.Marshal(s)
	tree := map[string]any{}
	if err != nil || json.Unmarshal(content, &tree) != nil {
		return nil // the API's own types are JSON
	}
	prune(tree)
	task, _ := tree["TaskTemplate"].(map[string]any)
	container, _ := task["ContainerSpec"].(map[string]any)
	if c := wanted.TaskTemplate.ContainerSpec; container != nil && c != nil {
		image, _ := container["Image"].(string)
		if name, _, ok := strings.Cut(image, "@"); ok && name == c.Image {
			container["Image"] = name // Swarm has looked its digest up
		}
	}
	if p := wanted.TaskTemplate.Placement; p == nil || len(p.Platforms) == 0 {
		if placement, ok := task["Placement"].(map[string]any); ok {
			delete(placement, "Platforms") // likewise
		}
	}
	if endpoint, ok := tree["EndpointSpec"].(map[string]any); ok && endpoint["Mode"] == string(swarm.ResolutionModeVIP) {
		delete(endpoint, "Mode")
	}
	if task["Runtime"] == string(swarm.RuntimeContainer) {
		delete(task, "Runtime")
	}
	for _, name := range []string{"Isolation"} {
		if container[name] == "default" {
			delete(container, name)
		}
	}
	if mounts, ok := container["Mounts"].([]any); ok {
		for _, m := range mounts {
			if m, ok := m.(map[string]any); ok {
				delete(m, "Consistency") // it says nothing on Linux
			}
		}
	}
	prune(tree)
	return tree
}

// prune removes what is empty from a tree, and reports whether all of it is.
func prune(v any) (empty bool) {
	switch v := v.(type) {
	case map[string]any:
		maps.DeleteFunc(v, func(_ string, field any) bool { return prune(field) })
		return len(v) == 0
	case []any:
		for _, item := range v {
			prune(item)
		}
		return len(v) == 0
	default:
		return v == nil || v == "" || v == false || v == 0.0
	}
}

// hash is a hash of a spec.
func hash(s swarm.ServiceSpec) string {
	content, err := json.Marshal(s)
	if err != nil {
		return "" // the API's own types are JSON
	}
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:8])
}
