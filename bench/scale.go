package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"
)

// scaleSizes are the numbers of workloads, each of scaleReplicas replicas.
var scaleSizes = []int{10, 100, 1000}

const scaleReplicas = 10

// scaled is what bench/scale measured with one number of workloads.
type scaled struct {
	Workloads, Replicas    int
	Load, Know             float64 // milliseconds
	PlannedP50, PlannedP99 float64 // after a replica's death
	ActedP50, ActedP99     float64
	Plans                  float64 // for one death
	Controller, Resident   float64 // MiB
}

// scale measures one controller over many workloads, in a process of its own
// for each size, on the engine in memory.
func (b *bench) scale(ctx context.Context) error {
	program := filepath.Join(b.dir, "scale")
	if output, err := exec.CommandContext(ctx, "go", "build", "-o", program, "./scale").CombinedOutput(); err != nil {
		return fmt.Errorf("build the program of the scale: %w\n%s", err, output)
	}
	for _, workloads := range scaleSizes {
		progress("%d workloads of %d replicas", workloads, scaleReplicas)
		cmd := exec.CommandContext(ctx, program, "-workloads", strconv.Itoa(workloads), "-replicas", strconv.Itoa(scaleReplicas))
		cmd.Stderr = os.Stderr
		output, err := cmd.Output()
		if err != nil {
			return fmt.Errorf("%d workloads: %w", workloads, err)
		}
		var s scaled
		if err := json.Unmarshal(output, &s); err != nil {
			return err
		}
		b.report.Scales = append(b.report.Scales, s)
	}
	largest := b.report.Scales[len(b.report.Scales)-1]
	size := fmt.Sprintf("%d workloads, %d replicas", largest.Workloads, largest.Replicas)
	b.report.below(size+": from the start until everything is known", milliseconds(largest.Load+largest.Know), 3*time.Second)
	b.report.below(size+": a replica dies, until what to do is planned (p99)", milliseconds(largest.PlannedP99), 10*time.Millisecond)
	b.report.Targets = append(b.report.Targets, target{
		Name: size + ": resident memory, the engine in memory included", Promised: "< 300 MiB",
		Measured: fmt.Sprintf("%.0f MiB", largest.Resident), Met: largest.Resident < 300,
	})
	return nil
}

func milliseconds(ms float64) time.Duration { return time.Duration(ms * float64(time.Millisecond)) }
