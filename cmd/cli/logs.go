package cli

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tendhq/tend/controller/logs"
	"github.com/tendhq/tend/controller/spec/syntax"
	"github.com/tendhq/tend/controller/swarm"
)

// logQuery is what the flags of logs ask for, as it is written.
type logQuery struct {
	tail                               int
	level, since, until, correlationID string
	fields                             []string
}

func newLogs(f *flags) *cobra.Command {
	var follow bool
	var q logQuery
	c := &cobra.Command{
		Use:   "logs [WORKLOAD]",
		Short: "Show the output of replicas",
		Long: `Show the output of a workload's replicas by time, or of all workloads', that of hooks included. With -f it goes on, also
with replicas that start meanwhile.

With --level, --field and --correlation-id it shows the lines that are JSON objects with such fields, and no others.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			options, err := q.options(time.Now())
			if err == nil && follow && q.until != "" {
				err = errors.New("--until cannot be followed: leave out --follow")
			}
			if err != nil {
				return usage(c, err)
			}
			workload := ""
			if len(args) > 0 {
				workload = args[0]
			}
			return showLogs(c, f, workload, options, follow)
		},
	}
	c.Flags().StringArrayVar(&f.spec.Files, "file", nil, "Compose file, or - for the standard input; may be given more than once (before the command also as -f)")
	c.Flags().BoolVarP(&follow, "follow", "f", false, "go on with what they write, also of new replicas, until interrupted")
	c.Flags().IntVar(&q.tail, "tail", 0, "how many of each replica's last lines to read (default: all)")
	c.Flags().StringVar(&q.level, "level", "", "the least level: debug, info, warn or error")
	c.Flags().StringArrayVar(&q.fields, "field", nil, "NAME=VALUE that a line has to have; may be given more than once")
	c.Flags().StringVar(&q.correlationID, "correlation-id", "", "the id of a request, in the field correlationId or correlation_id")
	c.Flags().StringVar(&q.since, "since", "", "no line before that time, as 2006-01-02T15:04:05Z, or how long ago, as 10m")
	c.Flags().StringVar(&q.until, "until", "", "no line after that time, written as that of --since")
	must(c.RegisterFlagCompletionFunc("level", cobra.FixedCompletions(logs.Levels, cobra.ShellCompDirectiveNoFileComp)))
	return c
}

// options reads the flags.
func (q logQuery) options(now time.Time) (o logs.Options, err error) {
	if o.Tail = q.tail; q.tail < 0 {
		return o, fmt.Errorf("--tail takes a number of lines, and not %d", q.tail)
	}
	if q.level != "" {
		if o.Filter.Level, err = logs.ParseLevel(q.level); err != nil {
			return o, fmt.Errorf("--level: %w", err)
		}
	}
	for _, text := range q.fields {
		name, value, ok := strings.Cut(text, "=")
		if !ok || name == "" {
			return o, fmt.Errorf("--field takes NAME=VALUE, and not %q", text)
		}
		o.Filter.Fields = append(o.Filter.Fields, logs.Field{Names: []string{name}, Value: value})
	}
	if q.correlationID != "" {
		o.Filter.Fields = append(o.Filter.Fields, logs.CorrelationID(q.correlationID))
	}
	if o.Since, err = timeOf("--since", q.since, now); err == nil {
		o.Until, err = timeOf("--until", q.until, now)
	}
	return o, err
}

// timeOf is the time that a flag names; zero where it does not.
func timeOf(flag, text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	at, err := logs.ParseTime(text, now)
	if err != nil {
		return at, fmt.Errorf("%s takes %w", flag, err)
	}
	return at, nil
}

// showLogs prints the output of a workload, or of all where it is empty.
func showLogs(c *cobra.Command, f *flags, workload string, options logs.Options, follow bool) error {
	ctx := c.Context()
	project, err := f.load(ctx)
	if err != nil {
		return err
	}
	emit := func(l logs.Line) error {
		_, err := fmt.Fprintf(c.OutOrStdout(), "%s | %s\n", l.Replica, l.Text)
		return err
	}
	if f.engine == swarmEngine {
		m, err := f.swarm(ctx)
		if err != nil {
			return err
		}
		defer m.Close()
		if _, written := project.Workloads[workload]; workload != "" && !written {
			return errors.New(syntax.NoWorkload(workload, slices.Collect(maps.Keys(project.Workloads))))
		}
		return swarm.ReadLogs(ctx, m, project.Name, workload, follow, options, emit)
	}
	e, err := f.connect(ctx)
	if err != nil {
		return err
	}
	defer e.Close()
	r := logs.Reader{Engine: e, Project: project.Name, Workload: workload, Options: options, Emit: emit}
	containers, err := r.Containers(ctx)
	if err != nil {
		return err
	}
	if _, written := project.Workloads[workload]; workload != "" && !written && len(containers) == 0 {
		return errors.New(syntax.NoWorkload(workload, slices.Collect(maps.Keys(project.Workloads))))
	}
	if follow {
		return r.Follow(ctx)
	}
	return r.Read(ctx, containers)
}
