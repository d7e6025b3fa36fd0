package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/docker/docker/client"
)

// facts are what the figures depend on.
type facts struct {
	Date, Machine, System, Engine, Compose, Load string
}

func gatherFacts(ctx context.Context, cli *client.Client, bin string) (facts, error) {
	info, err := cli.Info(ctx)
	if err != nil {
		return facts{}, fmt.Errorf("no container engine answers: %w", err)
	}
	version, err := exec.CommandContext(ctx, filepath.Join(bin, "docker-compose"), "version", "--short").Output()
	if err != nil {
		return facts{}, fmt.Errorf("docker-compose version: %w; build it first, with make", err)
	}
	if _, err := os.Stat(filepath.Join(bin, "tend")); err != nil {
		return facts{}, fmt.Errorf("%w; build it first, with make", err)
	}
	load, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return facts{}, err
	}
	return facts{
		Date:    time.Now().Format(time.DateOnly),
		Machine: fmt.Sprintf("%d cores (%s), %.0f GiB of memory", info.NCPU, runtime.GOARCH, float64(info.MemTotal)/(1<<30)),
		System:  fmt.Sprintf("%s, kernel %s", info.OperatingSystem, info.KernelVersion),
		Engine:  fmt.Sprintf("Docker Engine %s, API %s, %s, cgroup v%s", info.ServerVersion, cli.ClientVersion(), info.Driver, info.CgroupVersion),
		Compose: strings.TrimSpace(string(version)),
		Load:    strings.Fields(string(load))[0],
	}, nil
}

// process is what the kernel says of a process.
type process struct {
	cpu            time.Duration // user and system time so far
	resident, peak int64         // bytes
}

// clockTick is the unit of times in /proc/PID/stat: 100 a second on every
// platform that Go runs on (USER_HZ).
const clockTick = 10 * time.Millisecond

func readProcess(pid int) (p process, err error) {
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	stat, err := os.ReadFile(filepath.Join(dir, "stat"))
	if err != nil {
		return p, err
	}
	// The name, in brackets, may hold spaces. utime and stime are fields 14 and
	// 15 (proc(5)); the third field is the first one after the name.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	for _, field := range fields[14-3 : 16-3] {
		ticks, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return p, fmt.Errorf("read %s/stat: %w", dir, err)
		}
		p.cpu += time.Duration(ticks) * clockTick
	}
	status, err := os.ReadFile(filepath.Join(dir, "status"))
	if err != nil {
		return p, err
	}
	for line := range strings.Lines(string(status)) {
		var kib int64
		switch name, value, _ := strings.Cut(line, ":"); name {
		case "VmRSS", "VmHWM":
			if _, err := fmt.Sscanf(value, "%d kB", &kib); err != nil {
				return p, fmt.Errorf("read %s/status: %w", dir, err)
			}
			if name == "VmRSS" {
				p.resident = kib << 10
			} else {
				p.peak = kib << 10
			}
		}
	}
	return p, nil
}
