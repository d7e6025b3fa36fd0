package simulate

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

var (
	seedFlag      = flag.Uint64("seed", 0, "the seed of the first history")
	historiesFlag = flag.Uint64("histories", 60, "how many histories are run")
	forFlag       = flag.Duration("for", 0, "for how long histories are run, whatever their number")
	searchFlag    = flag.Bool("search", false, "look for the first seed from -seed on that finds each planted bug")
	storyFlag     = flag.Bool("story", false, "tell the story of each history")
	oneInFlag     = flag.Int("one-in", 80, "one in so many pairs of crash points is run")
)

// steps is how many things happen in a history before nothing goes wrong any more.
const steps = 30

var files *folder

func TestMain(m *testing.M) {
	flag.Parse()
	var err error
	if files, err = newFolder(); err != nil {
		panic(err)
	}
	code := m.Run()
	if err := os.RemoveAll(files.dir); err != nil {
		panic(err)
	}
	if err := goleak.Find(); code == 0 && err != nil {
		fmt.Println(err)
		code = 1
	}
	os.Exit(code)
}

// history runs the history of a seed.
func history(t *testing.T, seed uint64, story bool) (failed, told string) {
	t.Helper()
	return inWorld(t, files, seed, story, func(w *world) {
		w.fault = one(w, 0, 2, 6)
		if w.chance(50) { // managers that manage only
			for _, node := range []string{"node1", "node2", "node3"} {
				w.swarm.SetAvailability(node, "drain")
			}
		}
		w.start()
		for range steps {
			w.happen()
			w.answer()
		}
		w.rest()
	})
}

// TestHistoriesThatFailed runs those that found a mistake of tend's, by what it was.
func TestHistoriesThatFailed(t *testing.T) {
	for mistake, seed := range map[string]uint64{
		"a pause lets another revision begin":                      5210461,
		"a Job that is written again does not run":                 5220269,
		"a plan is thought of as last when it has noted something": 5220682,
	} {
		if failed, _ := history(t, seed, false); failed != "" {
			t.Errorf("%s: the history of seed %d fails: %s", mistake, seed, failed)
		}
	}
}

// TestHistories runs histories, each from a seed of its own.
func TestHistories(t *testing.T) {
	const enough = 3
	most, found, n, began := *historiesFlag, 0, 0, time.Now()
	if testing.Short() {
		most = min(most, 20)
	}
	for seed := *seedFlag; found < enough; seed++ {
		if *forFlag == 0 && seed >= *seedFlag+most || *forFlag > 0 && time.Since(began) > *forFlag {
			break
		}
		n++
		failed, told := history(t, seed, *storyFlag)
		if *storyFlag {
			fmt.Println(told)
		}
		if failed != "" {
			found++
			t.Errorf("the history of seed %d fails: %s\nRun it again with: make simulate-swarm SEED=%d HISTORIES=1 STORY=1", seed, failed, seed)
		}
	}
	t.Logf("%d histories from seed %d on in %s", n, *seedFlag, time.Since(began).Round(time.Second))
}

// A history follows from its seed alone, to the last word of its story.
func TestTheSameSeedIsTheSameHistory(t *testing.T) {
	for seed := range uint64(40) {
		_, first := history(t, seed, true)
		_, second := history(t, seed, true)
		a, b := strings.Split(first, "\n"), strings.Split(second, "\n")
		for i := range min(len(a), len(b)) {
			if a[i] != b[i] {
				t.Fatalf("seed %d: line %d is once\n%s\nand then\n%s", seed, i+1, a[i], b[i])
			}
		}
		if len(a) != len(b) {
			t.Fatalf("seed %d: one story has %d lines, and the other %d", seed, len(a), len(b))
		}
	}
}
