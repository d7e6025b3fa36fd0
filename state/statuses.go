package state

import (
	"github.com/hashicorp/go-memdb"

	"github.com/tendhq/tend/controller/core"
)

// Statuses is the table of the workloads' statuses.
const Statuses = "statuses"

var statusesSchema = &memdb.TableSchema{
	Name:    Statuses,
	Indexes: map[string]*memdb.IndexSchema{"id": index("id", true, func(s *Status) []string { return []string{s.Workload} })},
}

// Status is a row of Statuses.
type Status struct{ core.Status }

func (s *Status) changeKey() string { return s.Workload }

// Statuses lists the statuses by workload.
func (s *Snapshot) Statuses() []*Status { return list[*Status](s, Statuses, "id") }

// Status returns a workload's status.
func (s *Snapshot) Status(workload string) (*Status, bool) {
	return first[*Status](s, Statuses, "id", workload)
}

// PutStatus writes a workload's status.
func (t *Tx) PutStatus(p core.Status) { must(t.txn.Insert(Statuses, &Status{p})) }
