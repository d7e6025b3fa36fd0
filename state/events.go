package state

import (
	"fmt"
	"strings"
	"time"

	"github.com/hashicorp/go-memdb"

	"github.com/tendhq/tend/controller/core"
)

// Events is the table of the events.
const Events = "events"

// maxEvents bounds the table: the oldest leave first.
const maxEvents = 2000

// maxMessage bounds a message in bytes, as some quote an engine, a command or a file.
const maxMessage = 4 << 10

// eventWindow is how long an event that happens again is counted on the same row.
const eventWindow = 10 * time.Minute

var eventsSchema = &memdb.TableSchema{
	Name: Events,
	Indexes: map[string]*memdb.IndexSchema{
		"id":  {Name: "id", Unique: true, Indexer: &memdb.UintFieldIndex{Field: "ID"}},
		"key": index("key", false, func(e *Event) []string { return []string{e.Key} }),
	},
}

// Event is a row of Events: something that happened, once or more often.
type Event struct {
	core.Event
	// ID grows with each event, also when one happens again.
	ID uint64
	// Key is equal for events that count as the same. It is quoted, as the index ends
	// its keys with a zero byte, which a message may hold, too.
	Key string
	// Count is how often it happened between First and Last.
	Count       int
	First, Last time.Time
}

func (e *Event) changeKey() string { return e.Workload }

// Events lists the events whose ID is greater than after, oldest first.
func (s *Snapshot) Events(after uint64) []*Event {
	it, err := s.txn.LowerBound(Events, "id", after+1)
	must(err)
	if s.watch != nil { // LowerBound has no watch of its own
		all, err := s.txn.Get(Events, "id")
		must(err)
		s.watch.Add(all.WatchCh())
	}
	var rows []*Event
	for r := it.Next(); r != nil; r = it.Next() {
		rows = append(rows, r.(*Event))
	}
	return rows
}

// LastEvent is the greatest ID of an event, 0 when there is none.
func (s *Snapshot) LastEvent() uint64 {
	r, err := s.txn.Last(Events, "id")
	must(err)
	if r == nil {
		return 0
	}
	return r.(*Event).ID
}

// AddEvent writes an event down. Where the same happened within the last ten minutes,
// it is counted once more, under a new ID.
func (t *Tx) AddEvent(e core.Event, now time.Time) *Event {
	if more := len(e.Message) - maxMessage; more > 0 {
		e.Message = fmt.Sprintf("%s… and %d bytes more", strings.ToValidUTF8(e.Message[:maxMessage], ""), more)
	}
	row := &Event{
		Event: e, ID: t.LastEvent() + 1, Count: 1, First: now, Last: now,
		Key: fmt.Sprintf("%q %q %q %q", e.Workload, e.Reason, e.Message, e.Actor),
	}
	newest, err := t.txn.Last(Events, "key", row.Key) // rows of one key are in the order of their IDs
	must(err)
	if same, ok := newest.(*Event); ok && now.Sub(same.Last) < eventWindow {
		row.Count, row.First = same.Count+1, same.First
		must(t.txn.Delete(Events, same))
	}
	must(t.txn.Insert(Events, row))
	if oldest, err := t.txn.First(Events, "id"); err == nil && row.ID-oldest.(*Event).ID >= maxEvents {
		must(t.txn.Delete(Events, oldest))
	}
	return row
}
