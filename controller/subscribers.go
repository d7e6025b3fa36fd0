package controller

import (
	"sync"
	"time"
)

// subscriberTTL is how long one who does not ask any more counts as a
// subscriber. With none, nobody is waited for.
const subscriberTTL = time.Minute

// returnTime is how long a subscriber whose connection broke may take to ask
// again before it counts as gone. Those of an earlier run of tend have as long;
// until then there may be more of them than are known. A gateway of the shop
// retries every two seconds at least.
const returnTime = 10 * time.Second

// maxSubscribers bounds what anybody in the project's networks can make tend
// remember.
const maxSubscribers = 256

// subscribers are those who follow the endpoints. Asking for what follows an
// index says that what that index named is in force.
type subscribers struct {
	mu   sync.Mutex
	seen map[string]sighting
	// queries counts what was asked.
	queries uint64
	// complete is when all of them have had the time to ask.
	complete time.Time
}

type sighting struct {
	index uint64
	// expires is when whoever was seen last then counts as gone.
	expires time.Time
	query   uint64 // which query it was
}

// await counts with subscribers of an earlier run from now on.
func (s *subscribers) await(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.complete = now.Add(returnTime)
}

// asked notes that a subscriber asked for what follows an index, and returns the
// query's number.
func (s *subscribers) asked(name string, index uint64, now time.Time) (query uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seen == nil {
		s.seen = map[string]sighting{}
	}
	if _, known := s.seen[name]; !known && len(s.seen) >= maxSubscribers {
		return 0 // whoever is beyond gets the endpoints, and is not waited for
	}
	s.queries++
	s.seen[name] = sighting{index: index, expires: now.Add(subscriberTTL), query: s.queries}
	return s.queries
}

// lost notes that the connection of a query broke before it was answered. Where
// the subscriber has asked again meanwhile, that says nothing.
func (s *subscribers) lost(name string, query uint64, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if seen, ok := s.seen[name]; ok && seen.query == query {
		seen.expires = now.Add(returnTime)
		s.seen[name] = seen
	}
}

// next is when time alone changes who is waited for; zero for never.
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

// count is how many there are, at least.
func (s *subscribers) count(now time.Time) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire(now)
	if now.Before(s.complete) {
		return max(len(s.seen), 1)
	}
	return len(s.seen)
}

// acknowledged says whether each of them has an index in force.
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
