package migrate

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/controller/swarm/convert"
	"github.com/tendhq/tend/controller/swarm/manager"
)

// Volume is a volume that moves with the workloads that mount it.
type Volume struct {
	// Name is the engine's name of it. Of one that the engine has named it is the workload and
	// the path, as web:/cache: that one stays behind.
	Name, Key string
	// Behind is true of a volume that stays behind.
	Behind bool
	// Workloads mount it; Database is the one that has its data there, empty where none has.
	Workloads []string
	Database  string
}

// String is what is on it.
func (v Volume) String() string {
	on := "mounted by " + strings.Join(v.Workloads, ", ")
	if v.Database != "" {
		on = "the data of the Database " + v.Database
	}
	if v.Behind {
		on += "; it has no name, so that its content stays behind and the next one is empty"
	}
	return on
}

// Volumes lists the volumes of a project, as the Swarm is to have it, and those of its
// containers that nobody has named.
func Volumes(p *spec.Project, containers []engine.Container) (all []Volume) {
	named := map[string]*Volume{}
	for _, name := range Order(p) {
		w := p.Workloads[name]
		for _, volume := range w.Volumes {
			if named[volume] == nil {
				named[volume] = &Volume{Name: volume, Key: p.Volumes[volume].Key}
			}
			v := named[volume]
			v.Workloads = append(v.Workloads, name)
			if w.Kind == spec.Database && w.DataVolume == volume {
				v.Database = name
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(named)) {
		all = append(all, *named[name])
	}
	seen := map[string]bool{}
	for _, c := range containers {
		name := c.Labels[spec.LabelService]
		if w := p.Workloads[name]; w == nil || w.Kind == spec.Job || c.Labels[spec.LabelOneoff] == "True" {
			continue // what a Job has left in its container nobody reads
		}
		for _, m := range c.Mounts {
			if at := name + ":" + m.Target; m.Anonymous && !m.ReadOnly && !seen[at] {
				seen[at] = true
				all = append(all, Volume{Name: at, Key: at, Behind: true, Workloads: []string{name}})
			}
		}
	}
	return all
}

// Stays says of each workload that may not move, as a volume of it may not, why.
func Stays(volumes []Volume, may func(Volume) bool) map[string]string {
	stays := map[string]string{}
	for _, v := range volumes {
		if may(v) {
			continue
		}
		for _, name := range v.Workloads {
			if stays[name] == "" {
				stays[name] = fmt.Sprintf("nobody has said that the volume %s moves: --volume %s", v.Name, v.Key)
			}
		}
	}
	return stays
}

// Check returns everything that is in the way of a move, apart from what is written. It
// changes nothing.
func Check(ctx context.Context, o Options) (problems []string, err error) {
	if problems, err = o.checkNetworks(ctx); err != nil {
		return nil, err
	}
	nodes, err := o.Manager.Nodes(ctx)
	if err != nil {
		return nil, err
	}
	on, err := o.Manager.Services(ctx, o.Swarm.Name)
	if err != nil {
		return nil, err
	}
	all := map[string]*manager.Service{}
	for i, s := range on {
		if s.Spec.Labels[spec.LabelHook] == "" {
			all[s.Spec.Labels[spec.LabelService]] = &on[i]
		}
	}
	if o.To == Swarm {
		problems = append(problems, o.checkNode(nodes, all)...)
	}
	elsewhere, err := o.checkPlaces(ctx, nodes, all)
	return append(problems, elsewhere...), err
}

// checkNetworks returns which networks cannot be on both sides.
func (o Options) checkNetworks(ctx context.Context) (problems []string, err error) {
	networks, err := o.Engine.Networks(ctx, o.Docker.Name, slices.Sorted(maps.Keys(o.Docker.Networks))...)
	if err != nil {
		return nil, err
	}
	overlay := map[string]bool{}
	for _, n := range networks {
		overlay[n.Name] = n.Driver == "overlay"
	}
	for _, name := range slices.Sorted(maps.Keys(o.Swarm.Networks)) {
		n := o.Swarm.Networks[name]
		there := slices.ContainsFunc(networks, func(n engine.Network) bool { return n.Name == name })
		switch {
		case n.External && there && !overlay[name]:
			problems = append(problems, fmt.Sprintf("the external network %s is of this engine alone, and tasks cannot join it: let it be an overlay (docker network create --driver overlay --attachable)", name))
		case !n.External && convert.NetworkName(o.Swarm, n) == name:
			problems = append(problems, fmt.Sprintf("the network %s has a name of its own, which only one side can have: leave networks.%s.name out", name, n.Key))
		case !n.External && o.To == Docker && overlay[name]:
			problems = append(problems, fmt.Sprintf("the network %s of the Swarm was made by an earlier tend, under the name that the bridge is to have: run tend down --engine swarm, and tend up", name))
		}
	}
	return problems, nil
}

// Outline says of each workload what a move does with it.
func Outline(o Options) (lines []string) {
	m := newMove(o)
	old, new := "containers", "tasks"
	if o.To == Docker {
		old, new = new, old
	}
	for _, name := range m.order {
		docker, service := o.Docker.Workloads[name], o.Swarm.Workloads[name]
		text := ""
		switch alone := alone(docker, service); {
		case o.Stays[name] != "":
			text = "stays: " + o.Stays[name]
		case service.Kind == spec.Job && o.To == Swarm:
			text = "is not run again where it has run; its container stays, as the record of that"
		case service.Kind == spec.Job:
			text = "runs again, unless the container of its run is there"
		case alone && service.Kind == spec.Database:
			text = fmt.Sprintf("is prepared as for an update, and its %s end before its %s start, on the same volume: meanwhile nothing answers", old, new)
		case alone:
			text = fmt.Sprintf("its %s end before its %s start, as both would write to the same place or hold the same port: meanwhile nothing answers", old, new)
		default:
			text = fmt.Sprintf("its %s start beside its %s, which end once those of all are ready", new, old)
		}
		if len(m.ingresses(name)) > 0 && o.Stays[name] == "" {
			text += "; its published ports change hands, and answer nobody until " + map[Side]string{Docker: "their ingress is there", Swarm: "a task is ready"}[o.To]
		}
		lines = append(lines, name+": "+text)
	}
	return lines
}
