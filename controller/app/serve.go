package app

import (
	"context"
	"fmt"
	"net"

	"golang.org/x/sync/errgroup"

	"github.com/tendhq/tend/api"
)

// API says where the API is served besides the Unix socket, and to whom.
type API struct {
	// Listen is the TCP address of the control API. Where it is empty, there is none.
	Listen string
	// EndpointsListen is the TCP address of the API that gateways and scrapers read.
	// Where it is empty, there is none.
	EndpointsListen string
	// AnonymousRead has both addresses let everyone read. Otherwise they want a token.
	AnonymousRead bool
	// TCP says how the two addresses are kept from others.
	TCP api.TCP
}

// newServer opens the listeners of the API. The function it returns serves them until
// ctx ends.
func newServer(ctl keeper, o Options) (serve func(context.Context) error, err error) {
	var open []net.Listener
	defer func() {
		if err != nil {
			for _, l := range open {
				_ = l.Close()
			}
		}
	}()
	control, err := o.listenTCP(o.API.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen for the control API: %w", err)
	}
	open = append(open, control...)
	public, err := o.listenTCP(o.API.EndpointsListen)
	if err != nil {
		return nil, fmt.Errorf("listen for those who read endpoints: %w", err)
	}
	open = append(open, public...)
	if err := api.MakeTokens(o.DataDir); err != nil {
		return nil, err
	}
	unix, err := api.ListenUnix(o.DataDir)
	if err != nil {
		return nil, err
	}
	config := api.Config{
		Store: ctl.State(), Controller: ctl, Spec: o.Spec,
		Metrics: ctl.Metrics().Handler(), Log: o.Log, DataDir: o.DataDir, AnonymousRead: o.API.AnonymousRead,
		Project: o.Project.Name, Version: o.Version, Swarm: o.Manager != nil,
		Ready: ctl.Ready, Requests: api.NewMetrics(ctl.Metrics().Registerer()),
	}
	return func(ctx context.Context) error {
		serving, ctx := errgroup.WithContext(ctx)
		serving.Go(func() error { return api.Serve(ctx, api.New(config), o.Log, append(control, unix)...) })
		if len(public) > 0 {
			serving.Go(func() error { return api.Serve(ctx, api.NewReadOnly(config), o.Log, public...) })
		}
		return serving.Wait()
	}, nil
}

// listenTCP opens a TCP listener; none for an empty address.
func (o Options) listenTCP(address string) ([]net.Listener, error) {
	if address == "" {
		return nil, nil
	}
	l, err := o.API.TCP.Listen(address, o.Log)
	if err != nil {
		return nil, err
	}
	return []net.Listener{l}, nil
}
