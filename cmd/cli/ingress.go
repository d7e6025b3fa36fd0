//go:build linux

package cli

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/tendhq/tend/ingress/holder"
	"github.com/tendhq/tend/ingress/proxy"
)

// newIngress is what tend runs in the containers that hold host ports.
func newIngress(f *flags) *cobra.Command {
	var listen []string
	c := &cobra.Command{
		Use:    "ingress",
		Short:  "Hold ports and pass what comes in to replicas; tend runs it in containers of its own",
		Hidden: true,
		Args:   cobra.NoArgs,
	}
	state := c.PersistentFlags().String("state", "/state/config.json", "`file` that keeps the last configuration")
	c.Flags().StringArrayVar(&listen, "listen", nil, "`address` to listen at, as :80; can be repeated")
	c.RunE = func(*cobra.Command, []string) error {
		return holder.Run(holder.Options{
			Listen: listen, State: *state, Proxy: []string{"ingress", "proxy"}, Version: f.spec.IngressImage,
			Input: os.Stdin, Output: os.Stdout,
		})
	}
	c.AddCommand(newIngressProxy(), newIngressHealth(state))
	return c
}

func newIngressProxy() *cobra.Command {
	return &cobra.Command{
		Use:   "proxy LISTENERS",
		Short: "Carry the traffic; the ingress runs it",
		Args:  cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			count, err := strconv.Atoi(args[0])
			if err != nil {
				return err
			}
			control, listeners, err := proxy.Inherit(count)
			if err != nil {
				return err
			}
			return proxy.Run(control, listeners)
		},
	}
}

func newIngressHealth(state *string) *cobra.Command {
	return &cobra.Command{
		Use:   "health",
		Short: "Tell what the ingress in this container does",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			s, err := holder.Ask(*state)
			if err != nil {
				return err
			}
			if s.Proxies == 0 {
				return errors.New("no proxy serves: " + s.Error)
			}
			heard := "tend has not been heard"
			if !s.Heard.IsZero() {
				heard = fmt.Sprintf("tend was last heard %s ago", time.Since(s.Heard).Round(time.Second))
			}
			fmt.Fprintf(c.OutOrStdout(), "serving %d endpoints of generation %d; %s\n", len(s.Endpoints), s.Generation, heard)
			return nil
		},
	}
}
