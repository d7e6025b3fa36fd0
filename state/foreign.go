package state

import (
	"github.com/hashicorp/go-memdb"

	"github.com/tendhq/tend/controller/core"
)

// Foreigners is the table of the containers that carry the project's name and were
// made from another folder.
const Foreigners = "foreigners"

var foreignersSchema = &memdb.TableSchema{
	Name:    Foreigners,
	Indexes: map[string]*memdb.IndexSchema{"id": index("id", true, func(f *Foreigner) []string { return []string{f.ID} })},
}

// Foreigner is a row of Foreigners.
type Foreigner struct{ core.Foreigner }

func (f *Foreigner) changeKey() string { return f.Workload }

// Foreigners lists the foreign containers.
func (s *Snapshot) Foreigners() []*Foreigner { return list[*Foreigner](s, Foreigners, "id") }

// Foreigner returns one foreign container by its ID.
func (s *Snapshot) Foreigner(id string) (*Foreigner, bool) {
	return first[*Foreigner](s, Foreigners, "id", id)
}

// PutForeigner writes what is known of a foreign container.
func (t *Tx) PutForeigner(f *Foreigner) { must(t.txn.Insert(Foreigners, f)) }

// DeleteForeigner forgets a foreign container.
func (t *Tx) DeleteForeigner(id string) {
	_, err := t.txn.DeleteAll(Foreigners, "id", id)
	must(err)
}
