package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"github.com/tendhq/tend/e2e/kit"
)

// size is how large a project is.
type size struct{ workloads, replicas int }

var (
	small = size{100, 300}
	large = size{300, 3000}
)

func (s size) String() string {
	return fmt.Sprintf("%d workloads, %d replicas", s.workloads, s.replicas)
}

// kept is a project whose controller has converged, in a process of its own.
type kept struct {
	size
	// dir is the data directory, and address that of the API over TCP.
	dir, address string
	stop         func()

	orders  *json.Encoder
	answers *json.Decoder
}

func startController(ctx context.Context, s size) (c *kept, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c = &kept{size: s}
	if c.dir, err = os.MkdirTemp("", "tend-view-"); err != nil {
		return nil, err
	}
	remove := func() { _ = os.RemoveAll(c.dir) }
	c.address, err = kit.FreeAddress()
	if err == nil {
		err = write(c.dir, s)
	}
	if err != nil {
		remove()
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, hostArgument, c.dir, c.address)
	cmd.Stderr = os.Stderr
	in, errIn := cmd.StdinPipe()
	out, errOut := cmd.StdoutPipe()
	for _, err := range []error{errIn, errOut} {
		if err != nil {
			remove()
			return nil, err
		}
	}
	if err := cmd.Start(); err != nil {
		remove()
		return nil, err
	}
	c.stop = func() {
		_ = in.Close()
		_ = cmd.Wait() // what it measured is here
		remove()
	}
	c.orders, c.answers = json.NewEncoder(in), json.NewDecoder(io.Reader(out))
	var ready string
	if err := c.answers.Decode(&ready); err != nil {
		c.stop()
		return nil, fmt.Errorf("the controller has not begun: %w", err)
	}
	return c, nil
}

// obey has the controller's process do something, and reads what came of it.
func obey[T any](c *kept, o order) (result T, err error) {
	if err := c.orders.Encode(o); err != nil {
		return result, err
	}
	return result, c.answers.Decode(&result)
}

// changeRate is how many changes there are in a second: half of them are deaths, and half
// starts.
const changeRate = 50

// churn has replicas die and come back, after half a second each, so that there is
// something to see of it.
func (c *kept) churn(d time.Duration) ([]change, error) {
	return obey[[]change](c, order{Do: doChurn, Rate: changeRate / 2, For: d, Start: 500 * time.Millisecond})
}

// usage is what the process has taken.
func (c *kept) usage() (usage, error) { return obey[usage](c, order{Do: doUsage}) }
