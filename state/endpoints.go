package state

import (
	"reflect"
	"slices"

	"github.com/hashicorp/go-memdb"

	"github.com/tendhq/tend/controller/core"
)

// Endpoints is the table of the addresses that are published.
const Endpoints = "endpoints"

var endpointsSchema = &memdb.TableSchema{
	Name: Endpoints,
	Indexes: map[string]*memdb.IndexSchema{
		"id":       index("id", true, func(e *Endpoint) []string { return []string{e.ID} }),
		"workload": index("workload", false, func(e *Endpoint) []string { return []string{e.Workload} }),
	},
}

// Endpoint is a row of Endpoints.
type Endpoint struct{ core.Endpoint }

func (e *Endpoint) changeKey() string { return e.Workload }

// Endpoints lists the endpoints of a workload; of all where workload is empty.
func (s *Snapshot) Endpoints(workload string) []*Endpoint {
	if workload == "" {
		return list[*Endpoint](s, Endpoints, "id")
	}
	return list[*Endpoint](s, Endpoints, "workload", workload)
}

// published reports whether a container's endpoint is published.
func (s *Snapshot) published(id string) bool {
	_, ok := first[*Endpoint](s, Endpoints, "id", id)
	return ok
}

// endpointsIndexSchema is a table of one row, which counts the changes of
// Endpoints and of Registrations.
var endpointsIndexSchema = &memdb.TableSchema{
	Name:    "endpoints_index",
	Indexes: map[string]*memdb.IndexSchema{"id": index("id", true, func(e *endpointsIndex) []string { return []string{e.Table} })},
}

type endpointsIndex struct {
	Table string
	Index uint64
}

func (*endpointsIndex) changeKey() string { return "" }

// CountEndpointsFrom has EndpointsIndex begin with index. It must come before the
// first endpoint.
func (s *Store) CountEndpointsFrom(index uint64) {
	s.Update(func(tx *Tx) {
		must(tx.txn.Insert(endpointsIndexSchema.Name, &endpointsIndex{Table: Endpoints, Index: index}))
	})
}

// EndpointsIndex grows with each change of the endpoints and registrations, from 1 where
// CountEndpointsFrom has not said otherwise.
func (s *Snapshot) EndpointsIndex() uint64 {
	row, ok := first[*endpointsIndex](s, endpointsIndexSchema.Name, "id", Endpoints)
	if !ok {
		return 1
	}
	return row.Index
}

// PutEndpoints publishes exactly these endpoints of a workload. The index
// grows only when that changes something.
func (t *Tx) PutEndpoints(workload string, endpoints []core.Endpoint) {
	before := t.Endpoints(workload)
	isNew := func(e core.Endpoint) bool {
		return !slices.ContainsFunc(before, func(b *Endpoint) bool { return b.ID == e.ID && reflect.DeepEqual(b.Endpoint, e) })
	}
	if len(before) == len(endpoints) && !slices.ContainsFunc(endpoints, isNew) {
		return
	}
	_, err := t.txn.DeleteAll(Endpoints, "workload", workload)
	must(err)
	for _, e := range endpoints {
		must(t.txn.Insert(Endpoints, &Endpoint{e}))
	}
	t.countEndpoints()
}

func (t *Tx) countEndpoints() {
	must(t.txn.Insert(endpointsIndexSchema.Name, &endpointsIndex{Table: Endpoints, Index: t.EndpointsIndex() + 1}))
}
