package state

import (
	"github.com/hashicorp/go-memdb"

	"github.com/tendhq/tend/controller/core"
)

// Resources is the table of the networks, volumes and images that are needed.
const Resources = "resources"

var resourcesSchema = &memdb.TableSchema{
	Name: Resources,
	Indexes: map[string]*memdb.IndexSchema{
		"id": index("id", true, func(r *Resource) []string { return []string{string(r.Kind), r.Name} }),
	},
}

// Resource is a row of Resources.
type Resource struct{ core.Resource }

func (r *Resource) changeKey() string { return r.Name }

// Resources lists the resources.
func (s *Snapshot) Resources() []*Resource { return list[*Resource](s, Resources, "id") }

// Resource returns one resource.
func (s *Snapshot) Resource(kind core.ResourceKind, name string) (*Resource, bool) {
	return first[*Resource](s, Resources, "id", string(kind), name)
}

// PutResource writes what is known of a resource.
func (t *Tx) PutResource(r core.Resource) {
	must(t.txn.Insert(Resources, &Resource{r}))
}

// DeleteResource forgets a resource that is no longer needed.
func (t *Tx) DeleteResource(kind core.ResourceKind, name string) {
	_, err := t.txn.DeleteAll(Resources, "id", string(kind), name)
	must(err)
}
