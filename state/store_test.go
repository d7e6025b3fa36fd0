package state

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/hashicorp/go-memdb"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/spec"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// recorder notes the changes that a store reports.
type recorder struct{ reports [][]Change }

func newStore() (*Store, *recorder) {
	r := &recorder{}
	return New(func(c []Change) { r.reports = append(r.reports, c) }), r
}

// last returns the changes reported since it was asked before, all in one.
func (r *recorder) last(t *testing.T) []Change {
	t.Helper()
	require.Len(t, r.reports, 1, "one report for each transaction")
	c := r.reports[0]
	r.reports = nil
	return c
}

func replica(workload, id string) *Replica {
	return &Replica{Replica: core.Replica{Workload: workload, ID: id, Name: id}}
}

func TestATransactionReportsTheRowsItChanged(t *testing.T) {
	s, reports := newStore()
	s.Update(func(tx *Tx) {
		tx.PutWorkload(&Workload{Name: "web", Spec: &spec.Workload{}})
		tx.PutReplica(replica("web", "a"))
		tx.PutReplica(replica("db", "b"))
		tx.PutResource(core.Resource{Kind: core.NetworkResource, Name: "frontend"})
		tx.PutRollout(core.Rollout{Workload: "web"})
		tx.PutStatus(core.Status{Workload: "web"})
		tx.AddEvent(core.Event{Workload: "web", Reason: "Created"}, time.Now())
	})
	assert.ElementsMatch(t, []Change{
		{Workloads, "web"}, {Replicas, "web"}, {Replicas, "db"}, {Resources, "frontend"},
		{Rollouts, "web"}, {Statuses, "web"}, {Events, "web"},
	}, reports.last(t))

	s.Update(func(tx *Tx) {
		tx.DeleteWorkload("web")
		tx.DeleteReplica("b")
		tx.DeleteResource(core.NetworkResource, "frontend")
		tx.Forget("web")
	})
	assert.ElementsMatch(t, []Change{
		{Workloads, "web"}, {Rollouts, "web"}, {Replicas, "db"}, {Resources, "frontend"}, {Statuses, "web"},
	}, reports.last(t))
}

// While a workload that was taken out has containers it is remembered which of them are drained,
// and which runs are none of those that follow where it is written again.
func TestWhatWasTakenOutIsRememberedWhileItHasContainers(t *testing.T) {
	s, _ := newStore()
	drain := core.Drain{Cause: "replaced"}
	s.Update(func(tx *Tx) {
		tx.PutWorkload(&Workload{Name: "web", Spec: &spec.Workload{}})
		for i, state := range []core.State{core.Running, core.Running, core.Exited} {
			tx.PutReplica(&Replica{core.Replica{Workload: "web", Number: i + 1, ID: fmt.Sprint(i + 1), Revision: "v1", State: state}})
		}
		tx.PutRollout(core.Rollout{
			Workload: "web", Revision: "v1", Stable: "v1", Drains: map[string]core.Drain{"2": drain, "gone": drain},
			Attempts: map[int]core.Attempt{1: {Revision: "v1", Count: 2}, 2: {Revision: "v1", Ours: true}},
		})
		tx.DeleteWorkload("web")
	})
	row, ok := s.Snapshot().Rollout("web")
	require.True(t, ok)
	assert.Equal(t, core.Rollout{
		Workload: "web", Drains: map[string]core.Drain{"2": drain},
		Attempts: map[int]core.Attempt{2: {Revision: "v1", Ours: true}, 3: {Revision: "v1", Ours: true}},
	}, row.Rollout)
	s.Update(func(tx *Tx) { tx.Forget("web") })
	_, ok = s.Snapshot().Rollout("web")
	assert.False(t, ok)
}

func TestATransactionThatChangesNothingReportsNothing(t *testing.T) {
	s, reports := newStore()
	s.Update(func(tx *Tx) {
		tx.DeleteWorkload("web")
		tx.DeleteReplica("a")
		tx.DeleteResource(core.VolumeResource, "data")
		tx.Forget("web")
	})
	s.Update(func(tx *Tx) {
		tx.PutReplica(replica("web", "a"))
		tx.DeleteReplica("a")
	})
	assert.Empty(t, reports.reports)
}

func TestAReportComesWhenTheChangeCanBeRead(t *testing.T) {
	var s *Store
	read := false
	s = New(func([]Change) { _, read = s.Snapshot().Replica("a") })
	s.Update(func(tx *Tx) { tx.PutReplica(replica("web", "a")) })
	assert.True(t, read)
}

func TestATransactionReadsWhatItWrote(t *testing.T) {
	s, _ := newStore()
	s.Update(func(tx *Tx) {
		tx.PutReplica(replica("web", "a"))
		_, ok := tx.Replica("a")
		assert.True(t, ok)
		_, ok = s.Snapshot().Replica("a")
		assert.False(t, ok, "nobody else does before the commit")
	})
}

func TestASnapshotNeverChanges(t *testing.T) {
	s, _ := newStore()
	now := time.Now()
	s.Update(func(tx *Tx) {
		tx.PutWorkload(&Workload{Name: "web", Generation: 1, Spec: &spec.Workload{}})
		tx.PutReplica(replica("web", "a"))
		tx.PutStatus(core.Status{Workload: "web", Ready: 1})
		tx.AddEvent(core.Event{Workload: "web", Reason: "Created"}, now)
	})
	before := s.Snapshot()
	s.Update(func(tx *Tx) {
		tx.PutWorkload(&Workload{Name: "web", Generation: 2, Spec: &spec.Workload{}})
		tx.PutReplica(replica("web", "b"))
		tx.DeleteReplica("a")
		tx.Forget("web")
		tx.AddEvent(core.Event{Workload: "web", Reason: "Created"}, now)
	})

	w, ok := before.Workload("web")
	require.True(t, ok)
	assert.EqualValues(t, 1, w.Generation)
	require.Len(t, before.Replicas(""), 1)
	assert.Equal(t, "a", before.Replicas("web")[0].ID)
	status, ok := before.Status("web")
	require.True(t, ok)
	assert.Equal(t, 1, status.Ready)
	assert.EqualValues(t, 1, before.LastEvent())
	require.Len(t, before.Events(0), 1)
	assert.Equal(t, 1, before.Events(0)[0].Count)
}

func TestReplicasAreFoundByTheirWorkloadAlone(t *testing.T) {
	s, _ := newStore()
	s.Update(func(tx *Tx) {
		tx.PutReplica(replica("web", "a"))
		tx.PutReplica(replica("web-admin", "b"))
		tx.PutReplica(replica("web", "c"))
	})
	var ids []string
	for _, r := range s.Snapshot().Replicas("web") {
		ids = append(ids, r.ID)
	}
	assert.ElementsMatch(t, []string{"a", "c"}, ids)
	assert.Len(t, s.Snapshot().Replicas(""), 3)
	assert.Empty(t, s.Snapshot().Replicas("we"))
}

func TestResourcesOfTwoKindsMayHaveOneName(t *testing.T) {
	s, _ := newStore()
	s.Update(func(tx *Tx) {
		tx.PutResource(core.Resource{Kind: core.NetworkResource, Name: "shop"})
		tx.PutResource(core.Resource{Kind: core.VolumeResource, Name: "shop", Present: true})
		tx.DeleteResource(core.NetworkResource, "shop")
	})
	require.Len(t, s.Snapshot().Resources(), 1)
	r, ok := s.Snapshot().Resource(core.VolumeResource, "shop")
	require.True(t, ok)
	assert.True(t, r.Present)
}

func TestWorkloadsAndStatusesAreListedByName(t *testing.T) {
	s, _ := newStore()
	s.Update(func(tx *Tx) {
		for _, name := range []string{"web", "db", "cache"} {
			tx.PutWorkload(&Workload{Name: name, Spec: &spec.Workload{}})
			tx.PutStatus(core.Status{Workload: name})
		}
	})
	var workloads, statuses []string
	for _, w := range s.Snapshot().Workloads() {
		workloads = append(workloads, w.Name)
	}
	for _, w := range s.Snapshot().Statuses() {
		statuses = append(statuses, w.Workload)
	}
	assert.Equal(t, []string{"cache", "db", "web"}, workloads)
	assert.Equal(t, workloads, statuses)
}

func TestAWatchFiresWhenWhatWasReadChanges(t *testing.T) {
	read := map[string]func(*Snapshot){
		"a workload":           func(s *Snapshot) { s.Workload("web") },
		"the workloads":        func(s *Snapshot) { s.Workloads() },
		"a workload's replica": func(s *Snapshot) { s.Replicas("web") },
		"all replicas":         func(s *Snapshot) { s.Replicas("") },
		"a replica":            func(s *Snapshot) { s.Replica("a") },
		"a rollout":            func(s *Snapshot) { s.Rollout("web") },
		"a status":             func(s *Snapshot) { s.Status("web") },
		"the statuses":         func(s *Snapshot) { s.Statuses() },
		"a resource":           func(s *Snapshot) { s.Resource(core.NetworkResource, "frontend") },
		"the resources":        func(s *Snapshot) { s.Resources() },
		"the events":           func(s *Snapshot) { s.Events(0) },
		"the events to come":   func(s *Snapshot) { s.Events(1000) },
	}
	now := time.Now()
	change := func(tx *Tx) {
		tx.PutWorkload(&Workload{Name: "web", Spec: &spec.Workload{}})
		tx.PutReplica(replica("web", "a"))
		tx.PutRollout(core.Rollout{Workload: "web"})
		tx.PutStatus(core.Status{Workload: "web"})
		tx.PutResource(core.Resource{Kind: core.NetworkResource, Name: "frontend"})
		tx.AddEvent(core.Event{Workload: "web", Reason: "Created"}, now)
	}
	unrelated := func(tx *Tx) {
		tx.PutWorkload(&Workload{Name: "other", Spec: &spec.Workload{}})
		tx.PutReplica(replica("other", "z"))
		tx.PutRollout(core.Rollout{Workload: "other"})
		tx.PutStatus(core.Status{Workload: "other"})
		tx.PutResource(core.Resource{Kind: core.VolumeResource, Name: "other"})
	}
	for name, read := range read {
		t.Run(name, func(t *testing.T) {
			s, _ := newStore()
			s.Update(unrelated)
			for _, write := range []string{"the first row", "the row again"} {
				snap := s.Snapshot()
				changes := snap.Watch()
				read(snap)
				require.NotEmpty(t, changes)
				assert.False(t, fired(changes), "before %s", write)
				s.Update(change)
				assert.True(t, fired(changes), "after %s", write)
			}
			snap := s.Snapshot()
			changes := snap.Watch()
			read(snap)
			s.Update(func(tx *Tx) { tx.DeleteWorkload("nothing") })
			assert.False(t, fired(changes), "after a transaction that wrote nothing")
		})
	}
}

func TestAWatchOfOneWorkloadSleepsWhenAnotherChanges(t *testing.T) {
	s, _ := newStore()
	s.Update(func(tx *Tx) {
		tx.PutReplica(replica("web", "a"))
		tx.PutReplica(replica("db", "b"))
		tx.PutStatus(core.Status{Workload: "web"})
		tx.PutStatus(core.Status{Workload: "db"})
	})
	snap := s.Snapshot()
	changes := snap.Watch()
	snap.Replicas("web")
	snap.Status("web")
	s.Update(func(tx *Tx) {
		tx.PutReplica(&Replica{Replica: core.Replica{Workload: "db", ID: "b", State: core.Exited}})
		tx.PutStatus(core.Status{Workload: "db", Ready: 1})
	})
	assert.False(t, fired(changes))
}

// fired reports whether a watch has fired already: commits do it before they return.
func fired(changes memdb.WatchSet) bool {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for ch := range changes {
		select {
		case <-ch:
			return true
		default:
		}
	}
	return changes.WatchCtx(ctx) == nil
}

func TestWhatIsDecidedIsToldFromWhatIsForeseen(t *testing.T) {
	s := New(func([]Change) {})
	require.NoError(t, s.Restore(nil))
	put := func(change func(*core.Rollout)) (changed, decided bool) {
		s.TakePending()
		s.Update(func(tx *Tx) {
			r := core.Rollout{Workload: "web", Revision: "a"}
			change(&r)
			tx.PutRollout(r)
		})
		return s.IsPending()
	}
	for _, c := range []struct {
		name             string
		change           func(*core.Rollout)
		changed, decided bool
	}{
		{"a rollout begins", func(*core.Rollout) {}, true, true},
		{"it is written the same again", func(*core.Rollout) {}, false, false},
		{"it comes forward", func(r *core.Rollout) { r.Updated = 1 }, true, false},
		{"it is rolled back", func(r *core.Rollout) { r.Failed = "a" }, true, true},
	} {
		changed, decided := put(c.change)
		assert.Equal(t, c.changed, changed, c.name)
		assert.Equal(t, c.decided, decided, c.name)
	}
	s.TakePending()
	s.Update(func(tx *Tx) { tx.AddEvent(core.Event{Reason: "Told"}, time.Unix(0, 0)) })
	changed, decided := s.IsPending()
	assert.True(t, changed)
	assert.False(t, decided, "an event")
}
