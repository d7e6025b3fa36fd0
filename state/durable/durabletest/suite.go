package durabletest

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/tendhq/tend/state/durable"
)

// Run holds a store to the behaviour of all stores. open returns a store on the same
// rows each time, as in a restarted process.
func Run(t *testing.T, open func() durable.Store) {
	s := func(t *testing.T) durable.Store {
		t.Helper()
		s := open()
		t.Cleanup(func() { require.NoError(t, s.Close()) })
		require.NoError(t, s.Replace(t.Context(), nil))
		return s
	}
	row := func(table, key, value string) durable.Row {
		return durable.Row{Table: table, Key: key, Value: []byte(value)}
	}
	load := func(t *testing.T, s durable.Store) []durable.Row {
		t.Helper()
		rows, err := s.Load(t.Context())
		require.NoError(t, err)
		return rows
	}

	t.Run("a new store is empty", func(t *testing.T) {
		assert.Empty(t, load(t, s(t)))
	})
	t.Run("what was committed is there for the next process", func(t *testing.T) {
		first := s(t)
		rows := []durable.Row{row("events", "1", "a"), row("events", "2", "b"), row("rollouts", "web", "c")}
		require.NoError(t, first.Commit(t.Context(), rows))
		require.NoError(t, first.Close())
		second := open()
		assert.Equal(t, rows, load(t, second))
		require.NoError(t, second.Close())
	})
	t.Run("rows come by table and key", func(t *testing.T) {
		s := s(t)
		require.NoError(t, s.Commit(t.Context(), []durable.Row{row("b", "1", "x"), row("a", "2", "x"), row("a", "10", "x"), row("a", "1", "x")}))
		assert.Equal(t, []durable.Row{row("a", "1", "x"), row("a", "10", "x"), row("a", "2", "x"), row("b", "1", "x")}, load(t, s))
	})
	t.Run("a row is changed, and deleted by nil", func(t *testing.T) {
		s := s(t)
		require.NoError(t, s.Commit(t.Context(), []durable.Row{row("t", "a", "1"), row("t", "b", "1")}))
		require.NoError(t, s.Commit(t.Context(), []durable.Row{row("t", "a", "2"), {Table: "t", Key: "b"}, {Table: "t", Key: "never there"}}))
		assert.Equal(t, []durable.Row{row("t", "a", "2")}, load(t, s))
	})
	t.Run("the same key of two tables is two rows", func(t *testing.T) {
		s := s(t)
		require.NoError(t, s.Commit(t.Context(), []durable.Row{row("t", "a", "1"), row("u", "a", "2")}))
		require.NoError(t, s.Commit(t.Context(), []durable.Row{{Table: "t", Key: "a"}}))
		assert.Equal(t, []durable.Row{row("u", "a", "2")}, load(t, s))
	})
	t.Run("values are any bytes, also none", func(t *testing.T) {
		s := s(t)
		all := make([]byte, 1<<16)
		for i := range all {
			all[i] = byte(i)
		}
		rows := []durable.Row{row("t", "all", string(all)), row("t", "empty", ""), row("t", "ünïcode / \"quoted\"", "x")}
		require.NoError(t, s.Commit(t.Context(), rows))
		assert.Equal(t, rows, load(t, s))
	})
	t.Run("replace leaves nothing else", func(t *testing.T) {
		s := s(t)
		require.NoError(t, s.Commit(t.Context(), []durable.Row{row("t", "a", "1"), row("t", "b", "1")}))
		require.NoError(t, s.Replace(t.Context(), []durable.Row{row("t", "b", "2"), row("u", "c", "3")}))
		assert.Equal(t, []durable.Row{row("t", "b", "2"), row("u", "c", "3")}, load(t, s))
	})
	t.Run("what is set aside is gone, and the store goes on", func(t *testing.T) {
		s := s(t)
		for i := range 2 {
			require.NoError(t, s.Commit(t.Context(), []durable.Row{row("t", fmt.Sprint(i), "1")}))
			where, err := s.SetAside(t.Context(), durable.Corrupt)
			require.NoError(t, err)
			assert.NotEmpty(t, where)
			assert.Empty(t, load(t, s))
		}
		require.NoError(t, s.Commit(t.Context(), []durable.Row{row("t", "a", "2")}))
		assert.Equal(t, []durable.Row{row("t", "a", "2")}, load(t, s))
	})
	t.Run("any commits come to the same as in memory", rapid.MakeCheck(func(r *rapid.T) {
		s := open()
		defer s.Close()
		reference := &Memory{}
		require.NoError(r, s.Replace(t.Context(), nil))
		any := rapid.Custom(func(r *rapid.T) durable.Row {
			row := durable.Row{Table: rapid.SampledFrom([]string{"t", "u"}).Draw(r, "table"), Key: rapid.StringMatching("[ab/]{1,2}").Draw(r, "key")}
			if rapid.IntRange(0, 3).Draw(r, "delete") > 0 {
				row.Value = rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(r, "value")
			}
			return row
		})
		for range rapid.IntRange(1, 5).Draw(r, "commits") {
			rows := rapid.SliceOfNDistinct(any, 0, 8, func(r durable.Row) string { return r.Table + r.Key }).Draw(r, "rows")
			write, writeReference := s.Commit, reference.Commit
			if rapid.IntRange(0, 4).Draw(r, "all") == 0 {
				write, writeReference = s.Replace, reference.Replace
			}
			require.NoError(r, write(t.Context(), rows))
			require.NoError(r, writeReference(t.Context(), rows))
			got, err := s.Load(t.Context())
			require.NoError(r, err)
			want, _ := reference.Load(t.Context())
			require.Equal(r, fmt.Sprint(want), fmt.Sprint(got))
		}
	}))
}
