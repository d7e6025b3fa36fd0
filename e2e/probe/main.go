// Command probe is what the containers of the end-to-end tests run: a service
// that behaves as its environment says.
//
//	EXIT=N           exit with the code N, at once or after
//	EXIT_AFTER=1s
//	CRASH_FIRST=N    exit with the code N at once, when the container is started first
//	EXIT_FIRST=N     exit with 1 at the first N starts of the container
//	HEALTH=never     fail every health check
//	HEALTHY_AFTER=5s fail the health checks of the first five seconds
//	SICK_AFTER=20s   fail those after twenty
//	IGNORE_TERM=1    do not end at SIGTERM
//	DATA=/data       keep rows in this folder, see store
//	DATA_FILES=1     each row in a file of its own
//	ADDRESS=:9000    listen there
//	ECHO=:9001       echo what comes in there
//	PROXY=web:8080   pass what is under /peer/ on, each request to one of the name's addresses
//	BUSY=/load/busy  use the CPU while this file is there
//
// "probe serve ARGUMENT..." is the same, for images whose program takes some.
// "probe wait HOST:PORT" ends with 0 once somebody listens there.
// "probe health" is its health check. "probe sick" makes a running one fail it.
// "probe stuck" says so and never ends by itself.
package main

import (
	"cmp"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/net/websocket"
)

const (
	sickFile   = "/sick"
	startsFile = "/starts"
	// crashedFile is there once a container has crashed for CRASH_FIRST.
	crashedFile = "/crashed"
)

// address is where it listens.
var address = cmp.Or(os.Getenv("ADDRESS"), ":8080")

func main() {
	if len(os.Args) > 2 {
		switch os.Args[1] {
		case "serve":
			serve()
			return
		case "wait":
			wait(os.Args[2])
			return
		}
	}
	switch command := strings.Join(os.Args[1:], " "); command {
	case "", "serve":
		serve()
	case "health":
		if err := health(); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
	case "sick":
		if err := os.WriteFile(sickFile, nil, 0o600); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
	case "stuck":
		fmt.Println("waiting for a lock")
		time.Sleep(24 * time.Hour)
	default:
		fmt.Println("no such command:", command)
		os.Exit(2)
	}
}

// work uses a core while a file is there.
func work(file string) {
	const burst = 50 * time.Millisecond
	for {
		if _, err := os.Stat(file); err != nil {
			time.Sleep(burst)
			continue
		}
		for began := time.Now(); time.Since(began) < burst; {
		}
	}
}

func serve() {
	// Set up first: the process is PID 1, to which no signal is given that it
	// has no handler for.
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	fmt.Println(strings.Join(os.Environ(), "\n"))
	if first, err := strconv.Atoi(os.Getenv("EXIT_FIRST")); err == nil && countStart() <= first {
		os.Exit(1)
	}

	if code, err := strconv.Atoi(os.Getenv("CRASH_FIRST")); err == nil {
		if _, err := os.Stat(crashedFile); os.IsNotExist(err) {
			if err := os.WriteFile(crashedFile, nil, 0o600); err != nil {
				fmt.Println(err)
			}
			os.Exit(code)
		}
	}
	var exit <-chan time.Time
	code, err := strconv.Atoi(os.Getenv("EXIT"))
	if err == nil {
		after, _ := time.ParseDuration(os.Getenv("EXIT_AFTER"))
		exit = time.After(after)
	}
	go listen()
	if file := os.Getenv("BUSY"); file != "" {
		go work(file)
	}
	for {
		select {
		case <-exit:
			os.Exit(code)
		case <-stop:
			if os.Getenv("IGNORE_TERM") == "" {
				return
			}
		}
	}
}

// countStart counts the starts of the container and returns their number.
func countStart() int {
	file, err := os.OpenFile(startsFile, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err == nil {
		defer file.Close()
		_, err = file.WriteString(".")
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	starts, _ := os.ReadFile(startsFile)
	return len(starts)
}

// wait waits until somebody listens at an address.
func wait(peer string) {
	for {
		connection, err := net.DialTimeout("tcp", peer, time.Second)
		if err == nil {
			connection.Close()
			return
		}
		fmt.Println(err)
		time.Sleep(200 * time.Millisecond)
	}
}

// healthy reports whether health checks pass at a time after the start.
func healthy(up time.Duration) bool {
	if _, err := os.Stat(sickFile); err == nil || os.Getenv("HEALTH") == "never" {
		return false
	}
	after, _ := time.ParseDuration(os.Getenv("HEALTHY_AFTER"))
	until, err := time.ParseDuration(os.Getenv("SICK_AFTER"))
	return up >= after && (err != nil || up < until)
}

func listen() {
	started := time.Now()
	http.HandleFunc("/health", func(w http.ResponseWriter, _ *http.Request) {
		if !healthy(time.Since(started)) {
			http.Error(w, "not healthy", http.StatusServiceUnavailable)
		}
	})
	http.HandleFunc("/env", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, strings.Join(os.Environ(), "\n"))
	})
	if dir := os.Getenv("DATA"); dir != "" {
		rows, err := openStore(dir, os.Getenv("DATA_FILES") != "")
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		http.Handle("/rows", rows)
		http.Handle("/rows/", rows)
	}
	if peer := os.Getenv("PROXY"); peer != "" {
		http.Handle("/peer/", http.StripPrefix("/peer", pass(peer)))
	}
	http.Handle("/socket", websocket.Handler(func(c *websocket.Conn) { _, _ = io.Copy(c, c) }))
	if at := os.Getenv("ECHO"); at != "" {
		go echo(at)
	}
	if err := http.ListenAndServe(address, nil); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

// echo sends back what comes in at an address.
func echo(at string) {
	l, err := net.Listen("tcp", at)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	for {
		c, err := l.Accept()
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		go func() {
			defer c.Close()
			_, _ = io.Copy(c, c)
		}()
	}
}

func health() error {
	client := http.Client{Timeout: 5 * time.Second}
	answer, err := client.Get("http://127.0.0.1" + address + "/health")
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("not healthy: %s", answer.Status)
	}
	return nil
}
