//go:build linux

package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tendhq/tend/api/client"
	"github.com/tendhq/tend/controller/app"
	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/engine/docker"
	"github.com/tendhq/tend/controller/rehearsal"
)

func newRun(f *flags) *cobra.Command {
	var served app.API
	var images []string
	c := &cobra.Command{
		Use:   "run",
		Short: "Run the controller in the foreground, telling what it does and why",
		Long: `Run the controller in the foreground, telling what it does and why, until a signal ends it; what runs goes on running.
On SIGHUP it reads everything again. While another process keeps the project, it stands by.

The API is on a Unix socket in the data directory, and with --listen over TCP, where it wants a token.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := served.TCP.Check(); err != nil {
				return usage(c, err)
			}
			switch f.engine {
			case swarmEngine:
				return run(c.Context(), f, served, f.swarmEngine)
			case modelEngine:
				behaviors, err := behaviorsOf(images)
				if err != nil {
					return usage(c, err)
				}
				return run(c.Context(), f, served, f.modelEngine(behaviors))
			default:
				return run(c.Context(), f, served, f.dockerEngine)
			}
		},
	}
	f.owns(c.Flags())
	s := c.Flags()
	registerImages(s, &images)
	s.StringVar(&served.Listen, "listen", "", "TCP address of the control API, as 127.0.0.1:7070, which wants a token of the data directory (default: the Unix socket alone)")
	s.StringVar(&served.EndpointsListen, "endpoints-listen", "", "TCP address at which gateways and scrapers read endpoints and metrics with a token, as :7071 (default: none)")
	s.BoolVar(&served.AnonymousRead, "anonymous-read", false, "let everyone who reaches a TCP address read without a token")
	s.StringVar(&served.TCP.Cert, "tls-cert", "", "certificate of the TCP addresses, a PEM file that is read again when it changes")
	s.StringVar(&served.TCP.Key, "tls-key", "", "its key, likewise")
	s.StringVar(&served.TCP.ClientCA, "tls-client-ca", "", "PEM file of the authorities whose certificates clients must have, besides a token (default: they need none)")
	s.BoolVar(&served.TCP.Insecure, "insecure", false, "listen off loopback without TLS, so that others may read on the way what goes there, tokens too")
	return c
}

// registerImages adds --image, which says what images do on an engine in memory.
func registerImages(s *pflag.FlagSet, images *[]string) {
	s.StringArrayVar(images, "image", nil, "what the containers of an image do on an engine in memory, as web:2=never-ready: a time until they are ready, as 30s, never-ready, crash, done or missing; may be given more than once")
}

// connecting puts an engine into options, and returns what closes it.
type connecting func(context.Context, *app.Options) (closing func() error, err error)

// run keeps the project until ctx ends.
func run(ctx context.Context, f *flags, served app.API, connect connecting) error {
	tell := newServiceNarrator()
	defer func() { _ = tell.log.Sync() }()
	hangUps := make(chan os.Signal, 1) // a hang-up has to wait while this process stands by
	signal.Notify(hangUps, syscall.SIGHUP)
	defer signal.Stop(hangUps)
	project, err := f.load(ctx)
	if err != nil {
		return fmt.Errorf("cannot start:\n%w", err)
	}
	if f.engine != modelEngine {
		if err := f.refuseTwice(ctx, project); err != nil {
			return fmt.Errorf("cannot start:\n%w", err)
		}
	}
	o := f.options(project)
	f.sayPorts(project, tell)
	if o.DatabaseURL, err = f.database(); err != nil {
		return err
	}
	o.Log, o.OnEvent, o.Say = tell.log, tell.event, tell.say
	closing, err := connect(ctx, &o)
	if err != nil {
		return err
	}
	defer func() { _ = closing() }()
	o.API, o.HangUps = served, hangUps
	return app.Run(ctx, o)
}

// dockerEngine connects to the engine that containers run on. One that is away is waited for.
func (f *flags) dockerEngine(ctx context.Context, o *app.Options) (closing func() error, err error) {
	e, err := docker.New(f.host)
	if err != nil {
		return nil, err
	}
	if err := e.Check(ctx); engine.ClassOf(err) == engine.Invalid {
		return nil, errors.Join(err, e.Close())
	}
	o.Engine = e
	return e.Close, nil
}

// modelEngine puts an engine in memory into options. What tend keeps of it has a folder of
// its own, and begins anew with each engine, whose volumes are empty.
func (f *flags) modelEngine(images map[string]rehearsal.Behavior) connecting {
	return func(ctx context.Context, o *app.Options) (closing func() error, err error) {
		e := rehearsal.New(images, f.spec.IngressImage)
		if err := e.AddExternal(ctx, o.Project); err != nil {
			return nil, errors.Join(err, e.Close())
		}
		o.DataDir = filepath.Join(o.DataDir, modelEngine)
		if _, err := client.Dial(o.DataDir); errors.Is(err, client.ErrNotRunning) {
			if err := os.RemoveAll(o.DataDir); err != nil {
				return nil, errors.Join(err, e.Close())
			}
		}
		o.Say("nothing runs but in memory; ask this controller with --data-dir %s, as tend --data-dir %s watch", o.DataDir, o.DataDir)
		o.Engine, o.AskProbe = e, e.Ask
		return e.Close, nil
	}
}
