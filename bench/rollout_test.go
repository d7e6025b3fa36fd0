package main

import (
	"testing"

	"github.com/docker/docker/api/types/events"
)

func TestFewestRunningIsAtTheLowestPoint(t *testing.T) {
	start, die, kill := events.ActionStart, events.ActionDie, events.ActionKill
	for name, c := range map[string]struct {
		happened []events.Action
		want     int
	}{
		"nothing happens":      {nil, 3},
		"start first":          {[]events.Action{start, kill, die, start, die}, 3},
		"stop first":           {[]events.Action{die, start, die, start}, 2},
		"all at once":          {[]events.Action{kill, kill, die, die, die, start, start, start}, 0},
		"lowest in the middle": {[]events.Action{start, die, die, start, start}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			var happened []events.Message
			for _, a := range c.happened {
				happened = append(happened, events.Message{Action: a})
			}
			if got := fewestRunning(happened, 3); got != c.want {
				t.Errorf("%d, want %d", got, c.want)
			}
		})
	}
}
