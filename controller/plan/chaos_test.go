package plan

import (
	"fmt"
	"slices"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/spec"
)

// chaos is a world in which things go wrong, and in which every plan is checked.
type chaos struct {
	*world
	t    *rapid.T
	kind spec.Kind
	// withdrawn is when the endpoint of a container was withdrawn, zero while it
	// is published.
	withdrawn map[string]time.Time
}

// newChaos draws a world with a spec and containers from an unknown past.
func newChaos(t *rapid.T, kind spec.Kind) *chaos {
	c := &chaos{world: newWorld(), t: t, kind: kind}
	c.healthCheck = c.bool("health check")
	c.remembers = c.bool("history")
	c.subscribers = c.draw("subscribers", 0, 1)
	c.rebuild()
	c.apply(anySpec(t, kind, "spec"))
	most := 5
	if kind == spec.Database {
		most = 2
	}
	for range c.draw("containers", 0, most) {
		c.foreign()
	}
	return c
}

func (c *chaos) draw(name string, from, to int) int { return rapid.IntRange(from, to).Draw(c.t, name) }

func (c *chaos) bool(name string) bool { return rapid.Bool().Draw(c.t, name) }

// count counts containers.
func (c *chaos) count(f func(core.Replica) bool) int {
	n := 0
	for _, r := range c.replicas {
		if f(r) {
			n++
		}
	}
	return n
}

// coming counts the creates under way.
func (c *chaos) coming() int {
	n := 0
	for _, a := range c.underWay {
		if a.Kind == core.CreateReplica {
			n++
		}
	}
	return n
}

// some returns a container that f holds for, or nil.
func (c *chaos) some(f func(core.Replica) bool) *core.Replica {
	var found []int
	for i, r := range c.replicas {
		if f(r) {
			found = append(found, i)
		}
	}
	if len(found) == 0 {
		return nil
	}
	return &c.replicas[found[c.draw("which", 0, len(found)-1)]]
}

// foreign adds a container that tend, Compose or a person left there.
func (c *chaos) foreign() {
	c.made++
	number := c.draw("number", 1, 6)
	if c.draw("corrupt", 0, 20) == 20 {
		number = 0
	}
	r := core.Replica{
		Workload: "web", Number: number, Name: fmt.Sprint("foreign", c.made), ID: fmt.Sprint("foreign", c.made),
		Revision: fmt.Sprint("v", c.draw("revision of a container", 1, 3)), RestartPolicy: rapid.SampledFrom([]string{"no", "always"}).Draw(c.t, "policy"),
		Created: c.now.Add(-time.Duration(c.draw("age", 0, 20)) * time.Second), Addresses: map[string]string{"shop_backend": "10.0.0.1"},
	}
	r.ConfigHash = "hash-" + r.Revision
	r.ImageID = rapid.SampledFrom([]string{"", "a", "b"}).Draw(c.t, "image of a container")
	if c.bool("by compose") {
		r.Revision = ""
	}
	r.State = rapid.SampledFrom([]core.State{core.Running, core.Running, core.Running, core.Exited, core.Exited, core.Created, core.Paused, core.Restarting, core.Dead}).Draw(c.t, "state")
	if r.State == core.Exited {
		r.StartedAt, r.FinishedAt, r.ExitCode = r.Created, c.now, c.draw("exit code", 0, 1)
	}
	if IsRunning(r) {
		r.StartedAt, r.ReadySince, r.WasReady = r.Created, r.Created, true
	}
	c.replicas = append(c.replicas, r)
}

// step has one thing happen.
func (c *chaos) step() {
	switch c.draw("what", 0, 23) {
	case 0, 1, 2, 3, 4:
		c.planAndBegin()
	case 5, 6, 7:
		c.endSomething(outcome(c.draw("outcome", int(done), int(halfway))))
	case 8:
		c.shift(time.Duration(c.draw("seconds", 0, 30)) * time.Second)
	case 9:
		c.shift(time.Duration(c.draw("minutes", 0, 15)) * time.Minute)
	case 10:
		if r := c.some(IsRunning); r != nil {
			c.exit(r, rapid.SampledFrom([]int{0, 1, 137}).Draw(c.t, "code"))
		}
	case 11:
		if r := c.some(func(core.Replica) bool { return true }); r != nil {
			id := r.ID
			c.replicas = slices.DeleteFunc(c.replicas, func(r core.Replica) bool { return r.ID == id })
		}
	case 12:
		if r := c.some(IsRunning); r != nil {
			c.report(r, rapid.SampledFrom([]core.Health{core.Healthy, core.Starting, core.Unhealthy, core.Unready}).Draw(c.t, "health"))
		}
	case 13:
		if r := c.some(func(r core.Replica) bool { return r.State == core.Running && c.kind == spec.Deployment }); r != nil {
			switch c.draw("harm", 0, 2) {
			case 0:
				r.State = core.Paused
			case 1:
				r.Broken = "its host ports"
			case 2:
				clear(r.Addresses)
			}
		}
	case 14:
		if r := c.some(func(r core.Replica) bool { return r.State == core.Exited && c.kind != spec.Database }); r != nil {
			c.start(r) // by hand
		}
	case 15, 16:
		next := anySpec(c.t, c.kind, "next")
		if c.draw("rescaled only", 0, 1) == 1 && c.spec != nil {
			next.Revision, next.ConfigHash = c.spec.Revision, c.spec.ConfigHash
		}
		c.apply(next)
		if c.draw("taken away", 0, 7) == 7 {
			c.apply(nil)
		}
	case 17:
		c.missing, c.dependencies, c.dependents = nil, nil, nil
		switch c.draw("in the way", 0, 3) {
		case 0:
			c.missing = []string{"image shop/web:2"}
		case 1:
			c.dependencies = []Dependency{{Dependency: spec.Dependency{Name: "db", Required: true}}, {Dependency: spec.Dependency{Name: "api", Required: true}}}
		case 2:
			c.dependents = []string{"api"}
		}
	case 18:
		if c.kind != spec.Database || len(c.replicas)+len(c.underWay) == 0 {
			c.foreign()
		}
	case 19:
		// tend is killed and started again; it remembers nothing.
		for len(c.underWay) > 0 {
			c.end(0, rapid.SampledFrom([]outcome{done, failed, halfway}).Draw(c.t, "ended unseen"), "")
		}
		c.rollout, c.status = core.Rollout{}, core.Status{}
	case 20:
		for _, run := range c.hooks {
			if IsRunning(run.Replica) {
				c.exit(&c.hook(run.Name).Replica, c.draw("hook's code", 0, 1))
			}
		}
	case 21:
		for id := range c.rollout.Drains {
			c.acknowledged[id] = true
		}
		if c.draw("a subscriber comes or goes", 0, 3) == 3 {
			c.subscribers = 1 - c.subscribers
		}
	case 22:
		c.intend()
	case 23:
		c.rebuild()
	}
}

// rebuild has the image's name stand for another image, or for nothing.
func (c *chaos) rebuild() {
	c.image = rapid.SampledFrom([]string{"", "a", "b", "c"}).Draw(c.t, "image")
}

// intend has a person ask for something.
func (c *chaos) intend() {
	switch c.draw("intent", 0, 3) {
	case 0:
		c.intent = core.Intent{RestartedAt: c.intent.RestartedAt}
	case 1:
		c.intent.Paused = new(c.bool("pause"))
	case 2:
		c.intent.RestartedAt = c.now
	case 3:
		if c.spec != nil {
			c.intent.Undo, c.intent.UndoOf = fmt.Sprint("v", c.draw("undo", 1, 3)), c.spec.Revision
		}
	}
}

// endSomething ends one of the actions under way, in any order.
func (c *chaos) endSomething(how outcome) {
	if len(c.underWay) > 0 {
		c.end(c.draw("which action", 0, len(c.underWay)-1), how, "it failed")
	}
}

// heal has health checks pass.
func (c *chaos) heal(which *rapid.Generator[bool]) {
	for i := range c.replicas {
		r := &c.replicas[i]
		if r.Health != core.NoHealthCheck && r.Health != core.Healthy && which.Draw(c.t, "heal") {
			c.report(r, core.Healthy)
		}
	}
}

// calm has nothing go wrong any more, and checks that all comes to rest.
func (c *chaos) calm() {
	c.missing, c.dependencies, c.dependents = nil, nil, nil
	for range 400 {
		p := c.planAndBegin()
		switch {
		case len(c.underWay) > 0:
			c.endSomething(done)
		case c.recovers():
		case p.Next.IsZero():
			c.rest(p)
			return
		default:
			c.now = p.Next
		}
	}
	require.Fail(c.t, "it does not come to rest", "%s", Compute(c.input()))
}

// recovers has what happens by itself happen, and reports whether anything did.
func (c *chaos) recovers() bool {
	happened := false
	for i := range c.hooks {
		if run := &c.hooks[i].Replica; IsRunning(*run) {
			c.exit(run, 0)
			happened = true
		}
	}
	for i := range c.replicas {
		switch r := &c.replicas[i]; {
		case r.State == core.Paused && c.kind != spec.Deployment:
			r.State = core.Running // by hand; only a Deployment does without
		case r.State == core.Restarting && r.RestartPolicy == "no":
			c.exit(r, 1) // the engine no longer restarts it
		case r.State == core.Restarting:
			c.start(r)
		case r.State == core.Running && c.kind == spec.Job:
			c.exit(r, 0)
		case r.State == core.Running && r.Health != core.NoHealthCheck && r.Health != core.Healthy:
			c.report(r, core.Healthy)
		default:
			continue
		}
		happened = true
	}
	return happened
}

// rest checks a world in which nothing happens any more.
func (c *chaos) rest(p Plan) {
	t := c.t
	numbered := func(r core.Replica) bool { return r.Number > 0 }
	var target *spec.Workload
	if c.spec != nil {
		target = aimedAt(c.input(), p)
	}
	old := func(r core.Replica) bool {
		in := c.input()
		if target != nil && target.Revision != c.spec.Revision {
			in.ImageID = ""
		}
		return numbered(r) && (!current(in, r, target) || r.Created.Before(c.intent.RestartedAt))
	}
	corrupt := c.count(numbered) < len(c.replicas)
	reason := func(t core.ConditionType) string {
		if condition := p.Status.Condition(t); condition != nil {
			return condition.Reason
		}
		return ""
	}
	switch {
	case c.spec == nil:
		require.Zero(t, c.count(numbered)+len(c.hooks), "not taken away: %s", p)
	case c.kind == spec.Database && (corrupt || len(c.replicas) > 1):
		require.NotNil(t, p.Status.Condition(core.ReplicaFailure), "two containers of a database and no word of it: %s", p)
	case paused(c.input()) && (c.count(old) > 0 || shared(c.input())):
	case paused(c.input()) && p.Rollout.Updated == 0 && p.Rollout.Stable != target.Revision:
		require.Zero(t, p.Status.Updated, "made while it is paused: %s", p)
	case p.Status.Updated == 0 && slices.ContainsFunc(c.hooks, func(run core.HookRun) bool {
		return run.Revision == target.Revision && (run.ExitCode != 0 || run.FinishedAt.Sub(run.StartedAt) >= hookTimeout)
	}):
		// a hook failed, and the rollout stands still
	case reason(core.Progressing) == "RolledBack":
		require.NotEqual(t, target.Revision, p.Rollout.Failed)
		c.converged(target)
	case c.kind == spec.Job && p.Status.Condition(core.Failed) != nil:
	case c.kind == spec.Job && paused(c.input()):
	default:
		require.True(t, p.Status.Converged, "not converged: %s", p)
		c.converged(target)
	}
	for _, later := range []time.Duration{time.Second, time.Minute, time.Hour, 24 * time.Hour} {
		in := c.input()
		in.Now = in.Now.Add(later)
		require.Empty(t, Compute(in).Actions, "%s later, of nothing that happened", later)
	}
	if p.Status.Converged && c.kind != spec.Job {
		in := c.input()
		in.Rollout, in.Status = core.Rollout{}, core.Status{}
		q := Compute(in)
		require.Empty(t, q.Actions, "without its memory there is something to do")
		require.True(t, q.Status.Converged)
	}
}

// converged checks that what runs is what is written.
func (c *chaos) converged(target *spec.Workload) {
	if c.kind == spec.Job {
		return
	}
	numbers := map[int]bool{}
	for _, r := range c.replicas {
		if r.Number < 1 {
			continue
		}
		require.False(c.t, numbers[r.Number], "two containers have number %d", r.Number)
		numbers[r.Number] = true
		in := c.input()
		in.Spec = target
		require.True(c.t, available(in, r), "%s is not available", r.Name)
		require.Equal(c.t, target.RestartPolicy, r.RestartPolicy, r.Name)
		require.Equal(c.t, target.ConfigHash, r.ConfigHash, "%s is old", r.Name)
		require.False(c.t, r.Created.Before(c.intent.RestartedAt), "%s was not restarted", r.Name)
	}
	require.Len(c.t, numbers, target.Replicas)
}

// planAndBegin plans, checks the plan, and begins its actions.
func (c *chaos) planAndBegin() Plan {
	in := c.input()
	p := checkPure(c.t, in)
	checkActions(c.t, in, p)
	checkStatus(c.t, in, p)
	c.checkEndpoints(in, p)
	c.begin(p)
	return p
}

// checkEndpoints checks that only ready replicas are published, and that none
// that may be at work on a request is stopped before everyone who sends it any
// has turned away, or the drain is over.
func (c *chaos) checkEndpoints(in Input, p Plan) {
	published := map[string]bool{}
	for _, e := range p.Endpoints {
		published[e.ID] = true
	}
	drain := defaultDrain
	if in.Spec != nil {
		drain = in.Spec.Drain
	}
	stopped := map[string]bool{}
	for _, a := range p.Actions {
		stopped[a.ID] = a.Kind == core.StopReplica
	}
	next := map[string]time.Time{}
	for _, r := range in.Replicas {
		if published[r.ID] {
			require.True(c.t, IsReady(r, nil), "%s is published and not ready", r.Name)
			require.False(c.t, stopped[r.ID], "%s is published and stopped", r.Name)
			require.NotContains(c.t, p.Rollout.Drains, r.ID, "%s is published and drains", r.Name)
			next[r.ID] = time.Time{}
			continue
		}
		at, known := c.withdrawn[r.ID]
		if !known || !IsRunning(r) {
			continue
		}
		if at.IsZero() {
			at = in.Now
		}
		next[r.ID] = at
		answers := r.State == core.Running && (r.Health == core.NoHealthCheck || r.Health == core.Healthy || r.Health == core.Unready) && r.Broken == "" && len(r.Addresses) > 0
		if stopped[r.ID] && answers && in.Subscribers > 0 && !in.Acknowledged[r.ID] {
			require.False(c.t, in.Now.Before(at.Add(drain)), "%s is stopped %s after its withdrawal", r.Name, in.Now.Sub(at))
		}
	}
	c.withdrawn = next
}

// aimedAt is the spec at the revision that a plan leads to.
func aimedAt(in Input, p Plan) *spec.Workload {
	if p.Status.UpdateRevision == in.Spec.Revision {
		return in.Spec
	}
	return in.Spec.WithTemplateOf(in.History[p.Status.UpdateRevision])
}

// paused reports whether the rollout may not move.
func paused(in Input) bool {
	if in.Intent.Paused != nil {
		return *in.Intent.Paused
	}
	return in.Spec.Paused
}

// available reports whether a replica does what it should, in words of its own.
func available(in Input, r core.Replica) bool {
	busy := r.InFlight != "" && r.InFlight != core.UpdateReplica && r.InFlight != core.ConnectReplica && r.InFlight != core.PrepareUpdate && r.InFlight != core.CheckUpdate
	_, draining := in.Rollout.Drains[r.ID]
	switch {
	case busy || draining || r.Number < 1:
		return false
	case r.State == core.Exited && in.Spec.Kind == spec.Deployment:
		done := in.Rollout.Done[r.ID].Equal(r.StartedAt) || !in.Rollout.Attempts[r.Number].Ours
		return in.Spec.Restart.Condition == spec.RestartOnFailure && r.ExitCode == 0 && !r.Interrupted && done
	case r.State != core.Running || r.Broken != "" || r.Health == core.Starting || r.Health == core.Unhealthy || r.Health == core.Unready:
		return false
	case len(r.Addresses) == 0 && remembered(in, r):
		return false // it has left its network, as is known of a revision that is remembered
	}
	return !in.Now.Before(r.ReadySince.Add(in.Spec.MinReady))
}

// remembered reports whether it is known what a replica was made from.
func remembered(in Input, r core.Replica) bool {
	if r.Revision != "" {
		return r.Revision == in.Spec.Revision || in.History[r.Revision] != nil
	}
	if r.ConfigHash == in.Spec.ConfigHash {
		return true
	}
	for _, s := range in.History {
		if s.ConfigHash == r.ConfigHash {
			return true
		}
	}
	return false
}

// checkActions checks that a plan is safe.
func checkActions(t *rapid.T, in Input, p Plan) {
	byID, numbers := map[string]core.Replica{}, map[int]bool{}
	running := 0
	for _, r := range in.Replicas {
		byID[r.ID] = r
		numbers[r.Number] = true
		if IsRunning(r) || r.InFlight == core.CreateReplica || r.InFlight == core.StartReplica {
			running++
		}
	}
	for _, run := range in.HookRuns {
		byID[run.ID] = run.Replica
	}
	var target *spec.Workload
	written := in.Spec
	if in.Spec != nil {
		target = aimedAt(in, p)
		in.Spec = target
		if target.Revision != written.Revision {
			in.ImageID = "" // it belongs to the written revision
		}
	}
	touched := map[string]bool{}
	creates, lost := 0, 0
	for id := range p.Rollout.Drains {
		if in.Spec != nil && available(in, byID[id]) {
			lost++ // it drains from now on
		}
	}
	for _, a := range p.Actions {
		if a.Kind == core.RunHook {
			checkHook(t, in, target, a)
			continue
		}
		require.NotEmpty(t, a.Cause)
		if a.Kind == core.CreateReplica {
			creates++
			require.NotNil(t, in.Spec, "%s", a)
			require.False(t, numbers[a.Number], "%s: the number is taken", a)
			numbers[a.Number] = true
			if a.Revision == written.Revision {
				require.Empty(t, in.Missing, "%s: what it needs is missing", a)
			} else {
				require.Contains(t, in.History, a.Revision, "%s: nobody knows what that is", a)
			}
			if a.Revision != p.Rollout.Stable && p.Status.Updated == 0 && p.Rollout.Hooked != a.Revision {
				require.Empty(t, in.Spec.PreRollout, "%s: its hooks have not run", a)
			}
			require.False(t, paused(in) && len(in.Replicas) > 0 && a.Revision != p.Rollout.Stable && oldLive(in, target) && p.Status.Updated == 0, "%s: the rollout is paused", a)
			for _, d := range in.Dependencies {
				require.True(t, d.Known, "%s: %s is not there", a, d.Name)
			}
			continue
		}
		r, exists := byID[a.ID]
		require.True(t, exists && a.ID != "", "%s: no such container", a)
		require.False(t, touched[a.ID], "%s: a second action on one container", a)
		touched[a.ID] = true
		require.Empty(t, r.InFlight, "%s: another action is under way", a)
		if _, draining := in.Rollout.Drains[a.ID]; in.Spec == nil && !draining {
			require.Empty(t, in.Dependents, "%s: others depend on it", a)
		}
		if slices.ContainsFunc(in.HookRuns, func(run core.HookRun) bool { return run.ID == a.ID }) {
			require.Equal(t, a.Kind == core.StopReplica, IsRunning(r), "%s: of a hook", a)
			continue
		}
		require.Positive(t, r.Number, "%s: its labels are corrupt", a)
		switch a.Kind {
		case core.StopReplica:
			require.True(t, IsRunning(r), "%s: it does not run", a)
			if in.Spec != nil {
				require.Equal(t, in.Spec.StopGrace, a.Grace)
			}
		case core.StartReplica:
			require.Equal(t, core.Exited, r.State, "%s: it has not exited", a)
		case core.RemoveReplica:
			require.False(t, IsRunning(r), "%s: it runs", a)
		case core.UpdateReplica:
			require.NotEqual(t, r.RestartPolicy, a.RestartPolicy, "%s: it has it", a)
		case core.ConnectReplica:
			require.Equal(t, core.Running, r.State, "%s: it does not run", a)
			for _, n := range a.Connect {
				require.NotContains(t, r.Addresses, n, "%s: it has joined that", a)
			}
			for _, n := range a.Disconnect {
				require.Contains(t, r.Addresses, n, "%s: it has left that", a)
			}
		}
		if in.Spec != nil && (a.Kind == core.StopReplica || a.Kind == core.RemoveReplica) && available(in, r) {
			lost++
		}
	}
	if in.Spec == nil {
		return
	}
	switch in.Spec.Kind {
	case spec.Deployment:
		checkDeployment(t, in, target, running, creates, lost)
	case spec.Database:
		checkDatabase(t, in, p, target, running, creates)
	}
}

// checkHook checks that a hook runs alone, and once.
func checkHook(t *rapid.T, in Input, target *spec.Workload, a core.Action) {
	require.False(t, paused(in) && oldLive(in, target), "%s: the rollout is paused", a)
	require.Equal(t, target.Revision, a.Revision)
	require.Empty(t, in.Dependencies, "%s: what it needs is not there", a)
	for _, run := range in.HookRuns {
		require.False(t, run.Hook == a.Object && run.Revision == a.Revision, "%s: it has run", a)
		require.True(t, run.InFlight == "" && !IsRunning(run.Replica), "%s: another one runs", a)
	}
	for _, r := range in.Replicas {
		restarted := r.InFlight != core.CreateReplica && r.Created.Before(in.Intent.RestartedAt)
		require.False(t, current(in, r, target) && !restarted && r.Number > 0 && r.InFlight == "" && IsRunning(r) && !shared(in) && len(in.Rollout.Drains) == 0, "%s: there are replicas already", a)
	}
}

// rebuilt reports whether a replica of a spec was made from another image than its
// name stands for.
func rebuilt(in Input, r core.Replica, s *spec.Workload) bool {
	_, current := revisionOf(r, s)
	return current && in.ImageID != "" && r.ImageID != "" && r.ImageID != in.ImageID
}

// current reports whether a replica is made from a spec, and from its image.
func current(in Input, r core.Replica, s *spec.Workload) bool {
	_, current := revisionOf(r, s)
	return current && !rebuilt(in, r, s)
}

// oldLive reports whether a replica runs that the rollout would replace.
func oldLive(in Input, target *spec.Workload) bool {
	return slices.ContainsFunc(in.Replicas, func(r core.Replica) bool {
		_, draining := in.Rollout.Drains[r.ID]
		return !current(in, r, target) && !draining && r.Number > 0 && r.InFlight == "" && IsRunning(r)
	})
}

// checkDeployment checks the bounds of a rolling update. lost are the available
// replicas that the plan takes away.
func checkDeployment(t *rapid.T, in Input, s *spec.Workload, running, creates, lost int) {
	have, live, old := 0, 0, 0
	for _, r := range in.Replicas {
		if available(in, r) {
			have++
		}
		if !current(in, r, s) && r.Number > 0 && r.InFlight == "" && IsRunning(r) {
			old++
		}
		if r.Number > 0 {
			live++
		}
	}
	if s.Strategy.Type == spec.RollingUpdate && lost > 0 {
		require.GreaterOrEqual(t, have-lost, s.Replicas-s.Strategy.MaxUnavailable, "too few replicas are left available")
	}
	if creates > 0 {
		corrupt := len(in.Replicas) - live
		require.LessOrEqual(t, running-corrupt+creates, s.Replicas+s.Strategy.MaxSurge, "too many replicas")
		require.False(t, s.ContainerName != "" && live > 0, "the name is taken")
	}
	if paused(in) && old > 0 && live <= s.Replicas && !shared(in) {
		require.Zero(t, lost, "the rollout is paused")
	}
}

// shared reports whether one number is on two containers.
func shared(in Input) bool {
	seen := map[int]bool{}
	for _, r := range in.Replicas {
		if seen[r.Number] {
			return true
		}
		seen[r.Number] = true
	}
	return false
}

// checkDatabase checks that one container at most has the volume.
func checkDatabase(t *rapid.T, in Input, p Plan, target *spec.Workload, running, creates int) {
	if creates > 0 {
		require.Empty(t, in.Replicas, "a second container on one volume")
		require.Equal(t, 1, creates)
	}
	for _, a := range p.Actions {
		for _, r := range in.Replicas {
			if r.ID != a.ID {
				continue
			}
			switch a.Kind {
			case core.StartReplica:
				require.Zero(t, running, "a second server on one volume")
			case core.StopReplica:
				young := in.Now.Before(r.StartedAt.Add(in.Spec.ProgressDeadline))
				require.False(t, young && r.Health == core.Starting && r.State != core.Restarting, "stopped while it starts")
				if _, draining := in.Rollout.Drains[r.ID]; draining {
					continue // a drain is not taken back
				}
				asWritten := current(in, r, target) && !r.Created.Before(in.Intent.RestartedAt)
				require.False(t, asWritten || paused(in), "stopped as it is written")
				if target.Replicas > 0 && (target.Revision != p.Rollout.Stable || rebuilt(in, r, target)) {
					require.Equal(t, target.Revision, in.Rollout.Prepared, "stopped and neither prepared nor checked")
				}
			}
		}
		require.LessOrEqual(t, running, 1, "%s: two servers run on the volume", a)
	}
}

// checkStatus checks that a status claims nothing that is not so.
func checkStatus(t *rapid.T, in Input, p Plan) {
	require.Equal(t, p.Status.Converged, p.Status.Outcome == core.OutcomeConverged || p.Status.Outcome == core.OutcomeComplete, "two accounts")
	if !p.Status.Converged {
		require.NotEmpty(t, p.Status.Outcome, "%s", p)
		require.NotEmpty(t, p.Status.Obstacle, "%s", p)
		require.NotEmpty(t, p.Status.Remedy, "%s", p)
	}
	if in.Spec == nil {
		return
	}
	in.Spec = aimedAt(in, p)
	runs, have := 0, 0
	for _, r := range in.Replicas {
		if r.State == core.Running && r.Number > 0 {
			runs++
		}
		if available(in, r) {
			have++
		}
	}
	require.LessOrEqual(t, p.Status.Ready, runs, "more are ready than run")
	if in.Spec.Kind != spec.Job {
		require.LessOrEqual(t, p.Status.Available, have, "more are available than are")
	}
	if p.Status.Converged {
		require.Empty(t, p.Actions, "converged, and something to do")
		for _, r := range in.Replicas {
			require.Empty(t, r.InFlight, "converged, and something under way")
		}
	}
}
