package services

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/controller/swarm/convert"
	"github.com/tendhq/tend/controller/swarm/manager"
)

// ProjectInput is all that a plan for the project's networks, secrets and configs may depend
// on.
type ProjectInput struct {
	Now     time.Time
	Project *spec.Project
	// Remove asks that all be taken away.
	Remove bool
	// Foreign is why nothing is to be touched; empty where nothing is in the way.
	Foreign  string
	Networks []manager.Network
	Secrets  []manager.Secret
	Configs  []manager.Config
	Services []manager.Service
	// Wanted are the names that the present contents of secrets and configs have, by
	// Compose key; those that a workload uses.
	WantedSecrets, WantedConfigs map[string]string
	// Rollouts are the records of all workloads: what one of them may go back to stays.
	Rollouts []core.Rollout
	// Tries are the actions that have failed, by object.
	Tries map[string]core.Try
}

// ProjectPlan is what to do about the project's networks, secrets and configs now.
type ProjectPlan struct {
	Actions []Action
	// Next is the instant at which time alone could change the plan; zero for never.
	Next time.Time
}

// ComputeProject plans the project's own objects: what is missing is made, and what no
// service uses and no rollout may go back to is removed.
func ComputeProject(in ProjectInput) (p ProjectPlan) {
	if in.Foreign != "" {
		return p
	}
	add := func(a Action) {
		if last := in.Tries[a.Object]; last.Count > 0 {
			if at := last.At.Add(pauseAfter(last.Count)); at.After(in.Now) {
				if p.Next.IsZero() || at.Before(p.Next) {
					p.Next = at
				}
				return
			}
		}
		p.Actions = append(p.Actions, a)
	}
	in.networks(add)
	secrets, configs := kept{there: map[string]object{}, wanted: in.WantedSecrets}, kept{there: map[string]object{}, wanted: in.WantedConfigs}
	for _, s := range in.Secrets {
		secrets.there[s.Name] = object{s.ID, s.Labels[spec.LabelProject] == in.Project.Name}
	}
	for _, c := range in.Configs {
		configs.there[c.Name] = object{c.ID, c.Labels[spec.LabelProject] == in.Project.Name}
	}
	secrets.external = func(key string) bool { return bool(in.Project.Secrets[key].External) }
	configs.external = func(key string) bool { return bool(in.Project.Configs[key].External) }
	needed := in.needed()
	in.keep(secrets, add, needed, CreateSecret, RemoveSecret)
	in.keep(configs, add, needed, CreateConfig, RemoveConfig)
	return p
}

// kept are the project's secrets, or its configs.
type kept struct {
	// there are those that the Swarm has, by name.
	there map[string]object
	// wanted are the names of those that are written, by Compose key.
	wanted map[string]string
	// external reports whether somebody else makes and removes one, by Compose key.
	external func(key string) bool
}

// object is a secret or config that the Swarm has; ours where tend made it for the project.
type object struct {
	id   string
	ours bool
}

// networks makes the networks that are missing, and removes those that are not written.
func (in ProjectInput) networks(add func(Action)) {
	there, used := map[string]bool{}, map[string]bool{}
	for _, s := range in.Services {
		for _, n := range s.Spec.TaskTemplate.Networks {
			used[n.Target] = true
		}
	}
	for _, n := range in.Networks {
		written, ok := in.Project.Networks[in.written(n)]
		there[written.Name] = true
		if ours := n.Labels[spec.LabelProject] == in.Project.Name; !ours || used[n.ID] || ok && (written.External || !in.Remove) {
			continue
		}
		add(Action{Kind: RemoveNetwork, Object: n.Name, ID: n.ID, Cause: "no service uses it"})
	}
	for _, name := range slices.Sorted(maps.Keys(in.Project.Networks)) {
		if n := in.Project.Networks[name]; !there[name] && !n.External && !in.Remove {
			add(Action{Kind: CreateNetwork, Object: name, Key: n.Key, Cause: "it is written"})
		}
	}
}

// written is the name under which a network is written. One that tend has made is known by
// its label, as its own name leaves room for the bridge of the same network.
func (in ProjectInput) written(n manager.Network) string {
	if n.Labels[spec.LabelProject] == in.Project.Name {
		for name, w := range in.Project.Networks {
			if w.Key == n.Labels[spec.LabelNetwork] && !w.External {
				return name
			}
		}
	}
	return n.Name
}

// needed are the names of secrets and configs that a service refers to, or a rollout under
// way may go back to.
func (in ProjectInput) needed() map[string]bool {
	names := map[string]bool{}
	for _, s := range in.Services {
		c := s.Spec.TaskTemplate.ContainerSpec
		if c == nil {
			continue
		}
		for _, r := range c.Secrets {
			names[r.SecretName] = true
		}
		for _, r := range c.Configs {
			names[r.ConfigName] = true
		}
	}
	for _, r := range in.Rollouts {
		if r.Complete && r.Failed == "" || in.Remove {
			continue
		}
		for _, name := range r.Swarm.Objects {
			names[name] = true
		}
	}
	return names
}

// keep makes the versions of secrets or configs that are missing, and removes those that are
// not needed.
func (in ProjectInput) keep(k kept, add func(Action), needed map[string]bool, create, remove Kind) {
	stays := map[string]bool{}
	for _, key := range slices.Sorted(maps.Keys(k.wanted)) {
		name := k.wanted[key]
		stays[name] = !in.Remove
		if _, there := k.there[name]; !there && !in.Remove && !k.external(key) {
			add(Action{Kind: create, Object: name, Key: key, Cause: fmt.Sprintf("the content of %s is new", key)})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(k.there)) {
		if o := k.there[name]; o.ours && !stays[name] && !needed[name] {
			add(Action{Kind: remove, Object: name, ID: o.id, Cause: "nothing uses it"})
		}
	}
}

// Objects are the objects of a project as a workload's plan wants them.
func (in ProjectInput) Objects() convert.Objects {
	o := convert.Objects{Networks: map[string]string{}, Secrets: in.WantedSecrets, Configs: in.WantedConfigs, IDs: map[string]string{}}
	for _, n := range in.Networks {
		if name := in.written(n); o.Networks[name] == "" {
			o.Networks[name] = n.ID
		}
	}
	for _, s := range in.Secrets {
		o.IDs[s.Name] = s.ID
	}
	for _, c := range in.Configs {
		o.IDs[c.Name] = c.ID
	}
	return o
}
