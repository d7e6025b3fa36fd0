//go:build linux

package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/tendhq/tend/api"
	"github.com/tendhq/tend/api/client"
	"github.com/tendhq/tend/cmd/terminal"
	"github.com/tendhq/tend/controller"
	"github.com/tendhq/tend/controller/app"
	"github.com/tendhq/tend/state"
	"github.com/tendhq/tend/state/durable"
)

// exitDifferent is diff's code for a difference, as with kubectl diff; errors
// have a higher one.
const exitDifferent = 1

func newDiff(f *flags) *cobra.Command {
	p := &printer{}
	c := &cobra.Command{
		Use:   "diff",
		Short: "Say how what runs differs from what is written; exit code 1 where it does",
		Long: `Say how what runs differs from what is written, and where no controller runs, in which fields. Values that may be
secret are not shown.

It ends with 0 where there is no difference, with 1 where there is one, and with 2 on an error. A project of docker
compose that only needs taking over does not differ.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			p.out = c.OutOrStdout()
			if err := p.check(c); err != nil {
				return err
			}
			differences, err := diff(c.Context(), f)
			if err == nil && p.document() {
				err = p.write(newDifferences(differences))
			} else if err == nil {
				err = printDifferences(p.out, differences)
			}
			switch {
			case err != nil:
				return &exitError{code: exitUsage, err: err}
			case slices.ContainsFunc(differences, func(d controller.Difference) bool { return !d.Left }):
				return &exitError{code: exitDifferent}
			}
			return nil
		},
	}
	p.register(c.Flags())
	f.owns(c.Flags())
	return c
}

func diff(ctx context.Context, f *flags) ([]controller.Difference, error) {
	p, err := f.load(ctx)
	if err != nil {
		return nil, err
	}
	if f.engine == swarmEngine {
		return diffOnSwarm(ctx, f, p)
	}
	e, err := f.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer e.Close()
	o := f.options(p)
	o.Engine, o.Log, o.OnEvent = e, newLog(zap.ErrorLevel), func(*state.Event) {}
	return app.New(o, nil).Preview(ctx, p, remembered(ctx, o.DataDir, p.Name))
}

// remembered is what the data directory keeps, where that can be read: where a controller
// runs, it cannot.
func remembered(ctx context.Context, dataDir, project string) []durable.Row {
	if _, err := os.Stat(filepath.Join(dataDir, durable.FileName)); err != nil {
		return nil
	}
	if _, err := client.Dial(dataDir); err == nil {
		return nil
	}
	file := durable.NewFile(dataDir, project)
	defer file.Close()
	rows, err := file.Load(ctx)
	if err != nil {
		return nil
	}
	return rows
}

// printDifferences prints a line for each difference, and below it each field, in colour
// where that can be shown.
func printDifferences(out io.Writer, differences []controller.Difference) error {
	out, colours := terminal.Styled(out)
	paint := func(code int, text string) string {
		if text = terminal.Line(text); colours {
			return fmt.Sprintf("\x1b[%dm%s\x1b[m", code, text)
		}
		return text
	}
	var text strings.Builder
	for _, d := range differences {
		if d.Workload != "" {
			text.WriteString(paint(1, d.Workload) + ": ")
		}
		text.WriteString(terminal.Line(d.Text) + "\n")
		for _, f := range d.Fields {
			text.WriteString("    " + paint(36, f.Field) + ": ")
			switch {
			case f.Concealed:
				text.WriteString("differs, and may be secret\n")
			default:
				text.WriteString(paint(31, cmp.Or(f.From, "(none)")) + " → " + paint(32, cmp.Or(f.To, "(none)")) + "\n")
			}
		}
	}
	_, err := io.WriteString(out, text.String())
	return err
}

// difference is a difference as -o json shows it.
type difference struct {
	Workload string           `json:"workload,omitempty"`
	Message  string           `json:"message"`
	Left     bool             `json:"left,omitempty"`
	Fields   []api.Difference `json:"fields,omitempty"`
}

func newDifferences(all []controller.Difference) api.List[difference] {
	var items []difference
	for _, d := range all {
		item := difference{Workload: d.Workload, Message: d.Text, Left: d.Left}
		for _, f := range d.Fields {
			item.Fields = append(item.Fields, api.Difference(f))
		}
		items = append(items, item)
	}
	return api.NewList(items)
}
