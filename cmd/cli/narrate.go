package cli

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"golang.org/x/term"

	"github.com/tendhq/tend/api"
	"github.com/tendhq/tend/cmd/terminal"
	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/state"
)

// narrator tells what the controller does and why: to a person in place on a terminal,
// or in plain lines, to a log as JSON.
type narrator struct {
	log *zap.Logger
	out io.Writer // nil where the log tells
	// block is drawn in place; nil where there are plain lines.
	block *terminal.Block
	// width is the width of the terminal; 0 where there is none.
	width int

	mu   sync.Mutex
	last map[string]row // by workload
}

// row is what a block shows of a workload.
type row struct {
	outcome        core.Outcome
	ready, desired int
	obstacle       string
	// did is the last thing that was done.
	did string
}

// newNarrator tells a person, on standard error: a command's result is on standard
// output. On a terminal it draws what goes on in place, under a title, until it is closed.
func newNarrator(title string) *narrator {
	n := newLineNarrator(os.Stderr)
	if terminal.CanDraw(os.Stderr) {
		n.block = terminal.NewBlock(os.Stderr, title)
	}
	return n
}

// newLineNarrator tells a person in plain lines.
func newLineNarrator(f *os.File) *narrator {
	n := &narrator{log: newLog(zap.ErrorLevel), out: terminal.Writer(f), last: map[string]row{}}
	if width, _, err := term.GetSize(int(f.Fd())); err == nil {
		n.width = width
	}
	return n
}

// newPrinter tells a person in plain lines, as a command's result. They fit the terminal
// that standard output is, where it is one.
func newPrinter(out io.Writer) *narrator {
	n := newLineNarrator(os.Stdout)
	n.out = out
	return n
}

// newServiceNarrator tells a person where standard error is a terminal, and
// writes JSON elsewhere.
func newServiceNarrator() *narrator {
	if terminal.Is(os.Stderr) {
		return newLineNarrator(os.Stderr)
	}
	log := newLog(zap.InfoLevel)
	tellWarnings(func(warning string) { log.Warn("compose", zap.String("message", warning)) })
	return &narrator{log: log}
}

func newLog(level zapcore.Level) *zap.Logger {
	config := zap.NewProductionConfig()
	config.Level.SetLevel(level)
	config.Sampling = nil
	config.DisableCaller = true
	config.EncoderConfig.EncodeTime = zapcore.RFC3339NanoTimeEncoder
	config.EncoderConfig.TimeKey = "time"
	log, err := config.Build()
	if err != nil {
		return zap.NewNop() // standard error cannot be opened: there is nobody to tell
	}
	return log
}

// close leaves what was drawn on the screen.
func (n *narrator) close() {
	if n.block != nil {
		n.block.Close()
	}
}

// result writes a line of a command's result, above what is drawn where both go to a
// terminal.
func (n *narrator) result(out io.Writer, text string) {
	if n.block != nil && terminal.Is(os.Stdout) {
		n.block.Print(text)
		return
	}
	fmt.Fprintln(out, text)
}

// event tells one event.
func (n *narrator) event(e *state.Event) {
	if n.out != nil {
		n.happened(e.Last, e.Type, e.Workload, e.Reason, by(e.Message, e.Actor))
		return
	}
	level := zap.InfoLevel
	if e.Type == core.Warning {
		level = zap.WarnLevel
	}
	actor := zap.Skip()
	if e.Actor != "" {
		actor = zap.String("actor", e.Actor)
	}
	n.log.Log(level, "event", zap.Uint64("id", e.ID), zap.String("workload", e.Workload),
		zap.String("reason", e.Reason), zap.String("message", e.Message), zap.Int("count", e.Count), actor)
}

// events tells events of the API.
func (n *narrator) events(events []api.Event) {
	for _, e := range events {
		text := by(e.Message, e.Actor)
		if e.Count > 1 {
			text = fmt.Sprintf("%s (%d times)", text, e.Count)
		}
		n.happened(e.LastTimestamp.Local(), core.EventType(e.Type), e.Workload, e.Reason, text)
	}
}

// by adds to a message who asked for it.
func by(message, actor string) string {
	if actor == "" {
		return message
	}
	return message + ", asked by " + actor
}

// happened tells an event to a person. In a block what is done for a workload stands in its
// row, until the next thing is done; what went wrong is a line that stays.
func (n *narrator) happened(at time.Time, t core.EventType, workload, reason, message string) {
	if n.block != nil && t != core.Warning && workload != "" {
		n.change(workload, func(r *row) { r.did = reason + " " + message })
		return
	}
	mark := " "
	if t == core.Warning {
		mark = "!"
	}
	columns := "%s %s %-18s %-14s "
	if n.block != nil {
		columns = "%s %s %s %s "
	}
	n.line(fmt.Sprintf(columns, at.Format(time.TimeOnly), mark, orProject(workload), reason), message)
}

// orProject names what an event is of.
func orProject(workload string) string { return cmp.Or(workload, "project") }

// say tells a person what the command itself does.
func (n *narrator) say(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if n.out != nil {
		n.line(time.Now().Format(time.TimeOnly)+"   ", text)
		return
	}
	n.log.Info("tend", zap.String("message", text))
}

// leastMessage is how many columns a message needs beside what leads it.
const leastMessage = 30

// line writes a line, or on a terminal as many as fit its width.
func (n *narrator) line(lead, text string) {
	if n.width > 0 {
		lines := terminal.Wrap(terminal.Line(text), max(leastMessage, n.width-terminal.Width(lead)-1))
		indent := "\n" + strings.Repeat(" ", terminal.Width(lead))
		if n.width < terminal.Width(lead)+leastMessage {
			lines = []string{terminal.Line(text)}
		}
		text = strings.Join(lines, indent)
	}
	if n.block != nil {
		n.block.Print(terminal.Line(lead) + text)
		return
	}
	fmt.Fprintf(n.out, "%s%s\n", lead, text)
}

// planned tells the status of a workload that was planned.
func (n *narrator) planned(s core.Status) {
	n.change(s.Workload, func(r *row) {
		r.outcome, r.ready, r.desired, r.obstacle = s.Outcome, s.Ready, s.Desired, s.Obstacle
		if s.Converged && s.Desired == 0 && s.Replicas == 0 {
			r.outcome = removed
		}
	})
}

// removed is shown of a workload that is gone.
const removed core.Outcome = "Removed"

// workload tells the status of a workload of the API.
func (n *narrator) workload(w api.Workload) {
	n.change(w.Metadata.Name, func(r *row) {
		r.outcome, r.ready, r.desired, r.obstacle = core.Outcome(w.Status.Outcome), w.Status.ReadyReplicas, w.Spec.Replicas, w.Status.Obstacle
		if !current(w) {
			r.outcome, r.obstacle = core.OutcomeWaiting, notLookedAt(w)
		}
	})
}

// progress tells how far an action is that takes long; without a text it has ended well.
func (n *narrator) progress(a core.Action, text string) {
	switch {
	case n.block == nil:
	case a.Kind != core.PullImage:
		n.change(a.Workload, func(r *row) { r.did = text })
	case text == "":
		n.block.Set(terminal.Row{Name: a.Object, State: "Pulled", Mark: terminal.Done})
	default:
		n.block.Set(terminal.Row{Name: a.Object, State: "Pulling", Text: text})
	}
}

// change changes the row of a workload.
func (n *narrator) change(workload string, change func(*row)) {
	if n.block == nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	r := n.last[workload]
	change(&r)
	n.last[workload] = r
	n.block.Set(r.shown(workload))
}

// shown is a row as a block shows it.
func (r row) shown(workload string) terminal.Row {
	shown := terminal.Row{Name: workload, State: string(r.outcome), Text: r.did}
	switch {
	case r.outcome == core.OutcomeConverged || r.outcome == core.OutcomeComplete || r.outcome == removed:
		shown.Mark, shown.Text = terminal.Done, r.obstacle
	case r.outcome.Halted():
		shown.Mark, shown.Text = terminal.Failed, r.obstacle
	case r.outcome == core.OutcomeWaiting || r.did == "":
		shown.Text = r.obstacle
	}
	if r.desired > 0 && r.outcome != core.OutcomeComplete {
		shown.State += fmt.Sprintf(" %d/%d", r.ready, r.desired)
	}
	return shown
}
