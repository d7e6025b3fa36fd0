package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/tendhq/tend/api"
	"github.com/tendhq/tend/api/client"
	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/spec/syntax"
)

func newRollout(f *flags) *cobra.Command {
	c := &cobra.Command{
		Use:   "rollout",
		Short: "Follow a rollout, or pause, resume, restart or undo it",
		Args: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("no such command: %s", args[0])
			}
			return errors.New("a command is missing: status, history, undo, pause, resume or restart")
		},
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	var to int
	undo := newIntend(f, "undo", "Go back to a revision of the history, until another one is written", "is undone",
		func(c *client.Client, ctx context.Context, name string) (api.Workload, error) {
			return c.Undo(ctx, name, to)
		})
	undo.Flags().IntVar(&to, "to-revision", 0, "number of the revision, as history shows it (default: the one before the one in force)")
	must(undo.RegisterFlagCompletionFunc("to-revision", f.revisions))
	c.AddCommand(
		newRolloutStatus(f), newHistory(f), undo,
		newIntend(f, "pause", "Hold the rollout where it is; replicas are still kept running", "is paused", (*client.Client).Pause),
		newIntend(f, "resume", "Let a paused rollout go on", "goes on", (*client.Client).Resume),
		newIntend(f, "restart", "Replace all replicas, by the workload's strategy", "is restarted", (*client.Client).Restart),
	)
	return c
}

// newIntend makes a command that changes what people ask of one workload's rollout.
func newIntend(f *flags, verb, short, done string, ask func(*client.Client, context.Context, string) (api.Workload, error)) *cobra.Command {
	return &cobra.Command{
		Use: verb + " WORKLOAD", Short: short, Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			controller, err := f.dial()
			if err != nil {
				return err
			}
			if _, err := ask(controller, c.Context(), args[0]); err != nil {
				return err
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "the rollout of %s %s\n", args[0], done)
			return err
		},
	}
}

func newHistory(f *flags) *cobra.Command {
	p := &printer{}
	c := &cobra.Command{
		Use: "history WORKLOAD", Short: "Show the revisions of a workload, oldest first", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			p.out = c.OutOrStdout()
			if err := p.check(c); err != nil {
				return err
			}
			controller, err := f.dial()
			if err != nil {
				return err
			}
			list, err := controller.Revisions(c.Context(), args[0])
			if err != nil {
				return err
			}
			if p.document() {
				return p.write(list)
			}
			return printTable(p, list, []string{"NUMBER", "REVISION", "IMAGE", "AGE", "REPLICAS", "IN FORCE"}, nil, func(r api.Revision) ([]string, []string) {
				return []string{
					fmt.Sprint(r.Spec.Number), short(r.Metadata.Name), r.Spec.Image, age(r.Spec.CreatedAt), fmt.Sprint(r.Status.Replicas), yes(r.Status.InForce),
				}, nil
			})
		},
	}
	p.register(c.Flags())
	return c
}

func newRolloutStatus(f *flags) *cobra.Command {
	c := &cobra.Command{
		Use: "status WORKLOAD", Short: "Wait until the rollout is complete, telling how far it is; exit code 1 where it fails", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			controller, err := f.dial()
			if err != nil {
				return err
			}
			said := ""
			tell := newNarrator(args[0])
			defer tell.close()
			return f.await(c.Context(), controller, args, tell, func(w api.Workload) (bool, error) {
				text, done, err := progress(w)
				if text != said && err == nil && (done || tell.block == nil) {
					tell.result(c.OutOrStdout(), text)
				}
				said = text
				return done, err
			})
		},
	}
	f.waits(c.Flags())
	return c
}

// progress describes how far a rollout is, and whether it is done. The error is why it
// has failed.
func progress(w api.Workload) (text string, done bool, err error) {
	name, s := w.Metadata.Name, w.Status
	switch {
	case !current(w):
		return fmt.Sprintf("waiting for %s: %s", name, notLookedAt(w)), false, nil
	case s.Outcome == string(core.OutcomeStalled):
		return "", false, fmt.Errorf("%s: %s", name, s.Obstacle)
	case !s.Converged:
		return fmt.Sprintf("waiting for %s: %s", name, s.Obstacle), false, nil
	case holds(w, core.Complete):
		return name + " ran to completion", true, nil
	default:
		return "the rollout of " + name + " is complete", true, nil
	}
}

// notLookedAt is the obstacle where a status is older than the spec.
func notLookedAt(w api.Workload) string {
	return fmt.Sprintf("the controller has not looked at generation %d of its spec yet", w.Metadata.Generation)
}

// await waits until a condition holds for all of some workloads, or has failed
// for one of them, and tells how far they are where that can be drawn in place.
func (f *flags) await(ctx context.Context, c *client.Client, names []string, tell *narrator, condition func(api.Workload) (bool, error)) error {
	ctx, cancel := f.bound(ctx)
	defer cancel()
	obstacles := map[string]string{}
	for list, err := range c.WatchWorkloads(ctx) {
		if err != nil {
			return err
		}
		clear(obstacles)
		missing := map[string]bool{}
		for _, name := range names {
			missing[name] = true
		}
		var failures []error
		var known []string
		for _, w := range list.Items {
			known = append(known, w.Metadata.Name)
			if !missing[w.Metadata.Name] {
				continue
			}
			delete(missing, w.Metadata.Name)
			tell.workload(w)
			done, err := condition(w)
			if err != nil {
				failures = append(failures, err)
			} else if !done {
				obstacles[w.Metadata.Name] = w.Status.Obstacle
				if !current(w) {
					obstacles[w.Metadata.Name] = notLookedAt(w)
				}
			}
		}
		for _, name := range names {
			if missing[name] {
				failures = append(failures, errors.New(syntax.NoWorkload(name, known)))
			}
		}
		if len(failures) > 0 || len(obstacles) == 0 {
			return errors.Join(failures...)
		}
	}
	failures := []error{context.Cause(ctx)}
	for _, name := range slices.Sorted(maps.Keys(obstacles)) {
		failures = append(failures, fmt.Errorf("%s: %s", name, obstacles[name]))
	}
	return errors.Join(failures...)
}

func short(revision string) string { return revision[:min(8, len(revision))] }
