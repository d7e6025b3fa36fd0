package convert

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/spec/keys"
)

var update = flag.Bool("update", false, "write the reference anew")

const reference = "../../../docs/reference/"

// Each key of Compose that tend knows has a row, or is under one that speaks for all.
func TestTheTableHasEachKeyOfCompose(t *testing.T) {
	known := map[string]bool{}
	for _, path := range keys.Paths() {
		known[path] = true
		covered := false
		for at := path; at != ""; at = at[:max(strings.LastIndex(at, "."), 0)] {
			_, ok := rows[at]
			covered = covered || ok
		}
		assert.True(t, covered, "the table lacks %s", path)
	}
	for path := range rows {
		assert.True(t, known[path], "Compose has no key %s", path)
	}
}

// Each field of the reference of specs has a row.
func TestTheTableHasEachFieldOfASpec(t *testing.T) {
	inTable := map[string]bool{}
	for _, r := range specFields {
		for name := range strings.FieldsSeq(r.names) {
			inTable[name] = true
		}
	}
	content, err := os.ReadFile(reference + "spec.md")
	require.NoError(t, err)
	fields := map[string]bool{}
	inside := false
	for line := range strings.Lines(string(content)) {
		inside = strings.HasPrefix(line, "|") && (inside || strings.HasPrefix(line, "| field |"))
		if !inside {
			continue
		}
		first, _, _ := strings.Cut(line[1:], "|")
		for _, match := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(first, -1) {
			fields[match[1]] = true
			assert.True(t, inTable[match[1]], "the table lacks %s", match[1])
		}
	}
	require.NotEmpty(t, fields)
	for name := range inTable {
		assert.True(t, fields[name], "a spec has no field %s", name)
	}
}

func TestTheReferenceIsUpToDate(t *testing.T) {
	want := referenceText()
	if *update {
		require.NoError(t, os.WriteFile(reference+"swarm.md", []byte(want), 0o644))
	}
	got, err := os.ReadFile(reference + "swarm.md")
	require.NoError(t, err)
	assert.Equal(t, want, string(got), "run go generate ./controller/swarm/convert")
}

const preface = `# Docker Swarm

` + "`tend up|apply|diff|down|get|run|logs --engine swarm`" + ` keeps the project as services of a Docker Swarm, through the Swarm API of one
of its managers: the engine of ` + "`--host`" + `. Swarm schedules, restarts and moves tasks; tend decides what is to run, and when.

| of | becomes |
| --- | --- |
| a Deployment | a replicated service, PROJECT_SERVICE |
| a Deployment with ` + "`deploy.mode: global`" + ` | a global service: one replica on each node that may have it |
| a Database | a replicated service, of one task that is stopped before the next one starts, pinned to the node of its volume; replicated jobs on that node prepare its updates |
| a Job | a replicated job; a new revision runs it again |
| a hook of ` + "`preRollout`" + ` | a replicated job that ends before its service is updated, and is removed then |
| a network | an overlay, PROJECT-NETWORK where it has no ` + "`" + `name` + "`" + ` of its own, which containers can join |
| a secret, a config | one of Swarm's, under a name with a hash of its content |
| a published port | one of the mesh, at every node |
| a revision | the label ` + "`tend.revision`" + ` of a service and of its tasks |

What tend adds to Swarm: conditions of ` + "`depends_on`" + `, the progress deadline, the way back to the last revision that completed, and
from there to the one before, hooks, ` + "`paused`" + `, ` + "`tend rollout history`" + `, undo and restart, the repair of what somebody else has changed,
and statuses with the obstacle and the remedy.

` + "`tend up`" + ` runs tend in a container of that manager, with the engine's socket, the project's folder and ` + "`.tend`" + ` mounted: not
as a service, as only a manager answers it and the files are there. A service ` + "`tend`" + ` that compose.yaml writes for one
machine has no part in it.

- A service of the name that tend did not make for this folder, and a stack of the project's name, are refused and not touched.
- What has a Recreate strategy, and what alone writes to a volume or bind (one replica, no surge asked for), is updated in
  two steps: no task first, and the next spec once all tasks have ended. Swarm itself waits a minute for that, and then starts
  the next writer beside one that takes longer.
- A service that mounts a volume of the driver local is pinned to one node, as the volume is there alone. Where that node is
  down, tend waits for it and says so: an empty volume on another node would look as if all were well.
- With ` + "`deploy.mode: global`" + ` there are as many replicas as eligible nodes: those that are not down, are active, and are as
  ` + "`placement.constraints` and `platform`" + ` say. A node that joins gets one, and one that is drained, down or gone is no longer counted;
  neither begins a rollout, and in one that is under way the deadline begins anew. A replica is named after its node. A number of replicas
  beside it, autoscaling, Recreate and percentages of ` + "`maxSurge`" + ` and ` + "`maxUnavailable`" + ` are refused.
- A volume of the driver local is each node's own there, so that nothing is pinned, and a node that joins begins with an empty one. One
  that a service which runs on one node mounts, too, is refused: on all other nodes it would be empty.
- Swarm replaces the task of a global service at once where anything of its node changes during an update, as its label or its
  networks, also while the update is paused, and does not wait for the end of the one before. Where it waits in an update for a task
  whose node was lost, tend has it go on: it gives the service another label ` + "`tend.resumed`" + `.
- Another ` + "`deploy.mode`" + ` is another service, as Swarm changes the mode of none: all replicas of the one end, and then the others start.
- Before a Database is updated, a job on its node asks the running server, over a network that the service is in, whether its
  indexes are as its libraries sort, backs it up into the volume PROJECT_backups of that node, and has it write out what it holds in
  memory; where the image changes, a job in the new one looks whether it may take over the data. What fails leaves the Database as it
  is, and the job of that name is there for ` + "`docker service logs`" + `. ` + "`tend backup`" + ` and
  ` + "`tend restore`" + ` are such jobs, too, and name files of that volume.
- Before a revision is rolled out first, its image's registry is asked for the digest, and all tasks are made from that one, also when the revision is gone
  back to. Where the registry does not tell it, tend says so, and each node takes what the name stands for there. What has been pushed
  under the name since is not rolled out: write its digest, or another tag.
- An update that Swarm pauses, as a new task has failed, counts as failed at once; one that makes no progress, after
  ` + "`progressDeadlineSeconds`" + `. While nothing is known of another revision that worked, it is left as it is.
- A Job that somebody else has changed or removed is not repaired, as that would run it again. One of several completions that fails is
  tried by Swarm for ever: the end of each is a reason for it to look at the others.
- The task of a Database has ended before the next one starts, however long that takes. Where its node was cut off and comes back, Swarm itself
  starts the next one beside the one that ends.
- Swarm leaves the containers of jobs that have ended on their nodes, those of hooks and of a Database's preparation, too, and of a job
  whose service is gone nobody removes them but ` + "`docker container prune`" + `.
- A task is shown as a replica, with its node on the page and in ` + "`tend get replicas -o wide`" + `. Swarm kills no single one, and what goes
  to tasks, by name or through the mesh, is not counted.
- Swarm cannot hold an update that it has begun: ` + "`paused`" + ` keeps one from beginning.
- Going back uses the version of a secret or config that the revision had while that one is there: it is removed when the
  rollout that has replaced it is complete. After that, it is the present content.
- Without a Swarm, on a worker, and while the managers have no quorum nothing is changed; tend says so and goes on by itself.
- ` + "`tend down`" + ` removes services, networks, secrets and configs. Volumes stay on their nodes, and the Swarm API does not reach them.

Each key and each field is one of these:

- **kept**: it has the effect that it has on one machine.
- **kept by Swarm**: Swarm does it, in its own way.
- **no effect**: it says nothing of what runs.
- **refused**: tend stops with all such places and their reasons at once, and changes nothing.

This page is made from the table that tend goes by (` + "`controller/swarm/convert/table.go`" + `), and a test holds the table against
[the keys of Compose](compose.md) and [the fields of a spec](spec.md). Keys under one that is listed are treated as that. Of
` + "`x-tend`" + `, ` + "`managed`" + ` and ` + "`accessMode`" + ` are kept, ` + "`ports: direct`" + ` has no effect, and ` + "`proxyProtocol`, `pullInterval` and `keepImages`" + ` are refused.

Why it is as it is: [ADR 57](../adr/0057-swarm-services.md).

## Moving over

On the machine that runs the project, after ` + "`" + `docker swarm init` + "`" + `:

` + "```sh" + `
tend migrate --to swarm --dry-run   # what is refused, what moves, in which way
tend migrate --to swarm             # on a terminal it asks for each volume
tend migrate --to docker            # the way back
` + "```" + `

Everything that a Swarm cannot keep is refused at once, and nothing is changed then. Afterwards the project is kept with ` + "`" + `--engine swarm` + "`" + `; a
controller that ` + "`" + `tend up` + "`" + ` has started goes along. While one side has the project, tend does not keep it on the other.

| a workload that | to the Swarm | back |
| --- | --- | --- |
| writes nowhere alone | all such services have tasks beside their containers until all are ready; then names lead to tasks alone, and the containers end | likewise |
| alone writes to a volume or bind, or publishes a port with ` + "`" + `mode: host` + "`" + ` | its container ends, then its task starts: nothing answers meanwhile | likewise, before all others |
| is a Database | likewise, after it was prepared and backed up as for an update | likewise |
| is a Job | one that has run is not run again; its container stays, as the record of that | runs again, unless that container is there |
| has its ports held by an ingress | they answer nobody from the end of the ingress until a task is ready | they answer nobody from the end of the tasks until the ingress is there |

- A volume stays where it is, and the service that mounts it is pinned to this node. It moves only with consent: ` + "`" + `--volume NAME` + "`" + `, ` + "`" + `--yes` + "`" + `, or an answer on the
  terminal. Without, all that mounts it stays, the rest moves, and tend ends with 1. Run again with consent, it goes on. A volume without a name
  is asked for as SERVICE:PATH on the way to the Swarm; its content stays behind, both ways.
- Data are on this node before and after. With several nodes nobody knows what the engine of another one has, so that what would begin without its data is refused:
  - a volume that is neither on this node nor mounted by a service, as on a manager that is not the one that runs the project;
  - on the way back, a service that has its volumes on another node;
  - on the way to the Swarm, what has its data here and is kept off this node by ` + "`" + `placement.constraints` + "`" + ` or ` + "`" + `platform` + "`" + `, and what alone writes to a folder
    and is not kept off all others.
- Images, and folders that are mounted, have to be where each node finds them. An image that is on this node alone has all tasks come here, once Swarm
  has tried the other nodes in vain.
- A machine that is lost meanwhile, other than this one, holds up nobody: Swarm makes its tasks elsewhere. Requests that a name leads to it are lost until
  Swarm has taken it out of the name ([measured](../reliability.md#on-a-swarm)).
- What has not become ready when its ` + "`" + `progressDeadlineSeconds` + "`" + ` are over goes back, and tend says so and ends with 1. Two never write to what is one's.
- A move that was killed goes on when it is run again, and can be turned around. Until then nobody repairs anything.
- A container finds by name what has moved, and a task what has not, also one that tend leaves alone (` + "`" + `managed: false` + "`" + `). Of two services that can be on both
  sides, one that asks the other says so in ` + "`" + `depends_on` + "`" + `; else a container that must be alone may ask the one while the other has no task yet.
- Networks with a ` + "`" + `name` + "`" + ` of their own are refused, and so are external ones that are no overlays. A database that keeps tend's state (` + "`" + `--database-url` + "`" + `) has no
  part in a move.

Measured on 2026-11-29 on 2 threads of one shared core, Docker Engine 20.10 without IPVS (` + "`" + `go test ./e2e -run 'TestAProjectMoves|TestAMove|TestADatabaseMoves' -v` + "`" + `), with clients that ask one of the
addresses of a name and do not try another one:

| | answered | not |
| --- | --: | --: |
| by name, three and two replicas, to the Swarm and back, twice | 6,857 | 0 |
| the same, killed with SIGKILL at 15 points | 7,308 | 0 |
| a port with ` + "`" + `mode: host` + "`" + ` and one replica, to the Swarm: 0.8 to 2.1 s | 3,222 | 151 |
| the same, back: 0.5 to 1.1 s | 2,225 | 121 |

A port of the mesh could not be asked there: from the end of the ingress until the tasks were ready it was 4 s for three replicas, and 5 s back. A
Postgres with little in it was away for 3 s.
Why it is as it is: [ADR 58](../adr/0058-moving-between-engines.md).

## A standby on another machine

Managers can each run a tend of the same project. One acts, and the others stand by ([the runbook](../runbook.md#which-tend-acts)). On each:

` + "```sh" + `
TEND_DATABASE_URL_FILE=/run/secrets/tend-database tend run --engine swarm --data-dir /var/lib/tend/shop
` + "```" + `

- The database is one that all of them reach, on none of the machines that may be lost. It keeps the lease and the history.
- The project's folder has the same path everywhere, as services are labelled with it: shared, or a copy. tend reads of it the Compose
  files with what they include, ` + "`.env`" + ` and other environment files, the specs, and the files of secrets and configs. A copy has to be kept
  in step: the tend that takes over brings about what its own folder says.
- The data directory is each machine's own. In a shared folder it must not be the default, as the lock and the socket are in it.
- Each tend asks the manager of its own machine. Where that engine has ended and tend has not, tend goes on holding the lease and
  tells ` + "`EngineUnavailable`" + `: end it, and another one acts.

A machine that is lost takes its tend with it, and the next one acts after five to seven seconds. Where it was the Swarm's leader, too, nothing can be
changed until the other managers have chosen another: that is Swarm's, and takes it ten to twenty seconds. What was
written meanwhile is in the Swarm a few seconds after that. A tend that was frozen or cut off from the database changes nothing
afterwards. What runs on the machines that are left goes on serving all along; requests that a name leads to the lost
machine fail until Swarm has taken its tasks out of the name, some five seconds ([measured](../reliability.md#on-a-swarm)).
`

// referenceText writes the reference as Markdown.
func referenceText() string {
	var b strings.Builder
	b.WriteString(preface)
	under := ""
	for i, r := range composeKeys {
		if i == 0 || r.under != under {
			under = r.under
			title := "Top level"
			if under != "" {
				title = "`" + under + "`"
			}
			fmt.Fprintf(&b, "\n## %s\n\n| key | on a Swarm | remark |\n| --- | --- | --- |\n", title)
		}
		writeRow(&b, r)
	}
	b.WriteString("\n## Fields of a spec\n\n| field | on a Swarm | remark |\n| --- | --- | --- |\n")
	for _, r := range specFields {
		writeRow(&b, r)
	}
	return b.String()
}

func writeRow(b *strings.Builder, r row) {
	var names []string
	for _, name := range slices.Collect(strings.FieldsSeq(r.names)) {
		names = append(names, "`"+name+"`")
	}
	fmt.Fprintf(b, "| %s | %s | %s |\n", strings.Join(names, ", "), r.support, r.remark)
}
