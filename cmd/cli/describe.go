package cli

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/tendhq/tend/api"
	"github.com/tendhq/tend/api/client"
)

// lastEvents is how many events describe and explain show.
const lastEvents = 10

// details are all that the controller knows of one workload.
type details struct {
	api.Workload
	replicas []api.Replica
	events   []api.Event // the last ones
}

func newDetails(ctx context.Context, c *client.Client, name string) (*details, error) {
	w, err := c.Workload(ctx, name)
	if err != nil {
		return nil, err
	}
	replicas, err := c.Replicas(ctx, name)
	if err != nil {
		return nil, err
	}
	events, err := c.Events(ctx, client.EventOptions{Workload: name, Limit: lastEvents})
	if err != nil {
		return nil, err
	}
	return &details{Workload: w, replicas: replicas.Items, events: events.Items}, nil
}

func newDescribe(f *flags) *cobra.Command {
	return &cobra.Command{
		Use:   "describe WORKLOAD",
		Short: "Show a workload's spec, status, replicas and last events",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			ctx := c.Context()
			controller, err := f.dial()
			if err != nil {
				return err
			}
			a, err := newDetails(ctx, controller, args[0])
			if err != nil {
				return err
			}
			return a.describe(c.OutOrStdout())
		},
	}
}

func (a *details) describe(out io.Writer) error {
	s := a.Status
	table := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	row := func(name, format string, values ...any) {
		fmt.Fprintf(table, name+":\t"+format+"\n", values...)
	}
	row("Name", "%s", a.Metadata.Name)
	row("Kind", "%s", a.Kind)
	row("Generation", "%d written, %d planned", a.Metadata.Generation, s.ObservedGeneration)
	row("Image", "%s", a.Spec.Template.Image)
	row("Revision", "%s written, %s in force, %s the last that was complete", revision(a.Spec.Revision), revision(s.UpdateRevision), revision(s.CurrentRevision))
	row("Replicas", "%d desired; %d there: %d updated, %d ready, %d available", a.Spec.Replicas, s.Replicas, s.UpdatedReplicas, s.ReadyReplicas, s.AvailableReplicas)
	if scaling := s.Autoscaling; scaling != nil {
		row("Autoscaling", "%d, between %d and %d: %s", scaling.DesiredReplicas, scaling.MinReplicas, scaling.MaxReplicas, scaling.Message)
	}
	strategy := a.Spec.Strategy.Type
	if r := a.Spec.Strategy.RollingUpdate; r != nil {
		strategy += fmt.Sprintf(", %d more and %d less at most", r.MaxSurge, r.MaxUnavailable)
	}
	row("Strategy", "%s", strategy)
	var dependencies []string
	for _, d := range a.Spec.DependsOn {
		dependencies = append(dependencies, fmt.Sprintf("%s (%s)", d.Name, d.Condition))
	}
	if len(dependencies) > 0 {
		row("Depends on", "%s", strings.Join(dependencies, ", "))
	}
	row("Converged", "%s", yes(s.Converged))

	fmt.Fprintf(table, "\nCONDITION\tSTATUS\tREASON\tSINCE\tMESSAGE\n")
	for _, c := range s.Conditions {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", c.Type, c.Status, c.Reason, age(c.LastTransitionTime), c.Message)
	}
	fmt.Fprintf(table, "\nREPLICA\tREVISION\tSTATE\tREADY\tRESTARTS\tAGE\n")
	for _, r := range a.replicas {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%d\t%s\n", r.Metadata.Name, revision(r.Spec.Revision), replicaState(r), yes(r.Status.Ready), r.Status.Restarts, age(r.Status.StartedAt))
	}
	fmt.Fprintf(table, "\nThe last events:\n")
	if err := table.Flush(); err != nil {
		return err
	}
	newPrinter(out).events(a.events)
	return nil
}

// revision shortens a revision, or returns a dash for none.
func revision(r string) string {
	if r == "" {
		return "-"
	}
	return short(r)
}

// replicaState is the state of a replica, with its health or exit code.
func replicaState(r api.Replica) string {
	switch {
	case r.Status.ExitCode != nil:
		return fmt.Sprintf("%s (code %d)", r.Status.State, *r.Status.ExitCode)
	case r.Status.Health != "":
		return fmt.Sprintf("%s (%s)", r.Status.State, r.Status.Health)
	}
	return r.Status.State
}
