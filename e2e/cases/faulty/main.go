// Command faulty runs a service of the shop as a bad release would run.
//
//	faulty never PROGRAM   live, and never ready
//	faulty crash PROGRAM   exits at once
//	faulty dies PROGRAM    serves, and dies without a word after five seconds
//
// With further arguments, which are the service's subcommands, it is PROGRAM
// itself: the migrations of a bad release may well work.
package main

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"syscall"
	"time"
)

func main() {
	if len(os.Args) < 3 {
		fail(fmt.Errorf("usage: faulty never|crash|dies PROGRAM [SUBCOMMAND...]"))
	}
	fault, program := os.Args[1], os.Args[2:]
	if len(program) > 1 {
		fail(syscall.Exec(program[0], program, os.Environ()))
	}
	switch fault {
	case "never":
		fail(http.ListenAndServe(":"+os.Getenv("PORT"), http.HandlerFunc(neverReady)))
	case "crash":
		fail(fmt.Errorf("a bad release crashes"))
	case "dies":
		child := exec.Command(program[0])
		child.Stdout, child.Stderr = os.Stdout, os.Stderr
		if err := child.Start(); err != nil {
			fail(err)
		}
		time.Sleep(5 * time.Second)
		// The end of a container's first process is the end of all.
		fail(fmt.Errorf("a bad release dies"))
	default:
		fail(fmt.Errorf("unknown fault %q", fault))
	}
}

func neverReady(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/health/live" {
		http.Error(w, "a bad release is never ready", http.StatusServiceUnavailable)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
