// Package config reads a service's configuration from its environment.
package config

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
)

// Env reads environment variables and collects every problem it meets, so that
// one start shows all that is wrong.
type Env struct {
	lookup func(name string) (string, bool)
	errs   []error
}

// NewEnv returns an Env that reads through lookup, os.LookupEnv in a process.
func NewEnv(lookup func(name string) (string, bool)) *Env {
	return &Env{lookup: lookup}
}

// Err returns all problems met so far, joined, or nil.
func (e *Env) Err() error {
	return errors.Join(e.errs...)
}

// Required returns a variable that must be set and not empty.
func (e *Env) Required(name string) string {
	value, _ := e.lookup(name)
	if value == "" {
		e.Fail("%s is not set", name)
	}
	return value
}

// String returns a variable, or fallback where it is unset or empty.
func (e *Env) String(name, fallback string) string {
	if value, _ := e.lookup(name); value != "" {
		return value
	}
	return fallback
}

// Port returns a TCP port number, or fallback where it is unset or empty.
func (e *Env) Port(name string, fallback int) int {
	value, _ := e.lookup(name)
	if value == "" {
		return fallback
	}
	port, err := strconv.ParseUint(value, 10, 16)
	if err != nil || port == 0 {
		e.Fail("%s is %q, want a port number from 1 to 65535", name, value)
	}
	return int(port)
}

// Number returns a whole number from 1.
func (e *Env) Number(name string, fallback int) int {
	value, _ := e.lookup(name)
	if value == "" {
		return fallback
	}
	number, err := strconv.ParseUint(value, 10, 31)
	if err != nil || number == 0 {
		e.Fail("%s is %q, want a whole number from 1", name, value)
	}
	return int(number)
}

// URL returns a required absolute http or https URL without a trailing slash.
func (e *Env) URL(name string) *url.URL {
	value := e.Required(name)
	if value == "" {
		return new(url.URL)
	}
	u, err := url.Parse(strings.TrimRight(value, "/"))
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		e.Fail("%s is %q, want a URL such as http://user-service:3001", name, value)
		return new(url.URL)
	}
	return u
}

// Address returns the host and the port of a required variable HOST:PORT.
func (e *Env) Address(name string) (host, port string) {
	value := e.Required(name)
	if value == "" {
		return "", ""
	}
	host, port, err := net.SplitHostPort(value)
	if err != nil || host == "" || port == "" {
		e.Fail("%s is %q, want HOST:PORT", name, value)
	}
	return host, port
}

// Secret returns the content of the file that the variable names, without the
// line break that editors leave at its end. It must not be empty.
func (e *Env) Secret(name string) string {
	path := e.Required(name)
	if path == "" {
		return ""
	}
	content, err := os.ReadFile(path)
	if err != nil {
		e.Fail("%s: %w", name, err)
		return ""
	}
	secret := strings.TrimRight(string(content), "\r\n")
	if secret == "" {
		e.Fail("%s: %s is empty", name, path)
	}
	return secret
}

// Fail records that a variable's value cannot be used.
func (e *Env) Fail(format string, args ...any) {
	e.errs = append(e.errs, fmt.Errorf(format, args...))
}
