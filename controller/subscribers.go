package controller

import (
	"sync"
	"time"
)

// subscriberTTL is how long one who does not ask any more counts as a
// subscriber. With none, nobody is waited for.
const subscriberTTL = time.Minute

// returnTime is how long those who followed the endpoints of an earlier run of
// tend may take to ask again. Until it is over there may be more of them than
// are known. A gateway of the shop retries every two seconds at least.
const returnTime = 10 * time.Second

// maxSubscribers bounds what anybody in the project's networks can make tend
// remember.
const maxSubscribers = 256

// subscribers are those who follow the endpoints. Asking for what follows an
// index says that what that index named is in force.
type subscribers struct {
	mu   sync.Mutex
	seen map[string]sighting
	// complete is when all of them have had the time to ask.
	complete time.Time
}

type sighting struct {
	index uint64
	at    time.Time
}

// await counts with subscribers of an earlier run from now on.
func (s *subscribers) await(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.complete = now.Add(returnTime)
}

// asked notes that a subscriber asked for what follows an index.
func (s *subscribers) asked(name string, index uint64, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seen == nil {
		s.seen = map[string]sighting{}
	}
	if _, known := s.seen[name]; !known && len(s.seen) >= maxSubscribers {
		return // whoever is beyond gets the endpoints, and is not waited for
	}
	s.seen[name] = sighting{index: index, at: now}
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
		if now.Sub(seen.at) > subscriberTTL {
			delete(s.seen, name)
		}
	}
}
