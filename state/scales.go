package state

import (
	"github.com/hashicorp/go-memdb"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/spec"
)

// Scales is the table of what the autoscaler has decided.
const Scales = "scales"

var scalesSchema = &memdb.TableSchema{
	Name:    Scales,
	Indexes: map[string]*memdb.IndexSchema{"id": index("id", true, func(s *Scale) []string { return []string{s.Workload} })},
}

// Scale is a row of Scales.
type Scale struct {
	Workload string
	core.Scale
}

func (s *Scale) changeKey() string { return s.Workload }

// Scale returns the last decision of the autoscaler about a workload; nil where there is
// none.
func (s *Snapshot) Scale(workload string) *Scale {
	row, _ := first[*Scale](s, Scales, "id", workload)
	return row
}

// Scales lists the decisions of the autoscaler.
func (s *Snapshot) Scales() []*Scale { return list[*Scale](s, Scales, "id") }

// PutScale writes a decision of the autoscaler.
func (t *Tx) PutScale(s *Scale) { must(t.txn.Insert(Scales, s)) }

// DeleteScale forgets what the autoscaler has decided about a workload.
func (t *Tx) DeleteScale(workload string) { t.deleteAll(workload, Scales) }

// Scaled returns a workload with the number of replicas that is in force: that of the
// autoscaler where there is one, which begins with the one that is written. decided is its
// last decision, or nil.
func Scaled(w *spec.Workload, decided *Scale) *spec.Workload {
	if !w.Autoscaled() {
		return w
	}
	n := w.Replicas
	if decided != nil {
		n = decided.Replicas
	}
	return w.WithReplicas(w.Autoscaling.Bound(n))
}
