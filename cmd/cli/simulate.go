//go:build linux

package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tendhq/tend/cmd/terminal"
	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/rehearsal"
	"github.com/tendhq/tend/controller/spec/load"
	"github.com/tendhq/tend/state"
)

func newSimulate(f *flags) *cobra.Command {
	var edits, images []string
	c := &cobra.Command{
		Use:   "simulate",
		Short: "Tell what tend would do, on an engine in memory and in virtual time; exit code 1 where it would not get there",
		Long: `Tell what tend would do: the project is brought up from nothing on an engine in memory, and then
changed by one edit after the other. Time is virtual: an hour takes a moment. No container engine is
asked, and nothing that runs is touched.

What the images hold is not known here. A container becomes ready 3 s after its start, and a Job ends
with 0 after 5 s, unless --image says otherwise.`,
		Example: `  tend simulate
  tend simulate --edit compose.yaml=next.yaml
  tend simulate --edit specs/web.yaml=next.yaml --image web:2=never-ready`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			behaviors, err := behaviorsOf(images)
			if err != nil {
				return usage(c, err)
			}
			acts, err := f.acts(c.Context(), edits)
			if err != nil {
				return err
			}
			return f.simulate(c.Context(), c.OutOrStdout(), acts, behaviors)
		},
	}
	c.Flags().StringArrayVar(&edits, "edit", nil, "file of the project and the file with its next content, as specs/web.yaml=next.yaml; may be given more than once, and each comes after the one before has converged")
	registerImages(c.Flags(), &images)
	return c
}

// behaviorsOf reads the values of --image.
func behaviorsOf(images []string) (map[string]rehearsal.Behavior, error) {
	all := map[string]rehearsal.Behavior{}
	for _, text := range images {
		at := strings.LastIndex(text, "=")
		if at <= 0 {
			return nil, fmt.Errorf("--image %s names no behaviour: write it as web:2=never-ready", text)
		}
		b, err := rehearsal.ParseBehavior(text[at+1:])
		if err != nil {
			return nil, fmt.Errorf("--image %s: %w", text, err)
		}
		all[text[:at]] = b
	}
	return all, nil
}

// acts reads the project as it is written, and as it would be after each edit.
func (f *flags) acts(ctx context.Context, edits []string) ([]rehearsal.Act, error) {
	o := f.spec
	project, inputs, err := load.WithInputs(ctx, o)
	if err != nil {
		return nil, err
	}
	acts := []rehearsal.Act{{Title: "As it is written", Project: project}}
	for _, edit := range edits {
		file, next, ok := strings.Cut(edit, "=")
		if !ok {
			return nil, &exitError{code: exitUsage, err: fmt.Errorf("--edit %s names no file with the next content: write it as compose.yaml=next.yaml", edit)}
		}
		path, err := filepath.Abs(file)
		if err != nil {
			return nil, err
		}
		if spec := filepath.Dir(path) == inputs.Specs && load.IsSpecFile(filepath.Base(path)); !spec && !inputs.Files[path] {
			return nil, fmt.Errorf("--edit %s: %s is no file of the project: name one of its Compose files, or a file in %s", edit, file, inputs.Specs)
		}
		content, err := os.ReadFile(next) //nolint:gosec // whoever runs tend names it
		if err != nil {
			return nil, err
		}
		o = o.WithDraft(load.Draft{Path: path, Content: content})
		if project, err = load.Project(ctx, o); err != nil {
			return nil, fmt.Errorf("%s with the content of %s:\n%w", file, next, err)
		}
		acts = append(acts, rehearsal.Act{Title: fmt.Sprintf("%s becomes %s", file, next), Project: project})
	}
	return acts, nil
}

// simulate plays what is written, and tells the story.
func (f *flags) simulate(ctx context.Context, out io.Writer, acts []rehearsal.Act, images map[string]rehearsal.Behavior) error {
	dir, err := os.MkdirTemp("", "tend-simulate-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	s := &story{tell: newPrinter(out), out: out}
	play := rehearsal.Play{
		Acts: acts, Images: images, IngressImage: f.spec.IngressImage, Executable: f.program, DataDir: dir,
		Patience: longestAct, Begin: s.begin, Event: s.event, End: s.end,
	}
	ended := make(chan rehearsal.Result, 1)
	go func() { ended <- play.Run() }()
	select {
	case <-ctx.Done(): // what is played ends with the process
		return context.Cause(ctx)
	case last := <-ended:
		if last.Err != nil {
			return &exitError{code: exitFailed}
		}
		return nil
	}
}

// longestAct bounds an act, in virtual time.
const longestAct = 24 * time.Hour

// story tells a play to a person.
type story struct {
	tell *narrator
	out  io.Writer
	told bool
}

func (s *story) begin(a rehearsal.Act, _ *rehearsal.Engine) {
	if s.told {
		fmt.Fprintln(s.out)
	}
	s.told = true
	fmt.Fprintln(s.out, terminal.Line(a.Title))
}

func (s *story) event(at time.Duration, e *state.Event) {
	mark := " "
	if e.Type == core.Warning {
		mark = "!"
	}
	s.tell.line(fmt.Sprintf("%8.1fs %s %-18s %-16s ", at.Seconds(), mark, orProject(e.Workload), e.Reason), e.Message)
}

func (s *story) end(r rehearsal.Result) {
	took := r.Took.Round(100 * time.Millisecond)
	if r.Err == nil {
		fmt.Fprintf(s.out, "converged after %s\n", took)
	} else {
		fmt.Fprintf(s.out, "not converged after %s:\n", took)
		for line := range strings.Lines(r.Err.Error()) {
			fmt.Fprintln(s.out, " ", terminal.Line(strings.TrimSuffix(line, "\n")))
		}
	}
	for _, b := range r.Bounds {
		fmt.Fprintf(s.out, "%s: never fewer than %d ready, at most %d containers\n", terminal.Line(b.Workload), b.LeastReady, b.MostReplicas)
	}
}
