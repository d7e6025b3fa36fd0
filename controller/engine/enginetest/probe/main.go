// Command probe is what the containers of the conformance suite run: it behaves
// as its flags say, which are the fields of model.Behavior.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/engine/enginetest/process"
)

// healthFile exists while "probe health" should pass; exitFile holds the code to
// exit with at SIGUSR1.
const (
	healthFile = "/healthy"
	exitFile   = "/exit"
)

func main() {
	if len(os.Args) > 2 && os.Args[1] == "tell" {
		if err := tell(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if len(os.Args) > 1 && os.Args[1] == "exec" {
		code, after := process.Run(engine.ExecSpec{
			Command: os.Args, User: strconv.Itoa(os.Getuid()), Env: os.Environ(),
			Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		})
		time.Sleep(after)
		os.Exit(code)
	}
	if len(os.Args) > 1 && os.Args[1] == "health" {
		if _, err := os.Stat(healthFile); err != nil {
			fmt.Println("not healthy")
			os.Exit(1)
		}
		return
	}
	var (
		exits       = flag.Bool("exits", false, "exit by itself")
		after       = flag.Duration("after", 0, "when to exit")
		code        = flag.Int("code", 0, "code to exit with")
		ignoresStop = flag.Bool("ignores-stop", false, "ignore SIGTERM")
		stopAfter   = flag.Duration("stop-after", 0, "how long to take to exit after SIGTERM")
		stopCode    = flag.Int("stop-code", 0, "code to exit with after SIGTERM")
		healthAfter = flag.Duration("health-after", 0, "when to become healthy")
		sick        = flag.Bool("sick", false, "never become healthy")
		cores       = flag.Float64("cores", 0, "how many cores to use")
		memory      = flag.Int("memory", 0, "how many bytes of memory to use")
	)
	flag.Parse()

	stop, told := make(chan os.Signal, 1), make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	signal.Notify(told, syscall.SIGUSR1)
	// A file from an earlier run of the container is not this run's health.
	_ = os.Remove(healthFile)
	for range int(*cores) {
		go func() {
			for {
				runtime.Gosched() // so that signals are seen with one core, too
			}
		}()
	}
	held := use(*memory)
	defer runtime.KeepAlive(held)
	fmt.Println(strings.Join(flag.Args(), "\n"))

	var exit, healthy <-chan time.Time
	if *exits {
		exit = time.After(*after)
	}
	if !*sick {
		healthy = time.After(*healthAfter)
	}
	for {
		select {
		case <-exit:
			os.Exit(*code)
		case <-stop:
			if *ignoresStop {
				continue
			}
			time.Sleep(*stopAfter)
			os.Exit(*stopCode)
		case <-told:
			os.Exit(toldCode())
		case <-healthy:
			if err := os.WriteFile(healthFile, nil, 0o600); err != nil {
				fmt.Fprintln(os.Stderr, err)
			}
		}
	}
}

// use takes that many bytes of memory, and writes to each page.
func use(bytes int) []byte {
	held := make([]byte, bytes)
	for i := 0; i < bytes; i += os.Getpagesize() {
		held[i] = 1
	}
	return held
}

// tell has the container's own process do what an outsider wants: "well", "sick",
// "exhaust", or "exit CODE".
func tell(what []string) error {
	switch what[0] {
	case "well":
		return os.WriteFile(healthFile, nil, 0o600)
	case "sick":
		return os.RemoveAll(healthFile)
	case "exhaust":
		if err := os.WriteFile(exitFile, []byte(what[0]), 0o600); err != nil {
			return err
		}
		return syscall.Kill(1, syscall.SIGUSR1)
	default:
		if err := os.WriteFile(exitFile, []byte(what[1]), 0o600); err != nil {
			return err
		}
		return syscall.Kill(1, syscall.SIGUSR1)
	}
}

func toldCode() int {
	content, err := os.ReadFile(exitFile)
	if err != nil {
		return 1
	}
	if string(content) == "exhaust" {
		var all [][]byte
		for {
			all = append(all, use(16<<20))
			runtime.KeepAlive(all)
		}
	}
	code, err := strconv.Atoi(string(content))
	if err != nil {
		return 1
	}
	return code
}
