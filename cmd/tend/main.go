// Command tend keeps a Docker Compose project at its desired state.
package main

import (
	"os"

	"github.com/tendhq/tend/cmd/cli"
)

// version is set with -ldflags "-X main.version=…".
var version = "dev"

func main() { os.Exit(cli.Run(version, os.Args[1:])) }
