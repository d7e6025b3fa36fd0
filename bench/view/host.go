package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"go.uber.org/zap"

	"github.com/tendhq/tend/api"
	"github.com/tendhq/tend/controller"
	"github.com/tendhq/tend/controller/engine/model"
	"github.com/tendhq/tend/controller/observe"
	"github.com/tendhq/tend/controller/spec/load"
	"github.com/tendhq/tend/state"
	"github.com/tendhq/tend/state/durable"
)

// hostArgument has this program keep a project: a process of its own, so that what the
// controller takes is told apart from what looking takes.
const hostArgument = "host"

// order is what the host is told to do.
type order struct {
	Do string
	// Rate is how many replicas die in a second, For how long, and Start how long a start
	// takes; of reconcile, N is how many die one after the other.
	Rate       int           `json:",omitempty"`
	For, Start time.Duration `json:",omitempty"`
	N          int           `json:",omitempty"`
}

// The orders.
const (
	doChurn     = "churn"     // answers with the changes
	doReconcile = "reconcile" // answers with how long each took
	doUsage     = "usage"     // answers with a usage
)

// usage is what the process of the controller has taken so far.
type usage struct {
	CPU time.Duration
	// Held is the memory that it holds after a collection of garbage, in bytes.
	Held int64
}

// project is a project that is kept on an engine in memory, which begins to be told of its
// container's starts and ends.
type project struct {
	*model.Engine
	next int // of the victims

	mu      sync.Mutex
	changes []change
	asked   chan time.Time // when a start was asked for
}

// Start notes when it was asked for, and when it had come about.
func (p *project) Start(ctx context.Context, id string) error {
	select {
	case p.asked <- time.Now():
	default: // nobody waits for it
	}
	err := p.Engine.Start(ctx, id)
	if c, failed := p.Engine.Container(ctx, id); err == nil && failed == nil {
		p.note(c.Name, true)
	}
	return err
}

func (p *project) note(replica string, ready bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.changes = append(p.changes, change{Replica: replica, Ready: ready, At: time.Now()})
}

// kill ends the process of a replica that has not been killed before.
func (p *project) kill() error {
	all := p.Truth()
	if p.next >= len(all) {
		return fmt.Errorf("all %d replicas have died once; one that dies again waits for its back-off", len(all))
	}
	victim := all[p.next*step%len(all)]
	p.next++
	p.note(victim.Name, false)
	p.Kill(victim.ID, 137)
	return nil
}

// step is the distance from one victim to the next: a prime, so that all have their turn
// and neighbours do not follow one another.
const step = 101

// host keeps the project in dir, serves its API on the socket there and at address, and
// obeys until in ends.
func host(dir, address string, in io.Reader, out io.Writer) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	written, err := load.Project(ctx, load.Options{ProjectDirectory: dir})
	if err != nil {
		return err
	}
	p := &project{Engine: model.New(), asked: make(chan time.Time, 1)}
	defer p.Close()
	p.AddImage(image, model.Behavior{})
	file := durable.NewFile(dir, written.Name)
	defer file.Close()
	ctl := controller.New(controller.Options{
		Engine: p, Project: written.Name, Folders: observe.Folders{Project: written.WorkingDir}, DataDir: dir, Durable: file,
		Log: zap.NewNop(), OnEvent: func(*state.Event) {},
	})
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	running.Go(func() { ctl.Run(ctx) })
	ctl.SetProject(written)
	if err := ctl.Wait(ctx); err != nil {
		return err
	}
	failed := make(chan error, 1)
	running.Go(func() { failed <- serve(ctx, ctl, written.Name, dir, address) })
	answer := json.NewEncoder(out)
	if err := answer.Encode("ready"); err != nil {
		return err
	}
	orders := json.NewDecoder(in)
	for {
		select {
		case err := <-failed:
			return err
		default:
		}
		var o order
		if err := orders.Decode(&o); err != nil {
			return nil // the end of the measurement
		}
		result, err := p.obey(o)
		if err != nil {
			return err
		}
		if err := answer.Encode(result); err != nil {
			return err
		}
	}
}

func (p *project) obey(o order) (any, error) {
	switch o.Do {
	case doChurn:
		p.SetLatency(model.OpStart, o.Start)
		p.changes = nil
		each := time.NewTicker(time.Second / time.Duration(o.Rate))
		defer each.Stop()
		for range int(o.For.Seconds() * float64(o.Rate)) {
			<-each.C
			if err := p.kill(); err != nil {
				return nil, err
			}
		}
		time.Sleep(o.Start + time.Second) // until the last one is back
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.changes, nil
	case doReconcile:
		p.SetLatency(model.OpStart, 0)
		var took []time.Duration
		for range o.N {
			select {
			case <-p.asked:
			default:
			}
			began := time.Now()
			if err := p.kill(); err != nil {
				return nil, err
			}
			took = append(took, (<-p.asked).Sub(began))
			time.Sleep(20 * time.Millisecond)
		}
		return took, nil
	case doUsage:
		var used syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
			return nil, err
		}
		u := usage{CPU: time.Duration(used.Utime.Nano() + used.Stime.Nano())}
		debug.FreeOSMemory()
		statm, err := os.ReadFile("/proc/self/statm")
		if err != nil {
			return nil, err
		}
		var size, resident int64
		_, err = fmt.Sscan(string(statm), &size, &resident)
		u.Held = resident * int64(os.Getpagesize())
		return u, err
	}
	return nil, fmt.Errorf("there is no order %q", o.Do)
}

// serve serves the API, over TCP to everyone who reads.
func serve(ctx context.Context, ctl *controller.Controller, name, dir, address string) error {
	if err := api.MakeTokens(dir); err != nil {
		return err
	}
	unix, err := api.ListenUnix(dir)
	if err != nil {
		return err
	}
	tcp, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	h := api.New(api.Config{
		Store: ctl.State(), Controller: ctl, Spec: load.Options{ProjectDirectory: dir}, Metrics: ctl.Metrics().Handler(), Log: zap.NewNop(),
		DataDir: dir, AnonymousRead: true, Project: name, Version: "bench", Ready: ctl.Ready, Requests: api.NewMetrics(ctl.Metrics().Registerer()),
	})
	return api.Serve(ctx, h, zap.NewNop(), unix, &peers{Listener: tcp})
}

// peers has connections come from many peers: the API lets one hold no more than 64
// streams, and all of loopback is one.
type peers struct {
	net.Listener
	accepted int
}

// ofPeer is how many connections in a row are one peer's.
const ofPeer = 50

// Accept implements net.Listener.
func (p *peers) Accept() (net.Conn, error) {
	c, err := p.Listener.Accept()
	p.accepted++
	return fromPeer{c, &net.TCPAddr{IP: net.IPv4(192, 0, 2, byte(p.accepted/ofPeer)), Port: 1 + p.accepted}}, err
}

type fromPeer struct {
	net.Conn
	address net.Addr
}

// RemoteAddr implements net.Conn.
func (c fromPeer) RemoteAddr() net.Addr { return c.address }

// image is the image of every workload.
const image = "web:1"

// write writes the project.
func write(dir string, s size) error {
	compose := "name: view\nservices:\n"
	for i := range s.workloads {
		compose += fmt.Sprintf("  web%03d: {image: %q, deploy: {replicas: %d}}\n", i, image, s.replicas/s.workloads)
	}
	return os.WriteFile(filepath.Join(dir, "compose.yaml"), []byte(compose), 0o644)
}
