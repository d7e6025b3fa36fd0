package simulate

import (
	"context"
	"maps"
	"slices"

	"github.com/tendhq/tend/state/durable"
)

// disk keeps what survives tend, in rows that outlive it.
type disk struct {
	gate *gate
	rows map[[2]string][]byte
}

var _ durable.Store = (*disk)(nil)

func (d *disk) Load(context.Context) (all []durable.Row, err error) {
	for _, key := range slices.SortedFunc(maps.Keys(d.rows), func(a, b [2]string) int { return slices.Compare(a[:], b[:]) }) {
		all = append(all, durable.Row{Table: key[0], Key: key[1], Value: d.rows[key]})
	}
	return all, nil
}

func (d *disk) Commit(_ context.Context, changed []durable.Row) error {
	if d.gate.killed() {
		return errKilled
	}
	for _, row := range changed {
		if key := [2]string{row.Table, row.Key}; row.Value == nil {
			delete(d.rows, key)
		} else {
			d.rows[key] = row.Value
		}
	}
	return nil
}

func (d *disk) Replace(ctx context.Context, all []durable.Row) error {
	if d.gate.killed() {
		return errKilled
	}
	clear(d.rows)
	return d.Commit(ctx, all)
}

func (d *disk) SetAside(context.Context, durable.Damage) (string, error) {
	clear(d.rows)
	return "aside", nil
}

func (d *disk) Close() error { return nil }
