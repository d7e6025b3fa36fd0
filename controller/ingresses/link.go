package ingresses

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/tendhq/tend/ingress"
)

const (
	// repeatEvery is how often an ingress is told the same again, so that it can say when
	// it has last heard of tend, and one that was not listening is told at last.
	repeatEvery = 5 * time.Second
	// The pauses between attempts to attach.
	retryFirst, retryMax = 100 * time.Millisecond, 2 * time.Second
	// upgradeTimeout bounds the copy of an executable into a container.
	upgradeTimeout = time.Minute
	// The pauses between attempts to copy one.
	upgradeFirst, upgradeMax = 5 * time.Second, 5 * time.Minute
)

// link is the conversation with one run of an ingress. Its fields from config on are
// guarded by the mutex of Ingresses.
type link struct {
	*Ingresses
	workload string
	run      Run
	stop     context.CancelFunc
	changed  chan struct{} // there is something else to tell

	config ingress.Config
	// applied is the generation that the ingress has in force.
	applied int64
	// open counts what each endpoint has to do, by ID.
	open   map[string]int
	report Report
	// copying is true from when this program began to be copied into the container, and
	// program is its path there once it has been.
	copying bool
	program string
}

// outdated reports whether the ingress is known to run another program than this one.
func (l *link) outdated() bool {
	return l.report.Status.Version != "" && l.report.Status.Version != l.options.Version
}

// told reports whether there is anything to tell the ingress.
func (l *link) told() bool { return l.config.Generation != 0 }

func (l *link) inForce() bool { return l.told() && l.applied == l.config.Generation }

// leadsTo reports whether an endpoint is given new connections.
func (l *link) leadsTo(id string) bool {
	for _, e := range l.config.Endpoints {
		if e.ID == id && e.State == ingress.Ready {
			return true
		}
	}
	return false
}

// keep talks to the ingress until ctx ends, and attaches again where the connection
// breaks.
func (l *link) keep(ctx context.Context) {
	pause := retryFirst
	for ctx.Err() == nil {
		began := time.Now()
		err := l.talk(ctx)
		if ctx.Err() != nil {
			return
		}
		l.fail(err)
		if time.Since(began) > repeatEvery {
			pause = retryFirst
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		pause = min(2*pause, retryMax)
	}
}

// talk attaches, and tells and hears until the connection breaks or ctx ends.
func (l *link) talk(ctx context.Context) error {
	conn, err := l.options.Engine.Attach(ctx, l.run.ID)
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	heard := make(chan error, 1)
	go func() {
		heard <- l.listen(conn)
		_ = conn.Close() // a write may be waiting
	}()
	repeat := time.NewTicker(repeatEvery)
	defer repeat.Stop()
	upgraded := false
	for {
		if err := l.tell(ctx, conn, &upgraded); err != nil {
			return errors.Join(err, <-heard)
		}
		select {
		case <-l.changed:
		case <-repeat.C:
		case err := <-heard:
			return err
		}
	}
}

// tell writes the configuration. Where the ingress runs another program, tell has this one
// copied, without waiting for that, and then writes where it is: once for each
// connection, as a request may be lost with the connection, and the ingress may refuse it.
func (l *link) tell(ctx context.Context, to io.Writer, upgraded *bool) error {
	l.mu.Lock()
	config, told := l.config, l.told()
	select {
	case <-l.changed: // what is told now is what it was for
	default:
	}
	outdated, program := l.outdated(), l.program
	begin := outdated && !l.copying
	l.copying = l.copying || begin
	l.mu.Unlock()
	if begin {
		l.busy.Go(func() { l.upgrade(ctx) })
	}
	if told {
		if err := ingress.Write(to, ingress.Request{Config: &config}); err != nil {
			return err
		}
	}
	if !outdated || program == "" || *upgraded {
		return nil
	}
	*upgraded = true
	return ingress.Write(to, ingress.Request{Upgrade: program})
}

// upgrade copies this program into the ingress's container, again and again until that
// succeeds or ctx ends. The ingress goes on as it is meanwhile.
func (l *link) upgrade(ctx context.Context) {
	for retry := upgradeFirst; ctx.Err() == nil; retry = min(2*retry, upgradeMax) {
		within, cancel := context.WithTimeout(ctx, upgradeTimeout)
		path, err := l.options.Upgrade(within, l.run.ID)
		cancel()
		if err == nil {
			l.mu.Lock()
			l.program = path
			l.mu.Unlock()
			l.wake()
			return
		}
		l.fail(fmt.Errorf("bring it up to tend's version: %w", err))
		select {
		case <-ctx.Done():
		case <-time.After(retry):
		}
	}
}

// wake has the ingress told what it has to be told.
func (l *link) wake() {
	select {
	case l.changed <- struct{}{}:
	default:
	}
}

// listen takes in statuses until the connection breaks.
func (l *link) listen(from io.Reader) error {
	statuses := ingress.NewReader[ingress.Status](from)
	for {
		s, malformed, err := statuses.Next()
		if err != nil {
			return err
		}
		if malformed == nil { // else it is what is left of a line that began before
			l.take(s)
		}
	}
}

// take takes in a status.
func (l *link) take(s ingress.Status) {
	l.mu.Lock()
	before, wasInForce := l.report, l.inForce()
	l.applied = s.Generation
	ended := false
	now := map[string]int{}
	for _, e := range s.Endpoints {
		now[e.ID] = e.Open
	}
	for id, n := range l.open {
		ended = ended || n > 0 && now[id] == 0 && !l.leadsTo(id)
	}
	l.open = now
	l.report.Status = s
	l.samples.Add(l.workload, s.Total, time.Now())
	l.report.Serving = s.Proxies > 0 && (l.report.Serving || l.inForce())
	l.report.Err = s.Error
	if !l.report.Serving && s.Error == "" {
		l.report.Err = "it has not taken up what it was told"
	}
	if l.inForce() {
		close(l.settled)
		l.settled = make(chan struct{})
	}
	told := l.report.Serving != before.Serving || l.report.Err != before.Err || l.inForce() != wasInForce || ended
	outdated := l.outdated() && !l.copying
	report := l.report
	l.mu.Unlock()
	if told {
		l.options.Heard(l.workload, l.run, report)
	}
	if outdated {
		l.wake()
	}
}

// fail notes why the ingress cannot be spoken to. It serves all the same, if it did.
func (l *link) fail(err error) {
	l.mu.Lock()
	changed := l.report.Err != err.Error()
	l.report.Err = err.Error()
	report := l.report
	l.mu.Unlock()
	if changed {
		l.options.Heard(l.workload, l.run, report)
	}
}
