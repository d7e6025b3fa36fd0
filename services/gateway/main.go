// Gateway is the shop's HTTP entry: Caddy as a library, with the modules it
// needs and its Caddyfile built in.
package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	// The adapter is registered by httpcaddyfile, the directives by the modules.
	_ "github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/encode"
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/encode/gzip"
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/headers"
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/logging"
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/map"
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/requestbody"
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	_ "github.com/caddyserver/caddy/v2/modules/logging"
	_ "github.com/caddyserver/caddy/v2/modules/metrics"
	_ "github.com/tendhq/tend/services/gateway/caddytend"
)

// version is set at build time with -ldflags "-X main.version=1.0.0".
var version = "dev"

//go:embed Caddyfile
var defaultCaddyfile []byte

const usage = `Usage: gateway [COMMAND] [--config FILE]

Commands:
  (none)       serve until SIGTERM or SIGINT
  healthcheck  ask the gateway on this host whether it is ready; exit 0 or 1
  validate     check the configuration; exit 0 or 1
  version      print the version

  --config FILE  a Caddyfile instead of the built-in one
`

// errUsage marks an error in how the command was called (exit status 2).
var errUsage = errors.New("usage")

func main() {
	err := run(os.Args[1:], os.Stdout)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Print(usage)
	case errors.Is(err, errUsage):
		fmt.Fprintf(os.Stderr, "gateway: %v\n\n%s", err, usage)
		os.Exit(2)
	case err != nil:
		fmt.Fprintf(os.Stderr, "gateway: %v\n", err)
		os.Exit(1)
	}
}

func run(args []string, stdout io.Writer) error {
	command := "serve"
	if len(args) > 0 && len(args[0]) > 0 && args[0][0] != '-' {
		command, args = args[0], args[1:]
	}
	flags := flag.NewFlagSet("gateway", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	file := flags.String("config", "", "")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("%w: unexpected argument %q", errUsage, flags.Arg(0))
	}

	switch command {
	case "serve":
		return serve(*file)
	case "healthcheck":
		return healthcheck()
	case "validate":
		return validate(*file, stdout)
	case "version":
		_, err := fmt.Fprintf(stdout, "gateway %s (caddy %s)\n", version, caddyVersion())
		return err
	default:
		return fmt.Errorf("%w: unknown command %q", errUsage, command)
	}
}

// serve runs the gateway until a signal ends the process: Caddy's handler lets
// the requests in flight finish within grace_period and then exits.
func serve(file string) error {
	config, err := loadConfig(file)
	if err != nil {
		return err
	}
	caddy.TrapSignals()
	if err := caddy.Load(config, true); err != nil {
		return fmt.Errorf("start: %w", err)
	}
	select {}
}

func validate(file string, stdout io.Writer) error {
	config, err := loadConfig(file)
	if err != nil {
		return err
	}
	var decoded caddy.Config
	if err := json.Unmarshal(config, &decoded); err != nil {
		return fmt.Errorf("decode configuration: %w", err)
	}
	if err := caddy.Validate(&decoded); err != nil {
		return fmt.Errorf("validate configuration: %w", err)
	}
	_, err = fmt.Fprintln(stdout, "configuration is valid")
	return err
}

// loadConfig returns, as Caddy's JSON, the Caddyfile named file, or the
// built-in one when file is empty.
func loadConfig(file string) ([]byte, error) {
	source, name := defaultCaddyfile, "Caddyfile"
	if file != "" {
		var err error
		if source, err = os.ReadFile(file); err != nil {
			return nil, fmt.Errorf("read configuration: %w", err)
		}
		name = file
	}
	config, warnings, err := caddyconfig.GetAdapter("caddyfile").Adapt(source, map[string]any{"filename": name})
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	for _, warning := range warnings {
		fmt.Fprintf(os.Stderr, "gateway: warning: %s\n", warning)
	}
	return config, nil
}

// healthcheck asks the gateway that listens on $PORT of this host.
func healthcheck() error {
	port := os.Getenv("PORT")
	if port == "" {
		port = "8080"
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	url := "http://" + net.JoinHostPort("127.0.0.1", port) + "/health/ready"
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("healthcheck: %w", err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("healthcheck: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("healthcheck: %s answered %s", url, response.Status)
	}
	return nil
}

func caddyVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, module := range info.Deps {
			if module.Path == "github.com/caddyserver/caddy/v2" {
				return module.Version
			}
		}
	}
	return "unknown"
}
