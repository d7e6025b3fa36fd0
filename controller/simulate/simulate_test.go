package simulate

import (
	"flag"
	"fmt"
	"testing"
	"time"
)

var (
	seedFlag   = flag.Uint64("seed", 0, "the seed of the first history")
	countFlag  = flag.Int("histories", 200, "how many histories are run")
	storyFlag  = flag.Bool("story", false, "tell the story of each history")
	coverFlag  = flag.Bool("cover", false, "cover")
	shrinkFlag = flag.Bool("shrink", false, "shrink")
)

const steps = 250

func TestHistories(t *testing.T) {
	began := time.Now()
	total := 0
	c := coverage{}
	fails := map[string]int{}
	for seed := *seedFlag; seed < *seedFlag+uint64(*countFlag); seed++ {
		o := run(t, record(seed), steps, *storyFlag)
		total += o.steps
		c.add(o.cover)
		if *storyFlag {
			fmt.Println(o.story)
		}
		if o.failed != "" {
			fails[o.failed]++
			if fails[o.failed] == 1 && len(fails) < 30 {
				fmt.Println(seed, o.steps, o.failed)
			}
			if *shrinkFlag {
				fmt.Println(shrink(t, o, 500).story)
			}
		}
	}
	took := time.Since(began)
	fmt.Println(len(fails), "failures", total, "steps", took, float64(total)/took.Seconds(), "steps/s", took/time.Duration(*countFlag))
	if *coverFlag {
		fmt.Println(c)
	}
}
