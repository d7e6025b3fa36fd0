package watch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"
	"golang.org/x/term"

	"github.com/tendhq/tend/api"
	"github.com/tendhq/tend/api/client"
	"github.com/tendhq/tend/cmd/terminal"
)

// fps is how often bubbletea looks for modes of the terminal that have changed, which they
// hardly do.
const fps = 10

// Options are what the view needs.
type Options struct {
	// Version is the program's.
	Version string
	Dial    func() (*client.Client, error)
	Verbs   Verbs
	Sources Sources
	In, Out *os.File
	// Record is the file of an asciicast of what is shown; empty for none.
	Record string
}

// errNoTerminal says what to do where there is no terminal.
var errNoTerminal = errors.New("tend watch needs a terminal to show a full screen: use tend get workloads -w, or tend watch --once for one frame")

// Run shows the project until a person ends it.
func Run(ctx context.Context, o Options) (err error) {
	if !terminal.Is(o.In) || !terminal.CanDraw(o.Out) {
		return errNoTerminal
	}
	if _, err := o.Dial(); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	screen := &painter{tty: o.Out, out: o.Out, colors: colorprofile.Detect(o.Out, os.Environ())}
	options := []tea.ProgramOption{tea.WithContext(ctx), tea.WithInput(o.In), tea.WithOutput(screen), tea.WithFPS(fps), tea.WithoutSignalHandler()}
	if o.Record != "" {
		r, failed := newRecording(o.Record, o.Out)
		if failed != nil {
			return failed
		}
		defer func() { err = errors.Join(err, r.close()) }()
		screen.out = r
		options = append(options, tea.WithFilter(r.resized))
	}
	p := tea.NewProgram(painted{newModel(ctx, o, time.Now()), screen}, options...)
	var feeding sync.WaitGroup
	feeding.Go(func() { feed(ctx, o.Dial, p.Send) })
	_, err = p.Run()
	stop()
	feeding.Wait()
	if errors.Is(err, tea.ErrProgramKilled) && errors.Is(err, context.Canceled) {
		return nil // interrupted, which is how a watch ends
	}
	return err
}

// Once writes one frame: as large as the terminal, or as COLUMNS and LINES say, or 80×24.
func Once(ctx context.Context, o Options, out io.Writer) error {
	c, err := o.Dial()
	if err != nil {
		return err
	}
	m := newModel(ctx, o, time.Now())
	m.width, m.height = size(o.Out)
	if m, err = m.asked(ctx, c); err != nil {
		return err
	}
	m.now = time.Now()
	colors := &colorprofile.Writer{Forward: out, Profile: colorprofile.Detect(o.Out, os.Environ())}
	_, err = fmt.Fprintln(colors, m.Frame())
	return err
}

// asked returns the model with everything that the controller answers now. It asks for the
// ingresses' traffic twice, since rates need two samples.
func (m Model) asked(ctx context.Context, c *client.Client) (Model, error) {
	session, err := c.Session(ctx)
	if err != nil {
		return m, err
	}
	all := changesMsg{first: true, session: session}
	for e, err := range c.Watch(ctx, "") {
		if err == nil {
			err = all.add(e)
		}
		if err != nil {
			return m, err
		}
		if e.Type == api.Bookmark {
			break
		}
	}
	m = m.changed(all)
	if before, err := readCounters(ctx, c); err == nil && len(before) > 0 {
		rest(ctx, readEvery)
		if after, err := readCounters(ctx, c); err == nil {
			m.traffic = ratesOf(before, after, readEvery)
		}
	}
	return m, nil
}

// size is the size of a terminal, or what stands in for it.
func size(f *os.File) (width, height int) {
	if width, height, err := term.GetSize(int(f.Fd())); err == nil && width > 0 && height > 0 {
		return width, height
	}
	width, height = 80, 24
	for name, n := range map[string]*int{"COLUMNS": &width, "LINES": &height} {
		var asked int
		if _, err := fmt.Sscan(os.Getenv(name), &asked); err == nil && asked > 0 {
			*n = asked
		}
	}
	return width, height
}
