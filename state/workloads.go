package state

import (
	"github.com/hashicorp/go-memdb"

	"github.com/tendhq/tend/controller/spec"
)

// Workloads is the table of what is written.
const Workloads = "workloads"

var workloadsSchema = &memdb.TableSchema{
	Name:    Workloads,
	Indexes: map[string]*memdb.IndexSchema{"id": stringIndex("id", "Name", true)},
}

// Workload is a row of Workloads.
type Workload struct {
	Name string
	// Generation counts the changes of the spec that this controller has seen.
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

// DeleteWorkload forgets a workload and its rollout.
func (t *Tx) DeleteWorkload(name string) {
	for _, table := range []string{Workloads, Rollouts} {
		_, err := t.txn.DeleteAll(table, "id", name)
		must(err)
	}
}
