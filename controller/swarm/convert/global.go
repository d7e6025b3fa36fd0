package convert

import (
	"fmt"
	"slices"

	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/controller/spec/load"
)

// globalMode is deploy.mode of what each node runs one replica of.
const globalMode = "global"

// refusedGlobal returns an error for each thing that deploy.mode: global does not go with:
// there are as many replicas as nodes, each with the volumes of its own node.
func refusedGlobal(p *spec.Project, w *spec.Workload, at load.Places) (problems spec.Errors) {
	d := w.Template.Deploy
	if d == nil || d.Mode != globalMode {
		return nil
	}
	key := func(what, why string, path ...string) {
		e := at.Key(slices.Concat([]string{"services", w.Name}, path)...)
		problems = append(problems, refuse(e, what+" with mode: global", why))
	}
	switch w.Kind {
	case spec.Database:
		key("a Database", "its data are on one node: write replicated", "deploy", "mode")
		return problems
	case spec.Job:
		key("a Job", "tend counts the completions that are written, and not the nodes: write replicated-job", "deploy", "mode")
		return problems
	}
	const counted = "there is one replica on each node that may have it, and none elsewhere: remove it, or mode: global"
	switch { // compose-go writes scale into the other one
	case w.Template.Scale != nil:
		key("scale", counted, "scale")
	case d.Replicas != nil:
		key("deploy.replicas", counted, "deploy", "replicas")
	}
	if d.Placement.MaxReplicas > 0 {
		key("deploy.placement.max_replicas_per_node", counted, "deploy", "placement", "max_replicas_per_node")
	}
	field := func(name, why string, path ...string) {
		if e, written := at.Field(w.Name, path...); written {
			problems = append(problems, refuse(e, name+" with mode: global", why))
		}
	}
	field("replicas", counted, "replicas")
	field("autoscaling", counted, "autoscaling")
	if w.Strategy.Type == spec.Recreate {
		field("Recreate", "it would end all replicas on all nodes before the next ones start: write maxSurge: 0, with which each node ends its own first", "strategy", "type")
	}
	const percent = "the number of nodes changes, and a percentage of it with it: write a number"
	if w.Global.MaxSurge.Percent > 0 {
		field("a percentage", percent, "strategy", "rollingUpdate", "maxSurge")
	}
	if w.Global.MaxUnavailable.Percent > 0 {
		field("a percentage", percent, "strategy", "rollingUpdate", "maxUnavailable")
	}
	for _, volume := range LocalVolumes(p, w) {
		if other := pins(p, volume); other != "" {
			key(fmt.Sprintf("the volume %s, which %s mounts, too,", volume, other),
				fmt.Sprintf("%s runs on the one node that has it, and each other node would have an empty one: give each a volume of its own", other), "volumes")
		}
	}
	return problems
}

// pins is a workload that keeps a volume on one node; empty where each node may have one of
// that name.
func pins(p *spec.Project, volume string) string {
	var names []string
	for name, w := range p.Workloads {
		if w.Global == nil && slices.Contains(LocalVolumes(p, w), volume) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return ""
	}
	return slices.Min(names)
}
