// Command probe is what the containers of the end-to-end tests run: a service
// that behaves as its environment says.
//
//	EXIT=N           exit with the code N, at once or after
//	EXIT_AFTER=1s
//	CRASH_FIRST=N    exit with the code N at once, when the container is started first
//	HEALTH=never     fail every health check
//	IGNORE_TERM=1    do not end at SIGTERM
//	DATA=/data       keep rows in this folder, see store
//	DATA_FILES=1     each row in a file of its own
//
// "probe health" is its health check. "probe sick" makes a running one fail it.
// "probe stuck" says so and never ends by itself.
package main

import (
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	address  = ":8080"
	sickFile = "/sick"
	// crashedFile is there once a container has crashed for CRASH_FIRST.
	crashedFile = "/crashed"
)

func main() {
	switch command := strings.Join(os.Args[1:], " "); command {
	case "":
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

func serve() {
	// Set up first: the process is PID 1, to which no signal is given that it
	// has no handler for.
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	fmt.Println(strings.Join(os.Environ(), "\n"))

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

func listen() {
	http.HandleFunc("/health", func(w http.ResponseWriter, _ *http.Request) {
		if _, err := os.Stat(sickFile); err == nil || os.Getenv("HEALTH") == "never" {
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
	if err := http.ListenAndServe(address, nil); err != nil {
		fmt.Println(err)
		os.Exit(1)
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
