// Package durabletest has what the tests of durable stores share: the behaviour that
// all stores have, and a store in memory.
package durabletest

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/tendhq/tend/state/durable"
)

// Memory is a durable.Store in memory, which survives the controller and not the test.
type Memory struct {
	mu            sync.Mutex
	rows          map[key]durable.Row
	aside         []durable.Damage
	before, after func(method string) error
}

type key struct{ table, key string }

// Load implements durable.Store.
func (m *Memory) Load(context.Context) (rows []durable.Row, err error) {
	err = m.do("Load", func() {
		rows = slices.SortedFunc(maps.Values(m.rows), func(a, b durable.Row) int {
			return cmp.Or(cmp.Compare(a.Table, b.Table), cmp.Compare(a.Key, b.Key))
		})
	})
	return rows, err
}

// Commit implements durable.Store.
func (m *Memory) Commit(_ context.Context, rows []durable.Row) error {
	return m.do("Commit", func() { m.put(rows) })
}

// Replace implements durable.Store.
func (m *Memory) Replace(_ context.Context, rows []durable.Row) error {
	return m.do("Replace", func() {
		m.rows = nil
		m.put(rows)
	})
}

// SetAside implements durable.Store.
func (m *Memory) SetAside(_ context.Context, reason durable.Damage) (string, error) {
	return "nowhere", m.do("SetAside", func() {
		m.rows = nil
		m.aside = append(m.aside, reason)
	})
}

// Close implements durable.Store.
func (m *Memory) Close() error { return nil }

// Intercept has before called before each method; where it returns an error, the method
// returns that and does nothing. after is called when the method has done its work;
// where it returns an error, the method's answer is lost. Either may be nil.
func (m *Memory) Intercept(before, after func(method string) error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.before, m.after = before, after
}

// Aside returns the reasons for which content was set aside.
func (m *Memory) Aside() []durable.Damage {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.aside)
}

func (m *Memory) do(method string, f func()) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.before != nil {
		if err := m.before(method); err != nil {
			return err
		}
	}
	f()
	if m.after != nil {
		return m.after(method)
	}
	return nil
}

func (m *Memory) put(rows []durable.Row) {
	if m.rows == nil {
		m.rows = map[key]durable.Row{}
	}
	for _, r := range rows {
		if r.Value == nil {
			delete(m.rows, key{r.Table, r.Key})
		} else {
			m.rows[key{r.Table, r.Key}] = r
		}
	}
}
