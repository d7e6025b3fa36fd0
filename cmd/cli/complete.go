package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tendhq/tend/controller/spec"
)

// completionTimeout bounds how long a shell waits for the names that it offers.
const completionTimeout = 2 * time.Second

// complete has a command, and those under it, offer the names of workloads or services to
// a shell where their arguments are such.
func (f *flags) complete(c *cobra.Command) {
	if c.ValidArgsFunction == nil {
		switch _, arguments, _ := strings.Cut(c.Use, " "); {
		case strings.Contains(arguments, "SERVICE"):
			c.ValidArgsFunction = f.names(func(w *spec.Workload) bool { return w.Kind != spec.Ingress })
		case strings.Contains(arguments, "WORKLOAD"):
			c.ValidArgsFunction = f.names(func(*spec.Workload) bool { return true })
		}
	}
	for _, sub := range c.Commands() {
		f.complete(sub)
	}
}

// names offers the names of workloads that are written, and where what is written is not
// valid, of those that a controller keeps. More than one is offered where the command takes
// more.
func (f *flags) names(of func(*spec.Workload) bool) cobra.CompletionFunc {
	return func(c *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		const none = cobra.ShellCompDirectiveNoFileComp
		if many := strings.Contains(c.Use, "...") || strings.Contains(c.Use, "…"); len(args) > 0 && !many {
			return nil, cobra.ShellCompDirectiveDefault // as the file of a restore
		}
		ctx, cancel := context.WithTimeout(c.Context(), completionTimeout)
		defer cancel()
		var found []string
		if p, err := f.load(ctx); err == nil {
			for name, w := range p.Workloads {
				if of(w) {
					found = append(found, name)
				}
			}
		} else if controller, err := f.dial(); err == nil {
			list, _ := controller.Workloads(ctx) // a shell has no place for an error
			for _, w := range list.Items {
				found = append(found, w.Metadata.Name)
			}
		}
		slices.Sort(found)
		return slices.DeleteFunc(found, func(name string) bool { return slices.Contains(args, name) || !strings.HasPrefix(name, typed) }), none
	}
}

// kinds offers what get shows, and then the names.
func (f *flags) kinds(c *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	if len(args) == 0 {
		return []string{"workloads", "replicas", "images"}, cobra.ShellCompDirectiveNoFileComp
	}
	if len(args) > 1 || strings.HasPrefix(args[0], "image") {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return f.names(func(*spec.Workload) bool { return true })(c, nil, typed)
}

// revisions offers the numbers of a workload's revisions, newest first.
func (f *flags) revisions(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	const inOrder = cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
	controller, err := f.dial()
	if len(args) == 0 || err != nil {
		return nil, inOrder
	}
	ctx, cancel := context.WithTimeout(c.Context(), completionTimeout)
	defer cancel()
	list, _ := controller.Revisions(ctx, args[0]) // a shell has no place for an error
	var found []string
	for _, r := range slices.Backward(list.Items) {
		found = append(found, fmt.Sprintf("%d\t%s, %s old", r.Spec.Number, r.Spec.Image, age(r.Spec.CreatedAt)))
	}
	return found, inOrder
}

// states offers what wait can wait for.
func states(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return slices.Sorted(maps.Keys(goals)), cobra.ShellCompDirectiveNoFileComp
}

// must panics on an error that only a flag's name can cause.
func must(err error) {
	if err != nil {
		panic(err)
	}
}
