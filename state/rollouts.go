package state

import (
	"github.com/hashicorp/go-memdb"

	"github.com/tendhq/tend/controller/core"
)

// Rollouts is the table of the rollout records.
const Rollouts = "rollouts"

var rolloutsSchema = &memdb.TableSchema{
	Name:    Rollouts,
	Indexes: map[string]*memdb.IndexSchema{"id": index("id", true, func(r *Rollout) []string { return []string{r.Workload} })},
}

// Rollout is a row of Rollouts.
type Rollout struct{ core.Rollout }

func (r *Rollout) changeKey() string { return r.Workload }

// Rollout returns a workload's record.
func (s *Snapshot) Rollout(workload string) (*Rollout, bool) {
	return first[*Rollout](s, Rollouts, "id", workload)
}

// Rollouts lists the records by workload.
func (s *Snapshot) Rollouts() []*Rollout { return list[*Rollout](s, Rollouts, "id") }

// PutRollout writes a workload's record.
func (t *Tx) PutRollout(r core.Rollout) { must(t.txn.Insert(Rollouts, &Rollout{r})) }

// TakeOverRollout writes down what another engine knows of a workload, in the place of what is
// known here. The volumes without a name stay those that the workload has here.
func (t *Tx) TakeOverRollout(known core.Rollout) {
	if before, ok := t.Rollout(known.Workload); ok {
		known.Anonymous = before.Anonymous
	}
	t.PutRollout(known)
}
