package state

import (
	"github.com/hashicorp/go-memdb"

	"github.com/tendhq/tend/controller/core"
)

// Probes is the table of the results of tend's own probes.
const Probes = "probes"

var probesSchema = &memdb.TableSchema{
	Name: Probes,
	Indexes: map[string]*memdb.IndexSchema{
		"id":       index("id", true, func(p *Probe) []string { return []string{p.ID} }),
		"workload": index("workload", false, func(p *Probe) []string { return []string{p.Workload} }),
	},
}

// Probe is a row of Probes: the verdicts on one run of one container.
type Probe struct {
	// ID is the container's; the verdicts count only for the run that began at
	// StartedAt.
	ID       string
	Workload string
	core.Probe
}

func (p *Probe) changeKey() string { return p.Workload }

// Probe returns the result of a container's probes.
func (s *Snapshot) Probe(id string) (*Probe, bool) { return first[*Probe](s, Probes, "id", id) }

// ProbesOf lists the results of the probes of a workload's containers, which may be gone.
func (s *Snapshot) ProbesOf(workload string) []*Probe {
	return list[*Probe](s, Probes, "workload", workload)
}

// PutProbe writes the result of a container's probes.
func (t *Tx) PutProbe(p *Probe) { must(t.txn.Insert(Probes, p)) }

// DeleteProbe forgets the result of a container's probes.
func (t *Tx) DeleteProbe(id string) {
	_, err := t.txn.DeleteAll(Probes, "id", id)
	must(err)
}
