package main

import (
	"slices"
	"testing"
	"time"
)

func TestADelayIsFromAChangeToTheSameOneOnTheScreen(t *testing.T) {
	at := func(ms int) time.Time { return time.UnixMilli(int64(ms)) }
	changes := []change{{"a", false, at(100)}, {"a", true, at(600)}, {"b", false, at(200)}}
	seen := []change{{"a", true, at(50)}, {"b", true, at(210)}, {"a", false, at(130)}, {"a", true, at(640)}}
	got, unseen := delays(changes, seen)
	if want := []time.Duration{30 * time.Millisecond, 40 * time.Millisecond}; !slices.Equal(got, want) || unseen != 1 {
		t.Errorf("got %v, and %d unseen; want %v, and 1", got, unseen, want)
	}
}

func TestAQuantileIsATimeThatWasSeen(t *testing.T) {
	var times []time.Duration
	for i := range 100 {
		times = append(times, time.Duration(100-i))
	}
	for share, want := range map[float64]time.Duration{0: 1, 0.5: 50, 0.95: 95, 1: 100} {
		if got := quantile(share, times); got != want {
			t.Errorf("%v: got %d, want %d", share, got, want)
		}
	}
	if got := quantile(0.95, nil); got != 0 {
		t.Errorf("of none: got %d", got)
	}
}
