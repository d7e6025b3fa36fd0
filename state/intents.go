package state

import (
	"github.com/hashicorp/go-memdb"

	"github.com/tendhq/tend/controller/core"
)

// Intents is the table of what people asked for through the API.
const Intents = "intents"

var intentsSchema = &memdb.TableSchema{
	Name:    Intents,
	Indexes: map[string]*memdb.IndexSchema{"id": index("id", true, func(i *Intent) []string { return []string{i.Workload} })},
}

// Intent is a row of Intents.
type Intent struct {
	Workload string
	core.Intent
}

func (i *Intent) changeKey() string { return i.Workload }

// Intent returns what was asked for a workload.
func (s *Snapshot) Intent(workload string) (*Intent, bool) {
	return first[*Intent](s, Intents, "id", workload)
}

// PutIntent writes what was asked for a workload.
func (t *Tx) PutIntent(i *Intent) { must(t.txn.Insert(Intents, i)) }
