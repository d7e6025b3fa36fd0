package state

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/core"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

func event(workload, reason, text string) core.Event {
	return core.Event{Type: core.Normal, Workload: workload, Reason: reason, Message: text}
}

// add writes events down in a transaction of its own.
func add(s *Store, at time.Time, events ...core.Event) (last *Event) {
	s.Update(func(tx *Tx) {
		for _, e := range events {
			last = tx.AddEvent(e, at)
		}
	})
	return last
}

func ids(events []*Event) (ids []uint64) {
	for _, e := range events {
		ids = append(ids, e.ID)
	}
	return ids
}

func TestEventsAreNumberedFromOne(t *testing.T) {
	s, _ := newStore()
	assert.Zero(t, s.Snapshot().LastEvent())
	add(s, noon, event("web", "Created", "1"), event("web", "Created", "2"))
	add(s, noon, event("web", "Created", "3"))
	assert.Equal(t, []uint64{1, 2, 3}, ids(s.Snapshot().Events(0)))
	assert.Equal(t, []uint64{3}, ids(s.Snapshot().Events(2)))
	assert.Empty(t, s.Snapshot().Events(3))
	assert.Empty(t, s.Snapshot().Events(1<<63))
	assert.EqualValues(t, 3, s.Snapshot().LastEvent())
}

func TestEventsStayInOrderBeyondWhatBytesHold(t *testing.T) {
	for _, limit := range []uint64{1 << 8, 1 << 16, 1 << 32} {
		s, _ := newStore()
		start := limit - 3
		s.Update(func(tx *Tx) { must(tx.txn.Insert(Events, &Event{ID: start, Key: "earlier"})) })
		for i := range 6 {
			assert.Equal(t, start+uint64(i)+1, add(s, noon, event("web", "Created", fmt.Sprint(i))).ID)
		}
		assert.Equal(t, start+6, s.Snapshot().LastEvent())
		assert.Equal(t, []uint64{limit - 3, limit - 2, limit - 1, limit, limit + 1, limit + 2, limit + 3}, ids(s.Snapshot().Events(0)))
		assert.Equal(t, []uint64{limit, limit + 1, limit + 2, limit + 3}, ids(s.Snapshot().Events(limit-1)))
	}
}

func TestTheOldestEventsLeaveFirst(t *testing.T) {
	s, _ := newStore()
	const n = maxEvents + 300
	s.Update(func(tx *Tx) {
		for i := range n {
			tx.AddEvent(event("web", "Created", fmt.Sprint(i)), noon)
		}
	})
	rows := s.Snapshot().Events(0)
	require.Len(t, rows, maxEvents)
	for i, e := range rows {
		require.EqualValues(t, n-maxEvents+1+i, e.ID)
	}
}

func TestAnEventThatHappensAgainIsCounted(t *testing.T) {
	s, reports := newStore()
	again := event("web", "BackOff", "web-1 exited")
	add(s, noon, again, event("web", "Created", "web-2"))
	reports.reports = nil
	row := add(s, noon.Add(eventWindow-time.Second), again)

	assert.EqualValues(t, 3, row.ID, "it gets a new ID, so that whoever reads on sees it")
	assert.Equal(t, 2, row.Count)
	assert.Equal(t, noon, row.First)
	assert.Equal(t, noon.Add(eventWindow-time.Second), row.Last)
	assert.Equal(t, []uint64{2, 3}, ids(s.Snapshot().Events(0)), "one row for both")
	for _, c := range reports.last(t) {
		assert.Equal(t, Change{Events, "web"}, c)
	}
}

func TestTheWindowMovesWithEachCount(t *testing.T) {
	s, _ := newStore()
	at, e := noon, event("web", "BackOff", "web-1 exited")
	for want := 1; want <= 5; want++ {
		assert.Equal(t, want, add(s, at, e).Count)
		at = at.Add(eventWindow - time.Second)
	}
}

func TestAnEventOfLongAgoIsAnother(t *testing.T) {
	s, _ := newStore()
	e := event("web", "BackOff", "web-1 exited")
	add(s, noon, e)
	for i := range 3 {
		at := noon.Add(time.Duration(i+1) * eventWindow)
		row := add(s, at, e)
		assert.Equal(t, 1, row.Count)
		assert.Equal(t, at, row.First)
	}
	assert.Len(t, s.Snapshot().Events(0), 4)
}

func TestAfterALongPauseTheNewestEventIsCounted(t *testing.T) {
	s, _ := newStore()
	e := event("web", "BackOff", "web-1 exited")
	add(s, noon, e)
	late := noon.Add(time.Hour)
	add(s, late, e)
	row := add(s, late.Add(time.Minute), e)
	assert.Equal(t, 2, row.Count)
	assert.Equal(t, late, row.First)
	assert.Equal(t, []uint64{1, 3}, ids(s.Snapshot().Events(0)))
}

func TestEventsThatDifferAreNotCountedTogether(t *testing.T) {
	s, _ := newStore()
	all := []core.Event{
		event("web", "BackOff", "exited"),
		event("db", "BackOff", "exited"),
		event("", "BackOff", "exited"),
		event("web", "Failed", "exited"),
		event("web", "BackOff", "exited again"),
		event("web", "BackOff", ""),
		event("web", "", "BackOff"),
		event("web", "BackOff", "exited\x00\x00"),
	}
	slices.Reverse(all) // so that each key comes before those that begin like it, and after
	for range 2 {
		slices.Reverse(all)
		add(s, noon, all...)
	}
	rows := s.Snapshot().Events(0)
	require.Len(t, rows, len(all))
	for _, e := range rows {
		assert.Equal(t, 2, e.Count, "%q", e.Key)
	}
}

func TestAMessageWithoutEndIsCutOff(t *testing.T) {
	s, _ := newStore()
	row := add(s, noon, event("web", "CreateFailed", strings.Repeat("é", 1<<20)))
	assert.Equal(t, strings.Repeat("é", maxMessage/2)+fmt.Sprintf("… and %d bytes more", 2<<20-maxMessage), row.Message)
	whole := strings.Repeat("x", maxMessage)
	assert.Equal(t, whole, add(s, noon, event("web", "CreateFailed", whole)).Message)
}

func TestAnEventThatKeepsHappeningStaysWhileOldOnesLeave(t *testing.T) {
	s, _ := newStore()
	e := event("web", "BackOff", "web-1 exited")
	s.Update(func(tx *Tx) {
		for i := range 2 * maxEvents {
			tx.AddEvent(event("web", "Created", fmt.Sprint(i)), noon)
			tx.AddEvent(e, noon)
		}
	})
	rows := s.Snapshot().Events(0)
	assert.LessOrEqual(t, len(rows), maxEvents)
	last := rows[len(rows)-1]
	assert.Equal(t, 2*maxEvents, last.Count)
	assert.Equal(t, e, last.Event)
}
