package load

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/tendhq/tend/controller/spec"
)

// Defaults of Kubernetes apps/v1 and batch/v1, and for a Database those of
// docs/reference/spec.md.
const (
	defaultProgressDeadline         = 600 * time.Second
	defaultDatabaseProgressDeadline = 120 * time.Second
	defaultRevisionHistoryLimit     = 10
	defaultBackoffLimit             = 6
	defaultDrain                    = 5 * time.Second
	defaultStopGrace                = 10 * time.Second // the engine's
	defaultDatabaseStopGrace        = 120 * time.Second
)

// builder makes the Workload of one service from its Compose definition and its spec.
// The spec is an empty document where there is none.
type builder struct {
	*loading
	service  types.ServiceConfig
	settings serviceSettings
	document *document
	// awaited names a service that waits for this one to complete; empty where
	// none does.
	awaited  string
	problems spec.Errors
}

// fail reports a mistake at a key of the Compose service.
func (b *builder) fail(hint, message string, path ...string) {
	e := b.sources.locate(append([]string{"services", b.service.Name}, path...)...)
	e.Message, e.Hint = message, hint
	b.problems = append(b.problems, e)
}

// failSpec reports a mistake at a key of the spec, or of the Compose service where
// there is no spec.
func (b *builder) failSpec(hint, message string, path ...string) {
	if b.document.root == nil {
		b.fail(hint, message)
		return
	}
	e := b.document.problem(append([]string{"spec"}, path...)...)
	e.Message, e.Hint = message, hint
	b.problems = append(b.problems, e)
}

func (b *builder) build(p *spec.Project) *spec.Workload {
	s, d := b.service, b.document
	built := s.Build
	s.Build = nil // from here on only the image counts
	w := &spec.Workload{
		Name:                 s.Name,
		Kind:                 b.kind(),
		Replicas:             b.replicas(),
		Autoscaling:          d.autoscaling,
		MinReady:             valueOr(d.minReady, 0),
		ProgressDeadline:     valueOr(d.progressDeadline, defaultProgressDeadline),
		RevisionHistoryLimit: valueOr(d.revisionHistoryLimit, defaultRevisionHistoryLimit),
		Paused:               valueOr(d.paused, false),
		Restart:              b.restart(),
		RestartPolicy:        b.restartPolicy(),
		OnFailure:            b.onFailure(),
		Probes:               b.probes(p),
		PreRollout:           d.preRollout,
		ActiveDeadline:       valueOr(d.activeDeadline, 0),
		StopGrace:            defaultStopGrace,
		DependsOn:            b.dependencies(p),
		Image:                s.Image,
		ContainerName:        s.ContainerName,
		PullPolicy:           types.PullPolicyMissing,
		Template:             s,
		Direct:               b.settings.direct || b.noIngress,
	}
	if w.Image == "" {
		w.Image = p.Name + "-" + s.Name // as Compose names what it builds
	}
	if !p.Policy.Bounds() { // what a build may do is bounded by nothing
		w.Build = built
	}
	b.pulls(w, built != nil)
	if w.Kind == spec.Database {
		w.StopGrace = defaultDatabaseStopGrace
		w.ProgressDeadline = valueOr(d.progressDeadline, defaultDatabaseProgressDeadline)
		w.Backup = valueOr(d.backup, defaultBackup)
		b.checkDatabase(w)
	}
	if s.StopGracePeriod != nil {
		w.StopGrace = b.duration(*s.StopGracePeriod, "stop_grace_period")
	}
	w.Ports = b.ports(w)
	b.rollout(w)
	b.autoscaling(w)
	b.drain(w)
	b.backoffLimit(w)
	if w.Kind == spec.Deployment && w.ProgressDeadline <= w.MinReady {
		b.failSpec("make it longer, or minReadySeconds shorter",
			fmt.Sprintf("progressDeadlineSeconds (%v) must be more than minReadySeconds (%v)", w.ProgressDeadline, w.MinReady),
			"progressDeadlineSeconds")
	}
	return w
}

// pulls sets when the image is pulled, pull_policy as docker compose reads it, how often the
// registry is asked for another one, and how many old ones are kept.
func (b *builder) pulls(w *spec.Workload, built bool) {
	w.KeepImages = b.settings.keepImages
	policy, interval, err := b.service.GetPullPolicy()
	if err != nil {
		b.fail("write a duration, as every_12h", fmt.Sprintf("pull_policy cannot be %q", b.service.PullPolicy), "pull_policy")
	}
	switch {
	case policy == types.PullPolicyNever || built:
		w.PullPolicy = types.PullPolicyNever
	case policy == types.PullPolicyAlways:
		w.PullPolicy, w.PullInterval = policy, b.settings.pullInterval
	default:
		w.PullInterval = cmp.Or(b.settings.pullInterval, interval)
	}
}

// kind is the spec's, or else a Job where another service waits for this one to
// complete or where it is written to run once, and a Deployment otherwise.
func (b *builder) kind() spec.Kind {
	if b.document.kind != "" {
		return b.document.kind
	}
	deploy := b.service.Deploy
	switch {
	case b.awaited != "", b.runsOnce(), deploy != nil && strings.HasSuffix(deploy.Mode, "-job"):
		return spec.Job
	default:
		return spec.Deployment
	}
}

// runsOnce reports whether the Compose files say that an exit is final.
func (b *builder) runsOnce() bool {
	if deploy := b.service.Deploy; deploy != nil && deploy.RestartPolicy != nil && deploy.RestartPolicy.Condition != "" {
		return restartConditions[deploy.RestartPolicy.Condition] == spec.RestartNone
	}
	return restartConditions[b.service.Restart] == spec.RestartNone
}

// restartConditions are the words for each condition, which Compose takes for
// restart and for deploy.restart_policy alike:
// https://github.com/docker/compose/blob/v2.40.3/pkg/compose/create.go
var restartConditions = map[string]spec.RestartCondition{
	"any": spec.RestartAny, types.RestartPolicyAlways: spec.RestartAny, types.RestartPolicyUnlessStopped: spec.RestartAny,
	types.RestartPolicyOnFailure: spec.RestartOnFailure,
	"none":                       spec.RestartNone, types.RestartPolicyNo: spec.RestartNone,
}

func (b *builder) replicas() int {
	if b.document.replicas != nil {
		return *b.document.replicas
	}
	n := b.service.GetScale()
	path := []string{"deploy", "replicas"}
	if b.service.Scale != nil {
		path = []string{"scale"}
	}
	switch deploy := b.service.Deploy; {
	case n > maxReplicas:
		b.fail(fmt.Sprintf("write a number from 0 to %d", maxReplicas),
			fmt.Sprintf("%s cannot be %d", strings.Join(path, "."), n), path...)
	case deploy != nil && strings.HasPrefix(deploy.Mode, "global") && n > 1:
		b.fail("set mode: replicated, or remove replicas",
			"mode: global means one container on each node, and one on one machine, so that replicas has no meaning", "deploy", "mode")
	case b.document.kind == spec.Database && n != 1:
		b.fail("remove it; a Database has exactly one replica", fmt.Sprintf("a Database cannot have %d replicas", n), path...)
	}
	return n
}

// restart reads deploy.restart_policy, or restart where that is absent, as Compose
// does.
func (b *builder) restart() spec.Restart {
	r := spec.KubeletRestart
	if name, attempts, _ := strings.Cut(b.service.Restart, ":"); name == types.RestartPolicyOnFailure {
		r.Condition = spec.RestartOnFailure
		if attempts != "" {
			n, err := strconv.Atoi(attempts)
			if err != nil || n < 0 {
				b.fail("write on-failure, or on-failure:3 to stop after three attempts",
					fmt.Sprintf("restart cannot be %q", b.service.Restart), "restart")
			}
			r.MaxAttempts = n
		}
	} else if b.service.Restart != "" && restartConditions[b.service.Restart] == "" {
		b.fail("write no, always, on-failure or unless-stopped", fmt.Sprintf("restart cannot be %q", b.service.Restart), "restart")
	}
	if b.service.Deploy != nil && b.service.Deploy.RestartPolicy != nil {
		policy := b.service.Deploy.RestartPolicy
		r.MaxAttempts = 0
		switch c := restartConditions[policy.Condition]; {
		case policy.Condition == "": // restart has the condition
		case c == spec.RestartOnFailure:
			r.Condition = c
		case c != "":
			r.Condition = spec.RestartAny
		default:
			b.fail("write no, always, on-failure or unless-stopped", fmt.Sprintf("condition cannot be %q", policy.Condition), "deploy", "restart_policy", "condition")
		}
		if policy.MaxAttempts != nil {
			r.MaxAttempts = int(min(*policy.MaxAttempts, 1<<31-1))
		}
		if policy.Delay != nil {
			r.Delay = b.duration(*policy.Delay, "deploy", "restart_policy", "delay")
			r.MaxDelay = max(r.MaxDelay, r.Delay)
		}
		if policy.Window != nil {
			r.Window = b.duration(*policy.Window, "deploy", "restart_policy", "window")
		}
	}
	r.Condition, r.Reason = b.condition(r.Condition)
	return r
}

// condition decides after which exits a container is started again, and returns the
// words that led to it. written is the Compose files' condition: any where they have
// none, and where they say that the service runs once.
func (b *builder) condition(written spec.RestartCondition) (c spec.RestartCondition, reason string) {
	kind, said := b.kind(), b.restartWritten()
	switch {
	case kind == spec.Job && b.runsOnce():
		return spec.RestartNone, said
	case kind == spec.Job:
		return spec.RestartOnFailure, b.whyJob()
	case said != "" && !b.runsOnce():
		return written, said
	case b.document.kind != "":
		return spec.RestartAny, b.whySpec()
	default:
		return spec.RestartOnFailure, "nothing is written for restart"
	}
}

// restartWritten is the Compose files' setting for restarts, in their words; empty
// where they have none.
func (b *builder) restartWritten() string {
	var policy *types.RestartPolicy
	if b.service.Deploy != nil {
		policy = b.service.Deploy.RestartPolicy
	}
	switch {
	case policy != nil && policy.Condition != "":
		return "deploy.restart_policy.condition: " + quoted(policy.Condition)
	case b.service.Restart != "":
		return "restart: " + quoted(b.service.Restart)
	case policy != nil:
		return "deploy.restart_policy, whose condition is any where it is left out"
	}
	return ""
}

// quoted is a word as it has to be written in YAML, where a bare no means false.
func quoted(word string) string {
	if word == types.RestartPolicyNo {
		return strconv.Quote(word)
	}
	return word
}

// whyJob names the setting that makes a service a Job.
func (b *builder) whyJob() string {
	switch {
	case b.document.kind != "":
		return b.whySpec()
	case b.awaited != "":
		return b.awaited + " waits for it to complete"
	default:
		return "deploy.mode: " + b.service.Deploy.Mode
	}
}

func (b *builder) whySpec() string { return "its spec makes it a " + string(b.document.kind) }

// restartPolicy is the engine's, as Compose maps it: from deploy.restart_policy, or
// from restart where that is absent. For a Job it is no, as tend counts how often a Job
// is tried again.
func (b *builder) restartPolicy() string {
	policy := b.service.Restart
	if deploy := b.service.Deploy; deploy != nil && deploy.RestartPolicy != nil {
		policy = deploy.RestartPolicy.Condition
		if most := deploy.RestartPolicy.MaxAttempts; policy == types.RestartPolicyOnFailure && most != nil && *most > 0 {
			policy += fmt.Sprintf(":%d", *most)
		}
	}
	switch {
	case policy != "" && b.kind() == spec.Job, policy == string(spec.RestartNone):
		return types.RestartPolicyNo
	case policy == string(spec.RestartAny):
		return types.RestartPolicyAlways
	}
	return policy
}

// backoffLimit sets how often a Job is tried again: by its spec, or else by the Compose
// files, or else as in Kubernetes.
func (b *builder) backoffLimit(w *spec.Workload) {
	if w.Kind != spec.Job {
		return
	}
	switch {
	case b.document.backoffLimit != nil:
		w.BackoffLimit = *b.document.backoffLimit
		w.Restart.Condition = spec.RestartOnFailure
	case w.Restart.Condition == spec.RestartNone:
		w.BackoffLimit = 0
	case w.Restart.MaxAttempts > 0:
		w.BackoffLimit = w.Restart.MaxAttempts
	default:
		w.BackoffLimit = defaultBackoffLimit
	}
}

// dependencies are those that tend can wait for. A service outside the active profiles
// is there only as an optional one (compose-go has checked that), and an unmanaged one
// is started by its owner.
func (b *builder) dependencies(p *spec.Project) (all []spec.Dependency) {
	for _, name := range slices.Sorted(maps.Keys(b.service.DependsOn)) {
		if slices.Contains(p.Disabled, name) || slices.Contains(p.Unmanaged, name) {
			continue
		}
		d := b.service.DependsOn[name]
		all = append(all, spec.Dependency{
			Name:      name,
			Condition: spec.DependencyCondition(d.Condition),
			Required:  d.Required,
			Restart:   d.Restart,
		})
	}
	return all
}

func (b *builder) checkDatabase(w *spec.Workload) {
	mounts := spec.DataMounts(w.Template)
	if len(mounts) == 1 {
		return
	}
	message := "a Database must keep its data in a named volume or a bind mount, and this one has none"
	if len(mounts) > 1 {
		message = fmt.Sprintf("a Database must keep its data in one volume, and this one has %d: at %s and %s",
			len(mounts), mounts[0].Target, mounts[1].Target)
	}
	b.fail("mount one named volume at /var/lib/postgresql/data, or where PGDATA is", message, "volumes")
}

// duration reads one of Compose's durations. It refuses one beyond the limit of a spec,
// as sums with it would overflow.
func (b *builder) duration(d types.Duration, path ...string) time.Duration {
	const most = maxSeconds * time.Second
	if d < 0 || time.Duration(d) > most {
		b.fail(fmt.Sprintf("write a duration from 0s to %s", most),
			fmt.Sprintf("%s cannot be %s", strings.Join(path, "."), time.Duration(d)), path...)
		return 0
	}
	return time.Duration(d)
}

func valueOr[T any](p *T, otherwise T) T {
	if p == nil {
		return otherwise
	}
	return *p
}
