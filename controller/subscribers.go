package controller

import (
	"cmp"
	"errors"
	"slices"
	"sync"
	"time"
)

// Subscriber is who follows the endpoints. Its name belongs to its peer: under the same
// name another peer is another subscriber, so that nobody acknowledges for another.
type Subscriber struct{ Peer, Name string }

// ErrTooManyNames reports that a peer follows under as many names as it may.
var ErrTooManyNames = errors.New("too many names")

// subscriberTTL is how long a subscriber counts as one without asking again. With no
// subscriber, no drain waits.
const subscriberTTL = time.Minute

// returnTime is how long a subscriber whose connection broke may take to ask again
// before it counts as gone. Those of an earlier run of tend have as long, so until then
// there may be more of them than are known. A gateway of the shop retries every two
// seconds at least.
const returnTime = 10 * time.Second

// MaxNames bounds the names of one peer, and maxSubscribers those of all, as anybody in
// the project's networks can have tend remember some.
const (
	MaxNames       = 16
	maxSubscribers = 256
)

// subscribers are those who follow the endpoints. One that asks for what follows an
// index has the endpoints of that index in force.
type subscribers struct {
	mu   sync.Mutex
	seen map[Subscriber]sighting
	// queries counts the requests.
	queries uint64
	// complete is when all subscribers are known: those of an earlier run have had the
	// time to ask, and those that were too many have gone. Until then no drain ends early.
	complete time.Time
}

type sighting struct {
	index uint64
	// expires is when the subscriber counts as gone, unless it asks again.
	expires time.Time
	query   uint64 // the number of its last request
}

// await expects subscribers of an earlier run from now on.
func (s *subscribers) await(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.complete = now.Add(returnTime)
}

// asked notes that a subscriber asked for what follows an index, and returns the number
// of the query. The error is ErrTooManyNames. One for which there is no room is not
// refused: it is not known what it has in force, until it counts as gone.
func (s *subscribers) asked(who Subscriber, index uint64, now time.Time) (query uint64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire(now)
	if s.seen == nil {
		s.seen = map[Subscriber]sighting{}
	}
	if _, known := s.seen[who]; !known {
		switch {
		case s.names(who.Peer) >= MaxNames:
			return 0, ErrTooManyNames
		case len(s.seen) >= maxSubscribers:
			s.complete = now.Add(subscriberTTL)
			return 0, nil
		}
	}
	s.queries++
	s.seen[who] = sighting{index: index, expires: now.Add(subscriberTTL), query: s.queries}
	return s.queries, nil
}

// names counts the names of a peer.
func (s *subscribers) names(peer string) (n int) {
	for who := range s.seen {
		if who.Peer == peer {
			n++
		}
	}
	return n
}

// disconnected notes that the connection of a query broke before it was answered. It
// changes nothing where the subscriber has asked again since.
func (s *subscribers) disconnected(who Subscriber, query uint64, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if seen, ok := s.seen[who]; ok && seen.query == query {
		seen.expires = now.Add(returnTime)
		s.seen[who] = seen
	}
}

// next is when time alone changes which subscribers are waited for; zero for never.
func (s *subscribers) next(now time.Time) (next time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, seen := range s.seen {
		if next.IsZero() || seen.expires.Before(next) {
			next = seen.expires
		}
	}
	if now.Before(s.complete) && (next.IsZero() || s.complete.Before(next)) {
		next = s.complete
	}
	return next
}

// count is how many there are at least.
func (s *subscribers) count(now time.Time) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire(now)
	if now.Before(s.complete) {
		return max(len(s.seen), 1)
	}
	return len(s.seen)
}

// acknowledged reports whether each of them has an index in force.
func (s *subscribers) acknowledged(index uint64, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire(now)
	if now.Before(s.complete) {
		return false
	}
	for _, seen := range s.seen {
		if seen.index < index {
			return false
		}
	}
	return true
}

// Sighting is when a subscriber last asked, by what follows from it.
type Sighting struct {
	Subscriber
	// Index is the one that it has in force, and Expires when it counts as gone.
	Index   uint64
	Expires time.Time
}

// follows reports whether a subscriber is known.
func (s *subscribers) follows(who Subscriber, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire(now)
	_, known := s.seen[who]
	return known
}

// list lists the subscribers by name and peer.
func (s *subscribers) list(now time.Time) []Sighting {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire(now)
	var all []Sighting
	for who, seen := range s.seen {
		all = append(all, Sighting{Subscriber: who, Index: seen.index, Expires: seen.expires})
	}
	slices.SortFunc(all, func(a, b Sighting) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Peer, b.Peer)) })
	return all
}

// Subscribers lists those who follow the endpoints.
func (c *Controller) Subscribers() []Sighting { return c.subscribers.list(time.Now()) }

func (s *subscribers) expire(now time.Time) {
	for who, seen := range s.seen {
		if !now.Before(seen.expires) {
			delete(s.seen, who)
		}
	}
}
