package doctor

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/spec"
)

// The exit codes of a program that the container does not have, as of a shell.
const (
	cannotRun = 126
	noProgram = 127
)

// Lookup is a name that was asked for in a container.
type Lookup struct {
	// Replica is the container's name.
	Replica, Name string
	// Code is the exit code of the program that looked it up, and Output what it printed.
	Code   int
	Output string
	// Err is why it was not looked up.
	Err error
}

// question is a name to look up in a running container.
type question struct {
	container engine.Container
	name      string
}

// questions lists the names to look up. A service's first running container looks up each
// dependency that has a running container in one of its networks.
func questions(p *spec.Project, containers []engine.Container) (all []question) {
	for _, w := range sorted(p.Workloads) {
		from := running(containers, w.Name)
		if len(from) == 0 {
			continue
		}
		for _, d := range w.DependsOn {
			if slices.ContainsFunc(running(containers, d.Name), func(c engine.Container) bool { return share(c, from[0]) }) {
				all = append(all, question{from[0], d.Name})
			}
		}
	}
	return all
}

// share reports whether two containers are in one network of their own; the engine's
// default network, and the host's, have no names.
func share(a, b engine.Container) bool {
	for name := range a.Networks {
		if _, both := b.Networks[name]; both && name != "bridge" && name != "host" && name != "none" {
			return true
		}
	}
	return false
}

// lookUp asks for a name with the first program that the container has.
func lookUp(ctx context.Context, e engine.Engine, q question) Lookup {
	l := Lookup{Replica: nameOf(q.container), Name: q.name}
	for _, command := range [][]string{{"getent", "hosts", q.name}, {"nslookup", q.name}} {
		var output bytes.Buffer
		l.Code, l.Err = e.Exec(ctx, q.container.ID, engine.ExecSpec{Command: command, Stdout: &output})
		l.Output = output.String()
		if l.Err != nil || l.Code != noProgram && l.Code != cannotRun {
			return l
		}
	}
	return l
}

// Names tells whether workloads find those that they depend on.
func Names(lookups []Lookup) (all []Finding) {
	const check = "dns"
	for _, l := range lookups {
		object := l.Replica + " → " + l.Name
		switch {
		case l.Err != nil:
			all = append(all, find(NotTried, check, object, cannotBeAsked("the replica", l.Err), ""))
		case l.Code == noProgram || l.Code == cannotRun:
			all = append(all, find(NotTried, check, object, "the image has neither getent nor nslookup", ""))
		case l.Code != 0:
			all = append(all, find(Failure, check, object, fmt.Sprintf("%s has no address there", l.Name),
				fmt.Sprintf("compare the networks of both services; `tend rollout restart %s` has its replicas join them anew", l.Name)))
		default:
			all = append(all, find(OK, check, object, "found", ""))
		}
	}
	return all
}

// running are the running containers of a workload, without those of its hooks.
func running(containers []engine.Container, workload string) (all []engine.Container) {
	for _, c := range containers {
		if spec.WorkloadOf(c.Labels) == workload && c.Labels[spec.LabelHook] == "" && c.State == engine.Running {
			all = append(all, c)
		}
	}
	return all
}

// services are the workloads but the ingresses, which tend makes, by name.
func services(workloads map[string]*spec.Workload) []*spec.Workload {
	return slices.DeleteFunc(sorted(workloads), func(w *spec.Workload) bool { return w.Kind == spec.Ingress })
}

// sorted are the workloads by name.
func sorted(workloads map[string]*spec.Workload) (all []*spec.Workload) {
	for _, name := range slices.Sorted(maps.Keys(workloads)) {
		all = append(all, workloads[name])
	}
	return all
}
