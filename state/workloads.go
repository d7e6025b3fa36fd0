package state

import (
	"github.com/hashicorp/go-memdb"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/spec"
)

// Workloads is the table of what is written.
const Workloads = "workloads"

var workloadsSchema = &memdb.TableSchema{
	Name:    Workloads,
	Indexes: map[string]*memdb.IndexSchema{"id": index("id", true, func(w *Workload) []string { return []string{w.Name} })},
}

// Workload is a row of Workloads.
type Workload struct {
	Name string
	// Generation counts the changes of the spec.
	Generation int64
	Spec       *spec.Workload
}

func (w *Workload) changeKey() string { return w.Name }

// Workloads lists the workloads by name.
func (s *Snapshot) Workloads() []*Workload { return list[*Workload](s, Workloads, "id") }

// Workload returns one workload.
func (s *Snapshot) Workload(name string) (*Workload, bool) {
	return first[*Workload](s, Workloads, "id", name)
}

// PutWorkload writes a workload.
func (t *Tx) PutWorkload(w *Workload) { must(t.txn.Insert(Workloads, w)) }

// DeleteWorkload forgets a workload. Of its rollout it keeps what core.AfterDeletion returns.
func (t *Tx) DeleteWorkload(name string) {
	t.deleteAll(name, Workloads, Intents, Scales)
	var containers []core.Replica
	for _, row := range t.Replicas(name) {
		containers = append(containers, row.Replica)
	}
	t.forgetRollout(name, func(r core.Rollout) (core.Rollout, bool) { return core.AfterDeletion(r, containers) })
}

// forgetRollout drops a workload's rollout, except what is kept of it.
func (t *Tx) forgetRollout(name string, keep func(core.Rollout) (core.Rollout, bool)) {
	row, ok := t.Rollout(name)
	t.deleteAll(name, Rollouts)
	if !ok {
		return
	}
	if kept, any := keep(row.Rollout); any {
		t.PutRollout(kept)
	}
}

// Forget drops the memory of a workload that has no containers left. Of its rollout it keeps what
// core.AfterRemoval returns. The history of a workload that is no longer written goes, too, and so
// does its intent, as it may have been taken out while nobody watched.
func (t *Tx) Forget(name string) {
	t.forgetRollout(name, core.AfterRemoval)
	t.deleteAll(name, Statuses)
	if _, written := t.Workload(name); written {
		return
	}
	t.deleteAll(name, Intents, Scales)
	_, err := t.txn.DeleteAll(Revisions, "workload", name)
	must(err)
}

// deleteAll deletes the rows of a workload from tables that have one for each.
func (t *Tx) deleteAll(name string, tables ...string) {
	for _, table := range tables {
		_, err := t.txn.DeleteAll(table, "id", name)
		must(err)
	}
}

// Remembered returns the workloads that have a rollout, a history or an intent.
func (s *Snapshot) Remembered() map[string]bool {
	names := map[string]bool{}
	for _, row := range s.Rollouts() {
		names[row.Workload] = true
	}
	for _, row := range list[*Revision](s, Revisions, "id") {
		names[row.Workload] = true
	}
	for _, row := range list[*Intent](s, Intents, "id") {
		names[row.Workload] = true
	}
	return names
}
