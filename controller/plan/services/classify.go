package services

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/docker/docker/api/types/swarm"

	"github.com/tendhq/tend/controller/plan"
	"github.com/tendhq/tend/controller/swarm/manager"
)

// view is the first stage: what there is, whatever is to be kept.
type view struct {
	// Input has its tasks in order of slot and age, its dependencies in order of name.
	Input
	// tasks are those of the workload's service.
	tasks []task
	nodes map[string]manager.Node
}

// task adds to a Swarm's task the conclusions that the later stages need.
type task struct {
	manager.Task
	revision string
	// live is true where it runs or is to run; leaving where it is being ended.
	live, leaving bool
	// ready is true where it runs, its health check has passed, and its node is there.
	ready bool
}

// classify tells what each task is.
func classify(in Input) view {
	in.Dependencies = slices.SortedStableFunc(slices.Values(in.Dependencies), func(a, b plan.Dependency) int { return cmp.Compare(a.Name, b.Name) })
	if in.Foreign == "" && in.Service == nil && in.Now.Before(in.takenUntil()) {
		in.Foreign = in.Taken.Error
	}
	v := view{Input: in, nodes: map[string]manager.Node{}}
	for _, n := range in.Nodes {
		v.nodes[n.ID] = n
	}
	v.Tasks = slices.SortedStableFunc(slices.Values(in.Tasks), func(a, b manager.Task) int {
		node := 0
		if v.global() {
			node = cmp.Compare(v.host(a), v.host(b))
		}
		return cmp.Or(cmp.Compare(a.Slot, b.Slot), node, a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID))
	})
	for _, t := range v.Tasks {
		if in.Service != nil && t.ServiceID == in.Service.ID {
			v.tasks = append(v.tasks, v.judge(t))
		}
	}
	return v
}

func (v view) judge(t manager.Task) task {
	leaving := Leaving(t)
	node, placed := v.nodes[t.NodeID]
	return task{
		Task: t, revision: RevisionOf(t),
		live: !leaving && !Over(t), leaving: leaving,
		ready: !leaving && t.State == swarm.TaskStateRunning && placed && node.There(),
	}
}

// why says what is the matter with a task that does not run.
func (v view) why(t manager.Task) string {
	node := ""
	if n, ok := v.nodes[t.NodeID]; ok {
		node = " on " + n.Hostname
		if v.global() { // its name says so
			node = ""
		}
		if !n.There() {
			return fmt.Sprintf("is on %s, which is %s", n.Hostname, n.State)
		}
	}
	if Leaving(t) {
		return "is being stopped" + node
	}
	if text := cmp.Or(t.Err, t.Message); text != "" {
		return fmt.Sprintf("is %s%s: %s", t.State, node, text)
	}
	return fmt.Sprintf("is %s%s", t.State, node)
}

// failure says why the newest task of a revision that has failed did so; empty where none has.
func (v view) failure(revision string) string {
	var newest *task
	for i, t := range v.tasks {
		failed := t.State == swarm.TaskStateFailed || t.State == swarm.TaskStateRejected
		if failed && t.revision == revision && (newest == nil || t.CreatedAt.After(newest.CreatedAt)) {
			newest = &v.tasks[i]
		}
	}
	if newest == nil {
		return ""
	}
	return v.subject(newest.Task) + " " + v.why(newest.Task)
}

// pending says why there is no node for a task that is to run; empty where each has one, or
// Swarm is about to choose it.
func (t *target) pending() string {
	for _, k := range t.tasks {
		if k.live && t.counted(k) && k.State == swarm.TaskStatePending && k.Err != "" {
			return t.subject(k.Task) + " " + t.why(k.Task)
		}
	}
	return ""
}
