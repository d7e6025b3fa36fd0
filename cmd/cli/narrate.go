package cli

import (
	"fmt"
	"io"
	"os"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"golang.org/x/term"

	"github.com/tendhq/tend/cmd/terminal"
	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/state"
)

// narrator tells what the controller does and why: to a person in plain lines, to a log
// as JSON.
type narrator struct {
	log *zap.Logger
	out io.Writer // nil where the log tells
}

// newNarrator tells a person, on standard error: a command's result is on standard
// output.
func newNarrator() *narrator {
	return &narrator{log: newLog(zap.ErrorLevel), out: terminal.Writer(os.Stderr)}
}

// newServiceNarrator tells a person where standard error is a terminal, and
// writes JSON elsewhere.
func newServiceNarrator() *narrator {
	if term.IsTerminal(int(os.Stderr.Fd())) {
		return newNarrator()
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

// event tells one event.
func (n *narrator) event(e *state.Event) {
	if n.out != nil {
		n.line(e.Last, e.Type, e.Workload, e.Reason, by(e.Message, e.Actor))
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

// by adds to a message who asked for it.
func by(message, actor string) string {
	if actor == "" {
		return message
	}
	return message + ", asked by " + actor
}

func (n *narrator) line(at time.Time, t core.EventType, workload, reason, message string) {
	mark := " "
	if t == core.Warning {
		mark = "!"
	}
	if workload == "" {
		workload = "project"
	}
	fmt.Fprintf(n.out, "%s %s %-18s %-14s %s\n", at.Format(time.TimeOnly), mark, workload, reason, message)
}

// say tells a person what the command itself does.
func (n *narrator) say(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if n.out != nil {
		fmt.Fprintf(n.out, "%s   %s\n", time.Now().Format(time.TimeOnly), text)
		return
	}
	n.log.Info("tend", zap.String("message", text))
}
