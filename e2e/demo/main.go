// Demo shows tend keep the shop under load while it is changed and broken: a copy of the
// shop, one thing after the other, with the numbers on the screen. It exits 1 where a
// request failed, where a write is not there exactly once, or where the shop did not deal
// with something as it should.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"text/tabwriter"
	"time"

	docker "github.com/docker/docker/client"

	"github.com/tendhq/tend/api"
	"github.com/tendhq/tend/cmd/terminal"
	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/e2e/cases"
	"github.com/tendhq/tend/e2e/load"
)

// project is the name of the copy.
const project = "tend-demo"

func main() {
	step := flag.Bool("step", false, "wait for the Enter key before each step")
	model := flag.Bool("model", false, "play it on an engine in memory, in virtual time and without load")
	repository := flag.String("repository", ".", "the shop's repository, whose images have been built")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	show := demonstrate
	if *model {
		show = rehearse
	}
	dir, err := filepath.Abs(*repository)
	if err == nil {
		err = show(ctx, dir, *step)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "demo: %v\n", err)
		stop()
		os.Exit(1)
	}
}

// demonstrate shows it on a real engine.
func demonstrate(ctx context.Context, repository string, step bool) (err error) {
	engine, err := docker.NewClientWithOpts(docker.FromEnv, docker.WithAPIVersionNegotiation())
	if err != nil {
		return err
	}
	defer engine.Close()
	fmt.Printf("Bringing up a copy of the shop, as project %s, under tend.\n", project)
	shop, err := cases.Start(ctx, engine, repository, filepath.Join(repository, "build", "bin", "tend"), project)
	defer func() {
		fmt.Println("Removing the copy.")
		err = errors.Join(err, shop.Remove(ctx))
	}()
	if err != nil {
		return err
	}
	fmt.Printf("It serves at %s. 16 users shop there from now on, 50 requests a second; each failed one is counted.\n", shop.URL)
	fmt.Printf("To watch it in another terminal: build/bin/tend watch --project-directory %s\n", shop.Dir())
	s := newScreen(step)
	following, endFollowing := context.WithCancel(ctx)
	defer endFollowing()
	go shop.Follow(following, s.event)
	config := load.Config{Rate: 50, Concurrency: 16, Writes: 0.05, Fresh: 0.2}
	report, err := shop.Show(ctx, cases.Steps(), config, s.next, s.now, s.shown)
	s.close()
	s.summary(os.Stdout, report)
	return errors.Join(err, report.Err())
}

// screen shows the steps.
type screen struct {
	step  bool
	enter *bufio.Reader
	all   []cases.Shown

	mu    sync.Mutex
	block *terminal.Block // nil where there is no terminal
}

func newScreen(step bool) *screen { return &screen{step: step, enter: bufio.NewReader(os.Stdin)} }

// next tells what comes, and waits for the Enter key where that is asked for.
func (s *screen) next(ctx context.Context, step cases.Step) error {
	s.close()
	fmt.Printf("\n%d. %s\n", len(s.all)+1, step.Title)
	if err := s.pause(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if terminal.CanDraw(os.Stdout) {
		s.block = terminal.NewBlock(os.Stdout, "under load")
	}
	return nil
}

// pause waits for the Enter key where that is asked for.
func (s *screen) pause(ctx context.Context) error {
	if !s.step {
		return nil
	}
	fmt.Print("   press Enter ")
	pressed := make(chan error, 1)
	go func() {
		_, err := s.enter.ReadString('\n')
		pressed <- err
	}()
	select {
	case err := <-pressed:
		if err != nil {
			return fmt.Errorf("nobody can press Enter: %w", err)
		}
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// event tells what tend does.
func (s *screen) event(e api.Event) {
	mark := " "
	if e.Type == string(core.Warning) {
		mark = "!"
	}
	s.print(fmt.Sprintf("   %s %s %-17s %-15s %s", e.LastTimestamp.Local().Format(time.TimeOnly), mark, e.Workload, e.Reason, e.Message))
}

func (s *screen) print(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.block != nil {
		s.block.Print(line)
		return
	}
	fmt.Println(line)
}

// now shows the numbers of the step under way.
func (s *screen) now(n cases.Shown) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.block != nil {
		s.block.Set(terminal.Row{Name: "requests", State: fmt.Sprint(n.Requests), Text: numbers(n)})
	}
}

func numbers(n cases.Shown) string {
	return fmt.Sprintf("%d failed, the longest took %s", n.Failed, n.LongestWait.Round(time.Millisecond))
}

// shown tells what came of a step.
func (s *screen) shown(n cases.Shown) {
	s.all = append(s.all, n)
	s.close()
	fmt.Printf("   done after %.1f s: %d requests, %s\n", n.Took.Seconds(), n.Requests, numbers(n))
}

// close leaves what was drawn on the screen.
func (s *screen) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.block != nil {
		s.block.Close()
		s.block = nil
	}
}

// summary prints all steps as a table.
func (s *screen) summary(out *os.File, r load.Report) {
	fmt.Fprintln(out)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "WHAT HAPPENED\tTIME\tREQUESTS\tFAILED\tLONGEST WAIT")
	for _, n := range s.all {
		fmt.Fprintf(w, "%s\t%.1f s\t%d\t%d\t%s\n", n.Step.Title, n.Took.Seconds(), n.Requests, n.Failed, n.LongestWait.Round(time.Millisecond))
	}
	fmt.Fprintf(w, "all of it, and the pauses\t%.1f s\t%d\t%d\t%s\n", r.Elapsed.Seconds(), r.Requests, len(r.Failures), r.Latency.Max.Round(time.Millisecond))
	_ = w.Flush() // standard output
	fmt.Fprintf(out, "%d acknowledged writes were looked up, %d were wrong.\n", r.Ledger.Acknowledged, len(r.Ledger.Wrong))
	for i, f := range r.Failures {
		if i == 10 {
			fmt.Fprintf(out, "and %d more\n", len(r.Failures)-i)
			break
		}
		fmt.Fprintf(out, "failed: %s %s: %s %s\n", f.Time.Format(time.TimeOnly), f.Operation, f.Outcome, strings.TrimSpace(f.Answer))
	}
}
