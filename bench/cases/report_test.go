package main

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tendhq/tend/e2e/cases"
	"github.com/tendhq/tend/e2e/load"
)

func TestTheReportCountsAndShowsEveryCase(t *testing.T) {
	all := cases.All()
	r := report{Requests: 100_000, Concurrency: 16, Writes: 0.03, Fresh: 0.1, Results: []cases.Result{
		{Case: all[0], Plain: 4, Killed: 3, Report: load.Report{
			Requests: 100_020, Failures: make([]load.Failure, 2), Ledger: load.Ledger{Acknowledged: 2_000},
			Latency: load.Latency{P50: 7 * time.Millisecond, P99: 80 * time.Millisecond, P999: 999 * time.Millisecond, Max: 1_900 * time.Millisecond},
		}},
		{Case: all[1], Report: load.Report{Requests: 100_005, Ledger: load.Ledger{Acknowledged: 1_000, Wrong: []string{"lost"}}}, Err: errors.New("1 writes are not as acknowledged")},
	}}
	text, err := r.render()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"200,025 requests, 2 failed. 3,000 acknowledged writes were looked up afterwards, 1 were wrong.",
		"| " + all[0].Title + " | 100,020 | 2 | 7 ms | 80 ms | 999 ms | 1.9 s | 4 | 3 | 2,000 | 0 |\n",
		"3 % of them writes",
		"- FAILED: 1 writes are not as acknowledged\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
}
