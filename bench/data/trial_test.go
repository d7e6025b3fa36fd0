package main

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func TestATrialMakesEachChangeInAnOrderOfItsSeed(t *testing.T) {
	names := func(seed uint64) (names []string) {
		for _, d := range draw(rand.New(rand.NewPCG(seed, 0))) {
			names = append(names, d.name)
		}
		return names
	}
	drawn := names(1)
	for _, c := range changes {
		if !slices.Contains(drawn, c.name) {
			t.Errorf("%q is not made", c.name)
		}
	}
	if len(drawn) != len(changes)+moreUpdates || !slices.Equal(drawn, names(1)) || slices.Equal(drawn, names(2)) {
		t.Errorf("seed 1 draws %q and %q, seed 2 %q", drawn, names(1), names(2))
	}
}

func TestEachKindComesOnceBeforeOneComesAgain(t *testing.T) {
	l := lab{options: options{seed: 5}, kinds: kinds()}
	for turn := range 3 {
		seen := map[string]bool{}
		for i := range l.kinds {
			seen[l.kindOf(turn*len(l.kinds)+i).Name] = true
		}
		if len(seen) != len(l.kinds) {
			t.Errorf("turn %d has %d kinds of %d", turn, len(seen), len(l.kinds))
		}
	}
}

func TestTheReportAddsUpTheTrialsOfAKind(t *testing.T) {
	all := kinds()
	bad := outcome{Changes: 14, Acknowledged: 20_000, Lost: 7_000, Violations: []violation{{twoOnOne, "a and b"}, {twoOnOne, "b and c"}, {volumeGone, "data"}}}
	good := outcome{Changes: 14, Acknowledged: 1_000}
	r := report{Seed: 5, Trials: []trial{
		{Kind: all[0], Tend: bad, Compose: good, Folder: "/tmp/logs"},
		{Kind: all[0], Tend: good, Compose: good},
		{Kind: all[1], Tend: good, Compose: outcome{Changes: 3, Acknowledged: 900, Lost: 900}},
	}}
	text, err := r.render()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"| " + all[0].Title + " | 2 | 28 | 21,000 | 7,000 | 3 | 28 | 2,000 | 0 | 0 |\n",
		"| " + all[1].Title + " | 1 | 14 | 1,000 | 0 | 0 | 3 | 900 | 900 | 0 |\n",
		"| all | 3 | 42 | 22,000 | 7,000 | 3 | 31 | 2,900 | 900 | 0 |\n\n",
		"| " + twoOnOne + " | 2 | 0 |\n",
		"22,000 rows were acknowledged during 42 changes, and 7,000 were lost",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	if strings.Contains(text, all[2].Title) {
		t.Errorf("a kind that was not tried is in\n%s", text)
	}
	if err := r.failure(); err == nil || !strings.Contains(err.Error(), "1 of 3 trials; their logs are in\n/tmp/logs") {
		t.Errorf("the failure is %v", err)
	}
	r.Trials = r.Trials[1:] // what Compose loses is no failure
	if err := r.failure(); err != nil {
		t.Errorf("the failure is %v", err)
	}
}
