package simulate

import (
	"flag"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/simulate/bugtest"
)

var searchFlag = flag.Bool("search", false, "look for the first seed from -seed on that finds each planted bug")

// TestPlantedBugs shows that the simulator finds mistakes: it builds itself with
// all bugs, switches on one at a time, and expects a history to fail.
func TestPlantedBugs(t *testing.T) {
	if testing.Short() {
		t.Log("the build with planted bugs takes a while; only the places are checked")
		bugtest.Plant(t, "..", bugs)
		return
	}
	binary := bugtest.Build(t, "..", bugs)
	var mu sync.Mutex
	rows := map[string]string{}
	t.Run("bugs", func(t *testing.T) {
		for _, b := range bugs {
			t.Run(b.Name, func(t *testing.T) {
				t.Parallel()
				began := time.Now()
				by := find(t, binary, b)
				mu.Lock()
				defer mu.Unlock()
				rows[b.Name] = fmt.Sprintf("| %s | %d | %s | %s |", b.Name, by.Seed, by.Message, time.Since(began).Round(100*time.Millisecond))
				t.Log(rows[b.Name])
			})
		}
	})
	if *searchFlag {
		fmt.Printf("from seed %d on:\n", *seedFlag)
		for _, b := range bugs {
			fmt.Println(rows[b.Name])
		}
	}
	require.Nil(t, binary.Failing(t, "", 0, 20), "without a bug nothing fails")
}

// find returns a history that finds a bug. It is the one of the bug's own seed, unless that
// draws another history by now, or another seed is to be looked for.
func find(t *testing.T, binary bugtest.Binary, b bugtest.Bug) *bugtest.Failure {
	t.Helper()
	if !*searchFlag {
		if f := binary.Finding(t, b.Name, b.Seed, 1); f != nil {
			return f
		}
	}
	from, most := uint64(0), uint64(3_000) // histories: about a minute
	if *searchFlag {
		from, most = *seedFlag, 30_000
	}
	f := binary.Finding(t, b.Name, from, most)
	require.NotNil(t, f, "nothing finds it")
	return f
}

// TestFirstFailure runs histories until one fails, for TestPlantedBugs. Without
// a planted bug none does.
func TestFirstFailure(t *testing.T) {
	if os.Getenv("PLANTED_BUG") == "" && !testing.Short() {
		*historiesFlag = min(*historiesFlag, 20)
	}
	bugtest.FirstFailure(t, *seedFlag, *historiesFlag, func(seed uint64) string { return run(t, record(seed), steps, false).failed })
}
