//go:build linux

package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/plan"
	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/state"
)

const oneService = "services: {web: {image: \"web:1\"}}\n"

// fares has a workload not converged.
func fares(s *core.Status, outcome core.Outcome, obstacle, remedy string) {
	s.Converged, s.Outcome, s.Obstacle, s.Remedy = false, outcome, obstacle, remedy
}

func TestWrongArgumentsAreMistakesOfUsage(t *testing.T) {
	w := newWorld(t, oneService)
	for _, args := range []string{
		"rollout", "rollout stop web", "rollout undo", "rollout undo web --to-revision one", "rollout history web -o xml",
		"scale web", "scale", "wait", "wait web --for=lunch", "describe", "explain a b", "events a b", "logs a b", "logs web --tail -1", "logs --level loud", "logs --field a", "logs --field =a",
		"logs --since noon", "logs --until noon", "logs -f --until 1m", "doctor web", "doctor -o xml",
		"run --tls-cert a", "run --tls-client-ca a", "token", "token show", "token rotate write", "endpoints -o xml", "endpoints web", "endpoints --template a", "endpoints --on-change a -o b",
	} {
		_, err := w.tend(strings.Fields(args)...)
		var exit *exitError
		if assert.ErrorAs(t, err, &exit, args) {
			assert.Equal(t, exitUsage, exit.code, args)
		}
	}
}

func TestAnUnknownWorkloadIsAFailure(t *testing.T) {
	w := newWorld(t, oneService)
	for _, args := range []string{
		"rollout status nope", "rollout history nope", "rollout pause nope", "scale nope --replicas 1", "wait nope",
		"describe nope", "explain nope", "events nope", "events -w nope",
	} {
		_, err := w.tend(strings.Fields(args)...)
		assert.ErrorContains(t, err, `"nope"`, args)
	}
}

func TestRolloutCommandsAskForIt(t *testing.T) {
	w := newWorld(t, oneService)
	w.keep("web", func(*spec.Workload, *core.Status) {})
	w.store.Update(func(tx *state.Tx) {
		for n, revision := range []string{"rev0", "rev1", "rev2rev2rev2"} {
			tx.PutRevision(&state.Revision{Workload: "web", Revision: revision, Number: n + 1, Spec: &spec.Workload{Image: "web:" + revision}, At: time.Now()})
		}
	})
	intent := func() core.Intent {
		row, _ := w.store.Snapshot().Intent("web")
		return row.Intent
	}
	for _, c := range []struct {
		args string
		want func(core.Intent) bool
	}{
		{"pause", func(i core.Intent) bool { return *i.Paused }},
		{"resume", func(i core.Intent) bool { return i.Paused == nil }},
		{"undo", func(i core.Intent) bool { return i.Undo == "rev1" }},
		{"undo --to-revision 1", func(i core.Intent) bool { return i.Undo == "rev0" }},
		{"restart", func(i core.Intent) bool { return !i.RestartedAt.IsZero() }},
	} {
		out, err := w.tend(append([]string{"rollout"}, strings.Fields(c.args+" web")...)...)
		require.NoError(t, err, c.args)
		assert.Contains(t, out, "the rollout of web ")
		assert.True(t, c.want(intent()), c.args)
	}
	w.keep("web", func(_ *spec.Workload, s *core.Status) { s.UpdateRevision = "rev0" })
	out, err := w.tend("rollout", "history", "web")
	require.NoError(t, err)
	assert.Regexp(t, `(?m)^1 +rev0 +web:rev0 .* yes$`, out)
	assert.Regexp(t, `(?m)^3 +rev2rev2 +web:rev2rev2rev2 .* no$`, out)
}

func TestRolloutStatusTellsHowFarItIsAndWaits(t *testing.T) {
	w := newWorld(t, oneService)
	w.keep("web", func(_ *spec.Workload, s *core.Status) { fares(s, core.OutcomeMoving, "1 of 2 replicas updated", "") })
	out, _ := w.start("rollout", "status", "web")
	told := func(text string) {
		t.Helper()
		eventually(t, func() bool { return strings.Contains(out.String(), text) }, "%q is not told", text)
	}
	told("waiting for web: 1 of 2 replicas updated")
	w.keep("web", func(_ *spec.Workload, s *core.Status) { s.ObservedGeneration = 0 })
	told("waiting for web: the controller has not looked at generation 1 of its spec yet")
	w.keep("web", func(_ *spec.Workload, s *core.Status) {
		fares(s, core.OutcomePaused, "the rollout is paused: 2 old left", "")
	})
	told("waiting for web: the rollout is paused: 2 old left")
	w.keep("web", func(*spec.Workload, *core.Status) {})
	told("the rollout of web is complete")
}

// All who tell what is in the way tell the same.
func TestRolloutStatusWaitAndGetNameTheObstacleOfTheStatus(t *testing.T) {
	w := newWorld(t, oneService)
	w.keep("web", func(_ *spec.Workload, s *core.Status) {
		fares(s, core.OutcomeStalled, "shop-web-1 exited with code 3", "")
		s.Conditions = []core.Condition{
			{Type: core.Progressing, Reason: "ProgressDeadlineExceeded", Message: "no progress"},
			{Type: core.ReplicaFailure, Status: true, Reason: "CrashLoopBackOff", Message: "another sentence"},
		}
	})
	_, err := w.tend("rollout", "status", "web")
	assert.EqualError(t, err, "web: shop-web-1 exited with code 3")
	_, err = w.tend("wait", "web", "--timeout", "100ms")
	assert.EqualError(t, err, "not done after 100ms\nweb: shop-web-1 exited with code 3")
	out, err := w.tend("get", "workloads", "-o", "wide")
	require.NoError(t, err)
	assert.Contains(t, out, "Stalled   shop-web-1 exited with code 3")
	out, err = w.tend("explain", "web")
	require.NoError(t, err)
	assert.Contains(t, out, "web has not converged: shop-web-1 exited with code 3.")
	w.keep("web", func(_ *spec.Workload, s *core.Status) { fares(s, core.OutcomeWaiting, "waiting for db", "") })
	_, err = w.tend("rollout", "status", "web", "--timeout", "100ms")
	assert.EqualError(t, err, "not done after 100ms\nweb: waiting for db")
}

func TestGetAndDescribeShowTheReadinessThatIsDecidedBy(t *testing.T) {
	w := newWorld(t, oneService)
	w.keep("web", func(written *spec.Workload, s *core.Status) {
		written.Probes = spec.Probes{Readiness: &spec.Probe{}}
		fares(s, core.OutcomeMoving, "shop-web-1 is not ready", "")
		s.ReplicaStatuses = []core.ReplicaStatus{{ID: "a", Health: core.Unready}}
	})
	begun := time.Now()
	w.store.Update(func(tx *state.Tx) {
		tx.PutReplica(&state.Replica{Replica: core.Replica{Workload: "web", Number: 1, Name: "shop-web-1", ID: "a", Revision: "rev2rev2rev2", State: core.Running, Health: core.Healthy, StartedAt: begun, ReadySince: begun}})
	})
	out, err := w.tend("get", "replicas")
	require.NoError(t, err)
	assert.Regexp(t, `(?m)^shop-web-1 +web +running \(unready\) +no `, out)
	out, err = w.tend("describe", "web")
	require.NoError(t, err)
	assert.Regexp(t, `(?m)^shop-web-1 +rev2rev2 +running \(unready\) +no `, out)
}

func TestWaitReturnsWhenAllHaveWhatIsWaitedFor(t *testing.T) {
	w := newWorld(t, oneService)
	w.keep("web", func(*spec.Workload, *core.Status) {})
	w.keep("db", func(_ *spec.Workload, s *core.Status) {
		fares(s, core.OutcomeMoving, "is starting", "")
		s.Conditions = nil
	})
	_, err := w.tend("wait", "web")
	require.NoError(t, err)
	for _, goal := range []string{"converged", "available", "complete"} {
		_, err = w.tend("wait", "web", "db", "--for", goal, "--timeout", "100ms")
		assert.ErrorContains(t, err, "db: ", goal)
	}
	ended := make(chan error, 1)
	go func() { ended <- w.run(t.Context(), &output{}, "wait", "web", "db", "--for=available") }()
	w.keep("db", func(_ *spec.Workload, s *core.Status) { s.Converged = false })
	require.NoError(t, <-ended, "available, if not converged")
	w.keep("web", func(_ *spec.Workload, s *core.Status) {
		fares(s, core.OutcomeStalled, "exited with code 3", "")
		s.Conditions = []core.Condition{{Type: core.Failed, Status: true}}
	})
	_, err = w.tend("wait", "web", "--for=complete")
	assert.ErrorContains(t, err, "exited with code 3", "it will never be complete")
}

func TestScaleEditsTheFileWithoutAController(t *testing.T) {
	w := &world{t: t, dir: t.TempDir()}
	require.NoError(t, os.WriteFile(filepath.Join(w.dir, "compose.yaml"), []byte(oneService), 0o644))
	out, err := w.tend("scale", "web", "--replicas", "3")
	require.NoError(t, err)
	file := filepath.Join(w.dir, "specs", "web.yaml")
	assert.Equal(t, "web: 3 replicas, in "+file+"\n", out)
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Contains(t, string(content), "replicas: 3")
	_, err = w.tend("scale", "web", "--replicas", "1001")
	assert.ErrorContains(t, err, "web.yaml:5:13")
}

func TestEventsAreShownAndFollowed(t *testing.T) {
	w := newWorld(t, oneService)
	w.keep("web", func(*spec.Workload, *core.Status) {})
	w.keep("db", func(*spec.Workload, *core.Status) {})
	happen := func(workload, text string) {
		w.store.Update(func(tx *state.Tx) {
			tx.AddEvent(core.Event{Type: core.Warning, Workload: workload, Reason: "BackOff", Message: text}, time.Now())
		})
	}
	happen("web", "web-1 exited")
	happen("db", "db-1 exited")
	happen("web", "web-1 exited")
	out, err := w.tend("events", "web")
	require.NoError(t, err)
	assert.Regexp(t, `^\d\d:\d\d:\d\d ! web +BackOff +web-1 exited \(2 times\)\n$`, out)
	_, err = w.tend("rollout", "pause", "web")
	require.NoError(t, err)
	out, err = w.tend("events", "web")
	require.NoError(t, err)
	assert.Regexp(t, fmt.Sprintf(`RolloutPaused +the rollout is held where it is, asked by uid %d\n$`, os.Getuid()), out)
	watched, stop := w.start("events", "-w")
	eventually(t, func() bool { return strings.Contains(watched.String(), "2 times") }, "the past is not told")
	happen("db", "again")
	eventually(t, func() bool { return strings.Contains(watched.String(), "again") }, "the new is not told")
	assert.NoError(t, stop())
}

func TestDescribeShowsAllThatIsKnown(t *testing.T) {
	w := newWorld(t, oneService)
	w.keep("web", func(*spec.Workload, *core.Status) {})
	w.store.Update(func(tx *state.Tx) {
		tx.PutReplica(&state.Replica{Replica: core.Replica{Workload: "web", Number: 1, Name: "shop-web-1", ID: "a", Revision: "rev2rev2rev2", State: core.Exited, ExitCode: 3}})
		tx.AddEvent(core.Event{Type: core.Normal, Workload: "web", Reason: "Created", Message: "shop-web-1"}, time.Now())
	})
	out, err := w.tend("describe", "web")
	require.NoError(t, err)
	for _, text := range []string{"web:1", "rev2rev2 written", "RollingUpdate, 1 more and 0 less at most", "MinimumReplicasAvailable", "exited (code 3)", "Created"} {
		assert.Contains(t, out, text)
	}
}

func TestExplainSaysWhyAndWhatToDo(t *testing.T) {
	w := newWorld(t, oneService)
	explained := func(texts ...string) {
		t.Helper()
		out, err := w.tend("explain", "web")
		require.NoError(t, err)
		for _, text := range texts {
			assert.Contains(t, out, text)
		}
	}
	w.keep("web", func(*spec.Workload, *core.Status) {})
	explained("web has converged: 2 of 2 replicas are available, at revision rev2rev2.")

	w.keep("web", func(written *spec.Workload, s *core.Status) {
		written.Restart = spec.Restart{Condition: spec.RestartOnFailure, Reason: "nothing is written for restart"}
		s.Conditions = append(s.Conditions, core.Condition{Type: core.Complete, Status: true, Reason: "CompletionsReached", Message: "ran to completion"})
	})
	explained("web is a Deployment and runs until it ends with 0: nothing is written for restart.", "web has converged: it ran to completion, at revision rev2rev2.")

	w.keep("web", func(written *spec.Workload, _ *core.Status) {
		written.Restart = spec.Restart{Condition: spec.RestartAny, Reason: "restart: always"}
		written.Strategy = spec.Strategy{Type: spec.RollingUpdate, MaxUnavailable: 1, Reason: "it writes to /data"}
	})
	explained("web is a Deployment and runs always: restart: always.", "An update stops a container before it starts the next one: it writes to /data.")

	w.keep("db", func(_ *spec.Workload, s *core.Status) {
		s.Ready = 0
		fares(s, core.OutcomeMoving, "is starting", "")
	})
	w.keep("web", func(written *spec.Workload, s *core.Status) {
		written.DependsOn = []spec.Dependency{{Name: "db", Condition: spec.DependencyHealthy}}
		fares(s, core.OutcomeWaiting, "waiting for db to be healthy", "see `tend explain db`")
		s.Next = core.Change{At: time.Now().Add(61 * time.Second), What: "web-1 is started again"}
		s.WaitsFor, s.ReplicaStatuses = []string{"db"}, []core.ReplicaStatus{{ID: "b", Blocker: "shop-web-2 exited with code 3"}}
	})
	explained("web has not converged: waiting for db to be healthy.", "it depends on db (service_healthy), which has 0 of 2 replicas ready: is starting",
		"  shop-web-2 exited with code 3", "In About a minute, unless something happens before: web-1 is started again.", "Next: see `tend explain db`.")

	w.keep("web", func(_ *spec.Workload, s *core.Status) { s.Obstacle, s.Remedy = "odd is left alone", "remove odd" })
	explained("web has converged", "Still, something is wrong: odd is left alone.", "Next: remove odd.")

	now := time.Now()
	w.planned(&spec.Workload{Name: "web", Kind: spec.Job, Replicas: 1, Revision: "rev1", Restart: spec.Restart{Condition: spec.RestartOnFailure}}, func(in *plan.Input) {
		in.Replicas = []core.Replica{{Workload: "web", Number: 1, Name: "shop-web-1", ID: "a", Revision: "rev1", State: core.Exited, ExitCode: 3, Created: now, StartedAt: now, FinishedAt: now}}
	})
	explained("web has not converged: shop-web-1 exited with code 3; 1 run failed.", "Next: see `tend logs web`, and correct the spec or the image: as it is, the Job is not tried again.")

	w.planned(&spec.Workload{Name: "web", Kind: spec.Database, Replicas: 1, Revision: "rev1", ProgressDeadline: time.Minute}, func(in *plan.Input) {
		in.Missing = []core.Resource{{Kind: core.VolumeResource, Name: "shop_data", DataOf: "web"}}
	})
	explained("web has not converged: volume shop_data held the data of web and is gone", "Next: bring it back, or for an empty database make one with docker volume create shop_data.")

	w.planned(&spec.Workload{Name: "seed", Kind: spec.Job, Replicas: 1, Revision: "rev1"}, func(in *plan.Input) {
		in.Rollout = core.Rollout{Workload: "seed", Revision: "rev1", Stable: "rev1", Complete: true, Succeeded: map[int]bool{1: true}}
	})
	w.planned(&spec.Workload{Name: "web", Replicas: 1, Revision: "rev1", DependsOn: []spec.Dependency{{Name: "seed", Condition: spec.DependencyStarted}}}, func(in *plan.Input) {
		in.Dependencies = []plan.Dependency{{Dependency: in.Spec.DependsOn[0], Known: true, Completed: true}}
	})
	out, err := w.tend("explain", "web")
	require.NoError(t, err)
	assert.NotContains(t, out, "it depends on seed", "it ran to completion, and its container is gone")

	w.keep("web", func(_ *spec.Workload, s *core.Status) { s.ObservedGeneration, s.Converged = 0, false })
	explained("not looked at generation 1")
	w.ready = errors.New("the container engine does not answer")
	explained("the container engine does not answer. Nothing is done until it does.")
}

func TestEndpointsAreShown(t *testing.T) {
	w := newWorld(t, oneService)
	w.keep("web", func(*spec.Workload, *core.Status) {})
	w.store.Update(func(tx *state.Tx) {
		tx.PutEndpoints("web", []core.Endpoint{{Workload: "web", ID: "a", Replica: "shop-web-1", Revision: "rev2rev2rev2",
			Addresses: map[string]string{"backend": "172.20.0.5", "a": "172.21.0.5"}, Ports: []int{80, 81}}})
	})
	out, err := w.tend("endpoints")
	require.NoError(t, err)
	assert.Regexp(t, `(?m)^web +shop-web-1 +rev2rev2 +a=172.21.0.5,backend=172.20.0.5 +80 81$`, out)
	out, err = w.tend("endpoints", "-o", "json")
	require.NoError(t, err)
	assert.JSONEq(t, `{"index": 2, "workloads": {"web": [{"replica": "shop-web-1", "revision": "rev2rev2rev2",
		"addresses": {"a": "172.21.0.5", "backend": "172.20.0.5"}, "ports": [80, 81]}]}}`, out)
}

// What runs is asked for most where something is wrong.
func TestAProjectThatIsNotValidKeepsNobodyFromAsking(t *testing.T) {
	w := newWorld(t, oneService)
	w.keep("web", func(*spec.Workload, *core.Status) {})
	require.NoError(t, os.WriteFile(filepath.Join(w.dir, "compose.yaml"), []byte("services: ["), 0o600))
	for _, args := range [][]string{{"get", "workloads"}, {"describe", "web"}, {"explain", "web"}, {"events"}, {"rollout", "history", "web"}, {"wait", "web"}} {
		_, err := w.tend(args...)
		require.NoError(t, err, args)
	}
}
