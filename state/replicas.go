package state

import (
	"bytes"
	"slices"

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
		"joined":   {Name: "joined", AllowMissing: true, Indexer: joinedIndexer{}},
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

// Joiners lists the containers that have joined a container.
func (s *Snapshot) Joiners(id string) []*Replica { return list[*Replica](s, Replicas, "joined", id) }

// joinedIndexer has a container found by each that it has joined.
type joinedIndexer struct{ indexer[*Replica] }

// FromObject implements memdb.MultiIndexer.
func (joinedIndexer) FromObject(row any) (ok bool, keys [][]byte, err error) {
	for _, j := range row.(*Replica).Joins {
		if key := appendPart(nil, j.ID); !slices.ContainsFunc(keys, func(k []byte) bool { return bytes.Equal(k, key) }) {
			keys = append(keys, key)
		}
	}
	return len(keys) > 0, keys, nil
}

// PutReplica writes what is known of a container.
func (t *Tx) PutReplica(r *Replica) { must(t.txn.Insert(Replicas, r)) }

// DeleteReplica forgets a container.
func (t *Tx) DeleteReplica(id string) {
	_, err := t.txn.DeleteAll(Replicas, "id", id)
	must(err)
}
