package rehearsal_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/tendhq/tend/controller/rehearsal"
	"github.com/tendhq/tend/controller/spec/load"
	"github.com/tendhq/tend/state"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// theatre plays projects.
type theatre struct {
	t      *testing.T
	dir    string
	images map[string]rehearsal.Behavior
	acts   []rehearsal.Act

	results []rehearsal.Result
	events  []string
}

const ingressImage = "tend/ingress:test"

func newTheatre(t *testing.T, images map[string]string) *theatre {
	t.Helper()
	th := &theatre{t: t, dir: t.TempDir(), images: map[string]rehearsal.Behavior{}}
	for image, text := range images {
		b, err := rehearsal.ParseBehavior(text)
		require.NoError(t, err)
		th.images[image] = b
	}
	return th
}

// act adds an act in which files of the project have this content.
func (th *theatre) act(files map[string]string) {
	th.t.Helper()
	for name, content := range files {
		path := filepath.Join(th.dir, name)
		require.NoError(th.t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(th.t, os.WriteFile(path, []byte(content), 0o600))
	}
	p, err := load.Project(th.t.Context(), load.Options{ProjectDirectory: th.dir, IngressImage: ingressImage})
	require.NoError(th.t, err)
	th.acts = append(th.acts, rehearsal.Act{Project: p})
}

func (th *theatre) play() rehearsal.Result {
	p := rehearsal.Play{
		Acts: th.acts, Images: th.images, IngressImage: ingressImage, Executable: os.DevNull, DataDir: th.t.TempDir(), Patience: 24 * time.Hour,
		Begin: func(a rehearsal.Act, e *rehearsal.Engine) {
			if a.Title == killing {
				e.Kill(e.Truth()[0].ID, 137)
			}
		},
		Event: func(at time.Duration, e *state.Event) {
			th.events = append(th.events, fmt.Sprintf("%s %s %s: %s", at.Round(100*time.Millisecond), e.Workload, e.Reason, e.Message))
		},
		End: func(r rehearsal.Result) { th.results = append(th.results, r) },
	}
	return p.Run()
}

// killing is the title of an act that begins with the death of the eldest container.
const killing = "killing"

func (th *theatre) story() string { return strings.Join(th.events, "\n") }

func web(image string, replicas int) map[string]string {
	return map[string]string{"compose.yaml": fmt.Sprintf(`
name: p
services:
  web:
    image: %s
    ports: ["8080:80"]
    deploy: {replicas: %d}
    healthcheck: {test: [CMD, check]}
`, image, replicas)}
}

func TestAnUpdateIsPlayedInVirtualTime(t *testing.T) {
	th := newTheatre(t, map[string]string{"web:2": "20m"})
	th.act(web("web:1", 3))
	files := web("web:2", 3)
	files["specs/web.yaml"] = "apiVersion: tend/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {progressDeadlineSeconds: 3600}\n"
	th.act(files)
	began := time.Now()
	last := th.play()
	require.NoError(t, last.Err, th.story())
	assert.Less(t, time.Since(began), time.Minute)
	assert.Greater(t, last.Took, time.Hour)
	assert.Equal(t, []rehearsal.Bounds{{Workload: "web", LeastReady: 3, MostReplicas: 4}}, last.Bounds)
	assert.Contains(t, th.story(), "web:8080 Created", "nothing holds the port")
}

func TestARevisionThatIsNeverReadyIsRolledBack(t *testing.T) {
	th := newTheatre(t, map[string]string{"web:2": "never-ready"})
	th.act(web("web:1", 2))
	th.act(web("web:2", 2))
	last := th.play()
	require.ErrorContains(t, last.Err, "was rolled back")
	assert.Greater(t, last.Took, 10*time.Minute, "before the deadline")
	assert.Equal(t, []rehearsal.Bounds{{Workload: "web", LeastReady: 2, MostReplicas: 3}}, last.Bounds)
	assert.NoError(t, th.results[0].Err)
}

func TestAProbeIsAskedOfTheBehavior(t *testing.T) {
	th := newTheatre(t, map[string]string{"web:1": "40s"})
	files := web("web:1", 1)
	files["specs/web.yaml"] = `
apiVersion: tend/v1
kind: Deployment
metadata: {name: web}
spec: {readinessProbe: {httpGet: {path: /, port: 80}, periodSeconds: 1}}
`
	th.act(files)
	last := th.play()
	require.NoError(t, last.Err, th.story())
	assert.InDelta(t, 44, last.Took.Seconds(), 3)
}

func TestAnImageThatIsMissingHoldsTheRollout(t *testing.T) {
	th := newTheatre(t, map[string]string{"web:2": "missing"})
	th.act(web("web:1", 1))
	th.act(web("web:2", 1))
	last := th.play()
	require.ErrorContains(t, last.Err, "web:2")
	assert.NotContains(t, th.story(), "Stopped")
}

func TestACrashIsStartedAgainAndGivenUp(t *testing.T) {
	th := newTheatre(t, map[string]string{"web:2": "crash"})
	th.act(web("web:1", 1))
	th.act(web("web:2", 1))
	last := th.play()
	require.ErrorContains(t, last.Err, "was rolled back")
	assert.Contains(t, th.story(), "exited with code 1")
}

func TestAJobEndsAndItsDependentsFollow(t *testing.T) {
	th := newTheatre(t, nil)
	th.act(map[string]string{"compose.yaml": `
name: p
services:
  web: {image: "web:1", depends_on: {migrate: {condition: service_completed_successfully}}}
  migrate: {image: "web:1"}
`})
	last := th.play()
	require.NoError(t, last.Err, th.story())
	assert.Contains(t, th.story(), "migrate Complete")
}

// A Postgres of another major version cannot read the data, here as on a real engine.
func TestAnotherMajorVersionOfPostgresIsRefused(t *testing.T) {
	db := func(image string) map[string]string {
		return map[string]string{
			"compose.yaml": fmt.Sprintf(`
name: p
services:
  db: {image: %q, environment: {POSTGRES_PASSWORD: x}, volumes: ["data:/var/lib/postgresql/data"], networks: [outside]}
volumes: {data: {}}
networks: {outside: {external: true}}
`, image),
			"specs/db.yaml": "apiVersion: tend/v1\nkind: Database\nmetadata: {name: db}\nspec: {engine: postgres}\n",
		}
	}
	th := newTheatre(t, nil)
	th.act(db("postgres:15.4"))
	th.act(db("postgres:15.5"))
	th.act(db("postgres:16.1"))
	last := th.play()
	require.ErrorContains(t, last.Err, "Postgres 16.0 cannot read its data")
	assert.NoError(t, th.results[0].Err, th.story())
	assert.NoError(t, th.results[1].Err, th.story())
	assert.Contains(t, th.story(), "Prepared", "it was not backed up")
}

func TestWhatIsDoneToTheEngineIsRepaired(t *testing.T) {
	th := newTheatre(t, nil)
	th.act(map[string]string{"compose.yaml": "name: p\nservices: {web: {image: \"web:1\", restart: always}}\n"})
	th.acts = append(th.acts, rehearsal.Act{Title: killing, Project: th.acts[0].Project})
	last := th.play()
	require.NoError(t, last.Err, th.story())
	assert.Greater(t, last.Took, 100*time.Millisecond, "it was over before it was heard of")
	assert.Equal(t, []rehearsal.Bounds{{Workload: "web", LeastReady: 0, MostReplicas: 1}}, last.Bounds)
}

func TestABehaviorThatThereIsNotIsRefused(t *testing.T) {
	for _, text := range []string{"", "sick", "-3s", "3"} {
		_, err := rehearsal.ParseBehavior(text)
		assert.ErrorContains(t, err, "write the time until a container is ready", text)
	}
}
