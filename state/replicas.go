package state

import (
	"github.com/hashicorp/go-memdb"

	"github.com/tendhq/tend/controller/core"
)

// Replicas is the table of the containers that exist.
const Replicas = "replicas"

var replicasSchema = &memdb.TableSchema{
	Name: Replicas,
	Indexes: map[string]*memdb.IndexSchema{
		"id":       index("id", true, func(r *Replica) []string { return []string{r.ID} }),
		"workload": index("workload", false, func(r *Replica) []string { return []string{r.Workload} }),
	},
}

// Replica is a row of Replicas.
type Replica struct{ core.Replica }

func (r *Replica) changeKey() string { return r.Workload }

// Replicas lists the containers of a workload; of all where workload is empty.
func (s *Snapshot) Replicas(workload string) []*Replica {
	if workload == "" {
		return list[*Replica](s, Replicas, "id")
	}
	return list[*Replica](s, Replicas, "workload", workload)
}

// Replica returns one container by its ID.
func (s *Snapshot) Replica(id string) (*Replica, bool) {
	return first[*Replica](s, Replicas, "id", id)
}

// PutReplica writes what is known of a container.
func (t *Tx) PutReplica(r *Replica) { must(t.txn.Insert(Replicas, r)) }

// DeleteReplica forgets a container.
func (t *Tx) DeleteReplica(id string) {
	_, err := t.txn.DeleteAll(Replicas, "id", id)
	must(err)
}
