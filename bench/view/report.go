package main

import (
	_ "embed"
	"fmt"
	"os"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"text/template"
	"time"
)

//go:embed report.md.tmpl
var reportText string

// row is something that was measured.
type row struct {
	What, Details, Target, Seen string
	Met                         bool
}

// Verdict is the last column.
func (r row) Verdict() string {
	if r.Met {
		return "met"
	}
	return "NOT MET"
}

// report is all that was measured, and what the figures depend on.
type report struct {
	Date, Machine, Load string
	Duration            time.Duration
	Rows                []row
}

func newReport(o options) (report, error) {
	load, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return report{}, err
	}
	kernel, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return report{}, err
	}
	return report{
		Date: time.Now().Format(time.DateOnly), Load: strings.Fields(string(load))[0], Duration: o.duration,
		Machine: fmt.Sprintf("%d cores (%s), kernel %s", runtime.NumCPU(), runtime.GOARCH, strings.TrimSpace(string(kernel))),
	}, nil
}

func (r report) render() (string, error) {
	t, err := template.New("report").Parse(reportText)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	err = t.Execute(&b, r)
	return b.String(), err
}

// restarted finds the replica in the message of a stream that tells of its start after a
// death.
var restarted = regexp.MustCompile(`"reason":"Restarted","message":"(view-web[0-9]+-[0-9]+)`)

func percent(share float64) string { return fmt.Sprintf("%.1f %%", 100*share) }

func mebibytes(bytes int64) float64 { return float64(bytes) / (1 << 20) }

// clockTick is the unit of times in /proc/PID/stat: 100 a second on every platform that Go
// runs on (USER_HZ).
const clockTick = 10 * time.Millisecond

// cpuOf is what a process has taken so far.
func cpuOf(pid int) (cpu time.Duration, err error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// The name, in brackets, may hold spaces; utime and stime are fields 14 and 15
	// (proc(5)), and the third field is the first one after the name.
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	for _, field := range fields[14-3 : 16-3] {
		ticks, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, err
		}
		cpu += time.Duration(ticks) * clockTick
	}
	return cpu, nil
}
