package cli

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/tendhq/tend/controller/app"
	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/engine/docker"
)

func newRun(f *flags) *cobra.Command {
	var served app.API
	c := &cobra.Command{
		Use:   "run",
		Short: "Run the controller in the foreground, telling what it does and why",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := served.TCP.Check(); err != nil {
				return usage(c, err)
			}
			return run(c.Context(), f, served)
		},
	}
	f.owns(c.Flags())
	s := c.Flags()
	s.StringVar(&served.Listen, "listen", "", "TCP address of the control API, as 127.0.0.1:7070, which wants a token of the data directory (default: the Unix socket alone)")
	s.StringVar(&served.EndpointsListen, "endpoints-listen", "", "TCP address at which gateways and scrapers read endpoints and metrics with a token, as :7071 (default: none)")
	s.BoolVar(&served.AnonymousRead, "anonymous-read", false, "let everyone who reaches a TCP address read without a token")
	s.StringVar(&served.TCP.Cert, "tls-cert", "", "certificate of the TCP addresses, a PEM file that is read again when it changes")
	s.StringVar(&served.TCP.Key, "tls-key", "", "its key, likewise")
	s.StringVar(&served.TCP.ClientCA, "tls-client-ca", "", "PEM file of the authorities whose certificates clients must have, besides a token (default: they need none)")
	s.BoolVar(&served.TCP.Insecure, "insecure", false, "listen off loopback without TLS, so that others may read on the way what goes there, tokens too")
	return c
}

// run keeps the project until ctx ends.
func run(ctx context.Context, f *flags, served app.API) error {
	tell := newServiceNarrator()
	defer func() { _ = tell.log.Sync() }()
	hangUps := make(chan os.Signal, 1) // a hang-up has to wait while this process stands by
	signal.Notify(hangUps, syscall.SIGHUP)
	defer signal.Stop(hangUps)
	project, err := f.load(ctx)
	if err != nil {
		return fmt.Errorf("cannot start:\n%w", err)
	}
	o := f.options(project)
	f.sayPorts(project, tell)
	if o.DatabaseURL, err = f.database(); err != nil {
		return err
	}
	e, err := docker.New(f.host)
	if err != nil {
		return err
	}
	defer e.Close()
	// One that is away is waited for.
	if err := e.Check(ctx); engine.ClassOf(err) == engine.Invalid {
		return err
	}
	o.Engine, o.Log, o.OnEvent, o.Say = e, tell.log, tell.event, tell.say
	o.API, o.HangUps = served, hangUps
	return app.Run(ctx, o)
}
