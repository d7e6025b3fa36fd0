package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/docker/go-units"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"

	"github.com/tendhq/tend/api"
	"github.com/tendhq/tend/api/client"
)

// printer writes lists as the flags of get ask for.
type printer struct {
	out    io.Writer
	format string
	watch  bool
}

func newGet(f *flags) *cobra.Command {
	p := &printer{}
	path := ""
	c := &cobra.Command{
		Use:   "get workloads|replicas|images [NAME]",
		Short: "Show what is kept, as the controller sees it",
		Long: `Show what is kept, as the controller sees it: workloads, replicas, or the images that the workloads need, by which
digest each is here, and what its name stood for when the registry was last asked. With --raw it is what the API
answers to a GET of a path.`,
		ValidArgsFunction: f.kinds,
		Args: func(c *cobra.Command, args []string) error {
			if path != "" {
				return cobra.NoArgs(c, args)
			}
			return cobra.RangeArgs(1, 2)(c, args)
		},
		RunE: func(c *cobra.Command, args []string) error {
			if path != "" {
				return raw(c, f, path)
			}
			p.out = c.OutOrStdout()
			return p.get(c, f, args)
		},
	}
	p.register(c.Flags())
	c.Flags().StringVar(&path, "raw", "", "a path of the API, as /api/v1/images, whose answer to print as it comes")
	c.Flags().BoolVarP(&p.watch, "watch", "w", false, "show each change, until interrupted")
	return c
}

func (p *printer) get(c *cobra.Command, f *flags, args []string) error {
	ctx := c.Context()
	if err := p.check(c); err != nil {
		return err
	}
	kinds := map[string]func(context.Context, *client.Client, string) error{
		"workload": p.workloads, "workloads": p.workloads, "replica": p.replicas, "replicas": p.replicas,
		"image": p.images, "images": p.images,
	}
	show, ok := kinds[args[0]]
	if !ok {
		return usage(c, fmt.Errorf("get takes workloads, replicas or images, and not %q", args[0]))
	}
	controller, err := f.dial()
	if err != nil {
		return err
	}
	name := ""
	if len(args) > 1 {
		name = args[1]
	}
	return show(ctx, controller, name)
}

func (p *printer) register(s *pflag.FlagSet) {
	s.StringVarP(&p.format, "output", "o", "", "json, yaml, or wide")
}

// check refuses an unknown output.
func (p *printer) check(c *cobra.Command) error {
	switch p.format {
	case "", "wide", "json", "yaml":
		return nil
	}
	return usage(c, fmt.Errorf("--output takes json, yaml or wide, and not %q", p.format))
}

// document reports whether the output is one for programs.
func (p *printer) document() bool { return p.format == "json" || p.format == "yaml" }

func (p *printer) workloads(ctx context.Context, c *client.Client, name string) error {
	header := []string{"NAME", "KIND", "READY", "UP-TO-DATE", "AVAILABLE", "CONVERGED"}
	wide := []string{"REVISION", "IMAGE", "OUTCOME", "OBSTACLE"}
	row := func(w api.Workload) ([]string, []string) {
		s := w.Status
		return []string{
			w.Metadata.Name, w.Kind, fmt.Sprintf("%d/%d", s.ReadyReplicas, w.Spec.Replicas),
			fmt.Sprint(s.UpdatedReplicas), fmt.Sprint(s.AvailableReplicas), yes(s.Converged),
		}, []string{s.UpdateRevision, w.Spec.Template.Image, s.Outcome, s.Obstacle}
	}
	if name != "" && !p.watch {
		w, err := c.Workload(ctx, name)
		if err != nil {
			return err
		}
		if p.document() {
			return p.write(w)
		}
		return printTable(p, api.NewList([]api.Workload{w}), header, wide, row)
	}
	only := func(l api.List[api.Workload]) api.List[api.Workload] {
		if name == "" {
			return l
		}
		var items []api.Workload
		for _, w := range l.Items {
			if w.Metadata.Name == name {
				items = append(items, w)
			}
		}
		return api.NewList(items)
	}
	lists := c.WatchWorkloads(ctx)
	if !p.watch {
		lists = once(c.Workloads(ctx))
	}
	return printLists(ctx, p, lists, only, header, wide, row)
}

func (p *printer) replicas(ctx context.Context, c *client.Client, workload string) error {
	header := []string{"NAME", "WORKLOAD", "STATE", "READY", "RESTARTS", "AGE"}
	wide := []string{"REVISION", "IMAGE", "ADDRESSES", "PORTS", "NODE"}
	row := func(r api.Replica) ([]string, []string) {
		return []string{
				r.Metadata.Name, r.Spec.Workload, replicaState(r), yes(r.Status.Ready), fmt.Sprint(r.Status.Restarts), age(r.Status.StartedAt),
			}, []string{
				r.Spec.Revision, r.Spec.Image, pairs(r.Status.Addresses), strings.Join(r.Status.Ports, ","), r.Status.Node,
			}
	}
	lists := c.WatchReplicas(ctx, workload)
	if !p.watch {
		lists = once(c.Replicas(ctx, workload))
	}
	all := func(l api.List[api.Replica]) api.List[api.Replica] { return l }
	return printLists(ctx, p, lists, all, header, wide, row)
}

// images shows the images that the workloads need. DIGEST is the registry digest of the
// local image, NEWEST the digest of its tag when the registry was last asked.
func (p *printer) images(ctx context.Context, c *client.Client, name string) error {
	if p.watch {
		return errors.New("images cannot be watched: leave --watch out")
	}
	header := []string{"NAME", "WORKLOADS", "PRESENT", "DIGEST", "NEWEST", "ASKED"}
	wide := []string{"IMAGE ID", "EVERY", "ERROR"}
	row := func(i api.Image) ([]string, []string) {
		s := i.Status
		every := "never"
		if s.PullIntervalSeconds > 0 {
			every = units.HumanDuration(time.Duration(s.PullIntervalSeconds * float64(time.Second)))
		}
		return []string{
			i.Metadata.Name, strings.Join(i.Workloads, ","), yes(s.Present), shortDigest(s.Digest), shortDigest(s.Newest), age(s.AskedAt),
		}, []string{shortDigest(s.ImageID), every, cmp.Or(s.Error, s.RegistryError)}
	}
	list, err := c.Images(ctx)
	if err != nil {
		return err
	}
	if name != "" {
		list.Items = slices.DeleteFunc(list.Items, func(i api.Image) bool { return i.Metadata.Name != name })
		if len(list.Items) == 0 {
			return fmt.Errorf("no workload needs the image %s: `tend get images` lists them", name)
		}
	}
	if p.document() {
		return p.write(list)
	}
	return printTable(p, list, header, wide, row)
}

// shortDigest is a digest as Docker shortens it; "-" where there is none.
func shortDigest(digest string) string {
	const shown = 12
	_, sum, found := strings.Cut(digest, ":")
	if !found {
		sum = digest
	}
	return cmp.Or(sum[:min(shown, len(sum))], "-")
}

// once is a sequence of one answer.
func once[T any](v T, err error) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) { yield(v, err) }
}

func printLists[T any](ctx context.Context, p *printer, lists iter.Seq2[api.List[T], error], only func(api.List[T]) api.List[T],
	header, wide []string, row func(T) (narrow, wide []string),
) error {
	for list, err := range lists {
		if err != nil {
			if ctx.Err() != nil {
				return nil // interrupted, which is how a watch ends
			}
			return err
		}
		list = only(list)
		if p.document() {
			err = p.write(list)
		} else {
			err = printTable(p, list, header, wide, row)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func printTable[T any](p *printer, list api.List[T], header, wide []string, row func(T) (narrow, wide []string)) error {
	out := tabwriter.NewWriter(p.out, 0, 0, 3, ' ', 0)
	line := func(narrow, more []string) {
		if p.format == "wide" {
			narrow = append(narrow, more...)
		}
		fmt.Fprintln(out, strings.Join(narrow, "\t"))
	}
	line(header, wide)
	for _, item := range list.Items {
		line(row(item))
	}
	return out.Flush()
}

// write writes JSON, or the same as YAML.
func (p *printer) write(v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	if p.format == "yaml" {
		var tree yaml.Node // JSON is YAML; a node keeps the order of the fields
		if err := yaml.Unmarshal(text, &tree); err != nil {
			return err
		}
		plainStyle(&tree)
		if text, err = yaml.Marshal(&tree); err != nil {
			return err
		}
		_, err = fmt.Fprintf(p.out, "---\n%s", text)
		return err
	}
	_, err = fmt.Fprintf(p.out, "%s\n", text)
	return err
}

// plainStyle drops JSON's braces and quotes.
func plainStyle(n *yaml.Node) {
	n.Style = 0
	for _, c := range n.Content {
		plainStyle(c)
	}
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// pairs lists a map in the order of its keys.
func pairs(m map[string]string) string {
	var all []string
	for _, key := range slices.Sorted(maps.Keys(m)) {
		all = append(all, key+"="+m[key])
	}
	return strings.Join(all, ",")
}

// age is how long ago something was.
func age(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return units.HumanDuration(time.Since(t))
}
