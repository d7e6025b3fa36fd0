package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tendhq/tend/controller/export/kubernetes"
	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/controller/spec/load"
)

func newExport(f *flags) *cobra.Command {
	c := &cobra.Command{
		Use:   "export",
		Short: "Write the project for another system",
		Args:  cobra.NoArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newExportKubernetes(f))
	return c
}

func newExportKubernetes(f *flags) *cobra.Command {
	folder, strict := "-", false
	c := &cobra.Command{
		Use:   "kubernetes",
		Short: "Write the project as objects of Kubernetes; say what has no counterpart",
		Long: `Write the project as objects of Kubernetes: one stream of YAML, or with -o DIR a kustomize base in DIR/base, with a
file for each object, and where there is no DIR/overlays an overlay on it to begin with. Nothing is written over: where
a file of the base differs from what would be written, nothing is written at all. What has no counterpart is listed on
the standard error, by service and key, with the reason. No secret's value is written: the Secrets are to be filled in.

It asks no engine and no cluster. It ends with 1 where nothing could be written, and with --strict where anything has no
counterpart.`,
		Example: `tend export kubernetes | kubectl apply --server-side --dry-run=server -f -
tend export kubernetes -o k8s && kubectl apply -k k8s/overlays/example`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			instead, err := alternativesOf(c)
			if err != nil {
				return usage(c, err)
			}
			result, err := f.exportKubernetes(c.Context(), instead)
			if err != nil {
				return err
			}
			tellExport(c.ErrOrStderr(), result)
			if strict && len(result.Unsupported) > 0 {
				return errors.New("nothing was written, as --strict refuses what has no counterpart")
			}
			if folder != "-" {
				return writeFolder(result, folder)
			}
			stream, err := result.Stream()
			if err == nil {
				_, err = c.OutOrStdout().Write(stream)
			}
			return err
		},
	}
	c.Flags().StringVarP(&folder, "output", "o", folder, "`DIR` to write a kustomize base and an overlay to, or - for one stream of YAML")
	c.Flags().BoolVar(&strict, "strict", false, "write nothing, and end with 1, where anything has no counterpart")
	for _, a := range alternatives {
		c.Flags().String(a.flag, a.usual, a.usage)
		must(c.RegisterFlagCompletionFunc(a.flag, cobra.FixedCompletions([]string{a.usual, string(a.other)}, cobra.ShellCompDirectiveNoFileComp)))
	}
	return c
}

// alternatives are the flags that choose between two kinds of object.
var alternatives = []struct {
	flag, usual string
	other       kubernetes.Alternative
	usage       string
}{
	{"postgres", "statefulset", kubernetes.CloudNativePG, "what a Database becomes: statefulset, or cnpg for a Cluster of CloudNativePG"},
	{"http", "ingress", kubernetes.GatewayAPI, "what a published HTTP port becomes: ingress, or gateway for an HTTPRoute of the Gateway API"},
}

// alternativesOf are those that the flags of a command choose.
func alternativesOf(c *cobra.Command) (chosen []kubernetes.Alternative, err error) {
	for _, a := range alternatives {
		switch value := c.Flag(a.flag).Value.String(); value {
		case a.usual:
		case string(a.other):
			chosen = append(chosen, a.other)
		default:
			return nil, fmt.Errorf("--%s takes %s or %s, and not %q", a.flag, a.usual, a.other, value)
		}
	}
	return chosen, nil
}

// exportKubernetes reads the project and translates it.
func (f *flags) exportKubernetes(ctx context.Context, instead []kubernetes.Alternative) (r kubernetes.Result, err error) {
	o := f.spec
	// A Service takes the place of an ingress, so that this program need not be able to
	// make one.
	o.IngressImage, o.NoIngress = "tend/ingress", ""
	p, err := load.Project(ctx, o)
	if err != nil {
		return r, err
	}
	contents, err := configContents(p)
	if err != nil {
		return r, err
	}
	return kubernetes.Export(p, contents, instead...), nil
}

// maxConfig is how many bytes a ConfigMap may hold, by the limit of Kubernetes.
const maxConfig = 1 << 20

// configContents are the contents of the configs that workloads use, by Compose key.
func configContents(p *spec.Project) (map[string][]byte, error) {
	contents := map[string][]byte{}
	for _, name := range slices.Sorted(maps.Keys(p.Workloads)) {
		for _, used := range p.Workloads[name].Template.Configs {
			config := p.Configs[used.Source]
			if contents[used.Source] != nil {
				continue
			}
			content := []byte(config.Content)
			if config.File != "" {
				var err error
				if content, err = readRegular(config.File); err != nil {
					return nil, fmt.Errorf("read the config %s: %w", used.Source, err)
				}
			}
			if len(content) > maxConfig {
				return nil, fmt.Errorf("the config %s is larger than a ConfigMap may be (1 MiB): put it into an image or on a volume", used.Source)
			}
			contents[used.Source] = content
		}
	}
	return contents, nil
}

// readRegular reads a regular file, as reading another kind may never end, up to what is
// too much for a ConfigMap.
func readRegular(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no regular file", path)
	}
	file, err := os.Open(path) //nolint:gosec // the Compose file names it
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, maxConfig+1))
}

// tellExport says what has no counterpart, and what is left to do.
func tellExport(out io.Writer, r kubernetes.Result) {
	for _, u := range r.Unsupported {
		at := u.Key
		if u.Service != "" {
			at = u.Service + ": " + u.Key
		}
		fmt.Fprintf(out, "%s: %s\n", at, u.Reason)
	}
	if len(r.Empty) > 0 {
		fmt.Fprintf(out, "Secrets to fill in, with the keys that their annotation tend.keys names: %s\n", strings.Join(r.Empty, ", "))
	}
	if r.Hooks {
		fmt.Fprintln(out, "Pre-rollout hooks come first: apply with -l tend.pre-rollout!=awaited, wait for the Jobs with -l tend.pre-rollout=job, then apply all")
	}
}

// writeFolder writes a kustomize base into a folder, and an overlay on it where the folder has
// none: people go on with that as theirs.
func writeFolder(r kubernetes.Result, folder string) error {
	base, err := r.Base()
	if err != nil {
		return err
	}
	if err := writeMissing(base, filepath.Join(folder, "base")); err != nil {
		return err
	}
	overlays := filepath.Join(folder, "overlays")
	if _, err := os.Stat(overlays); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	overlay, err := r.Overlay("../../base")
	if err != nil {
		return err
	}
	return writeMissing(map[string][]byte{kubernetes.Kustomization: overlay}, filepath.Join(overlays, "example"))
}

// writeMissing writes files into a folder. What is there already stays as it is, so that
// nothing is written where it differs.
func writeMissing(files map[string][]byte, folder string) error {
	names := slices.Sorted(maps.Keys(files))
	var differ, missing []string
	for _, name := range names {
		before, err := os.ReadFile(filepath.Join(folder, name)) //nolint:gosec // whoever runs tend names the folder
		switch {
		case errors.Is(err, os.ErrNotExist):
			missing = append(missing, name)
		case err != nil:
			return err
		case !bytes.Equal(before, files[name]):
			differ = append(differ, name)
		}
	}
	if len(differ) > 0 {
		return fmt.Errorf("nothing was written, as these files in %s differ: %s; remove them, or name another folder", folder, strings.Join(differ, ", "))
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	for _, name := range missing {
		if err := os.WriteFile(filepath.Join(folder, name), files[name], 0o644); err != nil { //nolint:gosec // no secret's value is in it
			return err
		}
	}
	return nil
}
