package controller

import (
	"sync"
	"time"
)

// subscriberTTL is how long a subscriber counts as one without asking again. With no
// subscriber, no drain waits.
const subscriberTTL = time.Minute

// returnTime is how long a subscriber whose connection broke may take to ask again
// before it counts as gone. Those of an earlier run of tend have as long, so until then
// there may be more of them than are known. A gateway of the shop retries every two
// seconds at least.
const returnTime = 10 * time.Second

// maxSubscribers bounds how many names anybody in the project's networks can make tend
// remember.
const maxSubscribers = 256

// subscribers are those who follow the endpoints. One that asks for what follows an
// index has the endpoints of that index in force.
type subscribers struct {
	mu   sync.Mutex
	seen map[string]sighting
	// queries counts the requests.
	queries uint64
	// complete is when all subscribers of an earlier run have had the time to ask.
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
// of the query.
func (s *subscribers) asked(name string, index uint64, now time.Time) (query uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seen == nil {
		s.seen = map[string]sighting{}
	}
	if _, known := s.seen[name]; !known && len(s.seen) >= maxSubscribers {
		return 0 // it gets the endpoints, and no drain waits for it
	}
	s.queries++
	s.seen[name] = sighting{index: index, expires: now.Add(subscriberTTL), query: s.queries}
	return s.queries
}

// disconnected notes that the connection of a query broke before it was answered. It
// changes nothing where the subscriber has asked again since.
func (s *subscribers) disconnected(name string, query uint64, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if seen, ok := s.seen[name]; ok && seen.query == query {
		seen.expires = now.Add(returnTime)
		s.seen[name] = seen
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

func (s *subscribers) expire(now time.Time) {
	for name, seen := range s.seen {
		if !now.Before(seen.expires) {
			delete(s.seen, name)
		}
	}
}
