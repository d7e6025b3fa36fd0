package cli

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/tendhq/tend/controller/app"
	"github.com/tendhq/tend/controller/engine/docker"
)

// defaultListen is where the control API listens besides the Unix socket.
const defaultListen = "127.0.0.1:7070"

func newRun(f *flags) *cobra.Command {
	var listen, endpointsListen string
	c := &cobra.Command{
		Use:   "run",
		Short: "Run the controller in the foreground, telling what it does and why",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return run(c.Context(), f, listen, c.Flags().Changed("listen"), endpointsListen)
		},
	}
	f.owns(c.Flags())
	c.Flags().StringVar(&listen, "listen", defaultListen, "address of the control API, or empty for the Unix socket only; off loopback it asks for the token in the data directory")
	c.Flags().StringVar(&endpointsListen, "endpoints-listen", "", "address at which gateways and scrapers may read endpoints and metrics without a token, as :7071 (default: none)")
	return c
}

// run keeps the project until ctx ends.
func run(ctx context.Context, f *flags, listen string, explicit bool, endpointsListen string) error {
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
	if o.DatabaseURL, err = f.database(); err != nil {
		return err
	}
	e, err := docker.New(f.host)
	if err != nil {
		return err
	}
	defer e.Close()
	o.Engine, o.Log, o.OnEvent, o.Say = e, tell.log, tell.event, tell.say
	o.Listen, o.ListenOptional, o.EndpointsListen, o.HangUps = listen, !explicit, endpointsListen, hangUps
	return app.Run(ctx, o)
}
