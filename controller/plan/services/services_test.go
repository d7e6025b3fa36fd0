package services

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/swarm"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/controller/swarm/convert"
	"github.com/tendhq/tend/controller/swarm/manager"
)

const web = "name: shop\nservices: {web: {image: 'web:%d', scale: 2, healthcheck: {test: [CMD, ok]}}}\n"

func at(n int) string { return fmt.Sprintf(web, n) }

// rolled has web complete at version n.
func rolled(w *world, n int) {
	w.write(at(n), "")
	w.settle()
	require.True(w.t, w.statuses["web"].Converged, w.statuses["web"].Obstacle)
	w.took()
}

func TestAllIsMadeInItsOrder(t *testing.T) {
	w := newWorld(t, `
services:
  db: {image: "db:1", healthcheck: {test: [CMD, ok]}}
  seed: {image: "seed:1", restart: "no", depends_on: {db: {condition: service_healthy}}}
  web:
    image: web:1
    secrets: [token]
    configs: [motd]
    depends_on: {seed: {condition: service_completed_successfully}}
secrets: {token: {file: ./compose.yaml}}
configs: {motd: {content: hello}}
`, "")
	w.settle()
	did := strings.Split(w.took(), "\n")
	require.Len(t, did, 6)
	assert.Equal(t, "create-network shop_default", did[0])
	assert.Contains(t, did[1], "create-secret shop_token_")
	assert.Contains(t, did[2], "create-config shop_motd_")
	assert.Equal(t, []string{"create-service shop_db", "create-service shop_seed", "create-service shop_web"}, did[3:])
	for name, s := range w.statuses {
		assert.True(t, s.Converged, "%s: %s", name, s.Obstacle)
	}
	assert.Equal(t, core.OutcomeComplete, w.statuses["seed"].Outcome)
}

func TestWhatIsUnchangedIsLeftAlone(t *testing.T) {
	w := newWorld(t, at(1), "")
	rolled(w, 1)
	w.settle()
	assert.Empty(t, w.took())
	s := w.service("web") // what Swarm fills in by itself is no difference
	s.Spec.TaskTemplate.ContainerSpec.Image += "@sha256:" + strings.Repeat("0", 64)
	s.Spec.TaskTemplate.Placement.Platforms = []swarm.Platform{{OS: "linux"}}
	w.settle()
	assert.Empty(t, w.took())
	assert.True(t, w.statuses["web"].Converged)
}

func TestAnEditUpdatesTheService(t *testing.T) {
	for what, edit := range map[string]string{
		"image":    at(2),
		"env":      strings.Replace(at(1), "scale: 2", "scale: 2, environment: {A: b}", 1),
		"replicas": strings.Replace(at(1), "scale: 2", "scale: 5", 1),
		"strategy": strings.Replace(at(1), "scale: 2", "scale: 2, deploy: {update_config: {parallelism: 2}}", 1),
	} {
		t.Run(what, func(t *testing.T) {
			w := newWorld(t, at(1), "")
			rolled(w, 1)
			w.write(edit, "")
			w.settle()
			assert.Equal(t, "update-service shop_web", w.took())
			assert.True(t, w.statuses["web"].Converged, w.statuses["web"].Obstacle)
		})
	}
}

func TestWhatSomebodyElseHasChangedIsBroughtBack(t *testing.T) {
	w := newWorld(t, at(1), "")
	rolled(w, 1)
	drift := func() {
		s := w.service("web")
		s.Spec.TaskTemplate.ContainerSpec.Env, s.Version = []string{"EVIL=1"}, s.Version+1
	}
	drift()
	w.step()
	assert.Contains(t, strings.Join(w.events, "\n"), "somebody other than tend has changed TaskTemplate.ContainerSpec.Env of shop_web")
	assert.Empty(t, w.service("web").Spec.TaskTemplate.ContainerSpec.Env)
	assert.Equal(t, "update-service shop_web", w.took())

	w.settle() // and with a growing delay, where it does not stay so
	drift()
	w.step()
	assert.Empty(t, w.took())
	assert.Contains(t, w.statuses["web"].Obstacle, "something else changes the service, too")
	w.pass(3 * time.Second)
	assert.Equal(t, "update-service shop_web", w.took())
}

func TestASecretsNewContentIsAnotherObject(t *testing.T) {
	compose := `services: {web: {image: "web:1", secrets: [token]}}
secrets: {token: {file: ./token}}
`
	write := func(w *world, content string) {
		require.NoError(t, os.WriteFile(filepath.Join(w.dir, "token"), []byte(content), 0o600))
		w.write(compose, "")
	}
	w := newWorld(t, at(1), "")
	write(w, "one")
	w.settle()
	before := w.secrets[0].Name
	w.took()
	write(w, "two")
	w.settle()
	did := strings.Split(w.took(), "\n")
	require.Len(t, did, 3)
	assert.Contains(t, did[0], "create-secret shop_token_")
	assert.Equal(t, "update-service shop_web", did[1])
	assert.Equal(t, "remove-secret "+before, did[2])
}

// The secret that a revision was rolled out with stays while the rollout that replaces it
// may be taken back.
func TestGoingBackHasTheSecretOfThatTime(t *testing.T) {
	compose := `services: {web: {image: "web:%d", secrets: [token]}}
secrets: {token: {file: ./token}}
`
	w := newWorld(t, at(1), "")
	require.NoError(t, os.WriteFile(filepath.Join(w.dir, "token"), []byte("one"), 0o600))
	w.write(fmt.Sprintf(compose, 1), "")
	w.settle()
	before := w.secrets[0].Name
	require.NoError(t, os.WriteFile(filepath.Join(w.dir, "token"), []byte("two"), 0o600))
	w.broken["web:2"] = true
	w.write(fmt.Sprintf(compose, 2), "")
	w.settle()
	assert.Equal(t, "web:1", w.image("web"))
	assert.Equal(t, before, w.service("web").Spec.TaskTemplate.ContainerSpec.Secrets[0].SecretName)
}

func TestWhatIsNotWrittenAnyMoreGoes(t *testing.T) {
	w := newWorld(t, `services: {web: {image: "web:1", depends_on: [db]}, db: {image: "db:1"}}`, "")
	w.settle()
	w.took()
	w.write(`services: {db: {image: "db:1"}}`, "")
	w.settle()
	assert.Equal(t, "remove-service shop_web", w.took())

	w.remove = true
	w.settle()
	assert.Equal(t, "remove-service shop_db\nremove-network shop_default", w.took())
}

func TestANameThatIsTakenIsNotTouched(t *testing.T) {
	w := newWorld(t, at(1), "")
	in := w.input("web")
	in.Foreign = "the stack shop was made by docker stack deploy, and not by tend"
	p := Compute(in)
	assert.Empty(t, p.Actions)
	assert.Equal(t, core.OutcomeStalled, p.Status.Outcome)
	assert.Equal(t, in.Foreign, p.Status.Obstacle)
	in.Spec = nil
	assert.Empty(t, Compute(in).Actions)
	assert.Empty(t, ComputeProject(ProjectInput{Project: w.project, Foreign: in.Foreign}).Actions)
}

func TestARevisionThatFailsIsTakenBack(t *testing.T) {
	w := newWorld(t, at(1), "")
	rolled(w, 1)
	w.broken["web:2"] = true
	w.write(at(2), "")
	w.settle()
	assert.Equal(t, "web:1", w.image("web"))
	s := w.statuses["web"]
	assert.False(t, s.Converged)
	assert.Equal(t, core.OutcomeStalled, s.Outcome)
	assert.Contains(t, s.Obstacle, "was rolled back to")
	assert.Contains(t, s.Obstacle, "non-zero exit (1)")
	w.took()

	w.write(at(3), "") // another one is another chance
	w.settle()
	assert.Equal(t, "web:3", w.image("web"))
	assert.True(t, w.statuses["web"].Converged)
}

func TestARevisionThatNeverGetsReadyIsTakenBackWhenItsDeadlineIsOver(t *testing.T) {
	w := newWorld(t, at(1), "")
	rolled(w, 1)
	w.never["web:2"] = true
	w.write(at(2), "")
	w.settle()
	w.pass(599 * time.Second)
	assert.Equal(t, "web:2", w.image("web"))
	w.pass(2 * time.Second)
	w.settle()
	assert.Equal(t, "web:1", w.image("web"))
	assert.Contains(t, w.statuses["web"].Obstacle, "no progress for 10m0s")
}

// Where the revision before does not work any more either, the one before that is next.
func TestGoingBackLeadsFurtherWhereTheLastOneIsBadToo(t *testing.T) {
	w := newWorld(t, at(1), "")
	rolled(w, 1)
	rolled(w, 2)
	w.broken["web:2"], w.broken["web:3"] = true, true
	w.write(at(3), "")
	w.settle()
	assert.Equal(t, "web:1", w.image("web"))
	assert.Contains(t, w.statuses["web"].Obstacle, "was rolled back to")

	w.broken["web:1"] = true // and where none works it stands still
	w.write(at(3)+"# edited\n", "")
	w.settle()
	w.took()
	w.pass(15 * time.Minute)
	assert.Empty(t, w.took())
}

func TestWithOnFailurePauseItStaysWhereItIs(t *testing.T) {
	const pause = "apiVersion: tend/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {onFailure: pause}\n"
	w := newWorld(t, at(1), pause)
	w.settle()
	w.broken["web:2"] = true
	w.write(at(2), pause)
	w.settle()
	assert.Equal(t, "web:2", w.image("web"))
	assert.Equal(t, core.OutcomeStalled, w.statuses["web"].Outcome)
}

const database = `apiVersion: tend/v1
kind: Database
metadata: {name: db}
spec: {engine: postgres, backup: {beforeUpdate: false}}
`

func TestADatabaseStaysOnTheNodeOfItsVolume(t *testing.T) {
	compose := "services: {db: {image: 'postgres:%d', volumes: ['data:/var/lib/postgresql/data']}}\nvolumes: {data: {}}\n"
	w := newWorld(t, fmt.Sprintf(compose, 16), database)
	w.settle()
	spec := w.service("db").Spec
	assert.Equal(t, []string{"node.id==id-a"}, spec.TaskTemplate.Placement.Constraints)
	assert.Equal(t, "stop-first", spec.UpdateConfig.Order)
	w.took()

	// While the node is away nothing is made elsewhere, and it is said.
	for _, away := range []func(){
		func() { w.nodes[0].State = swarm.NodeStateDown },
		func() { w.nodes = w.nodes[1:] },
		func() { w.services, w.tasks = nil, nil }, // not even where somebody has removed the service
	} {
		away()
		w.write(fmt.Sprintf(compose, 17), database)
		w.settle()
		assert.Empty(t, w.took())
		assert.Equal(t, core.OutcomeWaiting, w.statuses["db"].Outcome)
		assert.Contains(t, w.statuses["db"].Obstacle, "waiting for the node")
		assert.Contains(t, w.statuses["db"].Obstacle, "shop_data")
	}

	// A person says where the data are now.
	w.write(strings.Replace(fmt.Sprintf(compose, 17), "volumes: ['", "deploy: {placement: {constraints: ['node.id==id-b']}}, volumes: ['", 1), database)
	w.settle()
	assert.Equal(t, "create-service shop_db", w.took())
	assert.Equal(t, []string{"node.id==id-b"}, w.service("db").Spec.TaskTemplate.Placement.Constraints)
}

const backedUp = `apiVersion: tend/v1
kind: Database
metadata: {name: db}
spec: {engine: postgres}
`

// jobs are the names of the jobs that were made, without their revisions.
func (w *world) jobs() (names []string) {
	for _, did := range strings.Split(w.took(), "\n") {
		if name, ok := strings.CutPrefix(did, "create-service shop_db_"); ok {
			names = append(names, name[:strings.LastIndex(name, "_")])
		}
	}
	return names
}

func TestADatabaseIsPreparedBeforeItsUpdate(t *testing.T) {
	compose := func(image, setting string) string {
		return fmt.Sprintf("services: {db: {image: '%s', command: [postgres, -c, work_mem=%s], volumes: ['data:/var/lib/postgresql/data']}}\nvolumes: {data: {}}\n", image, setting)
	}
	w := newWorld(t, compose("postgres:15.1", "4MB"), backedUp)
	w.settle()
	assert.Empty(t, w.jobs(), "there is nothing to prepare yet")
	running := w.service("db").Spec

	w.write(compose("postgres:15.2", "4MB"), backedUp)
	var prepare, check swarm.ServiceSpec
	for range 20 {
		w.step()
		for _, s := range w.services {
			switch s.Spec.Labels[spec.LabelHook] {
			case convert.PrepareJob:
				prepare = s.Spec
			case convert.CheckJob:
				check = s.Spec
			}
		}
	}
	revision := w.project.Workloads["db"].Revision[:8]
	assert.Equal(t, strings.Join([]string{
		"create-service shop_db_prepare_" + revision, "create-service shop_db_check_" + revision,
		"update-service shop_db", "update-service shop_db", // its task ends first
		"remove-service shop_db_prepare_" + revision, "remove-service shop_db_check_" + revision,
	}, "\n"), w.took())
	assert.Equal(t, "postgres:15.2", w.image("db"))
	for image, job := range map[string]swarm.ServiceSpec{"postgres:15.1": prepare, "postgres:15.2": check} {
		c := job.TaskTemplate.ContainerSpec
		assert.Equal(t, image, c.Image)
		assert.Equal(t, running.TaskTemplate.Placement.Constraints, job.TaskTemplate.Placement.Constraints, "it is not where the data are")
		require.Len(t, c.Mounts, 1, "it has the data")
		assert.Equal(t, "shop_backups", c.Mounts[0].Source)
	}
	assert.Contains(t, prepare.TaskTemplate.ContainerSpec.Command[2], "pg_dump")

	w.write(compose("postgres:15.2", "8MB"), backedUp)
	w.settle()
	assert.Equal(t, []string{"prepare"}, w.jobs(), "another setting cannot harm the data")

	w.broken["postgres:16"] = true // its check fails, too
	w.write(compose("postgres:16", "8MB"), backedUp)
	w.settle()
	assert.Equal(t, []string{"prepare", "check"}, w.jobs())
	assert.Equal(t, "postgres:15.2", w.image("db"))
	assert.Contains(t, w.statuses["db"].Obstacle, "job check task: non-zero exit (1)")
	require.Len(t, w.services, 2, "the job that failed has gone, and its log with it")
	assert.Equal(t, convert.CheckJob, w.services[1].Spec.Labels[spec.LabelHook])

	w.write(compose("postgres:15.1", "8MB"), backedUp)
	w.settle()
	assert.Equal(t, []string{"prepare", "check"}, w.jobs())
	assert.Len(t, w.services, 1)
}

// A Database on a bind may run on any node: what prepares its update meets on one.
func TestTheJobsOfADatabaseThatIsNotPinnedRunOnOneNode(t *testing.T) {
	compose := "services: {db: {image: 'postgres:%s', volumes: ['/srv/db:/var/lib/postgresql/data']}}\n"
	w := newWorld(t, fmt.Sprintf(compose, "15.1"), backedUp)
	w.settle()
	require.Empty(t, convert.PinnedTo(w.service("db").Spec))
	w.write(fmt.Sprintf(compose, "15.2"), backedUp)
	jobs := map[string]swarm.ServiceSpec{}
	for range 20 {
		w.step()
		for _, s := range w.services {
			jobs[s.Spec.Labels[spec.LabelHook]] = s.Spec
		}
	}
	for _, name := range []string{convert.PrepareJob, convert.CheckJob} {
		assert.Equal(t, "id-a", convert.PinnedTo(jobs[name]), name)
		assert.Len(t, jobs[name].TaskTemplate.ContainerSpec.Mounts, 1, "%s has the data", name)
	}
	assert.Empty(t, convert.PinnedTo(w.service("db").Spec))
	assert.Equal(t, "postgres:15.2", w.image("db"))
}

func TestADatabaseThatServesNobodyIsNotBackedUp(t *testing.T) {
	compose := "services: {db: {image: 'postgres:%s', volumes: ['data:/var/lib/postgresql/data']}}\nvolumes: {data: {}}\n"
	w := newWorld(t, fmt.Sprintf(compose, "15.1"), backedUp)
	w.settle()
	w.tasks[0].State = swarm.TaskStateStarting
	w.write(fmt.Sprintf(compose, "15.2"), backedUp)
	w.step()
	require.Len(t, w.services, 2)
	script := w.services[1].Spec.TaskTemplate.ContainerSpec.Command[2]
	assert.NotContains(t, script, "pg_dump")
	assert.NotContains(t, script, "CHECKPOINT")
	w.settle()
	assert.Equal(t, "postgres:15.2", w.image("db"))
}

// Swarm starts the next task a minute after it has told the one before to end, whatever that
// one does: what must never run twice ends first.
func TestWhatWritesAloneHasEndedBeforeTheNextTaskStarts(t *testing.T) {
	const one, two = "update-service shop_web", "update-service shop_web\nupdate-service shop_web"
	deployment := func(fields string) string {
		return fmt.Sprintf("apiVersion: tend/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {%s}\n", fields)
	}
	for name, c := range map[string]struct{ service, specs, want string }{
		"it writes to a volume":            {service: "volumes: ['data:/data']", want: two},
		"it writes to a bind":              {service: "volumes: ['/srv:/data']", want: two},
		"all are to end first":             {service: "scale: 2", specs: deployment("strategy: {type: Recreate}"), want: two},
		"it has no volume":                 {service: "scale: 1", want: one},
		"it reads only":                    {service: "volumes: ['data:/data:ro']", want: one},
		"several share it":                 {service: "scale: 2, volumes: ['data:/data']", want: one},
		"a surge is asked for":             {service: "deploy: {update_config: {order: start-first}}, volumes: ['data:/data']", want: one},
		"the volume's mode lets them both": {service: "volumes: ['shared:/data']", want: one},
	} {
		t.Run(name, func(t *testing.T) {
			at := func(version int) string {
				return fmt.Sprintf("services: {web: {image: 'web:%d', %s}}\nvolumes: {data: {}, shared: {x-tend: {accessMode: ReadWriteMany}}}\n", version, c.service)
			}
			w := newWorld(t, at(1), c.specs)
			w.settle()
			w.took()
			w.write(at(2), c.specs)
			w.settle()
			assert.Equal(t, c.want, w.took())
			assert.Equal(t, "web:2", w.image("web"))
			assert.True(t, w.statuses["web"].Converged)
		})
	}
}

func TestTheNextWriterWaitsForTheEndOfTheLast(t *testing.T) {
	at := func(version, replicas int) string {
		return fmt.Sprintf("services: {web: {image: 'web:%d', scale: %d, volumes: ['data:/data']}}\nvolumes: {data: {}}\n", version, replicas)
	}
	w := newWorld(t, at(1, 1), "")
	w.settle()
	ends := w.tasks[0]
	ends.DesiredState = swarm.TaskStateShutdown
	waits := func() {
		t.Helper()
		w.tasks = append(w.tasks, ends)
		w.took()
		w.step()
		w.step()
		assert.Empty(t, w.took())
		assert.Contains(t, w.statuses["web"].String()+w.statuses["web"].Obstacle, "waiting until its tasks have ended")
		w.tasks = w.tasks[:len(w.tasks)-1]
		w.settle()
	}

	w.write(at(2, 1), "") // an update
	w.step()
	require.Empty(t, w.tasks)
	waits()
	assert.Equal(t, "web:2", w.image("web"))

	w.write(at(2, 0), "") // none, and one again
	w.settle()
	w.write(at(2, 1), "")
	waits()
	assert.Len(t, w.tasks, 1)

	w.services = nil // somebody has removed the service, and its task ends
	w.tasks = nil
	waits()
	assert.Len(t, w.services, 1)
}

// The task of a node that is lost never ends for the managers.
func TestWhatIsRecreatedDoesNotWaitForALostNode(t *testing.T) {
	const recreate = "apiVersion: tend/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {strategy: {type: Recreate}}\n"
	w := newWorld(t, at(1), recreate)
	w.settle()
	lost := w.tasks[0]
	lost.DesiredState, lost.NodeID = swarm.TaskStateShutdown, "id-b"
	w.nodes[1].State = swarm.NodeStateDown
	w.write(at(2), recreate)
	w.step()
	w.tasks = append(w.tasks, lost)
	w.step()
	w.step()
	assert.Equal(t, "web:2", w.image("web"))
}

// What ran comes back where a pause comes between the end of the last task and the start of
// the next one; what a person has with no task stays so.
func TestAPauseTakesBackAnUpdateThatHasBegun(t *testing.T) {
	at := func(version, replicas int) string {
		return fmt.Sprintf("services: {web: {image: 'web:%d', scale: %d, volumes: ['data:/data']}}\nvolumes: {data: {}}\n", version, replicas)
	}
	yes := true
	w := newWorld(t, at(1, 1), "")
	w.settle()
	w.write(at(2, 1), "")
	w.step() // its task ends
	require.Empty(t, w.tasks)
	w.intents["web"] = core.Intent{Paused: &yes}
	w.settle()
	assert.Equal(t, "web:1", w.image("web"))
	assert.Len(t, w.tasks, 1)

	w.intents["web"] = core.Intent{}
	w.settle()
	assert.Equal(t, "web:2", w.image("web"))
	w.intents["web"] = core.Intent{Paused: &yes}
	w.write(at(2, 0), "")
	w.settle()
	w.write(at(3, 1), "")
	w.settle()
	assert.Equal(t, "web:2", w.image("web"))
	assert.Empty(t, w.tasks)
}

// Two that disagree never end: the second repair waits, and the task runs until then.
func TestWhatWritesAloneIsNotEndedByEveryChangeOfSomebodyElse(t *testing.T) {
	w := newWorld(t, "services: {web: {image: 'web:1', volumes: ['data:/data']}}\nvolumes: {data: {}}\n", "")
	w.settle()
	w.took()
	meddle := func() { w.service("web").Spec.TaskTemplate.ContainerSpec.Env = []string{"EVIL=1"} }
	meddle()
	w.settle()
	assert.Equal(t, "update-service shop_web\nupdate-service shop_web", w.took())
	assert.Empty(t, w.service("web").Spec.TaskTemplate.ContainerSpec.Env)
	meddle()
	w.settle()
	assert.Empty(t, w.took(), "it waits")
	assert.Len(t, w.tasks, 1)
	w.pass(3 * time.Second)
	assert.Equal(t, "update-service shop_web\nupdate-service shop_web", w.took())
}

func TestAPlacementSaysWhichNodeGetsAVolume(t *testing.T) {
	w := newWorld(t, "services: {web: {image: 'web:1', volumes: ['data:/data'], deploy: {placement: {constraints: ['node.hostname == b']}}}}\nvolumes: {data: {}}\n", "")
	w.settle()
	assert.Equal(t, []string{"node.hostname == b", "node.id==id-b"}, w.service("web").Spec.TaskTemplate.Placement.Constraints)
}

func TestAJobThatWasTakenAwayRunsAgainWhenItIsWrittenAgain(t *testing.T) {
	const compose = `services: {seed: {image: "seed:1", restart: "no"}}`
	w := newWorld(t, compose, "")
	w.settle()
	w.took()
	w.write("services: {}\n", "")
	w.step() // and nobody has looked since
	w.write(compose, "")
	w.settle()
	assert.Equal(t, "remove-service shop_seed\ncreate-service shop_seed", w.took())
	assert.True(t, w.statuses["seed"].Converged)
}

func TestAJobThatFailsIsGivenUp(t *testing.T) {
	w := newWorld(t, `services: {seed: {image: "seed:1", restart: "no"}}`, "")
	w.broken["seed:1"] = true
	w.settle()
	w.pass(3 * time.Second)
	assert.Equal(t, core.OutcomeStalled, w.statuses["seed"].Outcome)
	assert.Contains(t, w.statuses["seed"].Obstacle, "non-zero exit")
	w.took()
	w.write(`services: {seed: {image: "seed:2", restart: "no"}}`, "")
	w.settle()
	assert.Equal(t, "update-service shop_seed", w.took())
	assert.Equal(t, core.OutcomeComplete, w.statuses["seed"].Outcome)
}

const hooked = `apiVersion: tend/v1
kind: Deployment
metadata: {name: web}
spec: {preRollout: [{name: migrate, command: [up]}, {name: warm, command: [warm]}]}
`

func TestANameThatSomebodyHasIsTriedAgainAfterAMinute(t *testing.T) {
	w := newWorld(t, at(1), "")
	in := w.input("web")
	in.Taken = core.Try{Count: 1, At: in.Now, Error: "the Swarm has a service shop_web"}
	p := Compute(in)
	assert.Empty(t, p.Actions)
	assert.Equal(t, in.Taken.Error, p.Status.Obstacle)
	assert.Equal(t, in.Now.Add(retake), p.Next)
	in.Now = p.Next
	assert.NotEqual(t, in.Taken.Error, Compute(in).Status.Obstacle)
}

func TestHooksComeBeforeTheUpdate(t *testing.T) {
	w := newWorld(t, at(1), hooked)
	w.settle()
	revision := w.project.Workloads["web"].Revision[:8]
	assert.Equal(t, strings.Join([]string{
		"create-network shop_default",
		"create-service shop_web_migrate_" + revision, "create-service shop_web_warm_" + revision,
		"create-service shop_web",
		"remove-service shop_web_migrate_" + revision, "remove-service shop_web_warm_" + revision,
	}, "\n"), w.took())
	assert.True(t, w.statuses["web"].Converged)

	w.write(at(2), hooked) // they run once for each revision
	w.settle()
	assert.Len(t, strings.Split(w.took(), "\n"), 5)
}

// What waits for its next try is neither done nor told.
func TestAHookThatIsRefusedIsToldOfOnceForEachTry(t *testing.T) {
	w := newWorld(t, at(1), hooked)
	w.settle()
	w.write(at(2), hooked)
	in := w.input("web")
	in.Refused = core.Try{Count: 1, At: in.Now, Error: "no quorum"}
	p := Compute(in)
	assert.Empty(t, p.Actions)
	for _, e := range p.Events {
		assert.NotEqual(t, "HookStarted", e.Reason)
	}
	assert.Equal(t, in.Now.Add(pauseAfter(1)), p.Next)
	in.Now = p.Next
	assert.Len(t, Compute(in).Actions, 1)
}

func TestAHookThatFailsKeepsTheRevisionOut(t *testing.T) {
	w := newWorld(t, at(1), hooked)
	w.settle()
	w.broken["web:2"] = true // its hooks fail, too
	w.write(at(2), hooked)
	w.settle()
	assert.Equal(t, "web:1", w.image("web"))
	assert.Contains(t, w.statuses["web"].Obstacle, "hook migrate task: non-zero exit (1)")
}

func TestAHookThatTakesTooLongIsEndedAndRemoved(t *testing.T) {
	w := newWorld(t, at(1), hooked)
	w.settle()
	w.never["web:2"] = true
	w.write(at(2), hooked)
	w.settle()
	w.took()
	w.pass(301 * time.Second)
	w.settle()
	assert.Equal(t, "web:1", w.image("web"))
	assert.Contains(t, w.statuses["web"].Obstacle, "hook migrate has not ended within 5m0s")
	assert.Len(t, w.services, 1, "the hook's job is still there")
}

func TestAPausedRolloutIsNotBegun(t *testing.T) {
	w := newWorld(t, at(1), "")
	rolled(w, 1)
	yes := true
	w.intents["web"] = core.Intent{Paused: &yes}
	w.write(at(2), "")
	w.settle()
	assert.Empty(t, w.took())
	assert.Equal(t, core.OutcomePaused, w.statuses["web"].Outcome)
	w.pass(15 * time.Minute) // the time does not count
	delete(w.intents, "web")
	w.settle()
	assert.Equal(t, "web:2", w.image("web"))
}

func TestUndoAndRestart(t *testing.T) {
	w := newWorld(t, at(1), "")
	rolled(w, 1)
	first := w.project.Workloads["web"].Revision
	rolled(w, 2)
	w.intents["web"] = core.Intent{Undo: first, UndoOf: w.project.Workloads["web"].Revision}
	w.settle()
	assert.Equal(t, "web:1", w.image("web"))
	assert.True(t, w.statuses["web"].Converged)
	w.took()
	w.now = w.now.Add(time.Minute)
	w.intents["web"] = core.Intent{RestartedAt: w.now}
	rolled(w, 2)
	before := w.service("web").Spec.TaskTemplate.ForceUpdate
	w.now = w.now.Add(time.Minute)
	w.intents["web"] = core.Intent{RestartedAt: w.now}
	w.settle()
	assert.Equal(t, "update-service shop_web", w.took())
	assert.Greater(t, w.service("web").Spec.TaskTemplate.ForceUpdate, before)
}

// Swarm never makes a job of a service.
func TestAServiceThatBecomesAJobIsMadeAnew(t *testing.T) {
	w := newWorld(t, `services: {web: {image: "web:1"}}`, "")
	w.settle()
	w.took()
	w.write(`services: {web: {image: "web:1", restart: "no"}}`, "")
	w.settle()
	assert.Equal(t, "remove-service shop_web\ncreate-service shop_web", w.took())
}

// Swarm says of a task that it has found no node for it, and else places it in a moment.
func TestATaskThatIsAboutToBePlacedHasNotFailed(t *testing.T) {
	w := newWorld(t, at(1), "")
	w.never["web:1"] = true
	w.settle()
	w.tasks[0].State, w.tasks[0].NodeID, w.tasks[0].Message = swarm.TaskStatePending, "", "pending task scheduling"
	w.settle()
	s := w.statuses["web"]
	assert.Nil(t, s.Condition(core.ReplicaFailure))
	assert.NotContains(t, s.Obstacle, "pending")
	w.tasks[0].Err = "no suitable node (insufficient resources on 2 nodes)"
	w.settle()
	s = w.statuses["web"]
	assert.NotNil(t, s.Condition(core.ReplicaFailure))
	assert.Equal(t, "replica 1 is pending: no suitable node (insufficient resources on 2 nodes)", s.Obstacle)
}

func TestATaskOnANodeThatIsDownIsNotReady(t *testing.T) {
	w := newWorld(t, at(1), "")
	rolled(w, 1)
	w.nodes[0].State = swarm.NodeStateDown
	w.settle()
	s := w.statuses["web"]
	assert.False(t, s.Converged)
	assert.Zero(t, s.Ready)
	assert.Contains(t, strings.Join(s.Blockers(), "\n"), "replica 1 is on a, which is down")
}

func TestOneReplicaIsShownOfEachSlot(t *testing.T) {
	old := manager.Task{ID: "1", Slot: 1, State: swarm.TaskStateFailed, CreatedAt: time.Unix(1, 0)}
	last := manager.Task{ID: "2", Slot: 1, State: swarm.TaskStateFailed, CreatedAt: time.Unix(2, 0)}
	runs := manager.Task{ID: "3", Slot: 1, State: swarm.TaskStateRunning, CreatedAt: time.Unix(0, 0)}
	replicated := swarm.ServiceSpec{}
	assert.False(t, Shown(old, []manager.Task{old, last}, replicated))
	assert.True(t, Shown(last, []manager.Task{old, last}, replicated))
	assert.False(t, Shown(last, []manager.Task{old, last, runs}, replicated))
	assert.True(t, Shown(runs, []manager.Task{old, last, runs}, replicated))
}
