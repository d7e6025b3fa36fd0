package cli

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tendhq/tend/api"
	"github.com/tendhq/tend/api/client"
)

func newEndpoints(f *flags) *cobra.Command {
	p := &printer{}
	var r rendering
	c := &cobra.Command{
		Use:   "endpoints",
		Short: "Show the addresses of the replicas that are ready, or keep a proxy's file of them",
		Long: `Show the addresses of the replicas that are ready.

With --template, --output and --on-change, keep a file for a proxy instead,
until interrupted: each time the endpoints have changed the template is filled
in, the file replaced and the command run. Replicas that left are stopped once
the command has succeeded, or their drainSeconds are over.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			ctx := c.Context()
			p.out = c.OutOrStdout()
			if r == (rendering{}) {
				if err := p.check(c); err != nil {
					return err
				}
			} else if r.file = p.format; r.template == "" || r.file == "" || r.onChange == "" {
				return usage(c, errors.New("--template, --output and --on-change go together"))
			}
			controller, err := f.dial()
			if err != nil {
				return err
			}
			if r.template != "" {
				return r.follow(ctx, controller, newServiceNarrator())
			}
			all, err := controller.Endpoints(ctx, client.EndpointOptions{})
			if err != nil {
				return err
			}
			return p.endpoints(all)
		},
	}
	c.Flags().StringVarP(&p.format, "output", "o", "", "json, yaml, or wide; with --template the file to write")
	c.Flags().StringVar(&r.template, "template", "", "Go template to fill in with what -o json shows")
	c.Flags().StringVar(&r.onChange, "on-change", "", "command to run by the shell when the file has changed, which makes the proxy read it")
	return c
}

func (p *printer) endpoints(all api.Endpoints) error {
	if p.document() {
		return p.write(all)
	}
	type row struct {
		workload string
		api.Endpoint
	}
	var rows []row
	for _, workload := range slices.Sorted(maps.Keys(all.Workloads)) {
		for _, e := range all.Workloads[workload] {
			rows = append(rows, row{workload, e})
		}
	}
	return printTable(p, api.NewList(rows), []string{"WORKLOAD", "REPLICA", "REVISION", "ADDRESSES", "PORTS"}, nil, func(r row) ([]string, []string) {
		ports := strings.Trim(fmt.Sprint(r.Ports), "[]")
		return []string{r.workload, r.Replica, revision(r.Revision), pairs(r.Addresses), ports}, nil
	})
}
