package compare

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// The records of docs/adr that decided them.
const (
	created = "0001-create-and-start-are-one-action.md"
	exited  = "0002-an-exited-replica-is-started-again.md"
	wish    = "0021-what-restart-says-is-the-wish.md"
	healthy = "0022-never-healthy-is-not-became-unhealthy.md"
	ingress = "0035-an-ingress-is-a-workload.md"
	restart = "0023-the-engine-restarts-what-is-written-so.md"
	logs    = "0052-logs-are-bounded.md"
)

// measured is the source of what no documentation says.
const measured = "`make compare`"

// meant is a difference that is meant: in words, and as a test of the differences that
// it covers.
type meant struct {
	What, Compose, Tend, Why string
	// Source is where it is said what docker compose does; every row is measured besides.
	Source string
	// ADR is the record that decided it, in docs/adr.
	ADR string
	is  func(d Difference) bool
}

// Meant are all differences between docker compose up and tend on a plain
// compose.yaml that are meant. What is not listed here is a mistake.
var Meant = []meant{
	{
		What:    "The restart policy of a Job's container",
		Compose: "as written", Tend: "`no`",
		Why: "tend counts the tries of a Job itself", ADR: restart,
		Source: "[Compose](https://docs.docker.com/reference/compose-file/services/#restart)",
		is: func(d Difference) bool {
			jobs := d.Compose[restartPolicy] == `"on-failure"` && d.Tend[restartPolicy] == `"no"`
			return strings.HasPrefix(d.Field, "HostConfig.RestartPolicy.") && jobs && strings.HasPrefix(d.Compose[State], "exited")
		},
	},
	{
		What:    "The delay before a Job that failed is tried again",
		Compose: "0.1 s, doubling to 1 min; anew after 10 s up", Tend: "none, then 10 s, doubling to 5 min; anew after 10 min up",
		Why: "a crash loop must not take the machine from its neighbours; the pace is the kubelet's", ADR: restart,
		Source: "[Docker](https://docs.docker.com/reference/api/engine/version/v1.57/schemas/RestartPolicy/), [ADR 23](adr/" + restart + ")",
		is:     func(d Difference) bool { return d.Field == Starts && d.loops() && !d.limited() },
	},
	{
		What:    "What `docker ps` calls it until then",
		Compose: "`Restarting`", Tend: "`Exited`; `tend get replicas` shows the back-off",
		Why: "the engine knows nothing of tend's back-off", ADR: exited,
		Source: measured,
		is:     func(d Difference) bool { return (d.Field == State || d.Field == Health) && d.loops() },
	},
	{
		What:    "The engine's count of restarts, `RestartCount`",
		Compose: "counts", Tend: "stays 0; `tend get replicas` shows the count",
		Why: "the engine counts only what it starts again itself", ADR: exited,
		Source: measured,
		is:     func(d Difference) bool { return d.Field == "RestartCount" && d.restarted() },
	},
	{
		What:    "When a service is created whose dependencies are not met yet",
		Compose: "at once, and started later, or never", Tend: "once they are met",
		Why: "a container that is created and not started is what a failed start leaves, and is not worth keeping", ADR: created,
		Source: measured,
		is:     func(d Difference) bool { return d.Field == Present && d.Tend == nil && d.Compose[State] == "created" },
	},
	{
		What:    "A service with `restart` unset whose container ends with another code than 0",
		Compose: "stays down", Tend: "is started again, until it ends with 0; a Job at most six times",
		Why: "one that crashes is started again, as a supervisor should; write `restart: \"no\"` where it must run once", ADR: wish,
		Source: "[Docker](https://docs.docker.com/engine/containers/start-containers-automatically/)",
		is: func(d Difference) bool {
			failed := strings.HasPrefix(d.Compose[State], "exited ") && d.Compose[State] != "exited 0"
			return failed && d.Compose.unsupervised() && (d.Field == Starts || d.Field == State || d.Field == Health)
		},
	},
	{
		What:    "A container whose health check passed and fails now",
		Compose: "runs on, `unhealthy`", Tend: "is stopped and started again",
		Why: "it is wedged, as with a liveness probe", ADR: healthy,
		Source: "[moby#28400](https://github.com/moby/moby/issues/28400)",
		is: func(d Difference) bool {
			return d.wedged() && slices.Contains([]string{Starts, State, Health, StartedAt}, d.Field)
		},
	},
	{
		What:    "The number of such a container, where it mounts nothing writable",
		Compose: "stays", Tend: "is its replacement's",
		Why: "the next one serves before it is stopped, and two containers have two names", ADR: healthy,
		Source: measured,
		is:     func(d Difference) bool { return d.wedged() && d.Field == Number },
	},
	{
		What:    "Who publishes a fixed TCP port",
		Compose: "the container", Tend: "an ingress, which outlives it",
		Why: "the port stays open through updates, and several replicas can have it", ADR: ingress,
		Source: "[Compose](https://docs.docker.com/reference/compose-file/services/#ports)",
		is:     Difference.heldPort,
	},
	{
		What:    "How much of a container's log is kept where nothing is written and the engine's driver is `json-file`",
		Compose: "all of it", Tend: "five files of 10 MB",
		Why: "a log without an end fills the disk; `logging: {driver: json-file}` leaves it to the engine", ADR: logs,
		Source: "[Docker](https://docs.docker.com/engine/logging/drivers/json-file/)",
		is: func(d Difference) bool {
			const config = "HostConfig.LogConfig.Config"
			return strings.HasPrefix(d.Field, config) && d.Compose[config] == "{}" && d.Tend[config+".max-size"] == `"10m"`
		},
	},
}

// heldPort reports whether it is about a TCP port that a container publishes with Compose
// and not with tend.
func (d Difference) heldPort() bool {
	for _, field := range []string{"HostConfig.PortBindings", "NetworkSettings.Ports"} {
		port, ok := strings.CutPrefix(d.Field, field)
		here := d.Tend[d.Field]
		if ok && (port == "" && here == "{}" || strings.HasSuffix(port, "/tcp") && (here == "" || here == "null")) {
			return true
		}
	}
	return false
}

// wedged reports whether its health check has passed and fails now with Compose.
func (d Difference) wedged() bool {
	return d.Compose[State] == "running" && d.Compose[Health] == "unhealthy" && d.Compose[WasHealthy] == "true"
}

// loops reports whether the container does not stay up on either side.
func (d Difference) loops() bool { return starts(d.Compose) > 1 && starts(d.Tend) > 1 }

// restarted reports whether it was started again on either side.
func (d Difference) restarted() bool { return starts(d.Compose) > 1 || starts(d.Tend) > 1 }

// limited reports whether a number of restarts is written.
func (d Difference) limited() bool {
	return d.Compose["HostConfig.RestartPolicy.MaximumRetryCount"] != "0"
}

// unsupervised reports whether nothing is written for restart.
func (o Object) unsupervised() bool {
	return o[restartPolicy] == unset
}

func starts(o Object) int {
	n, _ := strconv.Atoi(o[Starts])
	return n
}

// Document is docs/comparison.md.
func Document() string {
	var b strings.Builder
	b.WriteString(`# tend beside docker compose up

On a plain compose.yaml, without specs, tend makes what ` + "`docker compose up -d`" + ` makes: the same containers, networks
and volumes, equal in each field of ` + "`docker inspect`" + `, with the same exit codes, running after five minutes as they
run there. Either takes over what the other has made without replacing or restarting anything.

` + "`make compare`" + ` holds that for 60 projects in the style of what people run (e2e/compare/testdata), made by Compose and
taken over by tend, and made by tend and taken over by Compose 2.40.3. What differs on purpose stands below. This page is made
from the list that the comparison goes by (e2e/compare/meant.go); what is not in it fails the comparison.

| what | docker compose up | tend | why | source |
| --- | --- | --- | --- | --- |
`)
	for _, m := range Meant {
		number, _, _ := strings.Cut(strings.TrimLeft(m.ADR, "0"), "-")
		fmt.Fprintf(&b, "| %s | %s | %s | %s ([ADR %s](adr/%s)) | %s |\n", m.What, m.Compose, m.Tend, m.Why, number, m.ADR, m.Source)
	}
	b.WriteString(`
The source says what docker compose does; each row is measured by ` + "`make compare`" + ` besides.

Not compared is what differs between any two containers of the same make: IDs, times, addresses, ports that the engine chooses,
names of anonymous volumes. tend's containers, networks and volumes carry labels of its own besides, which begin with ` + "`tend.`" + `.

## What people ask for

What is asked for in the trackers of Docker and of the tools beside it, and what tend does about it. Some of it has been answered there since.

| asked for | where | tend |
| --- | --- | --- |
`)
	for _, w := range Asked {
		var links []string
		for _, issue := range w.Issues {
			repository, number, _ := strings.Cut(issue, "#")
			links = append(links, fmt.Sprintf("[%s](https://github.com/%s/issues/%s)", issue, repository, number))
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", w.What, strings.Join(links, ", "), w.Tend)
	}
	return b.String()
}
