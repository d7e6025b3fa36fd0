package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// result is what one measurement has found. What was not measured is 0.
type result struct {
	rate     float64 // per second
	p50, p99 time.Duration
	gbits    float64
	cpu      time.Duration // of the contender, for each operation or each GB
	memory   int64         // bytes
}

const request = "GET / HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n"

func measureConnections(o options, t target) (result, error) {
	return operate(o, t, func() (func() error, error) {
		return func() error {
			c, err := dial(t.address)
			if err != nil {
				return err
			}
			defer c.Close()
			return exchange(c, bytes.Repeat([]byte("m"), 64), 64)
		}, nil
	})
}

func measureFresh(o options, t target) (result, error) {
	return operate(o, t, func() (func() error, error) {
		return func() error {
			c, err := dial(t.address)
			if err != nil {
				return err
			}
			defer c.Close()
			return ask(c, make([]byte, 4096))
		}, nil
	})
}

func measureMessages(o options, t target) (result, error) {
	return operate(o, t, func() (func() error, error) {
		c, err := dial(t.address)
		return func() error { return exchange(c, bytes.Repeat([]byte("m"), 64), 64) }, err
	})
}

func measureRequests(o options, t target) (result, error) {
	return operate(o, t, func() (func() error, error) {
		c, err := dial(t.address)
		buffer := make([]byte, 4096)
		return func() error { return ask(c, buffer) }, err
	})
}

// operate has 64 workers repeat an operation.
func operate(o options, t target, prepare func() (func() error, error)) (result, error) {
	const workers = 64
	var mu sync.Mutex
	var latencies []time.Duration
	var failed error
	var group sync.WaitGroup
	var operations []func() error
	for range workers {
		operation, err := prepare()
		if err != nil {
			return result{}, err
		}
		operations = append(operations, operation)
	}
	before := cpuOf(t.pids)
	began := time.Now()
	for _, operation := range operations {
		group.Go(func() {
			var own []time.Duration
			var err error
			for err == nil && time.Since(began) < o.duration {
				start := time.Now()
				if err = operation(); err == nil {
					own = append(own, time.Since(start))
				}
			}
			mu.Lock()
			defer mu.Unlock()
			latencies = append(latencies, own...)
			failed = errors.Join(failed, err)
		})
	}
	group.Wait()
	took := time.Since(began)
	if failed != nil {
		return result{}, failed
	}
	slices.Sort(latencies)
	n := len(latencies)
	return result{
		rate: float64(n) / took.Seconds(),
		p50:  latencies[n/2],
		p99:  latencies[n*99/100],
		cpu:  (cpuOf(t.pids) - before) / time.Duration(n),
	}, nil
}

func measureStream(o options, t target) (result, error) {
	var received atomic.Int64
	var group sync.WaitGroup
	before := cpuOf(t.pids)
	began := time.Now()
	for range 4 {
		c, err := dial(t.address)
		if err != nil {
			return result{}, err
		}
		if _, err := io.WriteString(c, "S"); err != nil {
			return result{}, err
		}
		group.Go(func() {
			defer c.Close()
			buffer := make([]byte, 256<<10)
			for time.Since(began) < o.duration {
				n, err := c.Read(buffer)
				if err != nil {
					return
				}
				received.Add(int64(n))
			}
		})
	}
	group.Wait()
	took := time.Since(began)
	gigabytes := float64(received.Load()) / 1e9
	return result{
		gbits: 8 * gigabytes / took.Seconds(),
		cpu:   time.Duration(float64(cpuOf(t.pids)-before) / gigabytes),
	}, nil
}

func measureOpenTCP(o options, t target) (result, error) {
	return measureOpen(o, t, func(c net.Conn) error { return exchange(c, []byte("0123456789abcdef"), 16) })
}

func measureOpenHTTP(o options, t target) (result, error) {
	buffer := make([]byte, 4096)
	return measureOpen(o, t, func(c net.Conn) error { return ask(c, buffer) })
}

// measureOpen opens connections, uses each once, and sees what they cost.
func measureOpen(o options, t target, use func(net.Conn) error) (result, error) {
	for range o.connections {
		c, err := dial(t.address)
		if err != nil {
			return result{}, err
		}
		defer c.Close()
		if err := use(c); err != nil {
			return result{}, err
		}
	}
	time.Sleep(3 * time.Second)
	return result{memory: memoryOf(t.pids)}, nil
}

var next atomic.Uint32

// dial connects from one of several addresses, so that ports do not run out.
func dial(address string) (net.Conn, error) {
	from := net.IPv4(127, 0, 1, byte(1+next.Add(1)%8))
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: from}, Timeout: 10 * time.Second}
	return d.Dial("tcp", address)
}

func exchange(c net.Conn, message []byte, n int) error {
	if _, err := c.Write(message); err != nil {
		return err
	}
	_, err := io.ReadFull(c, message[:n])
	return err
}

// ask sends a request and reads the answer, whose body is 1 KiB.
func ask(c net.Conn, buffer []byte) error {
	if _, err := io.WriteString(c, request); err != nil {
		return err
	}
	have := 0
	for {
		n, err := c.Read(buffer[have:])
		if err != nil {
			return err
		}
		have += n
		if head, body, ok := bytes.Cut(buffer[:have], []byte("\r\n\r\n")); ok && len(body) == 1024 {
			if !bytes.HasPrefix(head, []byte("HTTP/1.1 200")) {
				return fmt.Errorf("answered with %.40q", head)
			}
			return nil
		}
	}
}

// cpuOf is the processor time that processes have taken.
func cpuOf(pids []int) (total time.Duration) {
	for _, pid := range pids {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			continue
		}
		fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
		for _, field := range fields[14-3 : 16-3] {
			ticks, _ := strconv.ParseInt(field, 10, 64)
			total += time.Duration(ticks) * 10 * time.Millisecond
		}
	}
	return total
}

// memoryOf is the memory of processes, where what they share counts once.
func memoryOf(pids []int) (total int64) {
	for _, pid := range pids {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(text)) {
			var kib int64
			if _, err := fmt.Sscanf(line, "Pss: %d kB", &kib); err == nil {
				total += kib << 10
			}
		}
	}
	return total
}
