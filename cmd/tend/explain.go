package main

import (
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"github.com/tendhq/tend/api"
	"github.com/tendhq/tend/api/client"
	"github.com/tendhq/tend/controller/plan"
	"github.com/tendhq/tend/controller/spec"
)

func newExplain(f *flags) *cobra.Command {
	return &cobra.Command{
		Use:   "explain WORKLOAD",
		Short: "Say why a workload has not converged, and what to do",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			ctx := c.Context()
			_, controller, err := f.dial(ctx)
			if err != nil {
				return err
			}
			return explain(ctx, controller, c.OutOrStdout(), args[0])
		},
	}
}

func explain(ctx context.Context, c *client.Client, out io.Writer, name string) error {
	a, err := newAccount(ctx, c, name)
	if err != nil {
		return err
	}
	say := func(format string, values ...any) { fmt.Fprintf(out, format+"\n", values...) }
	restart := a.Spec.Restart
	say("%s is a %s and runs %s: %s.", name, a.Kind, spec.RestartCondition(restart.Condition).Runs(), restart.Reason)
	if reason := a.Spec.Strategy.Reason; reason != "" {
		say("An update stops a container before it starts the next one: %s.", reason)
	}
	switch at := revision(a.Status.UpdateRevision); {
	case !current(a.Workload) || !a.Status.Converged:
	case holds(a.Workload, plan.Complete):
		say("%s has converged: it ran to completion, at revision %s.", name, at)
		return nil
	default:
		say("%s has converged: %d of %d replicas are available, at revision %s.", name, a.Status.AvailableReplicas, a.Spec.Replicas, at)
		return nil
	}
	if err := c.Ready(ctx); err != nil {
		say("%s has not converged: %v. Nothing is done until it does.", name, err)
		return nil
	}
	if !current(a.Workload) {
		say("%s has not converged: the controller has not looked at generation %d of its spec yet.", name, a.Metadata.Generation)
		return nil
	}
	say("%s has not converged: %s.", name, obstacle(a.Status.Conditions))
	if len(a.Status.Conditions) > 0 {
		say("\nIts conditions:")
	}
	for _, condition := range a.Status.Conditions {
		say("  %s is %s since %s (%s): %s", condition.Type, condition.Status, age(condition.LastTransitionTime), condition.Reason, condition.Message)
	}
	blockers, err := a.blockers(ctx, c)
	if err != nil {
		return err
	}
	if len(blockers) > 0 {
		say("\nIn its way:")
	}
	for _, text := range blockers {
		say("  %s", text)
	}
	say("\nNext: %s", a.next())
	return nil
}

// blockers are the dependencies that are not met and the replicas that are not
// as they should be.
func (a *account) blockers(ctx context.Context, c *client.Client) (texts []string, err error) {
	list, err := c.Workloads(ctx)
	if err != nil {
		return nil, err
	}
	for _, d := range a.Spec.DependsOn {
		i := slices.IndexFunc(list.Items, func(w api.Workload) bool { return w.Metadata.Name == d.Name })
		if i >= 0 && !met(d, list.Items[i]) {
			texts = append(texts, fmt.Sprintf("it depends on %s (%s), of which %d of %d replicas are ready: %s",
				d.Name, d.Condition, list.Items[i].Status.ReadyReplicas, list.Items[i].Spec.Replicas, obstacle(list.Items[i].Status.Conditions)))
		}
	}
	if a.Kind == string(spec.Job) {
		return texts, nil
	}
	for _, r := range a.replicas {
		switch code := r.Status.ExitCode; {
		case code != nil && *code == 0 && a.Spec.Restart.Condition != string(spec.RestartAny): // it is done
		case !r.Status.Ready:
			texts = append(texts, fmt.Sprintf("%s is not ready: %s, %d restarts", r.Metadata.Name, replicaState(r), r.Status.Restarts))
		case r.Spec.Revision != a.Status.UpdateRevision:
			texts = append(texts, fmt.Sprintf("%s is at revision %s still", r.Metadata.Name, revision(r.Spec.Revision)))
		}
	}
	return texts, nil
}

// met says whether a dependency is met, as far as the API tells.
func met(d api.Dependency, w api.Workload) bool {
	switch spec.DependencyCondition(d.Condition) {
	case spec.DependencyCompleted:
		return holds(w, plan.Complete)
	case spec.DependencyHealthy:
		return w.Status.ReadyReplicas > 0
	}
	return w.Status.Replicas > 0
}

// next says what a person can do, or that there is nothing to do.
func (a *account) next() string {
	name := a.Metadata.Name
	known := map[string]string{
		"RolledBack":               "correct what failed in the spec and save it: the new revision is tried at once. See `tend logs " + name + "` and `tend events " + name + "`.",
		"Paused":                   "`tend rollout resume " + name + "`.",
		"ProgressDeadlineExceeded": "see `tend logs " + name + "`; correct the spec, or go back with `tend rollout undo " + name + "`.",
		"CrashLoopBackOff":         "see `tend logs " + name + "`. It is started again after the back-off; a corrected spec is tried at once.",
		"BackOff":                  "correct what the message says. It is tried again after the back-off.",
		"HookFailed":               "see `tend logs " + name + "`, and correct the hook or the image.",
		"Unhealthy":                "see `tend logs " + name + "`, and correct what the message says; or the health check, where it is not the service that fails.",
		"RestartLimit":             "see `tend logs " + name + "`, and correct the spec: it is not started again as it is.",
		"MultipleContainers":       "do what the message says.",
		"CorruptLabels":            "do what the message says.",
		"Waiting":                  "nothing, if what it waits for comes; `tend explain` tells the same of a workload that it depends on.",
	}
	for _, reasonsOf := range []plan.ConditionType{plan.ReplicaFailure, plan.Failed, plan.Progressing, plan.Complete} {
		for _, c := range a.Status.Conditions {
			if text, ok := known[c.Reason]; ok && c.Type == string(reasonsOf) {
				return text
			}
		}
	}
	return "nothing: the controller is at work. `tend wait " + name + "` returns when it is done."
}
