// Command mailbox receives the shop's mail by SMTP on port 1025, and shows it as JSON over
// HTTP on port 8025. With the argument healthcheck it exits 0 if one that runs answers.
package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/tendhq/tend/services/internal/mailbox"
)

const (
	smtpAddress = ":1025"
	httpAddress = ":8025"
	timeout     = 5 * time.Second
)

func main() {
	run := serve
	if len(os.Args) == 2 && os.Args[1] == "healthcheck" {
		run = check
	}
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "mailbox:", err)
		os.Exit(1)
	}
}

func serve() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	box := mailbox.New()
	receiver := box.Server()
	receiver.Addr, receiver.ReadTimeout, receiver.WriteTimeout = smtpAddress, timeout, timeout
	page := &http.Server{Addr: httpAddress, Handler: box, ReadTimeout: timeout, WriteTimeout: timeout}
	ended := make(chan error, 2)
	go func() { ended <- receiver.ListenAndServe() }()
	go func() { ended <- page.ListenAndServe() }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		return errors.Join(receiver.Close(), page.Close())
	}
}

func check() error {
	client := http.Client{Timeout: timeout}
	response, err := client.Get("http://127.0.0.1" + httpAddress)
	if err != nil {
		return err
	}
	return response.Body.Close()
}
