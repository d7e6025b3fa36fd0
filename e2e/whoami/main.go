// Command whoami stands in for the image traefik/whoami, which docs/tutorial.md uses, where
// no registry is within reach. It has what the tutorial needs of it.
package main

import (
	"cmp"
	"fmt"
	"net/http"
	"os"
	"time"
)

func main() {
	http.HandleFunc("/health", func(http.ResponseWriter, *http.Request) {})
	http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		host, _ := os.Hostname() // an empty one is seen
		fmt.Fprintf(w, "Name: %s\nHostname: %s\n", os.Getenv("WHOAMI_NAME"), host)
	})
	server := http.Server{Addr: ":" + cmp.Or(os.Getenv("WHOAMI_PORT_NUMBER"), "80"), ReadHeaderTimeout: time.Minute}
	fmt.Println("Starting up on port", server.Addr)
	fmt.Println(server.ListenAndServe())
	os.Exit(1)
}
