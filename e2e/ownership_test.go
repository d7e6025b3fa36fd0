package e2e_test

import (
	"os"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const three = `
services:
  web: {image: "${PROBE}"}
  api: {image: "${PROBE}"}
  db: {image: "${PROBE}"}
`

// stateful is a project with a volume.
const stateful = `
services:
  web: {image: "${PROBE}"}
  db: {image: "${PROBE}", volumes: ["data:/data"]}
volumes: {data: {}}
`

// twin is a project of the same name in another folder.
func (p *project) twin(compose string) *project {
	other := &project{t: p.t, name: p.name, dir: p.t.TempDir(), engine: p.engine}
	other.write(".env", p.read(".env"))
	other.write("compose.yaml", compose)
	return other
}

func TestAnotherFoldersProjectOfTheSameNameComesToNoHarm(t *testing.T) {
	theirs := newProject(t, files{"compose.yaml": stateful})
	theirs.compose("up", "-d")
	before := theirs.identities()
	unharmed := func(after string) {
		t.Helper()
		for name, id := range before {
			assert.Equal(t, id, theirs.identities()[name], "%s after %s", name, after)
		}
	}
	ours := theirs.twin(`
services:
  web: {image: "${PROBE}", environment: {VERSION: "2"}}
  store: {image: "${PROBE}", volumes: ["data:/data"]}
  alone: {image: "${PROBE}"}
volumes: {data: {}}
`)
	tend := ours.run()
	tend.awaitEvent("web", "ForeignContainer", theirs.name+"-web-1 was made from "+theirs.dir, "--take-over "+theirs.dir)
	tend.awaitEvent("store", "ForeignContainer", theirs.name+"-db-1")
	tend.awaitEvent("db", "ForeignContainer", theirs.name+"-db-1")
	ours.awaitReady("alone", 1)
	tend.stop()
	assert.Empty(t, ours.replicas("store"), "it would run on their volume")
	unharmed("tend run")

	for _, command := range [][]string{{"apply"}, {"up", "--image", tendImage}, {"diff"}, {"down"}, {"down", "-v"}} {
		r := ours.tend(command...)
		assert.Equal(t, 1, r.code, "tend %v: %s", command, r)
		assert.Contains(t, r.out+r.errOut, theirs.dir, "tend %v", command)
		unharmed(command[0])
		for _, c := range ours.replicas("tend") {
			require.NoError(t, ours.engine.ContainerRemove(t.Context(), c.ID, container.RemoveOptions{Force: true}))
		}
	}
	assert.Len(t, ours.replicas("alone"), 1, "a refusal takes nothing away")
	_, err := docker.VolumeInspect(t.Context(), theirs.name+"_data")
	assert.NoError(t, err)
}

func TestAProjectThatWasMovedIsTakenOverOnPurpose(t *testing.T) {
	before := newProject(t, files{"compose.yaml": stateful})
	before.mustTend("apply")
	same := before.identities()
	link := before.t.TempDir() + "/link"
	require.NoError(t, os.Symlink(before.dir, link))
	before.mustTend("--project-directory", link, "apply")
	before.assertSame(same, "containers after tend apply by another path to the folder")

	moved := before.twin(stateful)
	require.NoError(t, os.RemoveAll(moved.dir))
	require.NoError(t, os.Rename(before.dir, moved.dir))
	r := moved.tend("apply")
	assert.Equal(t, 1, r.code, "%s", r)
	assert.Contains(t, r.errOut, before.dir+", which is not to be found here")
	moved.assertSame(same, "containers of the folder that was moved")

	moved.mustTend("apply", "--take-over", before.dir)
	for _, service := range []string{"web", "db"} {
		r := moved.replica(service)
		assert.True(t, r.ready())
		assert.Equal(t, moved.dir, r.Config.Labels["com.docker.compose.project.working_dir"])
	}
	same = moved.identities()
	moved.mustTend("apply")
	moved.assertSame(same, "containers after they were taken over")
	moved.mustTend("down", "-v")
	assert.Empty(t, moved.leftovers())
}

func TestServicesThatAreAllGoneInOneSaveStay(t *testing.T) {
	p := newProject(t, files{"compose.yaml": three})
	tend := p.run()
	for _, service := range []string{"web", "api", "db"} {
		p.awaitReady(service, 1)
	}
	before := p.identities()
	p.write("compose.yaml", "services: {}\n")
	tend.awaitEvent("", "InvalidSpec", "3 of 3 services are gone at once", "restart tend to accept it")
	p.write("compose.yaml", "services:\n  web: {image: \"${PROBE}\"}\n")
	tend.awaitEvent("", "InvalidSpec", "2 of 3 services are gone at once", "api, db")
	p.assertSame(before, "containers of what was lost from the file")

	p.write("compose.yaml", "services:\n  web: {image: \"${PROBE}\"}\n  api: {image: \"${PROBE}\"}\n")
	p.awaitReplicas("db", 0, replica.ready)
	p.awaitReady("web", 1)
	p.awaitReady("api", 1)

	tend.stop()
	p.write("compose.yaml", "services: {}\n")
	p.mustTend("apply")
	assert.Empty(t, p.replicas(""), "to apply it is to mean it")
}

func TestContainersOfAnotherComposeFileStayUntilTheirRemovalIsAskedFor(t *testing.T) {
	p := newProject(t, files{"compose.yaml": three, "extra.yaml": `
services:
  worker: {image: "${PROBE}"}
`, "other.yaml": `
services:
  cron: {image: "${PROBE}"}
`})
	p.compose("-f", "extra.yaml", "up", "-d")
	p.mustTend("-f", "other.yaml", "apply", "--data-dir", p.path("other"))
	before := p.identities()
	unharmed := func(after string) {
		for name, id := range before {
			assert.Equal(t, id, p.identities()[name], "%s after %s", name, after)
		}
	}
	tend := p.run()
	tend.awaitEvent("worker", "OrphanContainer", p.name+"-worker-1", "--remove-orphans")
	tend.awaitEvent("cron", "OrphanContainer", p.name+"-cron-1")
	p.awaitReady("db", 1)
	p.mustTend("apply")
	unharmed("run")

	// What tend made or took over from this file is removed with its service.
	p.compose("up", "-d", "--no-deps", "api")
	p.write("compose.yaml", "services:\n  web: {image: \"${PROBE}\"}\n  api: {image: \"${PROBE}\"}\n")
	p.awaitReplicas("db", 0, replica.ready)
	unharmed("an edit")
	held := p.tend("apply", "--remove-orphans")
	assert.Equal(t, 1, held.code, "%s", held)
	assert.Contains(t, held.errOut, "restart it with that")
	tend.stop()

	diff := p.tend("diff")
	assert.Zero(t, diff.code, "what tend leaves alone is no difference to mend: %s", diff)
	assert.Contains(t, diff.out, p.name+"-worker-1")
	assert.Equal(t, 1, p.tend("diff", "--remove-orphans").code)
	p.mustTend("down")
	assert.Empty(t, p.replicas("web"))
	unharmed("down")
	p.mustTend("apply", "--remove-orphans")
	assert.Empty(t, p.replicas("worker"))
	assert.Empty(t, p.replicas("cron"))
	assert.Len(t, p.replicas("web"), 1)
}
