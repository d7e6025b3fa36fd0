// Command reference writes what the commands say of themselves as documents.
//
//	reference man VERSION FOLDER    man pages, one for each command
//	reference markdown FILE         the part of a document that is made from the commands
package main

import (
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra/doc"

	"github.com/tendhq/tend/cmd/cli"
)

func main() {
	if err := write(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "reference:", err)
		os.Exit(1)
	}
}

func write(args []string) error {
	switch {
	case len(args) == 3 && args[0] == "man":
		return manPages(args[1], args[2])
	case len(args) == 2 && args[0] == "markdown":
		return rewrite(args[1])
	}
	return fmt.Errorf("usage: reference man VERSION FOLDER, or reference markdown FILE")
}

// manPages writes the man pages of a version into a folder. Their date is
// SOURCE_DATE_EPOCH, where that is set.
func manPages(version, folder string) error {
	date := time.Now()
	if seconds, err := strconv.ParseInt(os.Getenv("SOURCE_DATE_EPOCH"), 10, 64); err == nil {
		date = time.Unix(seconds, 0)
	}
	date = date.UTC()
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	root := cli.New(version)
	root.DisableAutoGenTag = true
	return doc.GenManTree(root, &doc.GenManHeader{Section: "1", Source: "tend " + version, Manual: "tend", Date: &date}, folder)
}
