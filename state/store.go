// Package state holds what tend knows, in memory: what is written, what runs,
// and what was decided. Readers take a Snapshot, which never changes and never
// waits; stored objects are immutable. Each table has one writer:
//
//	workloads   the controller, from package spec
//	replicas    package observe
//	hook_runs   package observe
//	foreigners  package observe
//	resources   package observe; the loop writes their attempts
//	images      package observe; the loop writes their attempts
//	rollouts    the loop
//	statuses    the loop
//	endpoints   the loop
//	revisions   the loop
//	events      the loop
//	probes      the controller, from package probe; package observe drops
//	            those of a container that is gone
//	intents     the API, through the controller
//	scales      the loop
//	registrations  package registrations, from the API through the controller
//
// On a Swarm package swarm writes replicas, and what the loop writes otherwise.
//
// Revisions, rollouts, intents, scales, registrations and events survive a restart: a change of them is
// pending until the controller has taken it and made it durable. The content of the
// other tables is observed again, or follows.
package state

import (
	"fmt"
	"slices"
	"sync"

	"github.com/hashicorp/go-memdb"
)

// Change names a row that a transaction wrote.
type Change struct {
	Table string
	// Key is the workload's name, or the resource's.
	Key string
}

// Store is the in-memory database.
type Store struct {
	db       *memdb.MemDB
	onChange func([]Change)

	mu      sync.Mutex
	pending map[durableID][]byte // rows as they are kept; nil while nothing is durable; a nil row was deleted
	decided bool                 // a decision is pending, and actions have to wait for it
}

// row is a row of a table.
type row interface {
	// changeKey is the Key of a Change of the row.
	changeKey() string
}

// New makes an empty store. onChange is called after each transaction that
// wrote something, by the goroutine that wrote.
func New(onChange func([]Change)) *Store {
	schema := &memdb.DBSchema{Tables: map[string]*memdb.TableSchema{}}
	for _, t := range []*memdb.TableSchema{workloadsSchema, replicasSchema, resourcesSchema, rolloutsSchema, statusesSchema, eventsSchema,
		probesSchema, endpointsSchema, endpointsIndexSchema, revisionsSchema, intentsSchema, scalesSchema, hookRunsSchema, foreignersSchema, imagesSchema, registrationsSchema} {
		schema.Tables[t.Name] = t
	}
	db, err := memdb.NewMemDB(schema)
	if err != nil {
		panic(fmt.Sprintf("state: the schema is wrong: %v", err)) // a programming error
	}
	return &Store{db: db, onChange: onChange}
}

// Update runs f in a write transaction, which is committed when f returns.
func (s *Store) Update(f func(*Tx)) {
	txn := s.db.Txn(true)
	txn.TrackChanges()
	f(&Tx{Snapshot{txn: txn}})
	var changes []Change
	for _, c := range txn.Changes() {
		r := c.After
		if c.Deleted() {
			r = c.Before
		}
		changes = append(changes, Change{Table: c.Table, Key: r.(row).changeKey()})
		s.pend(c.Table, c.Before, c.After)
	}
	txn.Commit()
	if len(changes) > 0 {
		s.onChange(changes)
	}
}

// Snapshot is the state at this instant.
func (s *Store) Snapshot() *Snapshot {
	return &Snapshot{txn: s.db.Txn(false)}
}

// Snapshot is the state at one instant.
type Snapshot struct {
	txn   *memdb.Txn
	watch memdb.WatchSet
}

// Watch has the snapshot collect what is read from it from now on; the WatchSet fires
// when any of that changes.
func (s *Snapshot) Watch() memdb.WatchSet {
	s.watch = memdb.NewWatchSet()
	return s.watch
}

// Tx is a write transaction.
type Tx struct{ Snapshot }

// must panics on an error of memdb, which only a wrong schema can cause.
func must(err error) {
	if err != nil {
		panic(fmt.Sprintf("state: %v", err))
	}
}

func list[T any](s *Snapshot, table, index string, args ...any) []T {
	it, err := s.txn.Get(table, index, args...)
	must(err)
	s.watch.Add(it.WatchCh())
	var few [8]T // most lists are short, and are allocated once
	rows := few[:0]
	for r := it.Next(); r != nil; r = it.Next() {
		rows = append(rows, r.(T))
	}
	return append([]T(nil), rows...)
}

func first[T any](s *Snapshot, table, index string, args ...any) (t T, ok bool) {
	ch, r, err := s.txn.FirstWatch(table, index, args...)
	must(err)
	s.watch.Add(ch)
	if r == nil {
		return t, false
	}
	return r.(T), true
}

// index makes an index of a table by one or more strings of a row, which are its key.
// memdb's own indexes find them by reflection, at each look-up and each change.
func index[T row](name string, unique bool, key func(T) []string) *memdb.IndexSchema {
	return &memdb.IndexSchema{Name: name, Unique: unique, Indexer: indexer[T](key)}
}

type indexer[T row] func(T) []string

// FromObject implements memdb.SingleIndexer.
func (i indexer[T]) FromObject(row any) (ok bool, key []byte, err error) {
	for _, part := range i(row.(T)) {
		key = appendPart(key, part)
	}
	return true, key, nil
}

// FromArgs implements memdb.Indexer.
func (i indexer[T]) FromArgs(parts ...any) (key []byte, err error) {
	for _, part := range parts {
		key = appendPart(key, part.(string))
	}
	return key, nil
}

// appendPart ends each part with a zero byte, so that no key is the beginning of another.
func appendPart(key []byte, part string) []byte {
	key = slices.Grow(key, len(part)+1)
	return append(append(key, part...), 0)
}
