package migrate

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/docker/api/types/swarm"

	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/plan/services"
	"github.com/tendhq/tend/controller/swarm/convert"
	"github.com/tendhq/tend/controller/swarm/manager"
)

// checkNode returns why tasks cannot be where the data are, on this node.
func (o Options) checkNode(nodes []manager.Node, on map[string]*manager.Service) (problems []string) {
	here := slices.IndexFunc(nodes, func(n manager.Node) bool { return n.ID == o.Node })
	if here < 0 {
		return []string{fmt.Sprintf("this node, %s, is not in the Swarm", o.Node)}
	}
	node, needed := nodes[here], len(nodes) == 1
	for _, name := range Order(o.Swarm) {
		w := o.Swarm.Workloads[name]
		volumes := len(convert.LocalVolumes(o.Swarm, w)) > 0 && w.Global == nil
		folder := slices.ContainsFunc(w.Template.Volumes, func(v types.ServiceVolumeConfig) bool {
			return v.Type == types.VolumeTypeBind && slices.Contains(w.Contended(), v.Target)
		})
		if !volumes && !folder || on[name] != nil {
			continue
		}
		needed = true
		switch {
		case !services.Fits(node, w):
			problems = append(problems, fmt.Sprintf("%s has its data on this node, %s, and its platform or placement.constraints keep its tasks off it: change them, or bring the data to another node", name, node.Hostname))
		case !volumes && slices.ContainsFunc(nodes, func(n manager.Node) bool { return n.ID != o.Node && services.Fits(n, w) }):
			problems = append(problems, fmt.Sprintf("%s writes to a folder of this node, and Swarm may have it on another one: write node.id==%s in its deploy.placement.constraints", name, o.Node))
		}
	}
	if needed && (node.State != swarm.NodeStateReady || node.Availability != swarm.NodeAvailabilityActive) {
		problems = append(problems, fmt.Sprintf("this node, %s, is %s and its availability %s, so that it takes no tasks: docker node update --availability active %s", node.Hostname, node.State, node.Availability, node.Hostname))
	}
	return problems
}

// checkPlaces returns what is on another node than this one, and would begin here without its
// data. Nobody but its own engine knows what is there.
func (o Options) checkPlaces(ctx context.Context, nodes []manager.Node, on map[string]*manager.Service) (problems []string, err error) {
	if len(nodes) == 1 {
		return nil, nil
	}
	volumes, err := o.Engine.Volumes(ctx, o.Docker.Name, slices.Collect(maps.Keys(o.Docker.Volumes))...)
	if err != nil {
		return nil, err
	}
	for _, name := range Order(o.Swarm) {
		w := o.Swarm.Workloads[name]
		local, s := convert.LocalVolumes(o.Swarm, w), on[name]
		if len(local) == 0 || w.Global != nil {
			continue
		}
		missing := slices.DeleteFunc(slices.Clone(local), func(name string) bool {
			return slices.ContainsFunc(volumes, func(v engine.Volume) bool { return v.Name == name })
		})
		switch {
		case s != nil && o.To == Docker && convert.PinnedTo(s.Spec) != o.Node:
			problems = append(problems, fmt.Sprintf("%s has its volumes on another node, and here they would be empty: run tend migrate there, or bring the data here", name))
		case s == nil && len(missing) > 0:
			problems = append(problems, fmt.Sprintf("the volume %s of %s is not on this node, and here it would be empty: run tend migrate on the node that has it, or have tend apply make it where it is new", strings.Join(missing, ", "), name))
		}
	}
	if len(problems) > 0 || len(on) > 0 || len(volumes) > 0 {
		return problems, nil
	}
	containers, err := o.Engine.Containers(ctx, o.Docker.Name)
	if err != nil {
		return nil, err
	}
	networks, err := o.Engine.Networks(ctx, o.Docker.Name)
	if len(containers) == 0 && len(networks) == 0 {
		problems = append(problems, fmt.Sprintf("nothing of project %s is on this node or on the Swarm: run tend migrate on the node that runs it", o.Docker.Name))
	}
	return problems, err
}
