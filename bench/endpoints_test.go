package main

import (
	"testing"
	"time"
)

func TestFewestEndpointsBeginsWithThoseInForce(t *testing.T) {
	at := func(seconds int) time.Time { return time.Unix(int64(seconds), 0) }
	f := &follower{changes: []change{
		{at(0), []string{}}, {at(10), []string{"a", "b"}}, {at(20), []string{"a"}}, {at(30), []string{"a", "c", "d"}},
	}}
	for since, want := range map[int]int{5: 0, 15: 1, 25: 1, 35: 3} {
		if got := f.fewest(at(since)); got != want {
			t.Errorf("since %d s: %d, want %d", since, got, want)
		}
	}
}
