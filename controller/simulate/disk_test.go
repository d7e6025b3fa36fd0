package simulate

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/tendhq/tend/controller/engine/model"
	"github.com/tendhq/tend/state"
	"github.com/tendhq/tend/state/durable"
)

// rows are what a disk holds, by table and key.
type rows map[[2]string][]byte

// disk keeps what is to survive a restart of the controller.
type disk struct {
	gate *gate
	rows rows
	// gated is true where each write waits for its answer.
	gated bool
}

var _ durable.Store = (*disk)(nil)

// The operations on the disk.
const (
	opLoad    model.Op = "read the disk"
	opCommit  model.Op = "write to the disk"
	opReplace model.Op = "write everything to the disk"
)

var diskOps = []model.Op{opLoad, opCommit, opReplace}

func (d *disk) access(ctx context.Context, op model.Op, do func()) error {
	effect := func(context.Context) error {
		do()
		return nil
	}
	if d.gated {
		return d.gate.effect(ctx, &call{op: op}, effect)
	}
	if d.gate.cut() {
		return errKilled
	}
	return effect(ctx)
}

func (d *disk) Load(ctx context.Context) (all []durable.Row, err error) {
	err = d.access(ctx, opLoad, func() {
		for _, key := range slices.SortedFunc(maps.Keys(d.rows), func(a, b [2]string) int { return slices.Compare(a[:], b[:]) }) {
			all = append(all, durable.Row{Table: key[0], Key: key[1], Value: d.rows[key]})
		}
	})
	return all, err
}

func (d *disk) Commit(ctx context.Context, changed []durable.Row) error {
	return d.access(ctx, opCommit, func() { d.rows.write(changed) })
}

func (d *disk) Replace(ctx context.Context, all []durable.Row) error {
	return d.access(ctx, opReplace, func() {
		clear(d.rows)
		d.rows.write(all)
	})
}

func (d *disk) SetAside(context.Context, durable.Damage) (string, error) {
	clear(d.rows)
	return "aside", nil
}

func (d *disk) Close() error { return nil }

// postpone has all that is remembered have happened later by some time, as if the
// clock had been wrong then.
func (r rows) postpone(by time.Duration) {
	var all []durable.Row
	for key, value := range r {
		all = append(all, durable.Row{Table: key[0], Key: key[1], Value: value})
	}
	s := state.New(func([]state.Change) {})
	if s.Restore(all) != nil {
		return // it is damaged
	}
	later := func(t *time.Time) {
		if !t.IsZero() {
			*t = t.Add(by)
		}
	}
	s.Update(func(tx *state.Tx) {
		for _, name := range append(names, joiner) {
			if row, ok := tx.Rollout(name); ok {
				next := row.Rollout
				next.Attempts, next.Tries, next.Drains = maps.Clone(next.Attempts), maps.Clone(next.Tries), maps.Clone(next.Drains)
				for n, a := range next.Attempts {
					later(&a.At)
					later(&a.Repair.First)
					later(&a.Repair.Last)
					next.Attempts[n] = a
				}
				for id, t := range next.Tries {
					later(&t.At)
					next.Tries[id] = t
				}
				for id, d := range next.Drains {
					later(&d.Since)
					next.Drains[id] = d
				}
				for _, t := range []*time.Time{&next.StartedAt, &next.ProgressAt, &next.RestartedAt, &next.HookTry.At} {
					later(t)
				}
				tx.PutRollout(next)
			}
			if row, ok := tx.Intent(name); ok {
				next := *row
				later(&next.RestartedAt)
				tx.PutIntent(&next)
			}
		}
	})
	clear(r)
	r.write(s.TakeAll())
}

func (r rows) write(changed []durable.Row) {
	for _, row := range changed {
		key := [2]string{row.Table, row.Key}
		if row.Value == nil {
			delete(r, key)
		} else {
			r[key] = row.Value
		}
	}
}
