// Package starter writes the first spec of a service. It has the values that are in force
// without it, and suggests in comments what the service could gain.
package starter

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/tendhq/tend/controller/spec"
)

// Spec returns a spec file for a workload that has none. Each field has the value that is
// in force, and the suggestions are comments. Only what Changes says is otherwise with it.
func Spec(w *spec.Workload) []byte {
	d := &document{}
	d.say("", "The service %s, as tend keeps it. What is written here is in force without this file, too.", w.Name)
	d.say("", "The lines that are commented out are suggestions; `tend diff` says what one of them changes,")
	d.say("", "and docs/reference/spec.md knows every field.")
	for _, fact := range append(Facts(w), Changes(w)...) {
		d.say("", "- %s", fact)
	}
	d.line("apiVersion: %s", spec.APIVersion)
	d.line("kind: %s", w.Kind)
	d.line("metadata: {name: %q}", w.Name)
	d.line("spec:")
	if w.Kind == spec.Job {
		d.job(w)
	} else {
		d.deployment(w)
	}
	return []byte(d.text.String())
}

// Facts are the sentences that tell what tend found of a workload, and what it does
// otherwise than docker compose.
func Facts(w *spec.Workload) (facts []string) {
	add := func(format string, args ...any) { facts = append(facts, fmt.Sprintf(format, args...)) }
	add("It runs %s: %s.", w.Restart.Condition.Runs(), w.Restart.Reason)
	switch {
	case w.Kind == spec.Job:
	case w.Strategy.Reason != "":
		add("An update stops a container before it starts the next one: %s.", w.Strategy.Reason)
	default:
		add("An update starts a container, and stops an old one when that is ready; Compose stops it first.")
	}
	for _, h := range w.HostPorts() {
		add("The host port %s leads to the port %d of the replicas that are ready%s.", h, h.Target, held(w))
	}
	if len(w.Template.Volumes) > 0 {
		var mounts []string
		for _, v := range w.Template.Volumes {
			mounts = append(mounts, mount(v))
		}
		add("It mounts %s.", strings.Join(mounts, ", "))
	}
	switch check := w.Template.HealthCheck; {
	case w.Kind == spec.Job:
	case check == nil:
		add("compose.yaml has no health check; where the image has none either, a replica counts as ready once it runs.")
	case check.Disable:
		add("Its health check is disabled: a replica counts as ready once it runs.")
	default:
		add("Its health check says when a replica is ready, and one that fails it is replaced.")
	}
	return facts
}

// Changes are the sentences that tell what the spec itself changes. Where nothing is written
// for restart, a service may have an end; what a spec calls a Deployment has none.
func Changes(w *spec.Workload) []string {
	if w.Kind != spec.Deployment || w.Restart.Condition == spec.RestartAny {
		return nil
	}
	return []string{"With this file it runs always: a container that has ended with 0 is started again, as a Deployment has no end."}
}

// held tells how a host port stays open while containers are replaced.
func held(w *spec.Workload) string {
	if w.Direct {
		return ", and is closed while its container is replaced"
	}
	return ", and stays open while containers are replaced"
}

func mount(v types.ServiceVolumeConfig) string {
	text := v.Target
	if v.Source != "" {
		text = v.Source + " at " + v.Target
	}
	if v.ReadOnly {
		text += " (read-only)"
	}
	return text
}

// document is a spec file that is being written.
type document struct{ text strings.Builder }

func (d *document) line(format string, args ...any) {
	fmt.Fprintf(&d.text, format+"\n", args...)
}

// say writes a comment for a person.
func (d *document) say(indent, format string, args ...any) {
	d.line("%s# %s", indent, strings.ReplaceAll(fmt.Sprintf(format, args...), "\n", " "))
}

// suggest writes a field that is commented out, without a space after the mark, below a
// comment that says what it is good for.
func (d *document) suggest(why, field string, args ...any) {
	d.say("  ", "%s", why)
	d.line("  #"+field, args...)
}

func (d *document) job(w *spec.Workload) {
	d.line("  backoffLimit: %d", w.BackoffLimit)
	d.suggest("How long it may take in all, in seconds.", "activeDeadlineSeconds: 600")
}

func (d *document) deployment(w *spec.Workload) {
	d.line("  replicas: %d", w.Replicas)
	if isPostgres(w) {
		d.say("  ", "It looks like Postgres. As a Database it never runs twice on its data, and is backed up before")
		d.say("  ", "each update; its container is replaced once. For that write kind: Database and")
		d.say("  ", "spec: {engine: postgres} in the place of what is here.")
		return
	}
	if w.Probes == (spec.Probes{}) && len(w.Ports) > 0 {
		d.suggest("A replica gets requests while this passes; httpGet and exec are other ways to ask.",
			"readinessProbe: {tcpSocket: {port: %d}, periodSeconds: 2}", w.Ports[0])
	}
	if w.Room == 0 && w.Strategy.Reason == "" {
		d.suggest("No replica is missing during an update, and one more runs.",
			"strategy: {rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}")
	}
	d.suggest("A new replica counts once it has been ready for so long; a crash before takes the update back.", "minReadySeconds: 5")
	d.suggest("An update that makes no progress for so long is taken back.", "progressDeadlineSeconds: 120")
	if len(w.Ports) > 0 {
		d.suggest("The most time for the requests that a replica still has, before it is told to stop.", "drainSeconds: %v", w.Drain.Seconds())
	}
}

// isPostgres reports whether a workload's image is a Postgres by its name.
func isPostgres(w *spec.Workload) bool {
	name, _, _ := strings.Cut(path.Base(w.Image), ":")
	name, _, _ = strings.Cut(name, "@")
	return slices.Contains([]string{"postgres", "postgis", "pgvector", "timescaledb"}, name)
}
