package cli

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/controller/spec/edit"
	"github.com/tendhq/tend/controller/spec/starter"
)

// errExists reports that a spec file is there already.
var errExists = errors.New("the file exists")

func newInit(f *flags) *cobra.Command {
	check := false
	c := &cobra.Command{
		Use:   "init [SERVICE...]",
		Short: "Write a first spec for each service that has none, with suggestions; nothing is written over",
		Long: `Write a first spec for each service that has none: what is in force, and suggestions in comments. It says what was
found, and what differs from docker compose; no file is written over.`,
		RunE: func(c *cobra.Command, services []string) error {
			p, err := f.load(c.Context())
			if err != nil {
				return err
			}
			names, err := withoutSpec(p, services)
			if err != nil {
				return err
			}
			out := c.OutOrStdout()
			if len(names) == 0 {
				_, err := fmt.Fprintf(out, "every service of project %s has a spec\n", p.Name)
				return err
			}
			for _, name := range names {
				wrote := ""
				if !check {
					if wrote, err = f.writeStarter(c, p.Workloads[name]); err != nil {
						return err
					}
				}
				tellFacts(out, p.Workloads[name], wrote)
			}
			return nil
		},
	}
	c.Flags().BoolVar(&check, "check", false, "only say what was found of each service, and what differs from docker compose")
	return c
}

// withoutSpec returns the services that have no spec, of those that are named or of all.
func withoutSpec(p *spec.Project, services []string) ([]string, error) {
	for _, name := range services {
		if w, ok := p.Workloads[name]; !ok || w.Kind == spec.Ingress {
			return nil, fmt.Errorf("project %s has no service %s that tend keeps", p.Name, name)
		}
	}
	names := slices.Sorted(maps.Keys(p.Workloads))
	return slices.DeleteFunc(names, func(name string) bool {
		unasked := len(services) > 0 && !slices.Contains(services, name)
		return unasked || p.Workloads[name].Kind == spec.Ingress || slices.Contains(p.Specs, name)
	}), nil
}

// writeStarter writes the first spec of a workload, and returns a sentence about it.
func (f *flags) writeStarter(c *cobra.Command, w *spec.Workload) (told string, err error) {
	path, err := edit.Write(c.Context(), f.spec, w.Name+".yaml", starter.Spec(w), func(before []byte) error {
		if before != nil {
			return errExists
		}
		return nil
	})
	switch {
	case errors.Is(err, errExists):
		return w.Name + ".yaml is in specs already, and is left as it is", nil
	case err != nil:
		return "", fmt.Errorf("write the spec of %s: %w", w.Name, err)
	default:
		return "written to " + path, nil
	}
}

// tellFacts tells what was found of a workload, and what came of writing its spec.
func tellFacts(out io.Writer, w *spec.Workload, wrote string) {
	fmt.Fprintf(out, "%s (%s)\n", w.Name, w.Kind)
	for _, fact := range append(starter.Facts(w), starter.Changes(w)...) {
		fmt.Fprintf(out, "  %s\n", fact)
	}
	if wrote != "" {
		fmt.Fprintf(out, "  → %s\n", wrote)
	}
}
