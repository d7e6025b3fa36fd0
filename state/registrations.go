package state

import (
	"reflect"

	"github.com/hashicorp/go-memdb"

	"github.com/tendhq/tend/controller/core"
)

// Registrations is the table of what runs outside of tend and was registered.
const Registrations = "registrations"

var registrationsSchema = &memdb.TableSchema{
	Name: Registrations,
	Indexes: map[string]*memdb.IndexSchema{
		"id":      index("id", true, func(r *Registration) []string { return []string{r.ID} }),
		"service": index("service", false, func(r *Registration) []string { return []string{r.Service} }),
	},
}

// Registration is a row of Registrations.
type Registration struct{ core.Registration }

func (r *Registration) changeKey() string { return r.ID }

// silent returns the registration without what its checks say besides their status.
func (r *Registration) silent() core.Registration {
	return r.WithChecks(func(c core.Check) core.Check {
		c.Output = ""
		return c
	})
}

// Registration returns what was registered under an ID.
func (s *Snapshot) Registration(id string) (*Registration, bool) {
	return first[*Registration](s, Registrations, "id", id)
}

// Registrations lists what was registered of a service; of all where service is empty.
func (s *Snapshot) Registrations(service string) []*Registration {
	if service == "" {
		return list[*Registration](s, Registrations, "id")
	}
	return list[*Registration](s, Registrations, "service", service)
}

// PutRegistration writes what was registered under an ID, and what its checks say. The index
// of the endpoints grows unless it differs in the outputs of checks alone.
func (t *Tx) PutRegistration(r core.Registration) {
	before, known := t.Registration(r.ID)
	after := &Registration{r}
	if known && reflect.DeepEqual(before, after) {
		return
	}
	must(t.txn.Insert(Registrations, after))
	if !known || !reflect.DeepEqual(before.silent(), after.silent()) {
		t.countEndpoints()
	}
}

// DeleteRegistration forgets what was registered under an ID.
func (t *Tx) DeleteRegistration(id string) {
	if _, known := t.Registration(id); known {
		t.deleteAll(id, Registrations)
		t.countEndpoints()
	}
}
