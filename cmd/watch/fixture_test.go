package watch

import (
	"context"
	"fmt"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"go.uber.org/goleak"

	"github.com/tendhq/tend/api"
	"github.com/tendhq/tend/controller/core"
)

func TestMain(m *testing.M) {
	time.Local = time.UTC
	goleak.VerifyTestMain(m)
}

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// revisions, as they are hashes.
const (
	before = "5f0c1a2b3c4d"
	after  = "a8124f0c9e8d"
)

// workload is one that has converged.
func workload(name string, replicas int, outcome core.Outcome, change func(*api.Workload)) *api.Workload {
	w := &api.Workload{
		TypeMeta: api.TypeMeta{Kind: "Deployment"}, Metadata: api.Metadata{Name: name, Generation: 1},
		Spec: api.WorkloadSpec{Replicas: replicas, Revision: after, Template: api.Template{Image: "shop/" + name + ":1.2.0"}, Strategy: api.Strategy{Type: "RollingUpdate", RollingUpdate: &api.RollingUpdate{MaxSurge: 1}}},
		Status: api.WorkloadStatus{
			ObservedGeneration: 1, Replicas: replicas, ReadyReplicas: replicas, AvailableReplicas: replicas, UpdatedReplicas: replicas,
			CurrentRevision: after, UpdateRevision: after, WantedRevision: after, Outcome: string(outcome), Converged: true,
			Conditions: []api.Condition{{Type: "Available", Status: "True", Reason: "MinimumReplicasAvailable", Message: fmt.Sprintf("%d of %d replicas available", replicas, replicas), LastTransitionTime: noon.Add(-time.Hour)}},
		},
	}
	change(w)
	return w
}

func replica(of string, number int, phase core.Phase, revision string) *api.Replica {
	return &api.Replica{
		Metadata: api.Metadata{Name: fmt.Sprintf("shop-%s-%d", of, number)},
		Spec:     api.ReplicaSpec{Workload: of, Number: number, Revision: revision, Image: "shop/" + of + ":1.2.0"},
		Status:   api.ReplicaStatus{Phase: string(phase), StartedAt: noon.Add(-5 * time.Minute), Ready: phase == core.PhaseReady},
	}
}

func event(id int, kind core.EventType, workload, reason, message string) api.Event {
	return api.Event{
		Metadata: api.Metadata{Name: fmt.Sprint(id)}, Type: string(kind), Workload: workload, Reason: reason, Message: message, Count: 1,
		LastTimestamp: noon.Add(time.Duration(id-20) * time.Second),
	}
}

// shop is a project in which much is going on.
func shop() []tea.Msg {
	same := func(*api.Workload) {}
	deadline := noon.Add(48 * time.Second)
	failed := 3
	workloads := []*api.Workload{
		workload("cache", 3, core.OutcomeConverged, same),
		workload("db", 1, core.OutcomeConverged, func(w *api.Workload) { w.Kind = "Database" }),
		workload("gateway", 24, core.OutcomeConverged, same),
		workload("migrate", 1, core.OutcomeComplete, func(w *api.Workload) { w.Kind, w.Status.ReadyReplicas = "Job", 0 }),
		workload("orders", 2, core.OutcomeStalled, func(w *api.Workload) {
			w.Status.WantedRevision, w.Status.Converged = before, false
			w.Status.Obstacle = "revision 5f0c1a2b was rolled back to a8124f0c: no progress for 1m0s; shop-orders-3 exited with code 3"
			w.Status.Remedy = "see `tend logs orders`, and correct what failed: another revision is tried as soon as it is written"
		}),
		workload("payments", 2, core.OutcomePaused, func(w *api.Workload) {
			w.Status.Paused = true
			w.Status.Obstacle, w.Status.Remedy = "the rollout is paused: revision a8124f0c: 0 of 2 replicas updated", "`tend rollout resume payments`"
		}),
		workload("search", 3, core.OutcomeWaiting, func(w *api.Workload) {
			w.Status.ReadyReplicas, w.Status.Obstacle = 0, "waiting for db to be healthy"
		}),
		workload("web", 8, core.OutcomeMoving, func(w *api.Workload) {
			w.Status.CurrentRevision, w.Status.Deadline, w.Status.ReadyReplicas, w.Status.Converged = before, &deadline, 7, false
			w.Status.Obstacle = "revision a8124f0c: 4 of 8 replicas updated, 5 old left, 7 available"
			w.Status.Remedy = "nothing: the controller is at work; `tend wait web` returns when it is done"
			w.Status.Next = &api.Change{At: deadline, What: "progressDeadlineSeconds are over"}
			w.Status.Blockers = []string{"shop-web-4 is starting", "shop-web-7 is unhealthy: 503"}
		}),
	}
	var replicas []*api.Replica
	for n := range 3 {
		replicas = append(replicas, replica("cache", n+1, core.PhaseReady, after))
	}
	replicas = append(replicas, replica("db", 1, core.PhaseReady, after))
	for n := range 24 {
		replicas = append(replicas, replica("gateway", n+1, core.PhaseReady, after))
	}
	replicas = append(replicas, replica("migrate", 1, core.PhaseDone, after), replica("orders", 1, core.PhaseReady, after), replica("orders", 2, core.PhaseReady, after))
	crashed := replica("orders", 3, core.PhaseExited, before)
	crashed.Status.ExitCode, crashed.Status.Restarts, crashed.Status.Blocker = &failed, 4, "shop-orders-3 exited with code 3: cannot reach the moon"
	replicas = append(replicas, crashed, replica("payments", 1, core.PhaseReady, after), replica("payments", 2, core.PhaseUnready, after))
	for i, phase := range []core.Phase{core.PhaseReady, core.PhaseReady, core.PhaseStarting, core.PhaseCreating, core.PhaseReady, core.PhaseUnhealthy, core.PhaseDraining, core.PhaseStopping, core.PhaseLeftover} {
		revision := after
		if i >= 4 {
			revision = before
		}
		replicas = append(replicas, replica("web", i+1, phase, revision))
	}
	return []tea.Msg{
		tickMsg(noon),
		everything(workloads, replicas, []api.Event{
			event(1, core.Normal, "web", "SpecChanged", "generation 4: revision 5f0c1a2b → a8124f0c"),
			event(2, core.Normal, "web", "RolloutStarted", "rolling 8 replicas to revision a8124f0c"),
			event(3, core.Normal, "web", "Created", "shop-web-9: the rollout to revision a8124f0c"),
			event(4, core.Warning, "orders", "CrashLoopBackOff", "shop-orders-3 exited with code 3: cannot reach the moon; back-off 10s before start 5"),
			event(5, core.Warning, "orders", "RolledBack", "revision 5f0c1a2b was rolled back to a8124f0c: no progress for 1m0s"),
			event(6, core.Normal, "", "NetworkCreated", "shop_frontend: network shop_frontend does not exist and is needed"),
			event(7, core.Normal, "web", "Draining", "shop-web-7: replaced by revision a8124f0c"),
			event(8, core.Normal, "payments", "RolloutPaused", "the rollout is held where it is\nfor now \x1b[2J"),
		}),
		trafficMsg{"web": {requests: 312.4, failures: 0.5, p99: 14 * time.Millisecond}, "gateway": {requests: 24_312, p99: 2300 * time.Microsecond}},
	}
}

// everything is the first message of a feed.
func everything(workloads []*api.Workload, replicas []*api.Replica, events []api.Event) changesMsg {
	c := changesMsg{first: true, project: project("1.0.0"), events: events}
	for _, w := range workloads {
		c.workloads = append(c.workloads, workloadChange{Workload: w})
	}
	for i, r := range replicas {
		r.Status.ContainerID = fmt.Sprint(i)
		c.replicas = append(c.replicas, replicaChange{Replica: r})
	}
	return c
}

func project(version string) *api.Project {
	return &api.Project{Metadata: api.Metadata{Name: "shop"}, Status: api.ProjectStatus{Ready: true, Version: version}}
}

// becomes is the message that a workload has changed.
func becomes(w *api.Workload) changesMsg {
	return changesMsg{workloads: []workloadChange{{Workload: w}}}
}

// verbs note what they are asked for.
func verbs(asked *[]string, answer error) Verbs {
	one := func(verb string) func(context.Context, string) error {
		return func(_ context.Context, name string) error {
			*asked = append(*asked, verb+" "+name)
			return answer
		}
	}
	return Verbs{
		Scale: func(_ context.Context, name string, n int) error {
			*asked = append(*asked, fmt.Sprintf("scale %s %d", name, n))
			return answer
		},
		Pause: one("pause"), Resume: one("resume"), Restart: one("restart"), Undo: one("undo"), Kill: one("kill"),
	}
}

// screen is a model that a test plays with.
type screen struct {
	t     *testing.T
	model Model
	asked []string
}

func newScreen(t *testing.T, width, height int, heard ...tea.Msg) *screen {
	s := &screen{t: t}
	s.model = newModel(t.Context(), Options{
		Version: "1.0.0", Verbs: verbs(&s.asked, nil),
		Sources: Sources{
			Revisions: func(_ context.Context, workload string) (all []api.Revision, err error) {
				for i, name := range []string{"0123456789ab", before, after} {
					all = append(all, api.Revision{
						Metadata: api.Metadata{Name: name}, Spec: api.RevisionSpec{Workload: workload, Number: i + 1, Image: "shop/" + workload + ":1." + fmt.Sprint(i), CreatedAt: noon.Add(time.Duration(i-5) * time.Hour)},
						Status: api.RevisionStatus{InForce: name == after, Replicas: 3 * i},
					})
				}
				return all, nil
			},
			Diff: func(_ context.Context, _ string, from, to int) ([]api.Difference, error) {
				return []api.Difference{
					{Field: "image", From: fmt.Sprintf("shop/web:1.%d", from-1), To: fmt.Sprintf("shop/web:1.%d", to-1)},
					{Field: "environment.PASSWORD", Concealed: true}, {Field: "healthcheck.interval", To: "5s"},
				}, nil
			},
			Logs: func(ctx context.Context, workload string, line func(api.LogLine)) error {
				for i := range 3 {
					line(api.LogLine{Time: noon.Add(time.Duration(i) * time.Second), Replica: fmt.Sprintf("shop-%s-%d", workload, i%2+1), Text: fmt.Sprintf("request %d took \x1b[31m3ms", i)})
				}
				<-ctx.Done()
				return ctx.Err()
			},
		},
	}, noon)
	s.send(tea.WindowSizeMsg{Width: width, Height: height})
	for _, msg := range heard {
		s.send(msg)
	}
	return s
}

// send has a message heard, and returns the command that follows.
func (s *screen) send(msg tea.Msg) tea.Cmd {
	next, cmd := s.model.Update(msg)
	s.model = next.(Model)
	return cmd
}

// press presses keys, and has what follows of each happen.
func (s *screen) press(keys ...string) {
	for _, key := range keys {
		s.happen(s.send(keyOf(key)))
	}
}

// happen has a command's messages heard.
func (s *screen) happen(cmd tea.Cmd) {
	if cmd == nil {
		return
	}
	switch msg := cmd().(type) {
	case nil:
	case tea.BatchMsg:
		for _, each := range msg {
			s.happen(each)
		}
	default:
		s.happen(s.send(msg))
	}
}

func keyOf(name string) tea.KeyPressMsg {
	special := map[string]rune{"enter": tea.KeyEnter, "esc": tea.KeyEscape, "tab": tea.KeyTab, "up": tea.KeyUp, "down": tea.KeyDown, "left": tea.KeyLeft, "right": tea.KeyRight, "backspace": tea.KeyBackspace, "pgdown": tea.KeyPgDown, "end": tea.KeyEnd, "space": tea.KeySpace}
	if code, ok := special[name]; ok {
		return tea.KeyPressMsg{Code: code}
	}
	return tea.KeyPressMsg{Code: []rune(name)[0], Text: name}
}
