package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/docker/go-units"
	"github.com/spf13/cobra"

	"github.com/tendhq/tend/api"
	"github.com/tendhq/tend/api/client"
	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/spec"
)

func newExplain(f *flags) *cobra.Command {
	return &cobra.Command{
		Use:   "explain WORKLOAD",
		Short: "Say why a workload has not converged, and what to do",
		Long: `Say what a workload is taken for, how an update of it goes, why it has not converged, what is in its way, what time
alone will change, and what to do next.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			ctx := c.Context()
			controller, err := f.dial()
			if err != nil {
				return err
			}
			return explain(ctx, controller, c.OutOrStdout(), args[0])
		},
	}
}

func explain(ctx context.Context, c *client.Client, out io.Writer, name string) error {
	a, err := newDetails(ctx, c, name)
	if err != nil {
		return err
	}
	say := func(format string, values ...any) { fmt.Fprintf(out, format+"\n", values...) }
	restart := a.Spec.Restart
	say("%s is %s and runs %s: %s.", name, spec.Kind(a.Kind).WithArticle(), spec.RestartCondition(restart.Condition).Runs(), restart.Reason)
	if reason := a.Spec.Strategy.Reason; reason != "" {
		say("An update stops a container before it starts the next one: %s.", reason)
	}
	if scaling := a.Status.Autoscaling; scaling != nil {
		say("It is scaled to %d of %d to %d replicas: %s.", scaling.DesiredReplicas, scaling.MinReplicas, scaling.MaxReplicas, scaling.Message)
		for _, m := range scaling.Metrics {
			if m.Error != "" {
				say("  %s cannot be read: %s", m.Name, m.Error)
			} else {
				say("  %s is %s, and the target is %s: %d replicas", m.Name, m.Current, m.Target, m.Replicas)
			}
		}
	}
	switch at := revision(a.Status.UpdateRevision); {
	case !current(a.Workload) || !a.Status.Converged:
	case holds(a.Workload, core.Complete):
		say("%s has converged: it ran to completion, at revision %s.", name, at)
	default:
		say("%s has converged: %d of %d replicas are available, at revision %s.", name, a.Status.AvailableReplicas, a.Spec.Replicas, at)
	}
	if current(a.Workload) && a.Status.Converged {
		if a.Status.Obstacle != "" {
			say("\nStill, something is wrong: %s.\n\nNext: %s.", a.Status.Obstacle, a.Status.Remedy)
		}
		return nil
	}
	if err := c.Ready(ctx); err != nil {
		say("%s has not converged: %v. Nothing is done until it does.", name, err)
		return nil
	}
	if !current(a.Workload) {
		say("%s has not converged: %s.", name, notLookedAt(a.Workload))
		return nil
	}
	say("%s has not converged: %s.", name, a.Status.Obstacle)
	if len(a.Status.Conditions) > 0 {
		say("\nIts conditions:")
	}
	for _, condition := range a.Status.Conditions {
		say("  %s is %s since %s (%s): %s", condition.Type, condition.Status, age(condition.LastTransitionTime), condition.Reason, condition.Message)
	}
	awaited, err := a.awaited(ctx, c)
	if err != nil {
		return err
	}
	blockers := append(awaited, a.Status.Blockers...)
	if len(blockers) > 0 {
		say("\nIn its way:")
	}
	for _, text := range blockers {
		say("  %s", text)
	}
	if next := a.Status.Next; next != nil && next.At.After(time.Now()) {
		say("\nIn %s, unless something happens before: %s.", units.HumanDuration(time.Until(next.At)), next.What)
	}
	say("\nNext: %s.", a.Status.Remedy)
	return nil
}

// awaited describes the dependencies that have to come first, with their own obstacles.
func (a *details) awaited(ctx context.Context, c *client.Client) (texts []string, err error) {
	list, err := c.Workloads(ctx)
	if err != nil {
		return nil, err
	}
	conditions := map[string]string{}
	for _, d := range a.Spec.DependsOn {
		conditions[d.Name] = d.Condition
	}
	for _, name := range a.Status.WaitsFor {
		text := fmt.Sprintf("it depends on %s (%s)", name, conditions[name])
		i := slices.IndexFunc(list.Items, func(w api.Workload) bool { return w.Metadata.Name == name })
		if i >= 0 {
			w := list.Items[i]
			text += fmt.Sprintf(", which has %d of %d replicas ready", w.Status.ReadyReplicas, w.Spec.Replicas)
			if w.Status.Obstacle != "" {
				text += ": " + w.Status.Obstacle
			}
		}
		texts = append(texts, text)
	}
	return texts, nil
}
