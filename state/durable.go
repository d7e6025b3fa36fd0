package state

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/fxamacker/cbor/v2"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/state/durable"
)

// persistent are the tables that survive a restart, with the type of their rows. The
// content of the others is observed again, or follows.
var persistent = map[string]reflect.Type{
	Revisions: reflect.TypeFor[Revision](),
	Rollouts:  reflect.TypeFor[Rollout](),
	Intents:   reflect.TypeFor[Intent](),
	Scales:    reflect.TypeFor[Scale](),
	Events:    reflect.TypeFor[Event](),

	Registrations: reflect.TypeFor[Registration](),
}

// durableRow is a row of a table that survives a restart.
type durableRow interface {
	row
	// durableKey is unique in the table and never changes.
	durableKey() string
}

func (r *Revision) durableKey() string { return r.Workload + "/" + r.Revision }
func (r *Rollout) durableKey() string  { return r.Workload }
func (i *Intent) durableKey() string   { return i.Workload }
func (s *Scale) durableKey() string    { return s.Workload }
func (e *Event) durableKey() string    { return fmt.Sprintf("%020d", e.ID) }

func (r *Registration) durableKey() string { return r.ID }

type durableID struct{ table, key string }

// pend notes a change that is not durable yet. Its caller holds the writer's lock.
func (s *Store) pend(table string, before, after any) {
	if persistent[table] == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pending == nil {
		return
	}
	if after == nil {
		s.pending[durableID{table, before.(durableRow).durableKey()}] = nil
		s.decided = s.decided || table != Events
		return
	}
	id, row := durableID{table, after.(durableRow).durableKey()}, encode(after)
	// A restored row may differ from the same one in how an empty list is kept. A row
	// with the same content is durable already.
	if _, pending := s.pending[id]; !pending && before != nil && bytes.Equal(encode(before), row) {
		return
	}
	s.pending[id] = row
	s.decided = s.decided || isDecision(before, after)
}

// isDecision reports whether the next actions may depend on a change.
func isDecision(before, after any) bool {
	switch after := after.(type) {
	case *Event:
		return false
	case *Rollout:
		before, ok := before.(*Rollout)
		return !ok || !core.Foreseeable(before.Rollout, after.Rollout)
	case *Scale:
		before, ok := before.(*Scale)
		return !ok || before.Replicas != after.Replicas
	case *Registration:
		return false // no action depends on it
	default:
		return true
	}
}

// IsPending reports whether a change is not durable yet, and whether one of these
// changes is a decision.
func (s *Store) IsPending() (changed, decided bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.pending) > 0, s.decided
}

// TakePending returns the changes since the last call, to be made durable.
func (s *Store) TakePending() []durable.Row {
	s.mu.Lock()
	pending := s.pending
	s.pending, s.decided = map[durableID][]byte{}, false
	s.mu.Unlock()
	rows := make([]durable.Row, 0, len(pending))
	for id, row := range pending {
		rows = append(rows, durable.Row{Table: id.table, Key: id.key, Value: row})
	}
	slices.SortFunc(rows, func(a, b durable.Row) int { return cmp.Or(cmp.Compare(a.Table, b.Table), cmp.Compare(a.Key, b.Key)) })
	return rows
}

// DropPending forgets the pending changes, and notes no more until everything is taken,
// so that a full disk costs no memory.
func (s *Store) DropPending() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pending, s.decided = nil, false
}

// TakeAll returns all rows that are to be durable. From then on changes are pending.
func (s *Store) TakeAll() []durable.Row {
	var rows []durable.Row
	s.Update(func(tx *Tx) { // so that nothing changes between the two
		s.mu.Lock()
		defer s.mu.Unlock()
		s.pending, s.decided = map[durableID][]byte{}, false
		for _, table := range slices.Sorted(maps.Keys(persistent)) {
			for _, row := range list[durableRow](&tx.Snapshot, table, "id") {
				rows = append(rows, durable.Row{Table: table, Key: row.durableKey(), Value: encode(row)})
			}
		}
	})
	return rows
}

// Restore fills an empty store with the durable rows. From then on changes are pending.
// Where a row cannot be read, Restore changes nothing.
func (s *Store) Restore(rows []durable.Row) error {
	restored := make([]any, len(rows))
	for i, r := range rows {
		t, ok := persistent[r.Table]
		if !ok {
			return &durable.DamagedError{Damage: durable.Corrupt, Detail: fmt.Sprintf("there is no table %q", r.Table)}
		}
		row := reflect.New(t).Interface()
		if err := decoding.Unmarshal(r.Value, row); err != nil || row.(durableRow).durableKey() != r.Key {
			return &durable.DamagedError{Damage: durable.Corrupt, Detail: fmt.Sprintf("the row %s of %s cannot be read: %v", r.Key, r.Table, err)}
		}
		restored[i] = row
	}
	s.Update(func(tx *Tx) {
		for i, row := range restored {
			must(tx.txn.Insert(rows[i].Table, row))
		}
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pending, s.decided = map[durableID][]byte{}, false
	return nil
}

// SameSpec reports whether two specs are written alike. A restored one may differ from
// the same one in how an empty list is kept.
func SameSpec(a, b *spec.Workload) bool {
	return a.Revision == b.Revision && (reflect.DeepEqual(a, b) || bytes.Equal(encode(a), encode(b)))
}

// The rows are CBOR, as Compose's types write themselves as JSON that they cannot read.
var (
	encoding = option(cbor.EncOptions{Sort: cbor.SortBytewiseLexical, Time: cbor.TimeRFC3339Nano}.EncMode())
	decoding = option(cbor.DecOptions{}.DecMode())
)

func option[T any](mode T, err error) T {
	must(err)
	return mode
}

func encode(v any) []byte {
	content, err := encoding.Marshal(v)
	must(err)
	return content
}
