package state

import (
	"cmp"
	"slices"
	"time"

	"github.com/hashicorp/go-memdb"

	"github.com/tendhq/tend/controller/spec"
)

// Revisions is the table of the templates of workloads, the present ones and earlier
// ones.
const Revisions = "revisions"

var revisionsSchema = &memdb.TableSchema{
	Name: Revisions,
	Indexes: map[string]*memdb.IndexSchema{
		"id":       index("id", true, func(r *Revision) []string { return []string{r.Workload, r.Revision} }),
		"workload": index("workload", false, func(r *Revision) []string { return []string{r.Workload} }),
	},
}

// Revision is a row of Revisions.
type Revision struct {
	Workload, Revision string
	// Number is the revision's place in the history, from 1; a revision that comes back
	// gets a new number, as in Kubernetes.
	Number int
	// Generation is the workload's generation when this revision was last written, and
	// Spec the spec of that time.
	Generation int64
	Spec       *spec.Workload
	At         time.Time
}

func (r *Revision) changeKey() string { return r.Workload }

// Revisions lists a workload's revisions, oldest first.
func (s *Snapshot) Revisions(workload string) []*Revision {
	rows := list[*Revision](s, Revisions, "workload", workload)
	slices.SortFunc(rows, func(a, b *Revision) int { return cmp.Compare(a.Number, b.Number) })
	return rows
}

// Revision returns one revision of a workload.
func (s *Snapshot) Revision(workload, revision string) (*Revision, bool) {
	return first[*Revision](s, Revisions, "id", workload, revision)
}

// PutRevision writes a revision.
func (t *Tx) PutRevision(r *Revision) { must(t.txn.Insert(Revisions, r)) }

// DeleteRevision forgets a revision.
func (t *Tx) DeleteRevision(workload, revision string) {
	_, err := t.txn.DeleteAll(Revisions, "id", workload, revision)
	must(err)
}
